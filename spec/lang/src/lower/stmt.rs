//! Statements.

use shootdown_ir::{Access, Binary, Op};

use super::Lower;
use super::fold;
use super::program::Gather;
use super::scope::{Entity, Local, Target};
use super::value::{Ty, Val};
use crate::ast::{Expr, ExprKind, Stmt, StmtKind};
use crate::calls::{self, Does, Sort};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::parser::shorten;
use crate::source::Span;

impl<'a, 's> Lower<'a, 's> {
    /// The statements of a function or a source.
    pub(crate) fn function_body(&mut self, body: &'a [Stmt<'s>]) {
        // A label is a place to come back to.
        let jumps = body.iter().any(has_label);
        self.here().loops += usize::from(jumps);
        for stmt in body {
            self.stmt(stmt);
        }
        self.here().loops -= usize::from(jumps);
    }

    fn block(&mut self, body: &'a [Stmt<'s>]) {
        self.here().scopes.push(std::collections::HashMap::new());
        for stmt in body {
            self.stmt(stmt);
        }
        self.here().scopes.pop();
    }

    pub(crate) fn stmt(&mut self, stmt: &'a Stmt<'s>) {
        if self.out.full() || self.exhausted(stmt.head) {
            return;
        }
        let outer = std::mem::replace(&mut self.here().stmt, stmt.head);
        let access = std::mem::take(&mut self.access);
        self.stmt_kind(stmt);
        self.access = access;
        self.here().stmt = outer;
    }

    fn stmt_kind(&mut self, stmt: &'a Stmt<'s>) {
        let at = stmt.head;
        match &stmt.kind {
            StmtKind::Empty => {}
            StmtKind::Block(body) => self.block(body),
            StmtKind::Decl(decl) => self.declare_locals(decl, at),
            StmtKind::Assign(place, op, value) => self.assignment(place, op, value, at),
            StmtKind::Do(call) => self.call_statement(call),
            StmtKind::If(cond, then, otherwise) => self.if_stmt(cond, then, otherwise.as_deref()),
            StmtKind::While(cond, body) => self.while_stmt(cond, body, at),
            StmtKind::DoWhile(body, cond) => self.do_while(body, cond, at),
            StmtKind::ForEachCpu(variable, set, body) => self.for_each_cpu(variable, set, body, at),
            StmtKind::Either(arms) => {
                if self.here().gather.is_some() {
                    self.emit(Op::Choose(Vec::new()), at);
                    return;
                }
                let labels: Vec<usize> = arms.iter().map(|_| self.label()).collect();
                let end = self.label();
                self.emit(Op::Choose(labels.clone()), at);
                for (arm, label) in arms.iter().zip(labels) {
                    self.place_label(label);
                    self.stmt(arm);
                    self.goto(end, at);
                }
                self.place_label(end);
            }
            StmtKind::Atomic(body) => self.atomic(body, at),
            StmtKind::Assert(cond) => {
                let value = self.value(cond);
                let cond = self.as_bool(value);
                self.assert(cond, at);
            }
            StmtKind::Label(name) => {
                let here = self.here();
                let label = here
                    .frames
                    .last()
                    .and_then(|frame| frame.labels.get(name.text).cloned());
                let label = match label {
                    Some((_, Some(first), _)) => {
                        let message = format!(
                            "the label `{}` stands twice in this function",
                            shorten(name.text)
                        );
                        self.report(
                            Diagnostic::new(&code::BAD_JUMP, name.span, message)
                                .also(first, "first here"),
                        );
                        return;
                    }
                    Some((label, None, _)) => label,
                    None => self.label(),
                };
                self.place_label(label);
                if let Some(frame) = self.here().frames.last_mut() {
                    frame
                        .labels
                        .entry(name.text)
                        .or_insert((label, None, Vec::new()))
                        .1 = Some(name.span);
                }
            }
            StmtKind::Goto(name) => {
                let known = self
                    .here()
                    .frames
                    .last()
                    .and_then(|frame| frame.labels.get(name.text).map(|entry| entry.0));
                let label = known.unwrap_or_else(|| self.label());
                if let Some(frame) = self.here().frames.last_mut() {
                    frame
                        .labels
                        .entry(name.text)
                        .or_insert((label, None, Vec::new()))
                        .2
                        .push(name.span);
                }
                self.goto(label, at);
            }
            StmtKind::Return => {
                let end = self.here().frames.last().map(|frame| frame.end);
                if let Some(end) = end {
                    self.goto(end, at);
                }
            }
            StmtKind::Break | StmtKind::Continue => {
                let is_break = matches!(stmt.kind, StmtKind::Break);
                let target = self
                    .here()
                    .frames
                    .last()
                    .and_then(|frame| frame.breaks.last().copied());
                match target {
                    Some((end, next)) => self.goto(if is_break { end } else { next }, at),
                    None => {
                        let word = if is_break { "break" } else { "continue" };
                        self.error(&code::BAD_JUMP, at, format!("`{word}` stands in no loop"));
                    }
                }
            }
        }
    }

    fn assignment(&mut self, place: &'a Expr<'s>, op: &str, value: &'a Expr<'s>, at: Span) {
        if let ExprKind::Call(name, _) = &place.kind
            && !matches!(
                calls::find(name.text).map(|call| call.name),
                Some("per_cpu")
            )
        {
            self.report(
                Diagnostic::new(
                    &code::NOT_ASSIGNABLE,
                    place.span,
                    "the result of a call cannot be assigned",
                )
                .help("a variable is `x`, `a[i]`, `per_cpu(x, cpu)` or `*this_cpu_ptr(&x)`"),
            );
            return;
        }
        let Some(target) = self.place(place) else {
            return;
        };
        match Self::operator(op) {
            None => self.assign_expr(&target, value, at),
            Some(op) => {
                let old = self.load(&target, place.span);
                let operand = self.value(value);
                let new = self.apply(op, old, operand, value.span);
                self.assign(&target, new, at, place.span.to(value.span));
            }
        }
    }

    fn call_statement(&mut self, e: &'a Expr<'s>) {
        let ExprKind::Call(name, args) = &e.kind else {
            return;
        };
        match self.names.get(name.text) {
            Some(&Entity::Func(func)) => {
                self.inline(func, *name, args, e.span);
                return;
            }
            Some(_)
                if calls::find(name.text).is_some()
                    && !self
                        .names
                        .get(name.text)
                        .is_some_and(|e| matches!(e, Entity::Source(_))) =>
            {
                let found = super::scope::Found::Entity(self.names[name.text]);
                let message = format!(
                    "`{}` is {} here, not a function",
                    shorten(name.text),
                    self.describe(&found)
                );
                self.error(&code::WRONG_KIND, name.span, message);
                return;
            }
            _ => {}
        }
        let Some(call) = self.known_call(*name) else {
            return;
        };
        if let Does::Value(_) = call.does {
            if self.arguments(call, *name, args, e.span).is_some() {
                self.report(
                    Diagnostic::new(
                        &code::UNEXPECTED,
                        e.span,
                        format!("{}() does nothing but give a value", name.text),
                    )
                    .help(format!("use it: `x = {}(...);`", name.text)),
                );
            }
            return;
        }
        self.effect(call, *name, args, e.span, None);
    }

    fn if_stmt(&mut self, cond: &'a Expr<'s>, then: &'a Stmt<'s>, otherwise: Option<&'a Stmt<'s>>) {
        if self.here().gather.is_some() {
            let cond = self.gathered_condition(cond);
            self.guarded(cond.clone(), then);
            if let Some(otherwise) = otherwise {
                self.guarded(cond.not(), otherwise);
            }
            return;
        }
        let at = self.here().stmt;
        let no = self.label();
        self.jump_unless(cond, no);
        self.here().stmt = at;
        self.stmt(then);
        match otherwise {
            None => self.place_label(no),
            Some(otherwise) => {
                let end = self.label();
                self.goto(end, at);
                self.place_label(no);
                self.stmt(otherwise);
                self.place_label(end);
            }
        }
    }

    /// A branch inside of an `atomic` block.
    fn guarded(&mut self, cond: shootdown_ir::Expr, body: &'a Stmt<'s>) {
        if let Some(gather) = &mut self.here().gather {
            gather.guards.push(cond);
        }
        self.stmt(body);
        if let Some(gather) = &mut self.here().gather {
            gather.guards.pop();
        }
    }

    fn while_stmt(&mut self, cond: &'a Expr<'s>, body: &'a Stmt<'s>, at: Span) {
        if let Some(sleeps) = self.idle(body) {
            if self.acts(cond) {
                if let Some((until, then)) = self.retry(cond) {
                    self.wait(until, sleeps, then);
                    return;
                }
            } else {
                let value = self.value(cond);
                let busy = self.as_bool(value);
                self.wait(busy.not(), sleeps, Vec::new());
                return;
            }
        }
        self.here().loops += 1;
        let next = self.label_here();
        let end = self.label();
        self.jump_unless(cond, end);
        self.loop_body(body, end, next);
        self.goto(next, at);
        self.place_label(end);
        self.here().loops -= 1;
    }

    fn loop_body(&mut self, body: &'a Stmt<'s>, end: usize, next: usize) {
        if let Some(frame) = self.here().frames.last_mut() {
            frame.breaks.push((end, next));
        }
        self.stmt(body);
        if let Some(frame) = self.here().frames.last_mut() {
            frame.breaks.pop();
        }
    }

    fn do_while(&mut self, body: &'a Stmt<'s>, cond: &'a Expr<'s>, at: Span) {
        self.here().loops += 1;
        let start = self.label_here();
        let (next, end) = (self.label(), self.label());
        self.loop_body(body, end, next);
        self.place_label(next);
        self.here().stmt = at;
        self.jump_unless(cond, end);
        self.goto(start, at);
        self.place_label(end);
        self.here().loops -= 1;
    }

    /// A loop's body that only waits: whether it sleeps.
    fn idle(&self, body: &Stmt<'s>) -> Option<bool> {
        match &body.kind {
            StmtKind::Empty => Some(false),
            StmtKind::Block(list) => {
                let mut sleeps = false;
                for stmt in list {
                    sleeps |= self.idle(stmt)?;
                }
                Some(sleeps)
            }
            StmtKind::Do(e) => {
                let ExprKind::Call(name, _) = &e.kind else {
                    return None;
                };
                if self.names.contains_key(name.text) {
                    return None;
                }
                match calls::find(name.text)?.does {
                    Does::Nothing | Does::Barrier => Some(false),
                    Does::Yield => Some(true),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn for_each_cpu(
        &mut self,
        variable: &crate::ast::Name<'s>,
        set: &'a Expr<'s>,
        body: &'a Stmt<'s>,
        at: Span,
    ) {
        let inner = match &set.kind {
            ExprKind::Unary("&", inner) => inner,
            _ => set,
        };
        let value = self.value(inner);
        let mask = self.as_mask(value, set.span);
        let name = Expr {
            kind: ExprKind::Name(variable.text),
            span: variable.span,
            depth: 0,
        };
        // `int c;` is what C wants; a variable that is not declared is declared here.
        let target = match self.lookup(variable.text) {
            None => {
                let last = self.p.cpus as i64;
                let object = self.local(
                    variable.text,
                    Sort::Int,
                    (0, last, false),
                    None,
                    variable.span,
                );
                self.bind(variable.text, Local::Object(object));
                Target {
                    object,
                    index: None,
                }
            }
            Some(_) => match self.place(&name) {
                Some(target) => target,
                None => return,
            },
        };
        self.objects[target.object].used = true;
        if let Some(set) = fold::constant(&mask).filter(|_| {
            self.objects[target.object].local && !leaves(body) && !assigns(body, variable.text)
        }) {
            // The CPUs are known: one copy of the body for each, without counting steps.
            for cpu in (0..self.p.cpus).filter(|cpu| set >> cpu & 1 == 1) {
                let mut scope = std::collections::HashMap::new();
                scope.insert(
                    variable.text,
                    Local::Value(fold::number(cpu as i64), Ty::Int),
                );
                self.here().scopes.push(scope);
                self.here().loops += 1;
                self.stmt(body);
                self.here().loops -= 1;
                self.here().scopes.pop();
            }
            return;
        }
        self.here().loops += 1;
        let place = shootdown_ir::Expr::Load(self.ir_place(&target));
        let first = fold::unary(shootdown_ir::Unary::First, mask.clone(), self.all());
        let following = self.next_cpu(mask, place.clone());
        self.fits(&target, self.p.cpus as i64, variable.span);
        self.assign(&target, Val::int(first), at, set.span);
        let start = self.label_here();
        let (next, end) = (self.label(), self.label());
        let more = fold::binary(Binary::Lt, place, fold::number(self.p.cpus as i64));
        self.emit(
            Op::Branch {
                cond: more,
                otherwise: end,
            },
            at,
        );
        self.loop_body(body, end, next);
        self.place_label(next);
        self.assign(&target, Val::int(following), at, set.span);
        self.goto(start, at);
        self.place_label(end);
        self.here().loops -= 1;
    }

    /// `atomic { ... }`: everything in one step.
    fn atomic(&mut self, body: &'a Stmt<'s>, at: Span) {
        if self.here().gather.is_some() {
            self.stmt(body);
            return;
        }
        self.here().gather = Some(Gather::default());
        self.stmt(body);
        self.here().stmt = at;
        let Some(gather) = self.here().gather.take() else {
            return;
        };
        // In one step: nobody sees a part of it.
        self.access = Access::Locked;
        match gather.wait {
            Some((until, sleeps)) => self.emit(
                Op::Await {
                    until,
                    sleeps,
                    then: gather.sets,
                },
                at,
            ),
            None => self.emit(Op::Update(gather.sets), at),
        }
        self.access = Access::Plain;
        for (cond, span) in gather.asserts {
            self.emit(Op::Assert { cond }, span);
        }
    }
}

/// Statements that can end a loop's body early.
fn leaves(stmt: &Stmt<'_>) -> bool {
    match &stmt.kind {
        StmtKind::Break
        | StmtKind::Continue
        | StmtKind::Return
        | StmtKind::Goto(_)
        | StmtKind::Label(_) => true,
        _ => children(stmt).into_iter().any(leaves),
    }
}

fn has_label(stmt: &Stmt<'_>) -> bool {
    matches!(stmt.kind, StmtKind::Label(_)) || children(stmt).into_iter().any(has_label)
}

/// Whether a statement assigns the variable of this name, or takes its address.
fn assigns(stmt: &Stmt<'_>, name: &str) -> bool {
    let takes = |e: &Expr<'_>| takes_address(e, name);
    let own = match &stmt.kind {
        StmtKind::Assign(place, _, value) => {
            matches!(place.kind, ExprKind::Name(n) if n == name) || takes(value)
        }
        StmtKind::Do(e) => takes(e),
        StmtKind::ForEachCpu(variable, ..) => variable.text == name,
        _ => false,
    };
    own || children(stmt).into_iter().any(|child| assigns(child, name))
}

fn takes_address(e: &Expr<'_>, name: &str) -> bool {
    match &e.kind {
        ExprKind::Unary("&", inner) => matches!(inner.kind, ExprKind::Name(n) if n == name),
        ExprKind::Call(_, args) => args.iter().any(|arg| takes_address(arg, name)),
        ExprKind::Unary(_, a) => takes_address(a, name),
        ExprKind::Binary(_, a, b) => takes_address(a, name) || takes_address(b, name),
        _ => false,
    }
}

/// Whether the function assigns its parameter.
pub(crate) fn assigns_in(body: &[Stmt<'_>], name: &str) -> bool {
    body.iter().any(|stmt| assigns(stmt, name))
}

fn children<'x, 's>(stmt: &'x Stmt<'s>) -> Vec<&'x Stmt<'s>> {
    match &stmt.kind {
        StmtKind::Block(list) | StmtKind::Either(list) => list.iter().collect(),
        StmtKind::If(_, then, otherwise) => std::iter::once(then.as_ref())
            .chain(otherwise.as_deref())
            .collect(),
        StmtKind::While(_, body)
        | StmtKind::DoWhile(body, _)
        | StmtKind::ForEachCpu(_, _, body)
        | StmtKind::Atomic(body) => vec![body],
        _ => Vec::new(),
    }
}
