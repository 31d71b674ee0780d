//! Declarations: constants, variables, locks, functions, sources.

use shootdown_ir::{
    Fairness, Fires, Kind, Lock, LockId, LockKind, Source, SourceId, Storage, Var, VarId,
};

use super::scope::{Entity, Object};
use super::value::Ty;
use super::{FuncInfo, Lower, QueueInfo, SourceInfo, fold};
use crate::ast::{Decl, Declarator, Expr, Init, Item, Name, Type, TypeKind};
use crate::calls::Sort;
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::parser::shorten;
use crate::source::Span;

/// The longest array.
const LONGEST_ARRAY: i64 = 64;

/// The range of an integer that declares none.
const SIGNED: (i64, i64) = (-128, 127);
const UNSIGNED: (i64, i64) = (0, 255);

impl<'a, 's> Lower<'a, 's> {
    /// Everything that stands outside of bodies, in an order that lets constants stand anywhere.
    pub(super) fn declare(&mut self) {
        let file = self.file;
        for item in &file.items {
            if let Item::Enum(name, values) = item {
                self.declare_enum(*name, values);
            }
        }
        for item in &file.items {
            match item {
                Item::Decl(decl) => self.declare_globals(decl),
                Item::Func(func) => {
                    let entity = Entity::Func(self.funcs.len());
                    self.declare_name(func.name, entity);
                    self.funcs.push(FuncInfo {
                        ast: func,
                        used: false,
                        handler: None,
                    });
                }
                Item::Source(source) => {
                    let kind = match source.kind.text {
                        "irq" => Kind::Irq,
                        "softirq" => Kind::Softirq,
                        "timer" => Kind::Timer,
                        "nmi" => Kind::Nmi,
                        "work" => Kind::Work,
                        "stopper" => Kind::Stopper,
                        _ => Kind::Task,
                    };
                    let id = SourceId(u32::try_from(self.p.sources.len()).unwrap_or(u32::MAX));
                    let on = self.on(source);
                    let span = self.ir_span(source.span);
                    if let Some((times, span)) = source.times
                        && !(1..=1000).contains(&times)
                    {
                        self.error(
                            &code::OUT_OF_RANGE,
                            span,
                            format!("a source runs 1 to 1000 times, not {times}"),
                        );
                    }
                    self.p.sources.push(Source {
                        name: source.name.text.to_owned(),
                        kind,
                        on,
                        fires: Fires::Raised,
                        program: Vec::new(),
                        span,
                    });
                    let entity = Entity::Source(self.sources.len());
                    self.declare_name(source.name, entity);
                    self.sources.push(SourceInfo {
                        id,
                        name: source.name.text.to_owned(),
                        kind_word: source.kind.text.to_owned(),
                        span: source.name.span,
                        raised: false,
                    });
                }
                _ => {}
            }
        }
    }

    fn declare_name(&mut self, name: Name<'s>, entity: Entity) {
        if let Some(&old) = self.names.get(name.text) {
            let first = match old {
                Entity::Const(_, span) => span,
                Entity::Object(i) => self.objects[i].span,
                Entity::Func(i) => self.funcs[i].ast.name.span,
                Entity::Source(i) => self.sources[i].span,
            };
            self.report(
                Diagnostic::new(
                    &code::DUPLICATE,
                    name.span,
                    format!("`{}` is declared twice", shorten(name.text)),
                )
                .also(first, "first here"),
            );
            return;
        }
        if super::value::CONSTANTS.contains(&name.text)
            && !matches!(
                name.text,
                "cpu_online_mask" | "cpu_possible_mask" | "cpu_present_mask" | "cpu_active_mask"
            )
        {
            self.error(
                &code::DUPLICATE,
                name.span,
                format!(
                    "`{}` has a meaning of its own and cannot be declared",
                    name.text
                ),
            );
            return;
        }
        self.names.insert(name.text, entity);
    }

    fn declare_enum(&mut self, name: Option<Name<'s>>, values: &'a [(Name<'s>, Option<Expr<'s>>)]) {
        let mut next = 0i64;
        let mut range: Option<(i64, i64)> = None;
        for (value, number) in values {
            if let Some(number) = number {
                next = self
                    .constant(number, "the value of an enum")
                    .unwrap_or(next);
            }
            self.declare_name(*value, Entity::Const(next, value.span));
            range = Some(range.map_or((next, next), |(lo, hi)| (lo.min(next), hi.max(next))));
            next = next.saturating_add(1);
        }
        if let (Some(name), Some(range)) = (name, range) {
            self.enums.insert(name.text, range);
        }
    }

