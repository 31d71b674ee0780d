//! The cells: what a state consists of.

use super::{
    At, Cell, CellId, CompileError, Compiler, Context, ContextId, CpuCells, Fires, Kind, LockKind,
    MAX_CONTEXTS, Op, Overflow, Part, Span, Storage, VarId, X,
};
use crate::protocol::Fairness;
use crate::system::{Call, LockCells};

/// The deepest nesting of counts: preempt, bottom halves, RCU, readers of one lock in one context.
const DEEPEST: i64 = 15;
const DEEPEST_READ: i64 = 3;

impl Compiler<'_> {
    /// One context for each source and CPU it runs on; by CPU, lowest kind first.
    pub(super) fn find_contexts(&mut self) -> Result<(), CompileError> {
        let mut order: Vec<usize> = (0..self.p.sources.len()).collect();
        order.sort_by_key(|&s| self.p.sources[s].kind);
        for cpu in 0..self.p.cpus {
            let mut slot = 0;
            for &s in &order {
                let source = &self.p.sources[s];
                if source.on.is_some_and(|on| on != cpu) {
                    continue;
                }
                if source.on.is_some_and(|on| on >= self.p.cpus) {
                    return self.error(source.span, format!("there is no CPU{}", cpu));
                }
                slot += 1;
                self.system.contexts.push(Context {
                    source: crate::protocol::SourceId(s as u32),
                    kind: source.kind,
                    cpu,
                    slot,
                    place: CellId(0),
                    places: Vec::new(),
                    executes: X::FALSE,
                    arrives: X::FALSE,
                    pending: X::FALSE,
                    steps: Vec::new(),
                });
            }
        }
        let count = self.system.contexts.len();
        if count > MAX_CONTEXTS {
            return self.error(
                Span::default(),
                format!(
                    "{count} contexts (sources times the CPUs they run on): at most {MAX_CONTEXTS} are possible; \
                     use fewer CPUs, or say `on CPUn`"
                ),
            );
        }
        Ok(())
    }

    pub(super) fn cell(
        &mut self,
        name: &str,
        lo: i64,
        hi: i64,
        init: i64,
        part: Part,
        overflow: Overflow,
    ) -> CellId {
        let mut clean: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let seen = self.names.entry(clean.clone()).or_insert(0);
        *seen += 1;
        if *seen > 1 {
            clean = format!("{clean}__{seen}");
        }
        let id = CellId(self.system.cells.len() as u32);
        self.system.cells.push(Cell {
            name: clean,
            lo,
            hi,
            init,
            part,
            overflow,
        });
        id
    }

    fn machine_cell(&mut self, name: &str, hi: i64, init: i64, part: Part) -> CellId {
        self.cell(name, 0, hi, init, part, Overflow::Balance)
    }

    pub(super) fn allocate(&mut self) -> Result<(), CompileError> {
        self.allocate_places();
        self.allocate_cpus();
        self.allocate_vars();
        self.allocate_contexts();
        self.allocate_locks();
        self.allocate_calls()
    }

    /// The places of each context: one for each reachable line with a step, two for what queues.
    fn allocate_places(&mut self) {
        for i in 0..self.system.contexts.len() {
            let context = ContextId(i as u32);
            let source = self.source(context);
            let mut first = std::collections::HashMap::new();
            let mut places = Vec::new();
            let mut todo = vec![self.resolve(source, 0)];
            let mut reached = std::collections::BTreeSet::new();
            while let Some(line) = todo.pop() {
                if !reached.insert(line) {
                    continue;
                }
                for next in self.after(source, line) {
                    todo.push(self.resolve(source, next));
                }
            }
            for line in reached {
                first.insert(line, places.len() as u32 + 1);
                places.push(At {
                    line,
                    queued: false,
                });
                if self.queues(source, line) {
                    places.push(At { line, queued: true });
                }
            }
            let entry = self.resolve(source, 0);
            let starts_by_itself = source.kind == Kind::Task && source.fires != Fires::Raised;
            let init = if starts_by_itself {
                i64::from(first[&entry])
            } else {
                0
            };
            let cpu = self.system.contexts[i].cpu;
            let cell = self.machine_cell(
                &format!("at_{}_{cpu}", source.name),
                places.len() as i64,
                init,
                Part::Context(context),
            );
            self.system.contexts[i].place = cell;
            self.system.contexts[i].places = places;
            self.first_place.push(first);
        }
    }

    fn allocate_cpus(&mut self) {
        for cpu in 0..self.p.cpus {
            let here: Vec<&Context> = self
                .system
                .contexts
                .iter()
                .filter(|c| c.cpu == cpu)
                .collect();
            let slots = here.len() as i64;
            // A lone task is there from the start: nobody can tell when it was first switched to.
            let threads: Vec<&&Context> = here.iter().filter(|c| Self::is_thread(c.kind)).collect();
            let top = match threads.as_slice() {
                [one]
                    if one.kind == Kind::Task
                        && self.p.source(one.source).fires != Fires::Raised =>
                {
                    one.slot
                }
                _ => 0,
            };
            let part = Part::Cpu(cpu as u32);
            let cells = CpuCells {
                top: self.machine_cell(&format!("top_{cpu}"), slots, top, part),
                irqs: self.machine_cell(&format!("irqs_{cpu}"), 1, 1, part),
                preempt: self.machine_cell(&format!("preempt_{cpu}"), DEEPEST, 0, part),
                bh: self.machine_cell(&format!("bh_{cpu}"), DEEPEST, 0, part),
            };
            self.system.cpu_cells.push(cells);
        }
    }

    fn allocate_vars(&mut self) {
        self.locals = vec![std::collections::HashMap::new(); self.system.contexts.len()];
        for (v, var) in self.p.vars.iter().enumerate() {
            let overflow = if var.declared_range {
                Overflow::Range
            } else {
                Overflow::Grows
            };
            let init = |i: usize| {
                var.init
                    .get(i)
                    .or(var.init.last().filter(|_| var.init.len() == 1))
                    .copied()
                    .unwrap_or(0)
            };
            match var.storage {
                Storage::Global | Storage::PerCpu => {
                    let len = match var.storage {
                        Storage::PerCpu => self.p.cpus,
                        _ => var.len.unwrap_or(1),
                    };
                    let single = var.storage == Storage::Global && var.len.is_none();
                    let mut base = None;
                    for i in 0..len {
                        let name = if single {
                            var.name.clone()
                        } else {
                            format!("{}_{i}", var.name)
                        };
                        let part = Part::Var(v as u32, i as u32);
                        let cell = self.cell(&name, var.lo, var.hi, init(i), part, overflow);
                        base.get_or_insert(cell);
                    }
                    self.system.objects.vars.push(base);
                }
                Storage::Local(source) => {
                    self.system.objects.vars.push(None);
                    let contexts: Vec<ContextId> = self.contexts_of(source).collect();
                    for context in contexts {
                        let cpu = self.system.contexts[context.index()].cpu;
                        let owner = &self.p.source(source).name;
                        for i in 0..var.len.unwrap_or(1) {
                            let name = format!("{owner}_{cpu}_{}", var.name);
                            let part = Part::Local(context, v as u32, i as u32);
                            let cell = self.cell(&name, var.lo, var.hi, init(i), part, overflow);
                            self.locals[context.index()]
                                .entry(VarId(v as u32))
                                .or_insert(cell);
                        }
                    }
                }
            }
        }
    }

    fn allocate_contexts(&mut self) {
        let count = self.system.contexts.len();
        let uses = |compiler: &Self, context: usize, what: &dyn Fn(&Op) -> bool| {
            compiler
                .source(ContextId(context as u32))
                .program
                .iter()
                .any(|line| what(&line.op))
        };
        for i in 0..count {
            let context = ContextId(i as u32);
            let (kind, cpu) = (self.system.contexts[i].kind, self.system.contexts[i].cpu);
            let source = self.source(context);
            let name = format!("{}_{cpu}", source.name);
            let part = Part::Context(context);
            let slots = self.system.contexts.iter().filter(|c| c.cpu == cpu).count() as i64;

            let below = (!Self::is_thread(kind) && kind != Kind::StoreBuffer)
                .then(|| self.machine_cell(&format!("below_{name}"), slots, 0, part));
            self.system.objects.below.push(below);

            let rcu = uses(self, i, &|op| matches!(op, Op::RcuRead(_)));
            let rcu = self.machine_cell(
                &format!("rcu_{name}"),
                if rcu { DEEPEST } else { 0 },
                0,
                part,
            );
            self.system.objects.rcu.push(rcu);

            let grace = uses(self, i, &|op| matches!(op, Op::SynchronizeRcu));
            let grace = grace
                .then(|| self.machine_cell(&format!("grace_{name}"), (1 << count) - 1, 0, part));
            self.system.objects.grace.push(grace);
            let all = self.p.all_cpus();
            let cpus =
                grace.map(|_| self.machine_cell(&format!("grace_cpus_{name}"), all, 0, part));
            self.system.objects.grace_cpus.push(cpus);

            let raised = self.raised[self.system.contexts[i].source.0 as usize]
                .then(|| self.machine_cell(&format!("raised_{name}"), 1, 0, part));
            self.system.objects.raised.push(raised);

            let left = match (source.fires, kind) {
                (Fires::Raised, _) | (_, Kind::Ipi | Kind::StoreBuffer) => None,
                (Fires::Times(n), Kind::Task) => (n > 1).then(|| i64::from(n) - 1),
                (Fires::Times(Fires::ALWAYS), _) => Some(1),
                (Fires::Times(n), _) => Some(i64::from(n)),
            };
            let left = left.map(|n| self.machine_cell(&format!("left_{name}"), n, n, part));
            self.system.objects.left.push(left);
        }
        for s in 0..self.p.sources.len() {
            let masked = self.p.sources.iter().any(|source| {
                source
                    .program
                    .iter()
                    .any(|line| matches!(line.op, Op::Mask(what, _) if what.0 as usize == s))
            });
            let name = format!("masked_{}", self.p.sources[s].name);
            let masked = masked.then(|| self.machine_cell(&name, DEEPEST, 0, Part::Call));
            self.system.objects.masked.push(masked);
        }
    }

    fn allocate_locks(&mut self) {
        for (l, lock) in self.p.locks.iter().enumerate() {
            let takes = |op: &Op| match op {
                Op::Lock(lock, _)
                | Op::Unlock(lock, _)
                | Op::TryLock { lock, .. }
                | Op::Downgrade(lock) => lock.lock.0 as usize == l,
                _ => false,
            };
            let takers: Vec<ContextId> = (0..self.system.contexts.len() as u32)
                .map(ContextId)
                .filter(|&c| self.source(c).program.iter().any(|line| takes(&line.op)))
                .collect();
            let len = lock.len.unwrap_or(1);
            let numbers = takers.len() as i64;
            let part = Part::Lock(l as u32);
            let shared = matches!(lock.kind, LockKind::Rw(_) | LockKind::RwSem);
            let depth = match lock.kind {
                LockKind::Spin | LockKind::RwSem => takers.len(),
                LockKind::Rw(Fairness::Fair | Fairness::Strict) => takers.len(),
                LockKind::Rw(Fairness::ReaderPref) | LockKind::Mutex => 0,
            };
            let element = |i: usize| match lock.len {
                None => lock.name.clone(),
                Some(_) => format!("{}_{i}", lock.name),
            };
            let owner = CellId(self.system.cells.len() as u32);
            for i in 0..len {
                self.machine_cell(&format!("owner_{}", element(i)), numbers, 0, part);
            }
            let queue = (depth > 0).then_some(CellId(self.system.cells.len() as u32));
            for i in 0..len {
                for at in 0..depth {
                    self.machine_cell(&format!("queue_{}_{at}", element(i)), numbers, 0, part);
                }
            }
            let readers =
                (shared && !takers.is_empty()).then_some(CellId(self.system.cells.len() as u32));
            if shared {
                for i in 0..len {
                    for at in 0..takers.len() {
                        let name = format!("readers_{}_{at}", element(i));
                        self.machine_cell(&name, DEEPEST_READ, 0, part);
                    }
                }
            }
            self.system.objects.locks.push(LockCells {
                takers,
                owner,
                len: len as u32,
                queue,
                depth: depth as u32,
                readers,
            });
        }
    }

    /// Call data, call queues, and which call a handler serves.
    fn allocate_calls(&mut self) -> Result<(), CompileError> {
        let mut targets: Vec<Vec<usize>> = vec![Vec::new(); self.p.cpus];
        for i in 0..self.system.contexts.len() {
            let context = ContextId(i as u32);
            let source = self.source(context);
            for line in &source.program {
                let Op::CrossCall { handler, csd, .. } = &line.op else {
                    continue;
                };
                for (target, queued) in targets.iter_mut().enumerate() {
                    let busy = self.busy(context, csd, target, line.span)?;
                    let call = Call {
                        handler: *handler,
                        busy,
                    };
                    let calls = &mut self.system.objects.calls;
                    let number = calls.iter().position(|c| *c == call).unwrap_or_else(|| {
                        calls.push(call);
                        calls.len() - 1
                    });
                    if !queued.contains(&number) {
                        queued.push(number);
                    }
                }
            }
        }
        let calls = self.system.objects.calls.len() as i64;
        for (cpu, numbers) in targets.iter().enumerate() {
            // Each call data is queued once at a time: so many places are enough.
            let mut data: Vec<CellId> = numbers
                .iter()
                .map(|&n| self.system.objects.calls[n].busy)
                .collect();
            data.sort();
            data.dedup();
            let queue = (0..data.len())
                .map(|i| self.machine_cell(&format!("calls_{cpu}_{i}"), calls, 0, Part::Call))
                .collect();
            self.system.objects.queue.push(queue);
        }
        for i in 0..self.system.contexts.len() {
            let context = ContextId(i as u32);
            let source = self.system.contexts[i].source;
            let served = self
                .system
                .objects
                .calls
                .iter()
                .any(|c| c.handler == source);
            let name = format!(
                "serving_{}_{}",
                self.source(context).name,
                self.system.contexts[i].cpu
            );
            let cell = served.then(|| self.machine_cell(&name, calls, 0, Part::Context(context)));
            self.system.objects.serving.push(cell);
        }
        Ok(())
    }

    /// A call data cell of its own, by name: allocated when first asked for.
    pub(super) fn named_busy(&mut self, name: &str) -> CellId {
        if let Some(found) = self.system.cells.iter().position(|c| c.name == name) {
            return CellId(found as u32);
        }
        self.machine_cell(name, 1, 0, Part::Call)
    }
}
