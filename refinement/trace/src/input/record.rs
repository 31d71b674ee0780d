//! Records of `journalctl -o json`, `dmesg --json` and log collectors: the message in each, one record a line or many
//! lines a record.

use serde_json::{Deserializer, Value};

/// The names that collectors give a message: journald's, those of most libraries, `dmesg --json`'s, Docker's.
const KEYS: [&str; 4] = ["\"MESSAGE\"", "\"message\"", "\"msg\"", "\"log\""];

/// The message of the record that this line is, or is a part of.
///
/// Records come one a line, in an array with commas between them, after `data:` (server-sent events), after a record
/// separator (RFC 7464), or spread over lines, one field each.
#[must_use]
pub fn message(line: &str) -> Option<String> {
    let rest = line.trim_start_matches(['\u{1e}', '[', ',', ' ', '\t']);
    let rest = rest.strip_prefix("data:").map_or(rest, str::trim_start);
    if !rest.starts_with(['{', '"']) {
        return None;
    }
    let value = KEYS.iter().find_map(|key| {
        let behind = rest.split_once(key)?.1.trim_start().strip_prefix(':')?;
        Deserializer::from_str(behind).into_iter().next()?.ok()
    })?;
    match value {
        Value::String(message) => Some(message),
        // journald writes a message with bytes that are no text as numbers.
        Value::Array(bytes) => {
            let bytes: Option<Vec<u8>> = bytes
                .iter()
                .map(|byte| u8::try_from(byte.as_u64()?).ok())
                .collect();
            Some(String::from_utf8_lossy(&bytes?).into_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn the_message_is_found_however_records_are_laid_out() {
        for record in [
            r#"{"MESSAGE":"a \"b\"","PRIORITY":"4"}"#,
            r#"{ "PRIORITY" : "4", "MESSAGE" : "a \"b\"" }"#,
            r#"[{"msg":"a \"b\""},"#,
            r#",{"message":"a \"b\""}"#,
            "\u{1e}{\"MESSAGE\":\"a \\\"b\\\"\"}",
            r#"data: {"MESSAGE":"a \"b\""}"#,
            "\t\"MESSAGE\" : \"a \\\"b\\\"\",",
            r#"{"log":"a \"b\"","stream":"stdout"}"#,
            r#"{"MESSAGE":[97,32,34,98,34]}"#,
        ] {
            assert_eq!(message(record).as_deref(), Some("a \"b\""), "{record}");
        }
    }

    #[test]
    fn other_lines_are_no_records() {
        for line in [
            "",
            "[   12.3] CPU: 3",
            "{",
            r#"{"PRIORITY":"4"}"#,
            r#"{"MESSAGE":4}"#,
            r#"{"MESSAGE":"cut"#,
            r#"{"MESSAGE":[97,300]}"#,
            r#"he said {"MESSAGE":"x"}"#,
        ] {
            assert_eq!(message(line), None, "{line}");
        }
    }
}
