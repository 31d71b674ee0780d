//! What the review says, before anybody decides how it looks.
//!
//! Text is CommonMark with inline marks only (`code`, **bold**, links), so the Markdown page prints it as it is and
//! the HTML page runs it through a parser. A link to `#something` leads to the heading of that slug; one to a relative
//! path leads to a file of the tree, which only the Markdown page has beside it.

use super::run::Run;

/// The whole review.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// Where it comes from, under the title. Differs from run to run, so that only the HTML file has it.
    pub provenance: Vec<String>,
    /// What a reader should know first, above the table of contents: a run that is not whole, or not as expected.
    pub banner: Vec<String>,
    /// The first screen, between the title and the table of contents.
    pub front: Vec<Block>,
    /// Its parts, in reading order.
    pub parts: Vec<Part>,
    /// What the page of the tree has in place of the parts.
    pub brief: Vec<Part>,
}

/// One part, with an entry in the table of contents.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its title; the anchor is its [`slug`].
    pub title: String,
    /// What it says.
    pub blocks: Vec<Block>,
}

/// A piece of a part.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// The one line to be read if only one is.
    Lead(String),
    /// A list.
    List(Vec<String>),
    /// A heading inside the part.
    Heading(String),
    /// A table.
    Table(Table),
    /// Lines as they are.
    Listing(String),
    /// What can be folded away where that is possible: told at length, under a title of its own.
    Fold {
        /// Its title. If it has an entry in the contents, its anchor is the title's [`slug`].
        title: String,
        /// It has an entry in the contents, and links may lead to it.
        listed: bool,
        /// Unfolded at first.
        open: bool,
        /// What is in it.
        blocks: Vec<Block>,
    },
    /// A run as a picture where that can be shown, and in columns as wide as there is room for.
    Run {
        /// The run.
        run: Box<Run>,
        /// What the picture shows.
        caption: String,
    },
    /// A page of the tree. Whole where there is room; elsewhere its leading sentences and a link.
    Page {
        /// Where it is, below `docs/`.
        path: &'static str,
        /// Its text.
        text: &'static str,
    },
    /// What differs from run to run: times, memory, versions. Never on the page that is compared.
    ThisRun(Vec<Block>),
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Column titles.
    pub head: Vec<String>,
    /// Rows, each as long as the head.
    pub rows: Vec<Vec<Entry>>,
}

/// An entry of a table.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// What it says.
    pub text: String,
    /// How it looks. The text says the same: nothing is told by colour alone.
    pub tone: Tone,
}

/// What an entry means to somebody who skims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// As one would want it.
    Good,
    /// A promise that is broken.
    Bad,
    /// A rule about waiting that is broken, maybe on purpose; nothing hangs by that.
    Rule,
    /// Not decided, or not as expected.
    Open,
}

impl<T: Into<String>> From<T> for Entry {
    fn from(text: T) -> Entry {
        Entry {
            text: text.into(),
            tone: Tone::Plain,
        }
    }
}

impl Entry {
    /// An entry with a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Entry {
        Entry {
            text: text.into(),
            tone,
        }
    }
}

impl Table {
    /// A table without rows.
    pub fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Table {
        Table {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<T: Into<Entry>>(&mut self, row: impl IntoIterator<Item = T>) {
        self.rows.push(row.into_iter().map(Into::into).collect());
    }
}

/// The anchor of a heading, as forges make it: lower case, hyphens for spaces, no punctuation.
pub fn slug(title: &str) -> String {
    title
        .chars()
        .filter_map(|c| match c {
            ' ' | '-' => Some('-'),
            '_' => Some('_'),
            c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

impl Part {
    /// Titles inside the part that have an entry in the contents.
    pub fn headings(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().filter_map(|b| match b {
            Block::Heading(text) => Some(text.as_str()),
            Block::Fold {
                title,
                listed: true,
                ..
            } => Some(title),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn anchors_are_those_of_a_forge() {
        assert_eq!(slug("What came out"), "what-came-out");
        assert_eq!(slug("C1: page aging, 2 CPUs"), "c1-page-aging-2-cpus");
        assert_eq!(slug("`v2.6.38` or `tracked`?"), "v2638-or-tracked");
    }
}
