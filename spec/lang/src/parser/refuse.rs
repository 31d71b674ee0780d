//! What C has and the language does not, refused by name.

use super::{Parser, Reported};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::token::Kind;

/// Words of C that start a statement here: what they are, and what to write instead.
const STATEMENTS: &[(&str, &str, &str)] = &[
    (
        "for",
        "`for (;;)` loops",
        "write `while (i < n) { ... i++; }`, or `for_each_cpu (cpu, mask) { ... }`",
    ),
    (
        "switch",
        "`switch`",
        "write `if (x == A) { ... } else if (x == B) { ... }`",
    ),
    (
        "case",
        "`case`",
        "write `if (x == A) { ... } else if (x == B) { ... }`",
    ),
    ("default", "`default`", "write a last `else { ... }`"),
    ("typedef", "`typedef`", "use the type itself"),
    (
        "asm",
        "assembly",
        "write what it does as assignments, in `atomic { ... }` if it is one instruction",
    ),
    (
        "__asm__",
        "assembly",
        "write what it does as assignments, in `atomic { ... }` if it is one instruction",
    ),
    (
        "guard",
        "`guard(lock)(...)`",
        "write the lock and, on every way out, the unlock",
    ),
    (
        "scoped_guard",
        "`scoped_guard(lock, ...)`",
        "write the lock and, on every way out, the unlock",
    ),
    (
        "list_for_each_entry",
        "lists",
        "use an array of states, `int state[4];`, and a `while` loop",
    ),
    (
        "list_for_each_entry_rcu",
        "lists",
        "use an array of states, `int state[4];`, and a `while` loop",
    ),
];

impl Parser<'_, '_> {
    /// Reports a construct that does not exist here, and what to write instead.
    pub(super) fn refuse(&mut self, span: Span, what: &str, help: &str) -> Reported {
        self.refused = true;
        self.report(
            Diagnostic::new(
                &code::NOT_IN_LANGUAGE,
                span,
                format!("{what} do not exist here").replace("` do not", "` does not"),
            )
            .help(help),
        )
    }

    /// A statement or an item that starts with a word of C which is refused.
    pub(super) fn refuse_statement(&mut self) -> Option<Reported> {
        let Kind::Name(word) = self.peek() else {
            return None;
        };
        let &(_, what, help) = STATEMENTS.iter().find(|&&(name, ..)| name == word)?;
        if word != "typedef"
            && !matches!(
                self.ahead(1),
                Kind::Mark("(" | ":") | Kind::Name(_) | Kind::Int(_)
            )
        {
            return None;
        }
        let span = self.span();
        Some(self.refuse(span, what, help))
    }

    /// `struct foo {` and `union foo {`.
    pub(super) fn struct_definition(&mut self, span: Span) -> Reported {
        self.refuse(
            span,
            "structures of your own",
            "declare each member that matters as a variable of its own: `spinlock_t dev_lock; bool dev_ready;`",
        )
    }

    /// `->` and `.` behind an expression.
    pub(super) fn refuse_member(&mut self, object: &str, span: Span, mark: &str) -> Reported {
        let member = match self.ahead(1) {
            Kind::Name(name) => super::shorten(name),
            _ => "member".to_owned(),
        };
        let name = format!("{object}_{member}");
        self.refuse(
            span,
            &format!("`{mark}`"),
            &format!("there are no structures: declare the member as a variable, `{name}`, and write `{name}`"),
        )
    }
}
