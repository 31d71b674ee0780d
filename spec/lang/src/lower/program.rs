//! A source's program while it is built: lines, jumps to places that are not known yet, the inlined functions.

use std::collections::{HashMap, HashSet};

use shootdown_ir::{Expr, Kind, Line, Op, Set, SourceId, Text, Var, VarId};

use super::Lower;
use super::scope::{Local, Object};
use crate::calls::Sort;
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::parser::shorten;
use crate::source::Span;

/// The most lines a program can have.
pub const LONGEST: usize = 4096;

/// The most statements of all programs together.
const MOST_STATEMENTS: usize = 30_000;

/// A place in the program to jump to. While the program is built, jumps hold these numbers instead of lines.
pub(crate) type Label = usize;

/// The source being lowered.
pub(crate) struct Here<'s> {
    pub id: SourceId,
    pub kind: Kind,
    pub on: Option<usize>,
    pub lines: Vec<Line>,
    labels: Vec<Option<usize>>,
    pub scopes: Vec<HashMap<&'s str, Local>>,
    pub frames: Vec<Frame<'s>>,
    /// Inside of a loop, or where a jump may come back to.
    pub loops: usize,
    pub gather: Option<Gather>,
    names: HashMap<String, u32>,
    pub saves: HashSet<VarId>,
    pub restores: Vec<(VarId, String, Span)>,
    pub too_long: bool,
    /// The statement being lowered: what its lines show.
    pub stmt: Span,
}

/// A function's body being lowered; the first is the source's own.
pub(crate) struct Frame<'s> {
    pub name: &'s str,
    /// The first of its scopes.
    pub base: usize,
    pub end: Label,
    pub labels: HashMap<&'s str, (Label, Option<Span>, Vec<Span>)>,
    pub breaks: Vec<(Label, Label)>,
}

/// The body of an `atomic` block, which becomes one instruction.
#[derive(Default)]
pub(crate) struct Gather {
    pub sets: Vec<Set>,
    pub guards: Vec<Expr>,
    pub wait: Option<(Expr, bool)>,
    pub asserts: Vec<(Expr, Span)>,
}

impl<'a, 's> Lower<'a, 's> {
    pub(crate) fn begin(&mut self, id: SourceId, kind: Kind, name: &'s str) {
        let on = self.p.sources[id.0 as usize].on;
        self.here = Some(Here {
            id,
            kind,
            on,
            lines: Vec::new(),
            labels: Vec::new(),
            scopes: vec![HashMap::new()],
            frames: Vec::new(),
            loops: 0,
            gather: None,
            names: HashMap::new(),
            saves: HashSet::new(),
            restores: Vec::new(),
            too_long: false,
            stmt: Span::default(),
        });
        let end = self.label();
        self.here().frames.push(Frame {
            name,
            base: 0,
            end,
            labels: HashMap::new(),
            breaks: Vec::new(),
        });
    }

    /// Ends the program: `span` is where the source is declared.
    pub(crate) fn end(&mut self, span: Span) {
        self.close_frame();
        let end = self.here().frames[0].end;
        self.place_label(end);
        self.emit_text(Op::Return, span, "return".to_owned());
        self.flags_never_saved();
        let Some(mut here) = self.here.take() else {
            return;
        };
        here.resolve();
        self.p.sources[here.id.0 as usize].program = here.lines;
    }

