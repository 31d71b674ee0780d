//! Text to tokens. What it cannot read it reports and leaves out, so that the parser sees the rest.

use crate::code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Span;
use crate::token::{Kind, MARKS, Token};

/// The tokens of `text`, the last of them [`Kind::End`].
pub fn tokens<'s>(text: &'s str, out: &mut Diagnostics) -> Vec<Token<'s>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::with_capacity(text.len() / 4),
        out,
    };
    lexer.run();
    lexer.tokens
}

struct Lexer<'s, 'd> {
    text: &'s str,
    at: usize,
    tokens: Vec<Token<'s>>,
    out: &'d mut Diagnostics,
}

impl Lexer<'_, '_> {
    fn run(&mut self) {
        if self.text.starts_with('\u{feff}') {
            self.at = 3; // a byte order mark, as some editors write
        }
        while let Some(c) = self.text[self.at..].chars().next() {
            let start = self.at;
            match c {
                ' ' | '\t' | '\r' | '\n' | '\x0c' => self.at += 1,
                '/' if self.follows("//") => self.at = self.line_end(),
                '/' if self.follows("/*") => self.comment(),
                '#' => self.directive(),
                '"' => self.string(),
                '\'' => self.character(),
                '0'..='9' => self.number(),
                'a'..='z' | 'A'..='Z' | '_' => {
                    self.at = self.while_true(|c| c.is_ascii_alphanumeric() || c == '_');
                    self.name_end(start);
                }
                _ => self.mark_or_unknown(c),
            }
            if self.out.full() {
                break;
            }
        }
        self.push(Kind::End, self.text.len(), self.text.len());
    }

    fn follows(&self, what: &str) -> bool {
        self.text[self.at..].starts_with(what)
    }

    fn while_true(&self, accept: impl Fn(char) -> bool) -> usize {
        let rest = &self.text[self.at..];
        self.at + rest.find(|c| !accept(c)).unwrap_or(rest.len())
    }

    fn line_end(&self) -> usize {
        self.while_true(|c| c != '\n')
    }

    fn push(&mut self, kind: Kind<'_>, start: usize, end: usize) {
        // The token borrows from the text, not from the lexer.
        let kind = match kind {
            Kind::Name(_) => Kind::Name(&self.text[start..end]),
            Kind::Str(_) => Kind::Str(&self.text[start + 1..end - 1]),
            Kind::Int(n) => Kind::Int(n),
            Kind::Mark(m) => Kind::Mark(m),
            Kind::End => Kind::End,
        };
        self.tokens.push(Token {
            kind,
            span: Span::new(start, end),
        });
    }

    fn error(
        &mut self,
        code: &'static code::Code,
        start: usize,
        end: usize,
        message: &str,
    ) -> Diagnostic {
        Diagnostic::new(code, Span::new(start, end), message)
    }

    fn comment(&mut self) {
        let start = self.at;
        match self.text[start + 2..].find("*/") {
            Some(end) => self.at = start + 2 + end + 2,
            None => {
                self.at = self.text.len();
                let d = self
                    .error(
                        &code::UNTERMINATED,
                        start,
                        start + 2,
                        "this comment has no end",
                    )
                    .help("close it with `*/`");
                self.out.push(d);
            }
        }
    }

    fn directive(&mut self) {
        let start = self.at;
        let mut end = self.line_end();
        while self.text[..end].trim_end_matches('\r').ends_with('\\') && end < self.text.len() {
            self.at = end + 1;
            end = self.line_end();
        }
        self.at = end;
        let line = self.text[start..end].trim_end();
        let word: String = line[1..]
            .trim_start()
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        let help = match word.as_str() {
            "include" => {
                "delete the line: the kernel's locks, interrupts and IPIs are built in".to_owned()
            }
            "define" => "write a constant as `enum { NAME = 3 };` and a macro as a `void` function"
                .to_owned(),
            "if" | "ifdef" | "ifndef" | "else" | "elif" | "endif" => {
                "write one file for each configuration, or let `either { ... } or { ... }` choose"
                    .to_owned()
            }
            _ => "delete the line".to_owned(),
        };
        let d = self
            .error(
                &code::PREPROCESSOR,
                start,
                start + line.len(),
                &format!("there is no preprocessor: `#{word}` is not read"),
            )
            .help(help);
        self.out.push(d);
    }

