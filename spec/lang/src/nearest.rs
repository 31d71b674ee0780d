//! Which name somebody meant.

/// The name nearest to `word`, if one is near enough to be a slip of the pen.
pub fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    names
        .into_iter()
        .filter(|name| name.len().abs_diff(word.len()) <= 6)
        .map(|name| {
            (
                strsim::jaro_winkler(&lower, &name.to_ascii_lowercase()),
                name,
            )
        })
        .filter(|&(likeness, name)| {
            likeness > 0.85 || strsim::damerau_levenshtein(word, name) <= 1 + word.len() / 6
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
