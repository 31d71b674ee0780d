//! Conditions that surely come true once everybody who has a part in them has got there.
//!
//! The graph says that nobody who changes what is waited for is kept from it for ever. That this makes the condition true
//! is another matter: a counter may pass its value, a flag may be set on one way only. Few forms are understood; all others
//! are reported, and then nothing is proven.

use super::flow::{self, Counted, Walk};
use super::waits::Awaited;
use crate::eval;
use crate::expr::{Binary, Expr, Place, Unary};
use crate::protocol::{Fires, Kind, Op, Pc, Protocol, Set, SourceId, Storage, VarId};
use std::collections::BTreeSet;

/// Looks at the conditions of one protocol.
pub struct Understanding<'a> {
    /// The protocol.
    pub p: &'a Protocol,
    /// Its contexts.
    pub walks: &'a [Walk],
    /// Its counted references.
    pub counted: &'a Counted,
}

/// The value with every variable in `is` at this value; `None` if it depends on anything else.
fn with(e: &Expr, is: &[(VarId, i64)], p: &Protocol) -> Option<i64> {
    let sub = |e: &Expr| with(e, is, p);
    match e {
        Expr::Const(c) => Some(*c),
        Expr::Load(Place { var, index: None }) => is.iter().find(|i| i.0 == *var).map(|i| i.1),
        Expr::Unary(op, a) => eval::unary(*op, sub(a)?, p.cpus),
        Expr::Binary(op, a, b) => eval::binary(*op, sub(a)?, sub(b)?),
        Expr::If(c, a, b) => sub(if sub(c)? != 0 { a } else { b }),
        _ => None,
    }
}

