//! The scenario language: 15 to 50 lines that look like the kernel's own code, read, checked and lowered.
//!
//! [`parse`] gives a [`Protocol`](shootdown_ir::Protocol), which everything that runs, proves, draws or exports one reads, and
//! [`Diagnostics`] about the text.

mod ast;
pub mod calls;
pub mod code;
pub mod diagnostic;
mod flow;
mod lexer;
mod lower;
mod nearest;
mod parser;
mod render;
pub mod source;
mod token;
pub mod words;

pub use code::{CODES, Code};
pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use lower::PROPERTIES;
pub use source::{SourceFile, Span};
pub use words::{calls, keywords, new_template};

use shootdown_ir::Protocol;

/// The most bytes of a scenario.
pub const LARGEST: usize = 1 << 20;

/// A scenario that can be checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it says.
    pub protocol: Protocol,
    /// What its text already shows: warnings only.
    pub warnings: Diagnostics,
}

/// Reads a scenario. `file_name` is what diagnostics call it.
///
/// # Errors
///
/// Everything that is wrong with it, at most ten errors, and the warnings found on the way.
pub fn parse(text: &str, file_name: &str) -> Result<Checked, Box<Diagnostics>> {
    if text.len() > LARGEST {
        let message = format!(
            "this file has {} bytes; a scenario has at most {LARGEST}",
            text.len()
        );
        return Err(unread(file_name, &code::TOO_LARGE, message));
    }
    if let Some(at) = text.bytes().position(|byte| byte == 0) {
        return Err(unread(
            file_name,
            &code::BINARY,
            format!("this is no text: byte {at} is 0"),
        ));
    }
    let mut out = Diagnostics::new(SourceFile::new(file_name, text));
    let tokens = lexer::tokens(text, &mut out);
    let file = parser::parse(&tokens, &mut out);
    let protocol = lower::lower(&file, &mut out);
    if let Some(protocol) = &protocol {
        flow::check(protocol, &mut out);
    }
    out.sort();
    match protocol {
        Some(protocol) => Ok(Checked {
            protocol,
            warnings: out,
        }),
        None => {
            // What an error hides is not unused.
            out.list.retain(|d| !d.code.name.starts_with("unused"));
            Err(Box::new(out))
        }
    }
}

/// Reads a scenario from bytes that need not be text.
///
/// # Errors
///
/// As [`parse`]; bytes that are not UTF-8 are an error of their own.
pub fn parse_bytes(bytes: &[u8], file_name: &str) -> Result<Checked, Box<Diagnostics>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text, file_name),
        Err(error) => {
            let at = error.valid_up_to();
            Err(unread(
                file_name,
                &code::BINARY,
                format!("this is no text: byte {at} is not UTF-8"),
            ))
        }
    }
}

fn unread(name: &str, code: &'static Code, message: String) -> Box<Diagnostics> {
    let mut out = Diagnostics::new(SourceFile::new(name, ""));
    out.push(Diagnostic::new(code, Span::default(), message));
    Box::new(out)
}

/// What `shootdown explain CODE` says.
#[must_use]
pub fn explain(code: &str) -> Option<&'static str> {
    code::find(code).map(|code| code.explain)
}
