//! The review as one HTML file: style and pictures inside, no scripts, nothing from the network.

use super::document::{Block, Document, Entry, Part, Table, Tone, slug};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Columns of a counterexample: what fits on a printed page.
const WIDTH: usize = 104;

const STYLE: &str = include_str!("style.css");

/// How the file is written, and how far it has come.
struct Writer {
    /// Everything unfolded.
    full: bool,
    /// Pictures so far.
    pictures: usize,
}

/// The whole file. `full` unfolds everything, so that paper has it too; otherwise some twenty pages do.
pub fn page(document: &Document, full: bool) -> String {
    let mut writer = Writer { full, pictures: 0 };
    let front: Vec<Markup> = document.front.iter().map(|b| writer.block(b)).collect();
    let parts: Vec<Markup> = document.parts.iter().map(|p| writer.part(p)).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                // No picture of its own: without this line a browser asks a server for one.
                link rel="icon" href="data:,";
                title { (document.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { (inline(&document.title)) }
                        @for line in &document.provenance { p.provenance { (inline(line)) } }
                        @for line in &document.banner {
                            p.banner { (inline(line)) }
                        }
                        @for block in &front { (block) }
                    }
                    (contents(document))
                    @for part in &parts { (part) }
                }
            }
        }
    }
    .into_string()
}

fn contents(document: &Document) -> Markup {
    html! {
        nav aria-label="Contents" {
            p { "Contents" }
            ol {
                @for part in &document.parts {
                    li {
                        a href={ "#" (slug(&part.title)) } { (inline(&part.title)) }
                        @if part.headings().next().is_some() {
                            ol { @for title in part.headings() { li { a href={ "#" (slug(title)) } { (inline(title)) } } } }
                        }
                    }
                }
            }
        }
    }
}

impl Writer {
    fn part(&mut self, part: &Part) -> Markup {
        let blocks = self.blocks(&part.blocks);
        html! {
            section {
                h2 id=(slug(&part.title)) { (inline(&part.title)) }
                (blocks)
            }
        }
    }

    fn blocks(&mut self, blocks: &[Block]) -> Markup {
        let blocks: Vec<Markup> = blocks.iter().map(|b| self.block(b)).collect();
        html! { @for block in blocks { (block) } }
    }

    fn block(&mut self, block: &Block) -> Markup {
        match block {
            Block::Text(text) => html! { p { (inline(text)) } },
            Block::Lead(text) => html! { p.lead { (inline(text)) } },
            Block::Fold {
                title,
                listed,
                open,
                blocks,
            } => {
                let id = listed.then(|| slug(title));
                let open = *open || self.full;
                let inside = self.blocks(blocks);
                html! {
                    details open[open] {
                        summary id=[id] { (inline(title)) }
                        (inside)
                    }
                }
            }
            Block::List(items) => html! { ul { @for item in items { li { (inline(item)) } } } },
            Block::Heading(text) => html! { h3 id=(slug(text)) { (inline(text)) } },
            Block::Table(table) => self::table(table),
            Block::Listing(text) => html! { pre tabindex="0" { (text.trim_end()) } },
            Block::Run { run, caption } => {
                self.pictures += 1;
                html! {
                    figure {
                        div.paper tabindex="0" { (PreEscaped(own_ids(&run.svg(), self.pictures, caption))) }
                        figcaption { (inline(caption)) }
                    }
                    details open[self.full] {
                        summary { "Step by step, with the line that replays it" }
                        pre tabindex="0" { (run.text(WIDTH).trim_end()) }
                    }
                }
            }
            Block::Page { path, text } => html! {
                div.page { (PreEscaped(embedded(&super::markdown::leads(path, text)))) }
                details open[self.full] {
                    summary { "Each of them at length" }
                    div.page { (PreEscaped(embedded(text))) }
                }
            },
            Block::ThisRun(blocks) => {
                let inside = self.blocks(blocks);
                html! { div.run { p.label { "This run" } (inside) } }
            }
        }
    }
}

