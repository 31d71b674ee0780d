//! The review as Markdown: for a mailing list, and as `docs/review.md`.
//!
//! The same findings give the same bytes: what differs from run to run ([`Block::ThisRun`]) is left out, and so are
//! pictures, which a mail does not show.

use super::document::{Block, Document, Part, Table, slug};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use std::fmt::Write as _;

/// Columns: what a mail may have.
const WIDTH: usize = 80;

/// The whole page.
pub fn page(document: &Document) -> String {
    let mut text = head(document);
    for part in &document.parts {
        text += &self::part(part);
    }
    text.trim_end().to_string() + "\n"
}

/// The page of the tree: what there is to decide, without the evidence. Links to parts that it has not are words.
pub fn brief(document: &Document) -> String {
    let mut text = head(document);
    for part in &document.brief {
        text += &self::part(part);
    }
    let parts = document.brief.iter();
    let slugs: Vec<String> = parts
        .flat_map(|p| std::iter::once(p.title.as_str()).chain(p.headings()))
        .map(slug)
        .collect();
    let here = |anchor: &str| slugs.iter().any(|s| s == anchor);
    unlinked(&text, here).trim_end().to_string() + "\n"
}

/// `[words](#anchor)` becomes `words` where the anchor is not there.
fn unlinked(text: &str, here: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(end) = rest.find("](#") {
        let close = rest[end..].find(')').map_or(rest.len(), |n| end + n);
        let open = rest[..end].rfind('[').unwrap_or(end);
        if here(&rest[end + 3..close]) || open == end {
            out += &rest[..(close + 1).min(rest.len())];
        } else {
            out += &rest[..open];
            out += &rest[open + 1..end];
        }
        rest = rest.get(close + 1..).unwrap_or_default();
    }
    out + rest
}

/// What stands above the first part.
pub fn head(document: &Document) -> String {
    let mut text = format!("# {}\n\n", document.title);
    for line in &document.banner {
        let _ = write!(text, "{}\n\n", paragraph(line, ""));
    }
    for block in &document.front {
        text += &self::block(block);
    }
    text
}

/// One part with its heading.
pub fn part(part: &Part) -> String {
    let mut text = format!("## {}\n\n", part.title);
    for block in &part.blocks {
        text += &self::block(block);
    }
    text
}

fn block(block: &Block) -> String {
    match block {
        Block::Text(text) | Block::Lead(text) => paragraph(text, "") + "\n\n",
        Block::Fold {
            title,
            listed,
            blocks,
            ..
        } => {
            let inside: String = blocks.iter().map(self::block).collect();
            match listed {
                true => format!("### {title}\n\n{inside}"),
                false => format!("**{title}**\n\n{inside}"),
            }
        }
        Block::List(items) => {
            let items = items.iter().map(|item| {
                let item = paragraph(item, "  ");
                format!("- {}\n", &item[2..])
            });
            items.collect::<String>() + "\n"
        }
        Block::Heading(text) => format!("### {text}\n\n"),
        Block::Table(table) => self::table(table) + "\n",
        Block::Listing(text) => format!("```text\n{}\n```\n\n", text.trim_end()),
        Block::Page { path, text } => self::leads(path, text),
        Block::Run { run, .. } => format!("```text\n{}\n```\n\n", run.text(WIDTH).trim_end()),
        Block::ThisRun(_) => String::new(),
    }
}

fn table(table: &Table) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(table.head.iter().map(String::as_str).collect());
    let _ = writeln!(text, "|{}", "---|".repeat(table.head.len()));
    for row in &table.rows {
        text += &line(row.iter().map(|e| e.text.as_str()).collect());
    }
    text
}

/// What may not be broken, and what may not begin a line, where it would begin something else.
const GLUE: char = '\u{a0}';

