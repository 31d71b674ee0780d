//! What names stand for.

use shootdown_ir::{Expr, LockId, VarId};

use super::Lower;
use crate::calls::Sort;
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::parser::shorten;
use crate::source::Span;

/// A declared object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub name: String,
    pub sort: Sort,
    pub span: Span,
    pub var: Option<VarId>,
    pub lock: Option<LockId>,
    pub queue: Option<usize>,
    pub len: Option<usize>,
    pub percpu: bool,
    pub constant: bool,
    pub used: bool,
    pub local: bool,
}

/// What a name of the file stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entity {
    Const(i64, Span),
    Object(usize),
    Func(usize),
    Source(usize),
}

/// An object, or an element of one.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub object: usize,
    pub index: Option<Expr>,
}

/// What a name of a body stands for.
#[derive(Clone, Debug)]
pub(crate) enum Local {
    Object(usize),
    /// A parameter that is a pointer.
    Alias(Target),
    /// A parameter that is never assigned.
    Value(Expr, super::value::Ty),
    /// A parameter that carries nothing: `void *info`.
    Nothing,
}

/// What a name was found to be.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Local(Local),
    Entity(Entity),
}

impl<'s> Lower<'_, 's> {
    pub fn lookup(&self, name: &str) -> Option<Found> {
        if let Some(here) = &self.here {
            let base = here.frames.last().map_or(0, |frame| frame.base);
            for scope in here.scopes[base..].iter().rev() {
                if let Some(local) = scope.get(name) {
                    return Some(Found::Local(local.clone()));
                }
            }
        }
        self.names.get(name).copied().map(Found::Entity)
    }

    pub fn bind(&mut self, name: &'s str, local: Local) {
        if let Some(scope) = self.here.as_mut().and_then(|here| here.scopes.last_mut()) {
            scope.insert(name, local);
        }
    }

    /// Names that are known here and could have been meant.
    pub fn known_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names.keys().map(|name| (*name).to_owned()).collect();
        if let Some(here) = &self.here {
            let base = here.frames.last().map_or(0, |frame| frame.base);
            for scope in &here.scopes[base..] {
                names.extend(scope.keys().map(|name| (*name).to_owned()));
            }
        }
        names.extend(
            super::value::CONSTANTS
                .iter()
                .map(|name| (*name).to_owned()),
        );
        names.sort();
        names
    }

    pub fn unknown_name(&mut self, name: &str, span: Span) {
        let known = self.known_names();
        let near = nearest(name, known.iter().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if crate::calls::find(name).is_some() => {
                format!("`{name}` is a call: write `{name}(...)`")
            }
            None => format!(
                "declare it: `int {0};`, `bool {0};`, `cpumask_t {0};`, `spinlock_t {0};` ...",
                shorten(name)
            ),
        };
        self.report(
            Diagnostic::new(
                &code::UNKNOWN_NAME,
                span,
                format!("`{}` is not declared", shorten(name)),
            )
            .help(help),
        );
    }

    /// What a name is, for messages: "a function", "a spinlock_t".
    pub fn describe(&self, found: &Found) -> String {
        let object = |object: &Object| {
            format!(
                "a {}{}",
                object.sort.written(),
                if object.len.is_some() { " array" } else { "" }
            )
        };
        match found {
            Found::Entity(Entity::Const(..)) => "a constant".to_owned(),
            Found::Entity(Entity::Func(_)) => "a function".to_owned(),
            Found::Entity(Entity::Source(i)) => format!("a {}", self.sources[*i].kind_word),
            Found::Entity(Entity::Object(i)) | Found::Local(Local::Object(i)) => {
                object(&self.objects[*i])
            }
            Found::Local(Local::Alias(target)) => object(&self.objects[target.object]),
            Found::Local(Local::Value(..)) => "a value".to_owned(),
            Found::Local(Local::Nothing) => "a `void *`".to_owned(),
        }
    }
}
