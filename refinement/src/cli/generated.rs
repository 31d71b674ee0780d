//! Generated parts of written pages: what stands between two markers.

/// The page with the part called `name` regenerated; `None` if it does not have the markers.
pub fn replace(page: &str, name: &str, part: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- {name}:begin -->\n"),
        format!("<!-- {name}:end -->"),
    );
    let (head, rest) = page.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}{part}{end}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nz\n";
        let anew = "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nz\n";
        assert_eq!(replace(page, "x", "new\n").as_deref(), Some(anew));
        assert_eq!(replace(page, "y", "new\n"), None);
    }
}
