// A run document as the page uses it: what the server says per context, gathered per CPU once, when
// it arrives. Nothing is concluded; words are only put where they are looked up.

// `CPU0`, `CPU0 irq`; a reader of an rwlock is marked.
export function whoName(who) {
  if (typeof who === "string") return who;
  return `CPU${who.cpu}${who.level === "irq" ? " irq" : ""}${who.mode === "shared" || who.mode === "read" ? " (r)" : ""}`;
}

function prepareCpu(cpu) {
  const contexts = cpu.contexts || [];
  // Not enumerable: the tab State shows what the server said, once.
  const add = (name, value) => Object.defineProperty(cpu, name, { value, configurable: true });
  add("holds", [...new Set(contexts.flatMap((context) => context.holds))]);
  add("waits", contexts.length ? contexts[0].waits : null);
  // Locks that it waits for; of a scenario's, also those that a thread sleeps for while another runs.
  add("awaits", contexts.filter((context, n) => n === 0 || context.on_top === false).flatMap((context) => (context.waits && context.waits.kind === "lock" ? [context.waits.on] : [])));
  add("stuck", contexts.some((context) => context.stuck));
}

// Makes a document that just arrived ready; each is prepared once.
export function prepare(run) {
  for (const state of run.states) {
    state.cpus.forEach(prepareCpu);
    for (const lock of state.locks) {
      lock.owners = lock.owners.map(whoName);
      lock.waiters = lock.waiters.map(whoName);
    }
  }
  for (const step of run.steps) step.starts = step.kind === "start";
  return run;
}

// The sentences about what is wrong in a state, what hangs first.
export function sentencesAt(run, at) {
  const here = (run.violations || []).filter((v) => v.state <= at && at <= v.until);
  const rank = (v) => ["no_deadlock", "no_lock_cycle"].indexOf(v.property);
  return here.sort((a, b) => (rank(b) >= 0) - (rank(a) >= 0) || rank(a) - rank(b));
}
