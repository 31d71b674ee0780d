// Where each CPU stands in a state, in words.

import { h, sentence } from "./dom.js";
import { topContext } from "./timeline.js";

function cpuName(who) {
  return typeof who === "number" ? `CPU${who}` : who;
}

// `flush IPI from CPU1 pending (mm0, page): interrupts are off`.
function pendingText(ipi) {
  const what = ipi.what || "flush IPI";
  const about = ipi.mm ? ` (${ipi.mm}${ipi.scope ? `, ${ipi.scope}` : ""})` : "";
  return `${what} from ${cpuName(ipi.from)} pending${about}${ipi.why_not_taken ? `: ${ipi.why_not_taken}` : ""}`;
}

// One paragraph per CPU.
export function standing(state) {
  return h(
    "dl",
    { class: "standing-list" },
    state.cpus.map((cpu, c) => {
      const context = topContext(cpu);
      const others = (cpu.contexts || []).slice(1);
      const facts = [
        `${[cpu.irqs_on ? "IF=1" : "IF=0", ...(cpu.counts || [])].join(", ")}, ${context ? `in ${context.function || context.program}()` : "idle"}${cpu.in_irq ? ", in an interrupt handler" : ""}`,
        cpu.holds.length && `holds ${cpu.holds.join(", ")}`,
        cpu.waits && cpu.waits.text,
        ...others.map((x) => x.waits && x.on_top !== undefined && `${x.program}: ${x.waits.text}`),
        ...cpu.pending.map(pendingText),
      ];
      return [h("dt", {}, `CPU${c}`), h("dd", {}, facts.filter(Boolean).map((fact) => h("div", {}, sentence(fact))))];
    }),
  );
}