impl Understanding<'_> {
    /// What is not understood; `None` if the condition surely comes true.
    pub fn doubt(&self, it: &Awaited) -> Option<String> {
        let mut vars = BTreeSet::new();
        let (mut plain, mut elements, mut active) = (true, false, false);
        it.until.each(&mut |e| match e {
            Expr::Load(place) => {
                elements |=
                    place.index.is_some() || self.p.var(place.var).storage != Storage::Global;
                vars.insert(place.var);
            }
            Expr::IsLocked(..) | Expr::IsActive(_) => active = true,
            Expr::IrqsDisabled | Expr::InInterrupt => plain = false,
            _ => {}
        });
        let names: Vec<String> = vars
            .iter()
            .map(|v| format!("`{}`", self.p.var(*v).name))
            .collect();
        let names = names.join(" and ");
        if !plain {
            return Some("it depends on the state of its own CPU".into());
        }
        if vars.is_empty() {
            let until_free = matches!(&it.until, Expr::Unary(Unary::Not, a) if matches!(**a, Expr::IsLocked(..) | Expr::IsActive(_)));
            return match (&it.until, until_free) {
                (_, true) => None,
                (Expr::Const(c), _) if *c != 0 => None,
                _ => Some("nobody can make it come true".into()),
            };
        }
        if active || elements {
            return Some(format!(
                "it depends on elements or locals ({names}) that are not followed"
            ));
        }
        let ways = [
            self.reference(it, &vars),
            self.flag(it, &vars),
            self.handlers(it, &vars),
            self.completion(it, &vars),
        ];
        if ways.contains(&true) {
            return None;
        }
        let written = self.p.sources.iter().enumerate().any(|(s, source)| {
            let other = SourceId(s as u32) != it.source || source.on.is_none();
            other
                && source
                    .program
                    .iter()
                    .any(|l| super::edges::writes(&l.op, &vars, &BTreeSet::new()))
        });
        Some(match written {
            false => format!("nobody else changes {names}"),
            true => format!(
                "that those who change {names} make it come true, and that it is still so when it is looked at"
            ),
        })
    }

    /// A count of references is 0 once all have gone.
    fn reference(&self, it: &Awaited, vars: &BTreeSet<VarId>) -> bool {
        let zero: Vec<(VarId, i64)> = vars.iter().map(|v| (*v, 0)).collect();
        vars.iter().all(|v| self.counted.vars.contains_key(v))
            && with(&it.until, &zero, self.p).is_some_and(|v| v != 0)
    }

    fn written(&self, var: VarId) -> impl Iterator<Item = (SourceId, Pc, &Set)> + '_ {
        self.p
            .sources
            .iter()
            .enumerate()
            .flat_map(move |(s, source)| {
                source
                    .program
                    .iter()
                    .enumerate()
                    .flat_map(move |(pc, line)| {
                        let sets = flow::sets(&line.op)
                            .iter()
                            .filter(move |set| set.place.var == var);
                        sets.map(move |set| (SourceId(s as u32), pc, set))
                    })
            })
    }

    fn written_otherwise(&self, var: VarId) -> bool {
        let mut lines = self.p.sources.iter().flat_map(|s| &s.program);
        lines.any(|l| flow::other_write(&l.op).is_some_and(|place| place.var == var))
    }

    /// A flag that is only ever set to one value, by a context that surely gets there.
    fn flag(&self, it: &Awaited, vars: &BTreeSet<VarId>) -> bool {
        let mut settled = Vec::new();
        for &var in vars {
            let mut value = None;
            for (_, _, set) in self.written(var) {
                match set.value {
                    Expr::Const(c) if set.when.is_none() && value.is_none_or(|v| v == c) => {
                        value = Some(c)
                    }
                    _ => return false,
                }
            }
            let Some(value) = value else { return false };
            if self.written_otherwise(var) || !self.surely(it.source, &BTreeSet::from([var])) {
                return false;
            }
            settled.push((var, value));
        }
        with(&it.until, &settled, self.p).is_some_and(|v| v != 0)
    }

    /// Does somebody other than `but` surely get to a write of the variable, if nothing keeps him?
    fn surely(&self, but: SourceId, vars: &BTreeSet<VarId>) -> bool {
        // Sources that write it whatever way they take; then those that surely start one of them.
        let mut sure: BTreeSet<SourceId> = BTreeSet::new();
        loop {
            let before = sure.len();
            for walk in self.walks {
                let id = walk.source;
                let all = self.walks.iter().filter(|w| w.source == id);
                if id != but
                    && all
                        .into_iter()
                        .all(|w| w.unavoidable(|s| self.reaches(w, s, vars, &sure)))
                {
                    sure.insert(id);
                }
            }
            if sure.len() == before {
                break;
            }
        }
        sure.iter().any(|&s| {
            let source = self.p.source(s);
            source.kind == Kind::Task && source.fires != Fires::Raised
        })
    }

    fn reaches(
        &self,
        walk: &Walk,
        s: &flow::State,
        vars: &BTreeSet<VarId>,
        sure: &BTreeSet<SourceId>,
    ) -> bool {
        let op = &self.p.source(walk.source).program[s.pc].op;
        match op {
            Op::CrossCall { to, handler, .. } | Op::SendIpi { to, handler } => {
                let somebody = matches!(with(to, &[], self.p), Some(v) if v != 0)
                    || walk.cpu.is_some() && self.p.cpus > 1 && *to == others();
                sure.contains(handler) && somebody
            }
            // A pending one that somebody withdraws does not come.
            Op::Raise { source, .. } => sure.contains(source) && !self.withdrawn(*source),
            _ => super::edges::writes(op, vars, &BTreeSet::new()),
        }
    }

    fn withdrawn(&self, source: SourceId) -> bool {
        let mut lines = self.p.sources.iter().flat_map(|s| &s.program);
        lines.any(|l| match &l.op {
            Op::Cancel(s) => *s == source,
            Op::Sync {
                sources, cancel, ..
            } => *cancel && sources.contains(&source),
            _ => false,
        })
    }

    /// A set of CPUs that got an IPI, whose handler takes each out again.
    fn handlers(&self, it: &Awaited, vars: &BTreeSet<VarId>) -> bool {
        let Some((&var, 1)) = vars.first().map(|v| (v, vars.len())) else {
            return false;
        };
        if with(&it.until, &[(var, 0)], self.p).is_none_or(|v| v == 0)
            || self.written_otherwise(var)
        {
            return false;
        }
        let cleared = |set: &Set| {
            let own = Expr::Load(set.place.clone());
            set.when.is_none()
                && matches!(&set.value, Expr::Binary(Binary::BitAnd, a, b)
                    if (**a == own && clears_this(b)) || (**b == own && clears_this(a)))
        };
        let program = &self.p.source(it.source).program;
        for (handler, _, set) in self.written(var).filter(|(s, ..)| *s != it.source) {
            let every_way = self.walks.iter().filter(|w| w.source == handler).all(|w| {
                w.unavoidable(|s| {
                    flow::sets(&self.p.source(handler).program[s.pc].op).contains(set)
                })
            });
            let sent = |op: &Op| matches!(op, Op::SendIpi { to, handler: h } if *h == handler && *to == Expr::var(var));
            if self.p.source(handler).kind != Kind::Ipi || !cleared(set) || !every_way {
                return false;
            }
            // Between the last change of the set and the wait it is sent.
            for walk in self.walks.iter().filter(|w| w.source == it.source) {
                for (s, state) in walk.states.iter().enumerate() {
                    if !flow::sets(&program[state.pc].op)
                        .iter()
                        .any(|x| x.place.var == var)
                    {
                        continue;
                    }
                    let (mut todo, mut seen) = (walk.next[s].clone(), BTreeSet::new());
                    while let Some(n) = todo.pop() {
                        let pc = walk.states[n].pc;
                        if pc == it.pc {
                            return false;
                        }
                        if seen.insert(n) && !sent(&program[pc].op) {
                            todo.extend(&walk.next[n]);
                        }
                    }
                }
            }
        }
        let by_handlers = self.written(var).any(|(s, ..)| s != it.source);
        // Another sender would change the set meanwhile: there is one, or a lock between them.
        let one = self.walks.iter().filter(|w| w.source == it.source).count() == 1
            && self.p.source(it.source).on.is_some();
        let locked = self
            .walks
            .iter()
            .filter(|w| w.source == it.source)
            .all(|w| {
                let lines = w.states.iter().filter(|s| {
                    s.pc == it.pc
                        || flow::sets(&program[s.pc].op)
                            .iter()
                            .any(|x| x.place.var == var)
                });
                let mut common: Option<BTreeSet<_>> = None;
                for s in lines {
                    let held: BTreeSet<_> = s.exclusive(self.p).collect();
                    common = Some(match common {
                        None => held,
                        Some(c) => c.intersection(&held).copied().collect(),
                    });
                }
                common.is_some_and(|c| !c.is_empty())
            });
        by_handlers && (one || locked)
    }

    /// A completion, or a count that is waited for and taken: as often given as taken.
    fn completion(&self, it: &Awaited, vars: &BTreeSet<VarId>) -> bool {
        let Some((&var, 1)) = vars.first().map(|v| (v, vars.len())) else {
            return false;
        };
        let more = |n: i64| with(&it.until, &[(var, n)], self.p).is_some_and(|v| v != 0);
        if !(1..=4).all(more) || self.written_otherwise(var) {
            return false;
        }
        // Every context comes by itself, once, and every line is passed at most once.
        let once = |source: SourceId| {
            let s = self.p.source(source);
            s.kind == Kind::Task
                && s.on.is_some()
                && s.fires == Fires::Times(1)
                && self
                    .walks
                    .iter()
                    .filter(|w| w.source == source)
                    .all(|w| w.loops().is_empty())
        };
        let (mut given, mut taken) = (0i64, 0i64);
        for (source, pc, set) in self.written(var) {
            let by = match &set.value {
                Expr::Binary(Binary::Add, _, b) if **b == Expr::Const(1) => 1,
                Expr::Binary(Binary::Sub, _, b) if **b == Expr::Const(1) => -1,
                _ => return false,
            };
            let waits = matches!(self.p.source(source).program[pc].op, Op::Await { .. });
            let sure = self
                .walks
                .iter()
                .filter(|w| w.source == source)
                .all(|w| w.unavoidable(|s| s.pc == pc));
            match by {
                1 if once(source) && sure && source != it.source => given += 1,
                1 => {}
                _ if once(source) && waits => taken += 1,
                _ => return false,
            }
        }
        given >= taken.max(1)
    }
}

/// `~BIT(this_cpu)`
fn others() -> Expr {
    Expr::Unary(
        Unary::Complement,
        Box::new(Expr::Const(1).op(Binary::Shl, Expr::ThisCpu)),
    )
}

fn clears_this(e: &Expr) -> bool {
    *e == others()
}