    fn string(&mut self) {
        let start = self.at;
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                '"' => {
                    self.at = start + 1 + offset + 1;
                    self.push(Kind::Str(""), start, self.at);
                    return;
                }
                '\n' => break,
                _ => {}
            }
        }
        self.at = self.line_end();
        let d = self
            .error(
                &code::UNTERMINATED,
                start,
                start + 1,
                "this string has no end",
            )
            .help("close it with `\"` on the same line");
        self.out.push(d);
        // Something stood here: without it the parser would complain a second time.
        let end = self.at;
        self.tokens.push(Token {
            kind: Kind::Str(""),
            span: Span::new(start, end),
        });
    }

    fn character(&mut self) {
        let start = self.at;
        let line = &self.text[start + 1..self.line_end()];
        let length = line
            .char_indices()
            .take(4)
            .find(|&(_, c)| c == '\'')
            .map_or(0, |(at, _)| at + 1);
        self.at = start + 1 + length;
        let d = self
            .error(
                &code::UNKNOWN_CHARACTER,
                start,
                self.at,
                "the language has no characters, only numbers",
            )
            .help("name the value: `enum { IDLE, BUSY };`");
        self.out.push(d);
        self.push(Kind::Int(0), start, self.at);
    }

    fn number(&mut self) {
        let start = self.at;
        self.at = self.while_true(|c| c.is_ascii_alphanumeric() || c == '_');
        let whole = &self.text[start..self.at];
        let bare = whole.trim_end_matches(['u', 'U', 'l', 'L']);
        let value = if let Some(hex) = bare.strip_prefix("0x").or_else(|| bare.strip_prefix("0X")) {
            i64::from_str_radix(hex, 16)
        } else if let Some(binary) = bare.strip_prefix("0b").or_else(|| bare.strip_prefix("0B")) {
            i64::from_str_radix(binary, 2)
        } else if bare.len() > 1 && bare.starts_with('0') {
            i64::from_str_radix(bare, 8)
        } else {
            bare.parse()
        };
        let float = self.text[self.at..].starts_with('.')
            && self.text[self.at + 1..].starts_with(|c: char| c.is_ascii_digit());
        if float {
            self.at += 1;
            self.at = self.while_true(|c| c.is_ascii_alphanumeric());
        }
        let end = self.at;
        match value {
            Ok(value) if !float && !bare.starts_with('+') => {
                self.push(Kind::Int(value), start, end)
            }
            _ => {
                let shown: String = self.text[start..end].chars().take(40).collect();
                let d = self
                    .error(
                        &code::BAD_NUMBER,
                        start,
                        end,
                        &format!("`{shown}` is not a whole number of at most 63 bits"),
                    )
                    .help("numbers are written as in C: 10, 0x1f, 017, 0b101, 1UL");
                self.out.push(d);
                self.push(Kind::Int(0), start, end);
            }
        }
    }

    /// A name has ended, or goes on with letters that a name cannot have.
    fn name_end(&mut self, start: usize) {
        if self.text[self.at..].starts_with(|c: char| !c.is_ascii() && c.is_alphanumeric()) {
            self.foreign_name(start);
        } else {
            self.push(Kind::Name(""), start, self.at);
        }
    }

    fn foreign_name(&mut self, start: usize) {
        self.at = self.while_true(|c| c.is_alphanumeric() || c == '_');
        let shown: String = self.text[start..self.at].chars().take(40).collect();
        let end = self.at;
        let d = self
            .error(
                &code::UNKNOWN_CHARACTER,
                start,
                end,
                &format!("`{shown}` has a letter that a name cannot have"),
            )
            .help("names are ASCII letters, digits and `_`, as in C; comments and strings may hold anything");
        self.out.push(d);
        self.push(Kind::Name(""), start, end);
    }

    fn mark_or_unknown(&mut self, c: char) {
        let start = self.at;
        if let Some(mark) = MARKS.iter().find(|mark| self.follows(mark)) {
            self.at += mark.len();
            self.push(Kind::Mark(mark), start, self.at);
            return;
        }
        if c.is_alphabetic() {
            self.foreign_name(start);
            return;
        }
        // One report for a run of them.
        self.at = self.while_true(|c| {
            !c.is_ascii_graphic() && !c.is_ascii_whitespace() && !c.is_alphanumeric()
                || matches!(c, '@' | '$' | '`' | '\\')
        });
        let end = self.at.max(start + c.len_utf8());
        self.at = end;
        let what = if c.is_control() {
            format!("the control character U+{:04X}", u32::from(c))
        } else {
            format!("`{c}`")
        };
        let help = match c {
            '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}' => {
                "this is a typographic quote; write `\"`"
            }
            '\u{2013}' | '\u{2014}' | '\u{2212}' => "this is a dash; write `-`",
            '\u{a0}' | '\u{200b}' | '\u{3000}' => "this is a special blank; write an ordinary one",
            '\\' => "a statement ends at `;`, not at the end of a line: delete the backslash",
            _ => "delete it, or put it into a comment",
        };
        let d = self
            .error(
                &code::UNKNOWN_CHARACTER,
                start,
                end,
                &format!("{what} has no meaning here"),
            )
            .help(help);
        self.out.push(d);
    }
}
