//! The kernel map in short: what stands for what.

use super::document::{Block, Part, Table};
use crate::map;
use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;

pub fn part() -> Part {
    let environment = Environment {
        mms: 2,
        ..Environment::default()
    };
    let workload = Workload::parse("everything+madvise", &environment).expect("it is named");
    let design = Design::named("v2.6.38").expect("it is named");
    let config =
        Config::new(design, environment, workload, VariantSet::NONE).expect("it makes sense");
    let mut table = Table::new([
        "program",
        "what it does",
        "kernel functions it passes through",
        "steps",
        "implementation",
    ]);
    for program in config.reachable_programs() {
        let real = || program.lines.iter().filter(|l| !l.op.is_control());
        let mut functions: Vec<&str> = Vec::new();
        for line in real() {
            if !functions.contains(&line.function) {
                functions.push(line.function);
            }
        }
        let functions: Vec<_> = functions.iter().map(|f| format!("`{f}`")).collect();
        let file = map::config::implemented(program.id).map_or("", |i| i.file);
        table.row([
            format!("`{}`", program.id.name()),
            program.id.info().about.replace('|', "\\|"),
            functions.join(", "),
            real().count().to_string(),
            format!("`{file}`"),
        ]);
    }
    Part {
        title: "Kernel map".into(),
        blocks: vec![
            Block::Text(
                "The kernel paths are programs: lists of steps, each with the C statement it stands for, in files of the kernel \
                 function's name under `spec/src/path/`, to be read beside the C. Here as in `v2.6.38`; statement by statement: \
                 [kernel-map.md](kernel-map.md)."
                    .into(),
            ),
            Block::Fold {
                title: "Program by program".into(),
                listed: false,
                open: false,
                blocks: vec![Block::Table(table)],
            },
        ],
    }
}
