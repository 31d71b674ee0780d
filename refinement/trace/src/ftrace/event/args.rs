//! The arguments of an event, as the kernel prints them, or by the names of their fields.

use super::Lock;
use crate::ftrace::line::Malformed;
use crate::ftrace::place::Address;

/// The value of a field: `name=a`, `name = "a"`; up to the next field.
pub fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    // Most events have none: as the kernel prints a lock, there is no `=`.
    memchr::memchr(b'=', text.as_bytes())?;
    let mut from = 0;
    loop {
        let at = from + memchr::memmem::find(&text.as_bytes()[from..], name.as_bytes())?;
        from = at + name.len();
        let before = text[..at].chars().next_back();
        let behind = text[from..].trim_start_matches(' ');
        if let Some(value) = behind.strip_prefix('=')
            && before.is_none_or(|c| matches!(c, ' ' | ',' | '{' | '('))
        {
            let value = value.trim_start_matches(' ');
            if let Some(quoted) = value.strip_prefix('"') {
                return quoted.find('"').map(|end| &quoted[..end]);
            }
            return Some(value[..end_of_field(value)].trim_end_matches([' ', ',']));
        }
    }
}

/// Where the next field begins, or the braces end.
fn end_of_field(value: &str) -> usize {
    if let Some(brace) = value.find(" }") {
        let comma = value[..brace].find(", ");
        return comma.unwrap_or(brace);
    }
    // ` name=`: back from the next `=` to the blank before its name.
    let mut from = 0;
    while let Some(equals) = value[from..].find('=').map(|at| from + at) {
        let name = value[..equals]
            .bytes()
            .rev()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count();
        if name > 0 && value[..equals - name].ends_with(' ') {
            return equals - name;
        }
        from = equals + 1;
    }
    value.len()
}

/// The longest name of a lock class or function that is read.
const LONGEST_NAME: usize = 256;

pub(super) struct Args<'a> {
    pub(super) rest: &'a str,
    pub(super) column: usize,
}

impl<'a> Args<'a> {
    pub(super) fn wrong<T>(&self, reason: &'static str) -> Result<T, Malformed> {
        Err(Malformed {
            column: self.column,
            reason,
        })
    }

    fn eat(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else {
            return false;
        };
        self.rest = rest;
        self.column += word.len();
        true
    }

    /// Up to a blank, or the end.
    fn word(&mut self) -> &'a str {
        let end = self.rest.find(' ').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(' ').unwrap_or(rest);
        self.column += end + usize::from(end < word.len() + rest.len());
        word
    }

    pub(super) fn key(&mut self, key: &str, reason: &'static str) -> Result<&'a str, Malformed> {
        if !self.eat(key) {
            return self.wrong(reason);
        }
        let column = self.column;
        let word = self.word().trim_end_matches(',');
        if word.is_empty() || word.len() > LONGEST_NAME {
            return Err(Malformed { column, reason });
        }
        Ok(word)
    }

    pub(super) fn address(&mut self) -> Result<Address, Malformed> {
        let column = self.column;
        let word = self.word();
        let word = word.strip_prefix("0x").unwrap_or(word);
        let value = match word {
            "(null)" => Some(0),
            _ if (1..=16).contains(&word.len()) => u64::from_str_radix(word, 16).ok(),
            _ => None,
        };
        value.map(Address).ok_or(Malformed {
            column,
            reason: "this is no address",
        })
    }

    pub(super) fn csd(&mut self) -> Result<Address, Malformed> {
        if !self.eat("csd=") {
            return self.wrong("no `csd=` here");
        }
        self.address()
    }

    pub(super) fn lock(&mut self) -> Result<(Lock<'a>, bool, bool), Malformed> {
        if let Some(printed) = field(self.rest, "lockdep_addr") {
            return self.lock_by_fields(printed);
        }
        let address = self.address()?;
        let trylock = self.eat("try ");
        let read = self.eat("read ");
        let name = self.rest.trim_end();
        if name.is_empty() || name.len() > LONGEST_NAME {
            return self.wrong("no name of a lock here");
        }
        Ok((Lock { address, name }, trylock, read))
    }
}

impl<'a> Args<'a> {
    fn lock_by_fields(&self, printed: &str) -> Result<(Lock<'a>, bool, bool), Malformed> {
        let hex = printed.split(' ').next().unwrap_or("");
        let address = Args {
            rest: hex,
            column: self.column,
        }
        .address()?;
        let Some(name) = field(self.rest, "name").filter(|n| (1..=LONGEST_NAME).contains(&n.len()))
        else {
            return self.wrong("no name of a lock here");
        };
        let flags = field(self.rest, "flags").map_or(0, number);
        Ok((Lock { address, name }, flags & 1 != 0, flags & 2 != 0))
    }
}

/// `4`, `0x4`, `( "TLB_REMOTE_SEND_IPI" : container = 4 )`: the first number; 0 if there is none.
fn number(text: &str) -> u64 {
    let text = text.rsplit("container = ").next().unwrap_or(text).trim();
    let end = |radix: u32, t: &str| t.find(|c: char| !c.is_digit(radix)).unwrap_or(t.len());
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(&hex[..end(16, hex)], 16).unwrap_or(0),
        None => text[..end(10, text)].parse().unwrap_or(0),
    }
}

/// Where interrupts went off, or on: as the kernel prints it, or nothing where a tool could not resolve it.
pub(super) fn places(text: &str) -> Option<(&str, &str)> {
    // As the kernel prints it; half of a trace may be these.
    if let Some(rest) = text.strip_prefix("caller=")
        && let Some((caller, rest)) = rest.split_once(' ')
        && let Some(parent) = rest.strip_prefix("parent=")
        && !caller.is_empty()
        && !parent.is_empty()
        && memchr::memchr2(b' ', b'=', parent.as_bytes()).is_none()
        && memchr::memchr2(b'"', b'=', caller.as_bytes()).is_none()
    {
        return Some((caller, parent));
    }
    match (field(text, "caller"), field(text, "parent")) {
        (Some(caller), Some(parent)) if !caller.is_empty() && !parent.is_empty() => {
            Some((caller, parent))
        }
        // `trace-cmd report -R`, or a kernel whose symbols were not recorded.
        _ if field(text, "caller_offs").is_some() && field(text, "parent_offs").is_some() => {
            Some(("?", "?"))
        }
        _ => None,
    }
}

/// The reason of a flush: `reason:remote ipi send (4)`, `reason= (4)`, `reason=4`.
pub(super) fn reason(text: &str) -> Option<u64> {
    let text = text.trim_end();
    if let Some(braces) = field(text, "reason").filter(|r| r.contains("container = ")) {
        return Some(number(braces));
    }
    let last = text
        .rsplit_once('(')
        .and_then(|(_, reason)| reason.strip_suffix(')'));
    if let Some(reason) = last {
        return reason.trim().parse().ok();
    }
    let plain = field(text, "reason")?;
    plain
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| number(plain))
}
