//! The scenarios of `spec/corpus`: compiled into a release build, read from the source tree by a development build.

use super::view::scenario::CorpusView;
use rust_embed::RustEmbed;
use shootdown_ir::Expect;
use std::sync::OnceLock;

#[derive(RustEmbed)]
#[folder = "../spec/corpus/"]
struct Corpus;

/// A scenario's text, if there is one of that name.
pub fn text(name: &str) -> Option<String> {
    if !name.ends_with(".sd") {
        return None;
    }
    String::from_utf8(Corpus::get(name)?.data.into_owned()).ok()
}

/// All of them, by name. One that cannot be read is left out.
pub fn all() -> Vec<CorpusView> {
    static ALL: OnceLock<Vec<CorpusView>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut names: Vec<String> = Corpus::iter().map(|name| name.into_owned()).collect();
        names.sort();
        names.iter().filter_map(|name| entry(name)).collect()
    })
    .clone()
}

fn entry(name: &str) -> Option<CorpusView> {
    let text = text(name)?;
    let protocol = shootdown_lang::parse(&text, name).ok()?.protocol;
    let comment = text.lines().map(str::trim);
    Some(CorpusView {
        name: name.to_string(),
        title: protocol.name,
        about: comment
            .take_while(|line| line.starts_with("//"))
            .map(|line| line.trim_start_matches('/').trim().to_string())
            .filter(|line| !line.is_empty())
            .collect(),
        expect: match protocol.expect {
            None => String::new(),
            Some(Expect::Ok) => "ok".to_string(),
            Some(Expect::Violated(name)) => format!("violated {name}"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_corpus_is_listed_with_what_it_expects() {
        let all = all();
        let files = Corpus::iter().filter(|name| name.ends_with(".sd"));
        assert_eq!(all.len(), files.count());
        assert!(all.len() > 50);
        assert!(
            all.iter()
                .all(|s| !s.expect.is_empty() && !s.title.is_empty())
        );
    }
}
