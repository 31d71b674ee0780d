//! Where two copies of the page part.

/// The first part that differs, with its line; `None` if the pages are the same.
pub fn first(there: &str, now: &str) -> Option<String> {
    if there == now {
        return None;
    }
    let (mut part, mut fenced) = ("its beginning".to_string(), false);
    let (mut old, mut new) = (there.lines(), now.lines());
    for n in 1.. {
        let (a, b) = (old.next(), new.next());
        if let Some(line) = b.or(a) {
            fenced ^= line.starts_with("```");
            if let Some(title) = line.strip_prefix("## ").filter(|_| !fenced) {
                part = format!("the part \"{title}\"");
            }
        }
        match (a, b) {
            (None, None) => break,
            (a, b) if a != b => {
                let quoted = |line: Option<&str>| line.map_or("nothing".into(), shortened);
                return Some(format!(
                    "{part} differs, line {n}\n  there: {}\n  now:   {}",
                    quoted(a),
                    quoted(b)
                ));
            }
            _ => {}
        }
    }
    Some("the end of its last line differs".into())
}

fn shortened(line: &str) -> String {
    const MOST: usize = 160;
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::first;

    const PAGE: &str =
        "# T\n\nintro\n\n## One\n\na\n\n```text\n## not a part\n```\n\n## Two\n\nb\n";

    #[test]
    fn the_same_page_is_fresh() {
        assert_eq!(first(PAGE, PAGE), None);
    }

    #[test]
    fn the_first_differing_part_is_named() {
        let told = |old: &str| first(old, PAGE).expect("they differ");
        assert!(told(&PAGE.replace("intro", "x")).starts_with("its beginning differs, line 3"));
        assert!(
            told(&PAGE.replace("\na\n", "\nx\n")).starts_with("the part \"One\" differs, line 7")
        );
        assert!(told(&PAGE.replace("b\n", "x\n")).starts_with("the part \"Two\" differs, line 15"));
        assert!(
            told("").starts_with("its beginning differs, line 1\n  there: nothing\n  now:   # T")
        );
        assert!(told(PAGE.trim_end()).starts_with("the end of its last line"));
    }
}