    /// The value of a constant expression; what is none is an error.
    pub(super) fn constant(&mut self, e: &Expr<'s>, what: &str) -> Option<i64> {
        let before = self.out.errors();
        let pure = self.pure.replace("a constant");
        let value = self.value(e);
        self.pure = pure;
        if let Some(value) = fold::constant(&value.e) {
            return Some(value);
        }
        if self.out.errors() == before {
            self.report(
                Diagnostic::new(
                    &code::NEEDS_CONSTANT,
                    e.span,
                    format!("{what} must be a constant"),
                )
                .help("a number, a value of an enum, or NR_CPUS"),
            );
        }
        None
    }

    pub(super) fn sort(&mut self, ty: Type<'s>) -> Option<Sort> {
        Some(match ty.kind {
            TypeKind::Bool => Sort::Bool,
            TypeKind::Int { .. } => Sort::Int,
            TypeKind::Enum(name) => {
                if !self.enums.contains_key(name.text) {
                    let near = nearest(name.text, self.enums.keys().copied());
                    self.report(
                        Diagnostic::new(
                            &code::UNKNOWN_TYPE,
                            name.span,
                            format!("there is no `enum {}`", shorten(name.text)),
                        )
                        .help(near.map_or(
                            format!("declare it: `enum {} {{ A, B }};`", shorten(name.text)),
                            |near| format!("did you mean `enum {near}`?"),
                        )),
                    );
                }
                Sort::Int
            }
            TypeKind::Mask => Sort::Mask,
            TypeKind::Atomic => Sort::Atomic,
            TypeKind::Spin => Sort::Spin,
            TypeKind::RawSpin => Sort::RawSpin,
            TypeKind::Rw => Sort::Rw,
            TypeKind::Mutex => Sort::Mutex,
            TypeKind::RwSem => Sort::RwSem,
            TypeKind::Sem => Sort::Sem,
            TypeKind::Completion => Sort::Completion,
            TypeKind::Seqcount => Sort::Seqcount,
            TypeKind::Seqlock => Sort::Seqlock,
            TypeKind::Csd => Sort::Csd,
            TypeKind::WaitQueue => Sort::Queue,
            TypeKind::Srcu => Sort::Srcu,
            TypeKind::RcuHead => Sort::RcuHead,
            TypeKind::Unknown => return None,
            TypeKind::Void => {
                self.report(
                    Diagnostic::new(&code::UNKNOWN_TYPE, ty.span, "a variable cannot be `void`")
                        .help("write `void name(void) { ... }` for a function, or give the variable a type"),
                );
                return None;
            }
        })
    }

    /// The least and the greatest value, and whether the author said so.
    pub(super) fn range(
        &mut self,
        ty: Type<'s>,
        sort: Sort,
        declarator: &Declarator<'s>,
    ) -> (i64, i64, bool) {
        if let Some((low, high)) = &declarator.range {
            let span = low.span.to(high.span);
            let low = self.constant(low, "the least value").unwrap_or(0);
            let high = self.constant(high, "the greatest value").unwrap_or(low);
            if !matches!(sort, Sort::Int | Sort::Atomic | Sort::Sem) {
                self.error(
                    &code::WRONG_KIND,
                    span,
                    format!("a {} has no range", sort.written()),
                );
            }
            if low > high || high.saturating_sub(low) > 1 << 31 {
                self.report(
                    Diagnostic::new(
                        &code::OUT_OF_RANGE,
                        span,
                        format!("{low}..{high} is no range of values"),
                    )
                    .help("the least value comes first; a range has at most 2^31 values"),
                );
                return (0, 1, true);
            }
            return (low, high, true);
        }
        let all = self.p.all_cpus();
        match (sort, ty.kind) {
            (Sort::Bool, _) => (0, 1, true),
            (Sort::Mask, _) => (0, all, true),
            (Sort::Sem | Sort::Completion, _) => (0, 255, false),
            (Sort::Seqcount | Sort::Seqlock, _) => (0, 15, false),
            (Sort::Csd | Sort::RcuHead, _) => (0, 1, false),
            (Sort::Srcu, _) => (0, super::rcu::MOST_READERS, false),
            (_, TypeKind::Enum(name)) => self
                .enums
                .get(name.text)
                .map_or((0, 1, true), |&(lo, hi)| (lo, hi, true)),
            (_, TypeKind::Int { unsigned: true }) => (UNSIGNED.0, UNSIGNED.1, false),
            _ => (SIGNED.0, SIGNED.1, false),
        }
    }

    fn declare_globals(&mut self, decl: &'a Decl<'s>) {
        let sort = self.sort(decl.ty);
        for declarator in &decl.declarators {
            // A name whose type is unknown is known all the same, or every use would be reported.
            let sort = sort.unwrap_or(Sort::Int);
            if let Some(object) = self.declare_object(decl, sort, declarator) {
                let entity = match object {
                    Declared::Const(value) => Entity::Const(value, declarator.name.span),
                    Declared::Object(object) => {
                        self.objects.push(object);
                        Entity::Object(self.objects.len() - 1)
                    }
                };
                self.declare_name(declarator.name, entity);
            }
        }
    }

