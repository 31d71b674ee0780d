//! `list`: every section in every form.

use crate::run;
use serde_json::Value;

const SECTIONS: &[(&str, &str)] = &[
    ("designs", "tracked-plain"),
    ("environments", "nosplit+irq-free"),
    ("axes", "--flush-backend"),
    ("programs", "page_referenced_one"),
    ("properties", "no_irqs_off_wait_for_flush_lock"),
    ("workloads", "cry-wolf"),
    ("variants", "lost-ack"),
    ("barriers", "locked-clear"),
    ("steps", "vmalloc_sync_all"),
];

#[test]
fn every_section_is_listed_as_text_json_and_markdown() {
    for (section, name) in SECTIONS {
        run(&format!("list {section}")).exits(0).prints(&[name]);
        run(&format!("list {section} --markdown"))
            .exits(0)
            .prints(&[name]);
        let ran = run(&format!("list {section} --format json")).exits(0);
        let json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
        assert_eq!(json["schema"], "shootdown/list/1");
        let list = &json["lists"][0];
        let columns = list["columns"].as_array().expect("a list").len();
        let rows = list["rows"].as_array().expect("a list");
        assert!(
            rows.iter().any(|r| r.to_string().contains(name)),
            "{section}"
        );
        for row in rows {
            assert_eq!(row.as_array().map(Vec::len), Some(columns), "{row}");
        }
    }
}

#[test]
fn without_a_section_everything_but_the_steps_is_listed() {
    let ran = run("list").exits(0);
    for (section, name) in SECTIONS.iter().filter(|s| s.0 != "steps") {
        assert!(ran.out.contains(name), "{section}");
    }
}

#[test]
fn an_unknown_section_gets_the_right_ones() {
    run("list desings")
        .exits(2)
        .complains(&["designs", "programs", "steps"]);
}

/// No identifier is broken, however narrow the terminal.
#[test]
fn every_name_is_whole() {
    for columns in ["50", "80", "99"] {
        let output = crate::shootdown()
            .env("COLUMNS", columns)
            .arg("list")
            .output();
        let ran = crate::Ran::from(output.expect("it runs")).exits(0);
        for name in [
            "tracked-plain",
            "young_after_unlock",
            "after_unlock_tracked",
            "nosplit+irq-free",
            "page_referenced_one_huge",
            "no_irqs_off_wait_for_flush_lock",
        ] {
            let whole = ran.out.split([' ', ',', '\n']).any(|word| word == name);
            assert!(whole, "{columns}: no {name} in\n{}", ran.out);
        }
    }
}

#[test]
fn lists_keep_to_the_width_of_the_terminal() {
    for columns in ["80", "120"] {
        let output = crate::shootdown()
            .env("COLUMNS", columns)
            .arg("list")
            .output();
        let ran = crate::Ran::from(output.expect("it runs")).exits(0);
        let width: usize = columns.parse().expect("a number");
        for line in ran.out.lines() {
            assert!(line.chars().count() <= width, "{columns}: {line}");
        }
    }
}
