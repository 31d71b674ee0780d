// A run document as spans: for every CPU, lock and IPI, over which rows something stays the same.
// Row 0 is the start, row i is step i and the state after it. Nothing is decided here: every word
// comes from the document.

// Maximal stretches of equal `key(value)`; `null` keys leave a gap.
export function spansOf(values, key) {
  const out = [];
  let open = null;
  values.forEach((value, row) => {
    const k = key(value, row);
    if (open && open.key === k) {
      open.to = row;
    } else {
      open = k === null || k === undefined ? null : { from: row, to: row, key: k, value };
      if (open) out.push(open);
    }
  });
  return out;
}

// Puts spans into as few columns as they need; each gets its `slot`. Returns how many there are.
function slots(spans) {
  const ends = [];
  spans.sort((a, b) => a.from - b.from || b.to - a.to);
  for (const span of spans) {
    let slot = ends.findIndex((end) => end < span.from);
    if (slot < 0) slot = ends.push(-1) - 1;
    ends[slot] = span.to;
    span.slot = slot;
  }
  return ends.length;
}

// `pgd_lock`, `mm0.page_table_lock`: in a bar there is room for less.
export function shortLock(name) {
  const [mm, lock] = name.includes(".") ? name.split(".") : ["", name];
  const short = lock.replace("page_table_lock", "ptl");
  return mm ? `${short} ${mm}` : short;
}

// The executing context of a CPU, if it runs anything.
export function topContext(cpu) {
  return (cpu.contexts && cpu.contexts[0]) || null;
}

export function programTitle(context) {
  if (!context) return "";
  return `${context.program}(${context.mm || ""})`;
}

export function timeline(run) {
  const states = run.states;
  const last = states.length - 1;
  const cpuCount = states[0].cpus.length;
  const names = states[0].locks.map((lock) => lock.name);
  const used = names.filter((_, l) =>
    states.some((st) => st.locks[l].owners.length || st.locks[l].waiters.length),
  );
  // The same lock has the same colour in every picture of a configuration.
  const colour = (name) => names.indexOf(name) % 6;

  const cpus = [];
  for (let c = 0; c < cpuCount; c++) {
    const each = states.map((state) => state.cpus[c]);
    const bars = [];
    for (const name of names) {
      const part = (cpu) => {
        if (cpu.holds.includes(name)) return "held";
        return cpu.awaits.includes(name) ? "spin" : null;
      };
      for (const whole of spansOf(each, (cpu) => (part(cpu) ? name : null))) {
        const inside = spansOf(each.slice(whole.from, whole.to + 1), part);
        const parts = inside.map((p) => ({ ...p, from: p.from + whole.from, to: p.to + whole.from }));
        bars.push({ ...whole, kind: "lock", name, colour: colour(name), parts });
      }
    }
    const other = (cpu) => (cpu.waits && ["acks", "split", "condition"].includes(cpu.waits.kind) ? cpu.waits.kind : null);
    for (const span of spansOf(each, other)) bars.push({ ...span, kind: span.key, name: span.key, parts: [] });
    const columns = slots(bars);

    // The task context's program, interrupted or not, and the handler on top of it.
    const task = (cpu) => (cpu.contexts || []).find((x) => x.level === "task") || null;
    const started = (row) => row > 0 && run.steps[row - 1].cpu === c && run.steps[row - 1].starts;
    let serial = 0;
    const blocks = spansOf(each, (cpu, row) => {
      if (started(row)) serial++;
      const context = task(cpu);
      return context ? `${programTitle(context)}#${serial}` : null;
    }).map((span) => ({ ...span, title: programTitle(task(span.value)) }));

    const cached = new Map();
    each.forEach((cpu) => (cpu.tlb || []).forEach((t) => cached.set(`${t.mm} ${t.entry}`, t)));
    const tlb = [...cached.keys()].sort().map((key) => ({
      key,
      spans: spansOf(each, (cpu) => {
        const found = (cpu.tlb || []).find((t) => `${t.mm} ${t.entry}` === key);
        return found && found.state !== "absent" ? found.state : null;
      }),
    }));

    cpus.push({
      index: c,
      name: `CPU${c}`,
      irq: spansOf(each, (cpu) => (cpu.in_irq ? "irq" : cpu.irqs_on ? null : "off")),
      bars,
      columns,
      blocks,
      tlb,
    });
  }

  const locks = used.map((name) => {
    const l = names.indexOf(name);
    const each = states.map((state) => state.locks[l]);
    const waiters = [...new Set(each.flatMap((lock) => lock.waiters))].map((who) => ({
      who,
      spans: spansOf(each, (lock) => (lock.waiters.includes(who) ? who : null)),
    }));
    return {
      name,
      colour: colour(name),
      owners: spansOf(each, (lock) => (lock.owners.length ? lock.owners.join(" ") : null)),
      waiters,
    };
  });

  return { run, last, cpus, locks, entered: entries(run), ipis: run.ipis || [] };
}

// Per step, the kernel function that its CPU enters with it; empty where it stays in the same one.
function entries(run) {
  const inside = [];
  return run.steps.map((step) => {
    const same = !step.function || step.function === inside[step.cpu] || step.function === step.program;
    if (step.function) inside[step.cpu] = step.function;
    return same ? "" : step.function;
  });
}

// Rows at which something happened that a reader jumps to; `cpu` narrows it to one CPU.
export function eventRows(run, cpu) {
  const rows = [];
  run.steps.forEach((step, i) => {
    if (cpu !== null && cpu !== undefined && step.cpu !== cpu) return;
    if (step.matters) rows.push(i + 1);
  });
  return rows;
}

// Rows with a violation that was not there a row before: `[row, names]`.
export function newViolations(run) {
  const out = [];
  run.states.forEach((state, row) => {
    const before = row ? run.states[row - 1].violated : [];
    const names = (state.violated || []).filter((name) => !before.includes(name));
    if (names.length) out.push([row, names]);
  });
  return out;
}

// For every CPU that waits at a position: the step at which the wait began, and the step at which what it waits for came
// to be (its lock was taken, or the other CPU turned interrupts off).
export function waitsSince(run, at) {
  const began = (row, holds) => {
    while (row > 0 && holds(run.states[row - 1])) row--;
    return row;
  };
  const cpus = run.states[at].cpus;
  return cpus.flatMap((cpu, c) => {
    const wait = cpu.waits;
    if (!wait || wait.kind === "interrupt") return [];
    const same = (state) => {
      const other = state.cpus[c].waits;
      return Boolean(other) && other.kind === wait.kind && other.on === wait.on;
    };
    const steps = [{ row: began(at, same), what: "began" }];
    const edge = (run.states[at].wait_for?.edges || []).find((e) => e.from.split(".")[0] === `CPU${c}`);
    const other = edge && /^CPU(\d+)/.exec(edge.to);
    if (other) {
      const o = Number(other[1]);
      const taken = wait.kind === "lock" && cpus[o].holds.includes(wait.on);
      const off = wait.kind === "acks" && !cpus[o].irqs_on;
      if (taken) steps.push({ row: began(at, (state) => state.cpus[o].holds.includes(wait.on)), what: `CPU${o} took it` });
      if (off) steps.push({ row: began(at, (state) => !state.cpus[o].irqs_on), what: `CPU${o} turned interrupts off` });
    }
    return [{ who: `CPU${c}`, text: `CPU${c} ${wait.text}`, steps: steps.filter((x) => x.row > 0) }];
  }).filter((w) => w.steps.length);
}