    pub(super) fn length(&mut self, declarator: &Declarator<'s>) -> Option<usize> {
        let len = declarator.len.as_ref()?;
        let value = self.constant(len, "the length of an array").unwrap_or(1);
        if !(1..=LONGEST_ARRAY).contains(&value) {
            self.error(
                &code::OUT_OF_RANGE,
                len.span,
                format!("an array has 1 to {LONGEST_ARRAY} elements, not {value}"),
            );
        }
        usize::try_from(value.clamp(1, LONGEST_ARRAY)).ok()
    }

    /// The initial values: one, or one for each element.
    pub(super) fn initial(
        &mut self,
        sort: Sort,
        declarator: &Declarator<'s>,
        range: (i64, i64, bool),
        elements: usize,
    ) -> Vec<i64> {
        let list: Vec<&Expr<'s>> = match &declarator.init {
            None => return vec![i64::from(sort == Sort::Sem)],
            Some(Init::One(e)) => {
                // `= SPIN_LOCK_UNLOCKED`, `= __MUTEX_INITIALIZER(m)`: as it is anyway.
                if !sort.is_value() && !matches!(sort, Sort::Sem) {
                    return vec![0];
                }
                vec![e]
            }
            Some(Init::List(list, span)) => {
                if list.len() > elements.max(1) {
                    self.error(
                        &code::OUT_OF_RANGE,
                        *span,
                        format!("{} values for {} elements", list.len(), elements.max(1)),
                    );
                }
                list.iter().collect()
            }
        };
        let mut values: Vec<i64> = Vec::new();
        for e in &list {
            let value = self.constant(e, "an initial value").unwrap_or(range.0);
            let value = if sort == Sort::Bool {
                i64::from(value != 0)
            } else {
                value
            };
            if range.2 && !(range.0..=range.1).contains(&value) {
                self.out_of_range(value, declarator.name.text, range, e.span);
            }
            values.push(value);
        }
        let listed = matches!(declarator.init, Some(Init::List(..)));
        if listed && elements > 1 {
            values.resize(elements, 0);
        } else if values.is_empty() {
            values.push(0);
        }
        values
    }

    pub(super) fn out_of_range(
        &mut self,
        value: i64,
        name: &str,
        range: (i64, i64, bool),
        span: Span,
    ) {
        let message = format!(
            "{value} does not fit `{}`, which holds {} to {}",
            shorten(name),
            range.0,
            range.1
        );
        self.report(
            Diagnostic::new(&code::OUT_OF_RANGE, span, message)
                .help("declare another range (`int n in 0..9`), or raise `cpus` for a set of CPUs"),
        );
    }

    fn declare_object(
        &mut self,
        decl: &Decl<'s>,
        sort: Sort,
        declarator: &Declarator<'s>,
    ) -> Option<Declared> {
        let range = self.range(decl.ty, sort, declarator);
        let len = self.length(declarator);
        let cpus = self.p.cpus;
        if decl.constant && len.is_none() && !decl.percpu && sort.is_value() {
            let value = self.initial(sort, declarator, range, 1);
            return Some(Declared::Const(value.first().copied().unwrap_or(0)));
        }
        // A per-CPU array is one array for all CPUs, a row for each.
        let rows = decl.percpu && len.is_some();
        let ir_len = if rows { len.map(|len| len * cpus) } else { len };
        if matches!(sort, Sort::Srcu | Sort::RcuHead) && (decl.percpu || len.is_some()) {
            let message = format!("a {} can be no array and not percpu", sort.written());
            self.report(
                Diagnostic::new(&code::WRONG_KIND, declarator.name.span, message)
                    .help("declare one for each, with names of their own"),
            );
        }
        let ir_len = match sort {
            Sort::Srcu => Some(super::rcu::SRCU_CELLS),
            _ => ir_len,
        };
        if let Some(fairness) = declarator.fairness
            && sort != Sort::Rw
        {
            self.report(
                Diagnostic::new(
                    &code::WRONG_KIND,
                    fairness.span,
                    format!(
                        "`{}` says how an rwlock_t treats waiting writers; this is a {}",
                        fairness.text,
                        sort.written()
                    ),
                )
                .help("declare it `rwlock_t`, or delete the word"),
            );
        }
        let per_element = if decl.percpu { cpus } else { 1 } * len.unwrap_or(1);
        let init = self.initial(
            sort,
            declarator,
            range,
            if decl.percpu && !rows {
                cpus
            } else {
                per_element
            },
        );
        let name = declarator.name.text.to_owned();
        let span = self.ir_span(declarator.name.span);
        let kind = match sort {
            Sort::Spin | Sort::RawSpin | Sort::Seqlock => Some(LockKind::Spin),
            Sort::Rw => Some(LockKind::Rw(match declarator.fairness.map(|f| f.text) {
                Some("fair") => Fairness::Fair,
                Some("strict") => Fairness::Strict,
                _ => Fairness::ReaderPref,
            })),
            Sort::Mutex => Some(LockKind::Mutex),
            Sort::RwSem => Some(LockKind::RwSem),
            _ => None,
        };
        let lock = kind.map(|kind| {
            let id = LockId(u32::try_from(self.p.locks.len()).unwrap_or(u32::MAX));
            self.p.locks.push(Lock {
                name: name.clone(),
                kind,
                len: if decl.percpu && !rows {
                    Some(cpus)
                } else {
                    ir_len
                },
                per_cpu: decl.percpu && !rows,
                span,
            });
            id
        });
        let needs_var = sort.is_value()
            || matches!(
                sort,
                Sort::Sem
                    | Sort::Completion
                    | Sort::Seqcount
                    | Sort::Seqlock
                    | Sort::Csd
                    | Sort::Srcu
                    | Sort::RcuHead
            );
        let var = needs_var.then(|| {
            let id = VarId(u32::try_from(self.p.vars.len()).unwrap_or(u32::MAX));
            let (lo, hi) = init
                .iter()
                .fold((range.0, range.1), |(lo, hi), &v| (lo.min(v), hi.max(v)));
            self.p.vars.push(Var {
                name: if sort == Sort::Seqlock {
                    format!("{name}_seq")
                } else {
                    name.clone()
                },
                storage: if decl.percpu && !rows {
                    Storage::PerCpu
                } else {
                    Storage::Global
                },
                len: if decl.percpu && !rows { None } else { ir_len },
                lo,
                hi,
                declared_range: range.2,
                init,
                is_mask: sort == Sort::Mask,
                span,
            });
            id
        });
        let queue = (sort == Sort::Queue).then(|| {
            self.queues.push(QueueInfo::default());
            self.queues.len() - 1
        });
        Some(Declared::Object(Object {
            name,
            sort,
            span: declarator.name.span,
            var,
            lock,
            queue,
            len,
            percpu: decl.percpu,
            constant: decl.constant,
            used: false,
            local: false,
        }))
    }

    /// Checks that a constant fits a variable, or widens a range that nobody declared.
    pub(super) fn fits(&mut self, target: &super::scope::Target, value: i64, span: Span) {
        let object = &self.objects[target.object];
        let Some(var) = object.var else {
            return;
        };
        let name = object.name.clone();
        let v = &mut self.p.vars[var.0 as usize];
        if (v.lo..=v.hi).contains(&value) {
            return;
        }
        if v.declared_range || value.unsigned_abs() > 1 << 31 {
            let range = (v.lo, v.hi, true);
            self.out_of_range(value, &name, range, span);
        } else {
            v.lo = v.lo.min(value);
            v.hi = v.hi.max(value);
        }
    }

    /// What a parameter of this type is, as a value.
    pub(super) fn value_type(ty: Type<'s>) -> Option<Ty> {
        match ty.kind {
            TypeKind::Bool => Some(Ty::Bool),
            TypeKind::Int { .. } | TypeKind::Enum(_) | TypeKind::Atomic => Some(Ty::Int),
            TypeKind::Mask => Some(Ty::Mask),
            _ => None,
        }
    }

    /// The sort of a parameter that is a pointer.
    pub(super) fn pointer_sort(&mut self, ty: Type<'s>) -> Option<Sort> {
        if ty.kind == TypeKind::Void {
            return None;
        }
        self.sort(ty)
    }

    /// Warns of locks, variables and functions that nothing uses.
    pub(super) fn unused_objects(&mut self) {
        let unused: Vec<(Sort, String, Span, bool)> = self
            .objects
            .iter()
            .filter(|o| !o.used && o.span != Span::default())
            .map(|o| (o.sort, o.name.clone(), o.span, o.local))
            .collect();
        for (sort, name, span, local) in unused {
            if sort.is_value() {
                let what = if local { "local variable" } else { "variable" };
                self.report(Diagnostic::new(
                    &code::UNUSED_VARIABLE,
                    span,
                    format!("the {what} `{}` is never used", shorten(&name)),
                ));
            } else {
                let what = match sort {
                    Sort::Queue => "nothing waits on",
                    Sort::Csd
                    | Sort::Completion
                    | Sort::Sem
                    | Sort::Seqcount
                    | Sort::Srcu
                    | Sort::RcuHead => "nothing uses",
                    _ => "nothing takes",
                };
                self.report(Diagnostic::new(
                    &code::UNUSED_LOCK,
                    span,
                    format!("{what} the {} `{}`", sort.written(), shorten(&name)),
                ));
            }
        }
    }
}

/// What a declaration made.
enum Declared {
    Const(i64),
    Object(Object),
}
