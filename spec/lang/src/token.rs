//! The tokens of a scenario.

use crate::source::Span;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind<'s> {
    /// A name or a word of the language.
    Name(&'s str),
    /// A whole number.
    Int(i64),
    /// A string, without its quotes.
    Str(&'s str),
    /// An operator or a punctuation mark.
    Mark(&'static str),
    /// The end of the file.
    End,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Token<'s> {
    /// What it is.
    pub kind: Kind<'s>,
    /// Where.
    pub span: Span,
}

/// Every mark of the language, and those of C that are refused later, longest first.
pub const MARKS: &[&str] = &[
    "<<=", ">>=", "...", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=",
    "-=", "*=", "/=", "%=", "&=", "|=", "^=", "{", "}", "(", ")", "[", "]", ";", ",", ":", "=",
    "<", ">", "+", "-", "*", "/", "%", "!", "~", "&", "|", "^", ".", "?",
];
