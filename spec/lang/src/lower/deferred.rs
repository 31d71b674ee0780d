//! Sources that a call starts, withdraws or waits for.

use shootdown_ir::{Binary, Kind, Op};

use super::Lower;
use super::arguments::Arguments;
use super::fold;
use crate::calls::{Call, Does};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::parser::shorten;
use crate::source::Span;

impl Lower<'_, '_> {
    pub(crate) fn deferred_call(&mut self, call: &'static Call, given: &Arguments, span: Span) {
        let at = self.here().stmt;
        if call.does == Does::FlushAll {
            let sources = self
                .p
                .sources
                .iter()
                .enumerate()
                .filter(|(_, source)| source.kind == Kind::Work);
            // The thread that waits for grace periods is on no queue.
            let sources: Vec<_> = sources
                .map(|(i, _)| shootdown_ir::SourceId(u32::try_from(i).unwrap_or(u32::MAX)))
                .filter(|id| self.callbacks.iter().all(|c| c.grace != *id))
                .collect();
            self.emit(
                Op::Sync {
                    sources,
                    pending: true,
                    cancel: false,
                    sleeps: true,
                },
                at,
            );
            return;
        }
        let Some(source) = given.any_source() else {
            return;
        };
        let id = self.sources[source].id;
        let sources = vec![id];
        match call.does {
            Does::Raise => self.raise(source, given, span),
            Does::Cancel => self.emit(Op::Cancel(id), at),
            Does::Sync(pending, cancel, sleeps) => self.emit(
                Op::Sync {
                    sources,
                    pending,
                    cancel,
                    sleeps,
                },
                at,
            ),
            Does::Mask(off, sync) => {
                self.emit(Op::Mask(id, off), at);
                if let Some(sleeps) = sync {
                    self.emit(
                        Op::Sync {
                            sources,
                            pending: false,
                            cancel: false,
                            sleeps,
                        },
                        at,
                    );
                }
            }
            _ => {}
        }
    }

    fn raise(&mut self, source: usize, given: &Arguments, span: Span) {
        let at = self.here().stmt;
        self.sources[source].raised = true;
        let id = self.sources[source].id;
        let on = self.p.sources[id.0 as usize].on;
        let cpu = given.values().first().map(|value| value.e.clone());
        if let Some(cpu) = &cpu {
            self.check_index(cpu, self.p.cpus, span, "CPU");
        }
        let cpu = match (on, cpu) {
            // It runs where it is declared.
            (Some(on), None) => fold::number(on as i64),
            (Some(on), Some(cpu)) => {
                let there = fold::binary(Binary::Eq, cpu, fold::number(on as i64));
                if fold::constant(&there) == Some(0) {
                    let name = shorten(&self.sources[source].name);
                    let declared = self.sources[source].span;
                    self.report(
                        Diagnostic::new(
                            &code::OUT_OF_RANGE,
                            span,
                            format!("`{name}` runs on CPU{on} only"),
                        )
                        .also(declared, "declared here")
                        .help(format!("declare it `on any`, or raise it on CPU{on}")),
                    );
                    return;
                }
                if fold::constant(&there).is_none() {
                    self.if_then(there, |lower| {
                        let cpu = fold::number(on as i64);
                        lower.emit(Op::Raise { source: id, cpu }, at);
                    });
                    return;
                }
                fold::number(on as i64)
            }
            (None, Some(cpu)) => cpu,
            (None, None) => self.this_cpu(),
        };
        self.emit(Op::Raise { source: id, cpu }, at);
    }
}
