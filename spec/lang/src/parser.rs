//! Tokens to a syntax tree, by recursive descent.
//!
//! Every rule says what it expected and what stands there instead, and the parser goes on at the next `;` or `}`, so
//! that one run shows all errors of a file. What C has and the language does not is refused by name ([`refuse`]).

mod expr;
mod item;
mod refuse;
mod stmt;
mod types;

use crate::ast::{File, Name};
use crate::code::{self, Code};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Span;
use crate::token::{Kind, Token};

/// How deep blocks, statements and expressions may nest.
pub const DEEPEST: u16 = 100;

/// The tree of a file. Errors go to `out`; what could be read is in the tree.
pub fn parse<'s>(tokens: &'s [Token<'s>], out: &mut Diagnostics) -> File<'s> {
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        out,
        refused: false,
    };
    parser.file()
}

/// An error has been reported; the caller recovers.
pub(crate) struct Reported;

pub(crate) type Parsed<T> = Result<T, Reported>;

pub(crate) struct Parser<'s, 'd> {
    tokens: &'s [Token<'s>],
    at: usize,
    depth: u16,
    out: &'d mut Diagnostics,
    refused: bool,
}

impl<'s> Parser<'s, '_> {
    fn peek(&self) -> Kind<'s> {
        self.tokens[self.at].kind
    }

    fn ahead(&self, by: usize) -> Kind<'s> {
        self.tokens[(self.at + by).min(self.tokens.len() - 1)].kind
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// The token before this one: what is missing is missing behind it.
    fn before(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    fn bump(&mut self) -> Span {
        let span = self.span();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        span
    }

    fn ended(&self) -> bool {
        self.peek() == Kind::End
    }

    fn is(&self, mark: &'static str) -> bool {
        self.peek() == Kind::Mark(mark)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Name(name) if name == word)
    }

    fn eat(&mut self, mark: &'static str) -> bool {
        let found = self.is(mark);
        if found {
            self.bump();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.bump();
        }
        found
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        self.out.push(diagnostic);
        Reported
    }

    fn error(&mut self, code: &'static Code, span: Span, message: impl Into<String>) -> Reported {
        self.report(Diagnostic::new(code, span, message))
    }

    /// What stands here, in words.
    fn found(&self) -> String {
        match self.peek() {
            Kind::Name(name) => format!("`{}`", shorten(name)),
            Kind::Int(n) => format!("`{n}`"),
            Kind::Str(_) => "a string".to_owned(),
            Kind::Mark(mark) => format!("`{mark}`"),
            Kind::End => "the end of the file".to_owned(),
        }
    }

    fn expected(&mut self, what: &str) -> Reported {
        let (span, found) = (self.span(), self.found());
        self.report(
            Diagnostic::new(
                &code::UNEXPECTED,
                span,
                format!("expected {what}, found {found}"),
            )
            .label(format!("expected {what}")),
        )
    }

    fn expect(&mut self, mark: &'static str, after: &str) -> Parsed<Span> {
        if self.is(mark) {
            return Ok(self.bump());
        }
        if mark == ";" {
            let (behind, found) = (self.before().after(), self.found());
            return Err(self.report(
                Diagnostic::new(
                    &code::MISSING_SEMICOLON,
                    behind,
                    format!("expected `;` after {after}, found {found}"),
                )
                .label("`;` is missing here"),
            ));
        }
        Err(self.expected(&format!("`{mark}` {after}")))
    }

    /// A `;`, without which the next line is read as if it were there.
    fn semicolon(&mut self, after: &str) -> Parsed<Span> {
        let before = self.before();
        match self.expect(";", after) {
            Ok(span) => Ok(span),
            // What follows on another line is the next statement.
            Err(reported) if self.on_new_line() => {
                let _ = reported;
                Ok(before)
            }
            Err(reported) => Err(reported),
        }
    }

    fn on_new_line(&self) -> bool {
        let file = &self.out.file;
        file.line_column(self.before().end).0 < file.line_column(self.span().start).0
    }

    fn name(&mut self, what: &str) -> Parsed<Name<'s>> {
        match self.peek() {
            Kind::Name(text) => Ok(Name {
                text,
                span: self.bump(),
            }),
            _ => Err(self.expected(what)),
        }
    }

    fn int(&mut self, what: &str) -> Parsed<(i64, Span)> {
        match self.peek() {
            Kind::Int(value) => Ok((value, self.bump())),
            _ => Err(self.expected(what)),
        }
    }

    /// Runs `inner` one level deeper, or refuses.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            let reported = self.too_deep(self.span());
            // Nothing after this makes sense: stop here.
            self.at = self.tokens.len() - 1;
            return Err(reported);
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn too_deep(&mut self, span: Span) -> Reported {
        self.report(
            Diagnostic::new(
                &code::TOO_DEEP,
                span,
                format!("this is nested more than {DEEPEST} levels deep"),
            )
            .help("divide it into functions or several statements"),
        )
    }

    /// Goes on behind the next `;`, or before the `}` that ends the block.
    fn recover(&mut self) {
        let mut braces = 0usize;
        let mut parens = 0usize;
        loop {
            match self.peek() {
                Kind::End => return,
                Kind::Mark("{") => braces += 1,
                Kind::Mark("}") if braces == 0 => return,
                Kind::Mark("}") => {
                    braces -= 1;
                    if braces == 0 {
                        self.bump();
                        return;
                    }
                }
                Kind::Mark("(") => parens += 1,
                Kind::Mark(")") => parens = parens.saturating_sub(1),
                Kind::Mark(";") if braces == 0 && parens == 0 => {
                    self.bump();
                    return;
                }
                // A parenthesis that is never closed must not swallow the file.
                Kind::Mark(";") if braces == 0 && self.ahead_on_new_line() => {
                    self.bump();
                    return;
                }
                _ => {}
            }
            self.bump();
        }
    }

    fn ahead_on_new_line(&self) -> bool {
        let file = &self.out.file;
        let next = self.tokens[(self.at + 1).min(self.tokens.len() - 1)].span;
        file.line_column(self.span().end).0 < file.line_column(next.start).0
    }
}

/// A name, cut to what fits a message.
pub(crate) fn shorten(text: &str) -> String {
    if text.chars().count() <= 48 {
        text.to_owned()
    } else {
        text.chars().take(45).chain("...".chars()).collect()
    }
}
