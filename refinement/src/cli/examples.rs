//! Examples at the end of `--help`, for commands that have no text of their own there.

pub const EXPLORE: &str = "\
Examples:
  shootdown explore                                    the kernel that hung in 2011
  shootdown explore --design tracked --env irq-free    another design in another environment
  shootdown explore --subject impl --bind 127.0.0.1:0  the real code, on any free port
  shootdown explore spec/corpus/pgd-lock-2011.before.sd

Without --bind the port is 3000 or the next free one.";

pub const CHECK: &str = "\
Examples:
  shootdown check --design v2.6.37 --env nosplit+thp      the hang of 2011
  shootdown check --design v2.6.37 --property progress    the run that violates this one
  shootdown check --design v2.6.37 --workload aging --open
  shootdown check spec/corpus/pgd-lock-2011.before.sd     a scenario of your own
  shootdown check --compare spec/corpus/pgd-lock-2011.before.sd spec/corpus/pgd-lock-2011.after.sd";

pub const MATRIX: &str = "\
Examples:
  shootdown matrix                       everything, against what is expected
  shootdown matrix --claim C2            what decides one claim
  shootdown matrix --grid --timeout 60s  as far as a minute goes
  shootdown matrix --json matrix.json    for `report --matrix-json`";

pub const PROVE: &str = "\
Examples:
  shootdown prove --design tracked --env irq-free        a proof
  shootdown prove --design v2.6.37 --workload aging      the cycle, and a run into it
  shootdown prove --grid                                 every design in every environment
  shootdown prove spec/corpus/pgd-lock-2011.after.sd     a scenario";

pub const REFINE: &str = "\
Examples:
  shootdown refine --design tracked --env split
  shootdown refine --matrix --up-to 400000               every cell up to that many states";

pub const REPLAY: &str = "\
Examples:
  shootdown replay 'v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;\\
    1:page_referenced_one_huge@mm0 1*4 0:vmalloc_sync_all 0*5;'
  `check` prints such a line under every run; --verbose shows every step.";

pub const EXPORT: &str = "\
Examples:
  shootdown export promela --design tracked --env split  for Spin
  shootdown export tla --design v2.6.37 --env nosplit    for TLC
  `shootdown export KIND --help` has the flags of one kind.";

pub const SECOND_OPINION: &str = "\
Examples:
  shootdown second-opinion --design v2.6.37 --max-states 30000
  shootdown second-opinion spec/corpus/pgd-lock-2011.before.sd";

pub const LIST: &str = "\
Examples:
  shootdown list                         every name there is
  shootdown list designs
  shootdown list steps --design tracked --env split+thp";

pub const NEW: &str = "\
Examples:
  shootdown new mylock.sd                a commented scenario to begin with";

pub const EXPLAIN: &str = "\
Examples:
  shootdown explain                      every message and property
  shootdown explain no_deadlock          one of them";

pub const COMPLETIONS: &str = "\
Examples:
  shootdown completions bash";

pub const MAN: &str = "\
Examples:
  shootdown man | man -l -";

pub const STRESS: &str = "\
Examples:
  shootdown stress --design v2.6.37                      hangs, and says why
  shootdown stress --design tracked --seconds 60 --record run.jsonl
";

pub const BARE: &str = "\
Examples:
  shootdown bare --design v2.6.37                        hangs, and says why
  shootdown bare --design tracked --seconds 5
";

pub const MUTANTS: &str = "\
Examples:
  shootdown mutants                                      all of them, with who noticed
  shootdown mutants --show lost-ipi                      one of them at length
";

pub const VALIDATE: &str = "\
Examples:
  shootdown validate run.jsonl                           what `stress --record run.jsonl` wrote
";

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    /// The commands of a help text, without what explains them.
    fn examples(help: &str) -> Vec<String> {
        let lines = help.lines().map(str::trim);
        let commands = lines.filter(|l| l.starts_with("shootdown ") && !l.contains(['\\', '|']));
        commands
            .map(|l| l.split("  ").next().unwrap_or_default().to_string())
            .collect()
    }

    #[test]
    fn every_help_has_examples_and_they_parse() {
        let mut broken = Vec::new();
        for command in Cli::command().get_subcommands() {
            let name = command.get_name().to_string();
            let mut command = command.clone();
            let help = command.render_long_help().to_string();
            let examples = examples(&help);
            let only_told = ["replay", "man"].contains(&name.as_str());
            if !help.contains("Examples:") || examples.is_empty() && !only_told {
                broken.push(format!("{name}: no examples"));
            }
            for example in examples {
                let words = example.split_whitespace();
                if let Err(error) = Cli::try_parse_from(words) {
                    let message = error.to_string();
                    let first = message.lines().next().unwrap_or_default();
                    broken.push(format!("{name}: `{example}`: {first}"));
                }
            }
        }
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }
}
