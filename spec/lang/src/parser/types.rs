//! Types: which words name one.

use super::{Parsed, Parser};
use crate::ast::{Type, TypeKind};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::source::Span;
use crate::token::Kind;

/// Types of one word, and whether a `struct` stands before it.
pub const TYPES: &[(&str, bool, TypeKind<'static>)] = &[
    ("void", false, TypeKind::Void),
    ("bool", false, TypeKind::Bool),
    ("_Bool", false, TypeKind::Bool),
    ("int", false, TypeKind::Int { unsigned: false }),
    ("cpumask_t", false, TypeKind::Mask),
    ("cpumask_var_t", false, TypeKind::Mask),
    ("cpumask", true, TypeKind::Mask),
    ("atomic_t", false, TypeKind::Atomic),
    ("atomic64_t", false, TypeKind::Atomic),
    ("atomic_long_t", false, TypeKind::Atomic),
    ("refcount_t", false, TypeKind::Atomic),
    ("spinlock_t", false, TypeKind::Spin),
    ("raw_spinlock_t", false, TypeKind::RawSpin),
    ("arch_spinlock_t", false, TypeKind::RawSpin),
    ("rwlock_t", false, TypeKind::Rw),
    ("mutex", true, TypeKind::Mutex),
    ("rt_mutex", true, TypeKind::Mutex),
    ("rw_semaphore", true, TypeKind::RwSem),
    ("percpu_rw_semaphore", true, TypeKind::RwSem),
    ("semaphore", true, TypeKind::Sem),
    ("completion", true, TypeKind::Completion),
    ("seqcount_t", false, TypeKind::Seqcount),
    ("seqcount_spinlock_t", false, TypeKind::Seqcount),
    ("seqlock_t", false, TypeKind::Seqlock),
    ("call_single_data_t", false, TypeKind::Csd),
    ("call_single_data", true, TypeKind::Csd),
    ("__call_single_data", true, TypeKind::Csd),
    ("wait_queue_head_t", false, TypeKind::WaitQueue),
    ("wait_queue_head", true, TypeKind::WaitQueue),
    ("srcu_struct", true, TypeKind::Srcu),
    ("rcu_head", true, TypeKind::RcuHead),
];

/// The integer types of C and of the kernel, all of them `int` here, and whether they are unsigned.
const INTEGERS: &[(&str, bool)] = &[
    ("char", false),
    ("short", false),
    ("long", false),
    ("signed", false),
    ("unsigned", true),
    ("u8", true),
    ("u16", true),
    ("u32", true),
    ("u64", true),
    ("s8", false),
    ("s16", false),
    ("s32", false),
    ("s64", false),
    ("uint8_t", true),
    ("uint16_t", true),
    ("uint32_t", true),
    ("uint64_t", true),
    ("int8_t", false),
    ("int16_t", false),
    ("int32_t", false),
    ("int64_t", false),
    ("size_t", true),
    ("ssize_t", false),
    ("pid_t", false),
    ("uintptr_t", true),
];

/// Words that C allows before or behind a type and that change nothing here.
const QUALIFIERS: &[&str] = &[
    "static",
    "const",
    "volatile",
    "extern",
    "inline",
    "__inline",
    "__always_inline",
    "noinline",
    "asmlinkage",
    "__init",
    "__exit",
    "__read_mostly",
    "notrace",
    "__cpuinit",
    "__cold",
    "__sched",
    "register",
    "auto",
];

/// Structures of the kernel that are something else here, and what.
const REFUSED: &[(&str, &str)] = &[
    (
        "timer_list",
        "a timer is declared with its function: `timer NAME on CPU0 { ... }`; arm it with mod_timer(&NAME, 0)",
    ),
    (
        "hrtimer",
        "an hrtimer is declared with its function, as the interrupt it is: `irq NAME on CPU0 raised { ... }`",
    ),
    (
        "work_struct",
        "a work item is declared with its function: `work NAME { ... }`; queue it with schedule_work(&NAME)",
    ),
    (
        "delayed_work",
        "a work item is declared with its function: `work NAME { ... }`; queue it with schedule_delayed_work(&NAME, 0)",
    ),
    (
        "tasklet_struct",
        "a tasklet is declared with its function: `softirq NAME on CPU0 raised { ... }`",
    ),
    (
        "workqueue_struct",
        "queues have no name here: queue_work(system_wq, &NAME) works without a declaration",
    ),
    (
        "irq_work",
        "an irq_work is declared with its function: `irq NAME on any raised { ... }`",
    ),
    (
        "task_struct",
        "a task is declared with its body: `task NAME on CPU0 { ... }`",
    ),
    (
        "list_head",
        "there are no lists: use an array of states, `int state[4];`",
    ),
];

impl<'s> Parser<'s, '_> {
    fn is_qualifier(word: &str) -> bool {
        QUALIFIERS.contains(&word)
    }

    /// Skips `static`, `inline` and the like; tells whether one was `const`.
    pub(super) fn qualifiers(&mut self) -> bool {
        let mut constant = false;
        while let Kind::Name(word) = self.peek() {
            if !Self::is_qualifier(word) {
                break;
            }
            constant |= word == "const";
            self.bump();
        }
        constant
    }

    /// Whether a declaration starts here.
    pub(super) fn at_type(&self) -> bool {
        let Kind::Name(word) = self.peek() else {
            return false;
        };
        let names_type = |word: &str| TYPES.iter().any(|&(name, s, _)| name == word && !s);
        if Self::is_qualifier(word)
            || matches!(word, "struct" | "union" | "enum")
            || INTEGERS.iter().any(|&(name, _)| name == word)
            || names_type(word)
        {
            return true;
        }
        // `foo_t x` or `foo_t *x;`: a type that does not exist.
        matches!(self.ahead(1), Kind::Name(_))
            && !matches!(word, "goto" | "else" | "return" | "case" | "or")
            && !matches!(self.ahead(1), Kind::Name("or"))
            || word.ends_with("_t") && self.ahead(1) == Kind::Mark("*")
    }

    /// A type. What is none is reported and read as [`TypeKind::Unknown`], so that its names are known.
    pub(super) fn ty(&mut self) -> Parsed<(Type<'s>, bool)> {
        let mut constant = self.qualifiers();
        let start = self.span();
        let kind = self.type_kind()?;
        let span = start.to(self.before());
        constant |= self.qualifiers();
        Ok((Type { kind, span }, constant))
    }

    fn type_kind(&mut self) -> Parsed<TypeKind<'s>> {
        let Kind::Name(word) = self.peek() else {
            return Err(self.expected("a type"));
        };
        if INTEGERS.iter().any(|&(name, _)| name == word) {
            let mut unsigned = false;
            // `unsigned long long int`
            while let Kind::Name(word) = self.peek() {
                match INTEGERS.iter().find(|&&(name, _)| name == word) {
                    Some(&(_, u)) => unsigned |= u,
                    None if word == "int" => {}
                    None => break,
                }
                self.bump();
            }
            return Ok(TypeKind::Int { unsigned });
        }
        match word {
            "struct" => {
                let start = self.bump();
                let name = self.name("the name of a structure")?;
                if self.is("{") {
                    return Err(self.struct_definition(start.to(name.span)));
                }
                Ok(self.named_type(name.text, true, start.to(name.span)))
            }
            "union" => {
                let span = self.bump();
                Err(self.struct_definition(span))
            }
            "enum" => {
                self.bump();
                Ok(TypeKind::Enum(self.name("the name of an enum")?))
            }
            _ => {
                let span = self.bump();
                Ok(self.named_type(word, false, span))
            }
        }
    }

    fn named_type(&mut self, word: &str, is_struct: bool, span: Span) -> TypeKind<'s> {
        if let Some(&(_, _, kind)) = TYPES
            .iter()
            .find(|&&(name, s, _)| name == word && s == is_struct)
        {
            return kind;
        }
        let written = if is_struct {
            format!("struct {word}")
        } else {
            word.to_owned()
        };
        let mut diagnostic = Diagnostic::new(
            &code::UNKNOWN_TYPE,
            span,
            format!("there is no type `{}`", super::shorten(&written)),
        );
        if let Some(&(_, s, _)) = TYPES.iter().find(|&&(name, ..)| name == word) {
            diagnostic = diagnostic.help(if s {
                format!("write `struct {word}`")
            } else {
                format!("write `{word}`, without `struct`")
            });
        } else if let Some((_, help)) = REFUSED.iter().find(|(name, _)| *name == word) {
            diagnostic = diagnostic.help(*help);
        } else if matches!(word, "float" | "double") {
            diagnostic = diagnostic.help("values are whole numbers: write `int`");
        } else {
            let near = nearest(
                word,
                TYPES
                    .iter()
                    .map(|&(name, ..)| name)
                    .chain(INTEGERS.iter().map(|&(name, _)| name)),
            );
            let structs = |name: &str| TYPES.iter().any(|&(n, s, _)| n == name && s);
            diagnostic = diagnostic.help(match near {
                Some(name) if structs(name) => format!("did you mean `struct {name}`?"),
                Some(name) => format!("did you mean `{name}`?"),
                None => "the types are bool, int, cpumask_t, atomic_t and the kernel's locks; of a structure, declare the \
                         members that matter, each as a variable"
                    .to_owned(),
            });
        }
        self.report(diagnostic);
        TypeKind::Unknown
    }
}