fn table(table: &Table) -> Markup {
    let class = |entry: &Entry| match entry.tone {
        Tone::Plain => None,
        Tone::Good => Some("good"),
        Tone::Bad => Some("bad"),
        Tone::Rule => Some("rule"),
        Tone::Open => Some("open"),
    };
    html! {
        div.table tabindex="0" {
            table {
                thead { tr { @for title in &table.head { th scope="col" { (inline(title)) } } } }
                tbody {
                    @for row in &table.rows {
                        tr { @for entry in row { td class=[class(entry)] { (inline(&entry.text)) } } }
                    }
                }
            }
        }
    }
}

/// Text with its inline marks. Whatever looks like HTML is text.
fn inline(text: &str) -> Markup {
    let events = Parser::new(text).filter(|e| !is_paragraph(e));
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, linked(events));
    PreEscaped(out.trim_end().to_string())
}

fn is_paragraph(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph)
    )
}

/// A page of the tree: its title is the part's already, its headings go below it.
fn embedded(text: &str) -> String {
    let mut title = false;
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::Start(Tag::Heading {
            level: HeadingLevel::H1,
            ..
        }) => {
            title = true;
            None
        }
        Event::End(TagEnd::Heading(HeadingLevel::H1)) => {
            title = false;
            None
        }
        _ if title => None,
        Event::Start(Tag::Heading { .. }) => Some(Event::Start(Tag::Heading {
            level: HeadingLevel::H3,
            id: None,
            classes: Vec::new(),
            attrs: Vec::new(),
        })),
        Event::End(TagEnd::Heading(_)) => Some(Event::End(TagEnd::Heading(HeadingLevel::H3))),
        other => Some(other),
    });
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, linked(events));
    out
}

/// Links of a file that stands alone: within it, and into the network. One to a file of the tree is its name.
fn linked<'a>(events: impl Iterator<Item = Event<'a>>) -> impl Iterator<Item = Event<'a>> {
    let mut inside = Vec::new();
    events.filter_map(move |event| match event {
        Event::Html(text) | Event::InlineHtml(text) if &*text == "<br>" => {
            Some(Event::InlineHtml(CowStr::Borrowed("<br>")))
        }
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::Link { ref dest_url, .. }) => {
            let works = dest_url.starts_with('#') || dest_url.starts_with("https://");
            inside.push(works);
            works.then_some(event)
        }
        Event::End(TagEnd::Link) => inside.pop().unwrap_or(true).then_some(event),
        other => Some(other),
    })
}

/// The picture with ids of its own: several of them stand in one document.
fn own_ids(svg: &str, n: usize, caption: &str) -> String {
    let label = html! { title { (caption.replace(['`', '*'], "")) } }.into_string();
    let own = svg
        .replace("id=\"", &format!("id=\"p{n}-"))
        .replace("url(#", &format!("url(#p{n}-"));
    match own.split_once('>') {
        Some((open, rest)) => format!("{open} role=\"img\">{label}{rest}"),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_html_is_text() {
        let text = "`a<b>` <script>alert(1)</script> a < b & c";
        let html = inline(text).into_string();
        assert!(!html.contains("<script"), "{html}");
        assert!(
            html.contains("&lt;script&gt;") && html.contains("<code>a&lt;b&gt;</code>"),
            "{html}"
        );
    }

    #[test]
    fn only_links_that_work_alone_are_links() {
        let html =
            inline("[here](#x), [page](order.md), [out](https://example.org/)").into_string();
        assert_eq!(
            html,
            "<a href=\"#x\">here</a>, page, <a href=\"https://example.org/\">out</a>"
        );
    }

    #[test]
    fn two_pictures_do_not_share_ids() {
        let svg = r##"<svg width="1"><defs><pattern id="hatch"/></defs><rect fill="url(#hatch)"/></svg>"##;
        let (one, two) = (own_ids(svg, 1, "a"), own_ids(svg, 2, "b"));
        assert!(
            one.contains("id=\"p1-hatch\"") && one.contains("url(#p1-hatch)"),
            "{one}"
        );
        assert!(
            two.contains("id=\"p2-hatch\"") && two.contains("<title>b</title>"),
            "{two}"
        );
    }

    #[test]
    fn the_file_asks_nobody_for_anything() {
        let document = Document {
            title: "t".into(),
            provenance: vec![],
            banner: vec![],
            front: vec![],
            parts: vec![],
            brief: vec![],
        };
        let html = page(&document, false);
        for outside in ["<script", "src=", "@import", "http://", "url(http"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