/// Breaks a paragraph between words. Code stays whole, so that a command can be copied.
fn paragraph(text: &str, indent: &str) -> String {
    let mut code = false;
    let glued: String = text
        .chars()
        .map(|c| match c {
            '`' => {
                code = !code;
                c
            }
            ' ' if code => GLUE,
            c => c,
        })
        .collect();
    let mut words = String::new();
    for word in glued.split(' ') {
        if !words.is_empty() {
            words.push(if begins_a_block(word) { GLUE } else { ' ' });
        }
        words += word;
    }
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(indent)
        .subsequent_indent(indent)
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(&words, options);
    lines.join("\n").replace(GLUE, " ")
}

/// Would a line that begins with this word be a list, a heading, a quotation, a table or code?
fn begins_a_block(word: &str) -> bool {
    let number = word.trim_end_matches(['.', ')']);
    matches!(word, "-" | "+" | "*" | "--" | "---")
        || word.starts_with(['#', '>', '|', '=', '~'])
        || word.starts_with("```")
        || (number.len() < word.len()
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit()))
}

/// A page's sections with the bold sentences that lead its paragraphs.
pub(super) fn leads(path: &str, page: &str) -> String {
    let (mut text, mut lead, mut heading) = (String::new(), None, None);
    let mut first = false;
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => heading = Some((level, String::new())),
            Event::End(TagEnd::Heading(_)) => {
                if let Some((level, title)) = heading.take()
                    && level as usize == 2
                {
                    let _ = writeln!(text, "\n**{title}**\n");
                }
            }
            Event::Start(Tag::Paragraph) => first = true,
            Event::Start(Tag::Strong) if first => lead = Some(String::new()),
            Event::End(TagEnd::Strong) => {
                if let Some(words) = lead.take() {
                    let item = paragraph(&words, "  ");
                    let _ = writeln!(text, "- {}", &item[2..]);
                }
            }
            Event::Text(words) => {
                first = false;
                heading.iter_mut().for_each(|(_, t)| *t += &words);
                lead.iter_mut().for_each(|t| *t += &words);
            }
            Event::Code(words) => {
                first = false;
                let code = format!("`{words}`");
                heading.iter_mut().for_each(|(_, t)| *t += &code);
                lead.iter_mut().for_each(|t| *t += &code);
            }
            Event::SoftBreak => lead.iter_mut().for_each(|t| t.push(' ')),
            _ => {}
        }
    }
    format!(
        "{}\n\nEach of them at length, and which way it errs: [{path}]({path}).\n\n",
        text.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader of the rendered page sees, white space apart.
    fn rendered(text: &str) -> String {
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, Parser::new(text));
        html.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_link_that_leads_nowhere_is_words() {
        let text = "see [A](#a), [not](#b) and [file](b.md) [c";
        assert_eq!(
            unlinked(text, |anchor| anchor == "a"),
            "see [A](#a), not and [file](b.md) [c"
        );
    }

    #[test]
    fn breaking_lines_changes_nothing() {
        let long = "word ".repeat(14);
        for tail in [
            "- dash",
            "1. number",
            "2011) year",
            "# hash",
            "> quote",
            "+ plus",
            "--- rule",
            "| bar",
            "= under",
        ] {
            for shift in 0..14 {
                let text = format!(
                    "{}{long}{tail} and more of `shootdown check --design tracked` here",
                    "x".repeat(shift)
                );
                assert_eq!(rendered(&paragraph(&text, "")), rendered(&text), "{text}");
            }
        }
    }

    #[test]
    fn a_command_is_never_broken() {
        let text = format!(
            "{}`shootdown check --design v2.6.37 --env split+thp --workload aging` follows",
            "word ".repeat(12)
        );
        let broken = paragraph(&text, "");
        assert!(
            broken.contains("`shootdown check --design v2.6.37 --env split+thp --workload aging`")
        );
        assert!(broken.lines().count() > 1);
    }

    #[test]
    fn a_page_is_told_by_its_leading_sentences() {
        let page = "# Title\n\nIntro **not this**? No.\n\n## One\n\n**First `a`.** Text.\n\nPlain.\n\n**Second\nhere**, more **not this**.\n";
        let told = leads("x.md", page);
        assert!(
            told.starts_with("**One**\n\n- First `a`.\n- Second here\n"),
            "{told}"
        );
        assert!(!told.contains("not this"), "{told}");
    }
}
