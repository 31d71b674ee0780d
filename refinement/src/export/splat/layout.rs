//! lockdep's layout: of 6.18 (`kernel/locking/lockdep.c`), and of 2.6.38 (`kernel/lockdep.c`), which has no scenario and
//! other names.

use super::frame::{contexts, frames, instance, kernel, listed, name, site, task, usage_chars};
use crate::export::lockdep::{Acquired, Class, Kind, Link, Place, Report};
use crate::export::run::Run;
use std::fmt::Write as _;

pub fn write(run: &Run, report: &Report, old: bool) -> String {
    let page = Page { run, report, old };
    match &report.kind {
        Kind::Circular { holding, chain } => page.circular(holding, chain),
        Kind::Inconsistent { old, new } => page.inconsistent(old.0.name(), &old.1, new.name()),
        Kind::Inversion { forwards, chain } => page.inversion(*forwards, chain),
        Kind::SafeUnsafe {
            holding,
            safe,
            not_safe,
            before,
            after,
        } => page.safe_unsafe(holding, safe, not_safe, before, after),
    }
}

struct Page<'a> {
    run: &'a Run,
    report: &'a Report,
    /// 2.6.38's.
    old: bool,
}

const COLUMN: &str = "                               ";

impl Page<'_> {
    fn head(&self, rule: usize, title: &str) -> String {
        // `[ INFO: … ]` is one longer than `WARNING: …`, and so is its frame.
        let rule = rule + usize::from(self.old);
        let (double, single) = ("=".repeat(rule), "-".repeat(rule));
        let kernel = kernel(self.run);
        if self.old {
            format!("\n{double}\n[ INFO: {title} ]\n{kernel}\n{single}\n")
        } else {
            format!("\n{double}\nWARNING: {title}\n{kernel} Not tainted\n{single}\n")
        }
    }

    fn name(&self, class: Class) -> String {
        name(class, self.old)
    }

    /// ` (class){uuuu}-{outer:inner}`: a spinlock's wait type is 3, a pseudo lock has none. In 2.6.38 two more
    /// characters for reclaim, which the model does not have, and no wait type.
    fn class(&self, class: Class) -> String {
        let wait = if matches!(class, Class::Lock(_)) {
            3
        } else {
            0
        };
        let chars = usage_chars(self.report.usage.get(&class));
        let name = self.name(class);
        if self.old {
            format!(" ({name}){{{chars}..}}")
        } else {
            format!(" ({name}){{{chars}}}-{{{wait}:{wait}}}")
        }
    }

    /// The frames of a place behind an indent, a line each.
    fn stack(&self, place: &Place, indent: usize) -> String {
        let address = if self.old { "[<model>] " } else { "" };
        let lines = frames(self.run, place).into_iter();
        lines.fold(String::new(), |text, frame| {
            text + &format!("{:indent$}{address}{frame}\n", "")
        })
    }

    fn task(&self) -> String {
        let place = self.report.by.place;
        task(self.run, place.who, place.n)
    }

    fn lock(&self, acquired: &Acquired) -> String {
        let (class, site) = (self.class(acquired.class), site(self.run, acquired));
        if self.old {
            format!("{class}, at: [<model>] {site}\n")
        } else {
            format!("{}{class}, at: {site}\n", instance(acquired))
        }
    }

    fn circular(&self, holding: &Acquired, chain: &[Link]) -> String {
        let by = &self.report.by;
        let mut text = self.head(54, "possible circular locking dependency detected");
        let _ = writeln!(text, "{} is trying to acquire lock:", self.task());
        text += &self.lock(by);
        text += "\nbut task is already holding lock:\n";
        text += &self.lock(holding);
        text += "\nwhich lock already depends on the new lock.\n\n\n";
        text += "the existing dependency chain (in reverse order) is:\n";
        for (depth, link) in chain.iter().enumerate().rev() {
            text += &self.entry(depth + 1, link.to, &link.place);
        }
        text += &self.entry(0, by.class, &by.place);
        text += "\nother info that might help us debug this:\n\n";
        text += &self.circular_scenario(holding, chain);
        text + &self.tail()
    }

    fn entry(&self, depth: usize, class: Class, place: &Place) -> String {
        format!(
            "\n-> #{depth}{}:\n{}",
            self.class(class),
            self.stack(place, 7)
        )
    }

    fn circular_scenario(&self, holding: &Acquired, chain: &[Link]) -> String {
        if self.old {
            return String::new();
        }
        let by = &self.report.by;
        let (source, target) = (self.name(by.class), self.name(holding.class));
        let parent = chain.last().map_or(by.class, |l| l.from);
        let parent_name = self.name(parent);
        let mut text = String::new();
        if parent != by.class {
            let _ = write!(
                text,
                "Chain exists of:\n  {source} --> {parent_name} --> {target}\n\n"
            );
        }
        let verb = |acquired: &Acquired| match acquired {
            a if a.shared => "rlock",
            a if a.lock.is_none() && !a.trylock => "sync",
            _ => "lock",
        };
        text += " Possible unsafe locking scenario:\n\n       CPU0                    CPU1\n       ----                    ----\n";
        let _ = writeln!(text, "  {}({target});", verb(holding));
        let _ = writeln!(text, "{COLUMN}lock({parent_name});");
        let _ = writeln!(text, "{COLUMN}lock({target});");
        let _ = writeln!(text, "  {}({source});", verb(by));
        text + "\n *** DEADLOCK ***\n\n"
    }

    fn inconsistent(&self, old: &str, registered: &Place, new: &str) -> String {
        let by = &self.report.by;
        let mut text = self.head(32, "inconsistent lock state");
        let _ = writeln!(text, "inconsistent {{{old}}} -> {{{new}}} usage.");
        let _ = writeln!(text, "{} {} takes:", self.task(), contexts(self.report));
        text += &self.lock(by);
        let _ = writeln!(text, "{{{old}}} state was registered at:");
        text += &self.stack(registered, 2);
        text += &self.irq_stamps();
        text += "\nother info that might help us debug this:\n";
        if !self.old {
            let name = self.name(by.class);
            text += " Possible unsafe locking scenario:\n\n       CPU0\n       ----\n";
            let _ = write!(
                text,
                "  lock({name});\n  <Interrupt>\n    lock({name});\n\n *** DEADLOCK ***\n\n"
            );
        }
        text + &self.tail()
    }

    fn irq_stamps(&self) -> String {
        let (on, off) = self.report.last_on_off;
        let at = |n: usize| match n {
            0 => "start of the run".to_string(),
            n => match self.run.line(n) {
                Some(step) => super::frame::frame(self.run, &step),
                None => "interrupt entry".to_string(),
            },
        };
        format!(
            "irq event stamp: {}\nhardirqs last  enabled at ({on}): {}\nhardirqs last disabled at ({off}): {}\n\
             softirqs last  enabled at (0): the model has no softirqs\n\
             softirqs last disabled at (0): the model has no softirqs\n",
            on.max(off),
            at(on),
            at(off),
        )
    }

    fn inversion(&self, forwards: bool, chain: &[Link]) -> String {
        let by = &self.report.by;
        let mut text = self.head(56, "possible irq lock inversion dependency detected");
        let _ = writeln!(text, "{} just changed the state of lock:", self.task());
        text += &self.lock(by);
        let (safe, not_safe) = ends(chain);
        let other = if forwards {
            text += "but this lock took another, HARDIRQ-unsafe lock in the past:\n";
            not_safe
        } else {
            text += "but this lock was taken by another, HARDIRQ-safe lock in the past:\n";
            safe
        };
        let _ = writeln!(text, "{}", self.class(other));
        text += "\nand interrupts could create inverse lock ordering between them.\n\n";
        text += "\nother info that might help us debug this:\n";
        text += &self.irq_scenario(safe, not_safe, chain);
        text += &self.held();
        text += "\nthe shortest dependencies between 2nd lock and 1st lock:\n";
        // From the other lock to this one.
        if forwards {
            for link in chain.iter().rev() {
                text += &self.uses(link.to, &link.place);
            }
        } else {
            for link in chain {
                text += &self.uses(link.from, &link.place);
            }
        }
        text += &self.uses(by.class, &by.place);
        text + &self.backtrace()
    }

    fn safe_unsafe(
        &self,
        holding: &Acquired,
        safe: &(Class, Place),
        not_safe: &(Class, Place),
        before: &[Link],
        after: &[Link],
    ) -> String {
        let by = &self.report.by;
        let mut text = self.head(53, "HARDIRQ-safe -> HARDIRQ-unsafe lock order detected");
        let _ = writeln!(
            text,
            "{} {} is trying to acquire:",
            self.task(),
            contexts(self.report)
        );
        text += &self.lock(by);
        text += "\nand this task is already holding:\n";
        text += &self.lock(holding);
        text += "which would create a new lock dependency:\n";
        let _ = writeln!(
            text,
            "{} ->{}",
            self.class(holding.class),
            self.class(by.class)
        );
        text += "\nbut this new dependency connects a HARDIRQ-irq-safe lock:\n";
        let _ = writeln!(text, "{}", self.class(safe.0));
        text += "\n... which became HARDIRQ-irq-safe at:\n";
        text += &self.stack(&safe.1, 2);
        text += "\nto a HARDIRQ-irq-unsafe lock:\n";
        let _ = writeln!(text, "{}", self.class(not_safe.0));
        text += "\n... which became HARDIRQ-irq-unsafe at:\n...";
        text += &self.stack(&not_safe.1, 2);
        text += "\nother info that might help us debug this:\n\n";
        let new = Link {
            from: holding.class,
            from_shared: holding.shared,
            to: by.class,
            to_shared: by.shared,
            place: by.place,
        };
        let chain: Vec<Link> = before.iter().chain([&new]).chain(after).copied().collect();
        text += &self.irq_scenario(safe.0, not_safe.0, &chain);
        text += &self.held();
        text += "\nthe dependencies between HARDIRQ-irq-safe lock and the holding lock:\n";
        text += &self.uses(safe.0, &holding.place);
        for link in before {
            text += &self.uses(link.to, &link.place);
        }
        text += "\nthe dependencies between the lock to be acquired and HARDIRQ-irq-unsafe lock:\n";
        text += &self.uses(by.class, &by.place);
        for link in after {
            text += &self.uses(link.to, &link.place);
        }
        text + &self.backtrace()
    }

    fn irq_scenario(&self, safe: Class, not_safe: Class, chain: &[Link]) -> String {
        if self.old {
            return String::new();
        }
        let (first, last) = (self.name(safe), self.name(not_safe));
        let middle = chain.first().map_or(not_safe, |l| l.to);
        let middle_name = self.name(middle);
        let mut text = String::new();
        if middle != not_safe {
            let _ = write!(
                text,
                "Chain exists of:\n  {first} --> {middle_name} --> {last}\n\n"
            );
        }
        text += " Possible interrupt unsafe locking scenario:\n\n       CPU0                    CPU1\n       ----                    ----\n";
        let _ = writeln!(text, "  lock({last});");
        let _ = writeln!(text, "{COLUMN}local_irq_disable();");
        let _ = writeln!(text, "{COLUMN}lock({first});");
        let _ = writeln!(text, "{COLUMN}lock({middle_name});");
        let _ = write!(
            text,
            "  <Interrupt>\n    lock({first});\n\n *** DEADLOCK ***\n\n"
        );
        text
    }

    /// A class with every use of it, and where it came into the chain.
    fn uses(&self, class: Class, place: &Place) -> String {
        let usage = self.report.usage.get(&class);
        let ops = usage.map_or(0, |u| u.ops);
        let mut text = format!("->{} ops: {ops} {{\n", self.class(class));
        for (bit, at) in usage.into_iter().flat_map(|u| &u.bits) {
            let line = format!("   {} at:\n", bit.name());
            text += &line;
            text += &self.stack(at, line.len());
        }
        text += " }\n ... acquired at:\n";
        text + &self.stack(place, 3) + "\n"
    }

    fn held(&self) -> String {
        let held = listed(self.report);
        let task = self.task();
        if held.is_empty() {
            return format!("no locks held by {task}.\n");
        }
        let s = if held.len() == 1 { "" } else { "s" };
        let mut text = format!("{} lock{s} held by {task}:\n", held.len());
        for (i, acquired) in held.into_iter().enumerate() {
            let _ = write!(text, " #{i}: {}", self.lock(acquired));
        }
        text
    }

    fn backtrace(&self) -> String {
        let place = &self.report.by.place;
        let task = self.task();
        let comm = task.split('/').next().unwrap_or_default();
        format!(
            "\nstack backtrace:\nCPU: {} Comm: {comm} Not tainted {}\nCall Trace:\n{}",
            place.who.cpu.0,
            kernel(self.run),
            self.stack(place, 1)
        )
    }

    fn tail(&self) -> String {
        self.held() + &self.backtrace()
    }
}

/// The interrupt-safe and the unsafe end of a chain.
fn ends(chain: &[Link]) -> (Class, Class) {
    let first = chain.first().expect("an inversion has a dependency");
    let last = chain.last().expect("an inversion has a dependency");
    (first.from, last.to)
}
