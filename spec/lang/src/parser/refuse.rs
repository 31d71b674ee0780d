//! What C has and the language does not, refused by name.

use super::item::SOURCES;
use super::{Parser, Reported};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
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

    /// `tsk NAME on CPU0 {`: a source of a kind that does not exist.
    pub(super) fn misspelt_source(&mut self) -> Option<Reported> {
        let (Kind::Name(word), Kind::Name(_)) = (self.peek(), self.ahead(1)) else {
            return None;
        };
        let heads_source = matches!(
            self.ahead(2),
            Kind::Name("on" | "times" | "raised") | Kind::Mark("{")
        );
        if !heads_source || matches!(word, "struct" | "enum" | "union") {
            return None;
        }
        let help = match (word, nearest(word, SOURCES.iter().copied())) {
            ("tasklet", _) => "a tasklet is a `softirq`".to_owned(),
            ("kthread" | "thread" | "process", _) => "a thread is a `task`".to_owned(),
            ("interrupt" | "hardirq" | "isr" | "ipi", _) => {
                "a device interrupt is an `irq`; an IPI's handler is a function, `void f(void)`"
                    .to_owned()
            }
            (_, Some(near)) => format!("did you mean `{near}`?"),
            _ => format!("the kinds are {}", SOURCES.join(", ")),
        };
        let span = self.span();
        let message = format!("there is no kind of source `{}`", super::shorten(word));
        Some(self.report(Diagnostic::new(&code::UNEXPECTED, span, message).help(help)))
    }
}