    /// The source being lowered. Only called while there is one.
    pub(crate) fn here(&mut self) -> &mut Here<'s> {
        self.here.as_mut().expect("a source is being lowered")
    }

    pub(crate) fn label(&mut self) -> Label {
        let here = self.here();
        here.labels.push(None);
        here.labels.len() - 1
    }

    pub(crate) fn place_label(&mut self, label: Label) {
        let here = self.here();
        here.labels[label] = Some(here.lines.len());
    }

    /// A new label, here.
    pub(crate) fn label_here(&mut self) -> Label {
        let label = self.label();
        self.place_label(label);
        label
    }

    /// One instruction, with the statement at `span` as its text.
    pub(crate) fn emit(&mut self, op: Op, span: Span) {
        let text = self.out.file.one_line(span);
        self.emit_text(op, span, text);
    }

    fn emit_text(&mut self, op: Op, span: Span, statement: String) {
        if self.here().gather.is_some() {
            self.report(
                Diagnostic::new(&code::NOT_ATOMIC, span, "this is not one step: it cannot stand in `atomic { ... }`")
                    .help("assignments, `if`, and, at the start, one wait can; move the rest out of the block"),
            );
            return;
        }
        let too_long = self.here().lines.len() >= LONGEST;
        if too_long {
            if !std::mem::replace(&mut self.here().too_long, true) {
                let name = self.here().frames[0].name;
                self.report(
                    Diagnostic::new(
                        &code::TOO_LONG,
                        span,
                        format!(
                            "`{}` has more than {LONGEST} steps with its functions inlined",
                            shorten(name)
                        ),
                    )
                    .help("call fewer functions, or check a part of it"),
                );
            }
            return;
        }
        let place = self.ir_span(span);
        let access = self.access;
        let here = self.here();
        let text = Text {
            statement,
            function: here.frames.last().map_or("", |frame| frame.name).to_owned(),
            via: here.frames[..here.frames.len().saturating_sub(1)]
                .iter()
                .map(|frame| frame.name.to_owned())
                .collect(),
        };
        here.lines.push(Line {
            op,
            access,
            text,
            span: place,
        });
    }

    /// Assignments in one step, or added to the step of the `atomic` block around them.
    pub(crate) fn update(&mut self, sets: Vec<Set>, span: Span) {
        let Some(gather) = &mut self.here().gather else {
            self.emit(Op::Update(sets), span);
            return;
        };
        let guard = gather
            .guards
            .iter()
            .cloned()
            .reduce(|a, b| super::fold::binary(shootdown_ir::Binary::And, a, b));
        for set in sets {
            let when = match (guard.clone(), set.when) {
                (Some(guard), Some(when)) => {
                    Some(super::fold::binary(shootdown_ir::Binary::And, guard, when))
                }
                (guard, when) => guard.or(when),
            };
            gather.sets.push(Set { when, ..set });
        }
    }

    /// Counts the statements of all programs, empty ones too: functions that call functions twice double at every level.
    pub(crate) fn exhausted(&mut self, span: Span) -> bool {
        self.statements += 1;
        if self.statements == MOST_STATEMENTS {
            self.report(
                Diagnostic::new(
                    &code::TOO_LONG,
                    span,
                    format!("the scenario has more than {MOST_STATEMENTS} statements with its functions inlined"),
                )
                .help("call fewer functions, or check a part of it"),
            );
        }
        self.statements >= MOST_STATEMENTS
    }

    pub(crate) fn goto(&mut self, label: Label, span: Span) {
        self.emit(Op::Goto(label), span);
    }

    /// Checks the jumps of the function whose body ends here.
    pub(crate) fn close_frame(&mut self) {
        let Some(frame) = self.here().frames.last_mut() else {
            return;
        };
        let labels = std::mem::take(&mut frame.labels);
        let mut missing: Vec<(&str, Span)> = labels
            .iter()
            .filter(|(_, (_, placed, _))| placed.is_none())
            .flat_map(|(name, (_, _, jumps))| jumps.iter().map(|&span| (*name, span)))
            .collect();
        missing.sort_by_key(|&(_, span)| span);
        for (name, span) in missing {
            let near = nearest(
                name,
                labels
                    .iter()
                    .filter(|(_, (_, placed, _))| placed.is_some())
                    .map(|(name, _)| *name),
            );
            self.report(
                Diagnostic::new(
                    &code::BAD_JUMP,
                    span,
                    format!("there is no label `{}` in this function", shorten(name)),
                )
                .help(near.map_or(
                    format!("write `{}:` where to go on", shorten(name)),
                    |near| format!("did you mean `{near}`?"),
                )),
            );
        }
        // Labels that nothing is placed at would leave a jump without a target.
        for (label, placed, _) in labels.values() {
            if placed.is_none() {
                let label = *label;
                self.place_label(label);
            }
        }
    }

    /// A new local variable of this source, with a name that no other has.
    pub(crate) fn local(
        &mut self,
        name: &str,
        sort: Sort,
        range: (i64, i64, bool),
        len: Option<usize>,
        span: Span,
    ) -> usize {
        let place = self.ir_span(span);
        let here = self.here();
        let count = here.names.entry(name.to_owned()).or_insert(0);
        *count += 1;
        let unique = if *count == 1 {
            name.to_owned()
        } else {
            format!("{name}_{count}")
        };
        let storage = shootdown_ir::Storage::Local(here.id);
        let var = VarId(u32::try_from(self.p.vars.len()).unwrap_or(u32::MAX));
        self.p.vars.push(Var {
            name: unique.clone(),
            storage,
            len,
            lo: range.0,
            hi: range.1,
            declared_range: range.2,
            init: vec![0],
            is_mask: sort == Sort::Mask,
            span: place,
        });
        self.objects.push(Object {
            name: unique,
            sort,
            span,
            var: Some(var),
            lock: None,
            queue: None,
            len,
            percpu: false,
            constant: false,
            used: false,
            local: true,
        });
        self.objects.len() - 1
    }

    /// A variable of lowering's own, for a result on its way.
    pub(crate) fn temporary(&mut self, name: &str, range: (i64, i64), span: Span) -> VarId {
        let object = self.local(name, Sort::Int, (range.0, range.1, false), None, span);
        self.objects[object].used = true;
        self.objects[object].var.expect("a variable was made")
    }

    fn flags_never_saved(&mut self) {
        if self.scratch {
            return;
        }
        let here = self.here();
        let saves = std::mem::take(&mut here.saves);
        let restores = std::mem::take(&mut here.restores);
        for (var, name, span) in restores {
            if saves.contains(&var) {
                continue;
            }
            let saved: Vec<String> = saves
                .iter()
                .map(|&var| self.p.vars[var.0 as usize].name.clone())
                .collect();
            let near = nearest(&name, saved.iter().map(String::as_str));
            self.report(
                Diagnostic::new(&code::FLAGS_NEVER_SAVED, span, format!("`{}` is restored here, and nothing saves it", shorten(&name)))
                    .help(match near {
                        Some(near) if near != name => format!("did you mean `{near}`?"),
                        _ => format!("save it in this function: spin_lock_irqsave(&lock, {0}) or local_irq_save({0})", shorten(&name)),
                    }),
            );
        }
    }
}

impl Here<'_> {
    /// Puts lines in the place of labels.
    fn resolve(&mut self) {
        let last = self.lines.len().saturating_sub(1);
        let labels = &self.labels;
        let line = |label: &mut usize| {
            *label = labels
                .get(*label)
                .copied()
                .flatten()
                .unwrap_or(last)
                .min(last)
        };
        for at in &mut self.lines {
            match &mut at.op {
                Op::Goto(to) => line(to),
                Op::Branch { otherwise, .. } | Op::TryLock { otherwise, .. } => line(otherwise),
                Op::Choose(to) => to.iter_mut().for_each(line),
                _ => {}
            }
        }
    }
}
