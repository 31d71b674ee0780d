//! Names for what a log names otherwise.

use crate::console::situation::Situation;

/// Functions that say nothing about whose code it is.
const GENERIC: [&str; 10] = [
    "kthread",
    "ret_from_fork",
    "do_syscall_64",
    "entry_SYSCALL_64_after_hwframe",
    "process_one_work",
    "worker_thread",
    "asm_exc_page_fault",
    "exc_page_fault",
    "system_call_fastpath",
    "ret_from_fork_asm",
];

/// What a task is called: the outermost of its functions that says whose code it is.
pub(super) fn of_task(s: &Situation) -> String {
    s.frames
        .iter()
        .rev()
        .take(6)
        .map(|f| word(&f.function))
        .find(|f| !f.is_empty() && !GENERIC.contains(&&**f))
        .unwrap_or_else(|| "task".into())
}

/// A name in the scenario language: letters, digits and `_`.
pub(super) fn word(text: &str) -> String {
    let last = text
        .trim_end_matches([')', ' '])
        .rsplit(['>', '.', ':', '(', '&'])
        .next()
        .unwrap_or(text);
    let clean = |t: &str| {
        t.chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect::<String>()
            .trim_matches('_')
            .to_string()
    };
    // `&(&l->lock)->rlock` is best named by all of it.
    let name = if last.len() < 6 || last == "rlock" {
        clean(text)
    } else {
        clean(last)
    };
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

pub(super) fn unique<'a>(name: &str, taken: impl Iterator<Item = &'a String>) -> String {
    let n = taken
        .filter(|t| *t == name || t.starts_with(&format!("{name}_")))
        .count();
    if n == 0 {
        name.to_string()
    } else {
        format!("{name}_{n}")
    }
}
