//! Every module that can be written is whole: a step has an action, an action gives every variable
//! its next value, a property has a predicate.

use super::*;
use crate::design::Design;
use crate::environment::ENVIRONMENTS;
use crate::variant::VARIANTS;
use std::collections::BTreeSet;
use std::path::Path;

/// Every named design in every named environment, and every deviation of one design where the most
/// can happen.
fn configs() -> Vec<Config> {
    let config = |design: Design, environment: Environment, variants| {
        let workload = Workload::parse("everything+madvise", &environment).expect("a workload");
        Config::new(design, environment, workload, variants).expect("it makes sense")
    };
    let mut all = Vec::new();
    for design in DESIGNS {
        let plain = ENVIRONMENTS.iter();
        all.extend(plain.map(|e| config(design.design, e.environment, VariantSet::NONE)));
    }
    let tracked = Design::named("tracked").expect("a design");
    let everywhere = Environment::named("irq-free").expect("an environment");
    let deviating = VARIANTS.iter().map(|v| VariantSet::only(v.variant));
    all.extend(deviating.map(|v| config(tracked, everywhere, v)));
    all
}

/// Definitions by name, each with its body; comments taken out.
fn definitions(module: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in module.lines() {
        let line = line.split("\\*").next().unwrap_or_default().trim_end();
        let head = line.split_once(" ==").map(|(head, _)| head);
        match head.filter(|h| h.starts_with(|c: char| c.is_ascii_alphabetic())) {
            Some(head) => {
                let name = head.split('(').next().unwrap_or(head).trim();
                all.push((name.to_string(), format!("{line}\n")));
            }
            None if line.starts_with(' ') => {
                if let Some((_, body)) = all.last_mut() {
                    *body += line;
                    body.push('\n');
                }
            }
            None => {}
        }
    }
    all
}

/// Words of the text.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|w| !w.is_empty())
        .collect()
}

#[test]
fn every_step_of_every_program_is_an_action_with_its_statement() {
    for config in configs() {
        let module = write(&config, "M");
        let defined = definitions(&module);
        for flow in Exported::new(&config).programs() {
            for step in &flow.steps {
                let name = format!("{}_{}", flow.program.id, step.pc);
                let named = defined.iter().filter(|(n, _)| *n == name);
                assert_eq!(named.count(), 1, "{name} of {}", config.design);
                // As an action it stands once in its program.
                let (_, all) = defined
                    .iter()
                    .find(|(n, _)| n == flow.program.id.name())
                    .expect("the program");
                assert_eq!(all.matches(&format!("{name}(")).count(), 1, "{name}");
            }
        }
    }
}

#[test]
fn every_action_gives_every_variable_its_next_value_once() {
    for config in configs() {
        let e = Exported::new(&config);
        let variables = Variables::of(&e);
        let module = write(&config, "M");
        let defined = definitions(&module);
        // A group of one variable has that one's name and no definition.
        let members = |group: &'static str| -> Vec<String> {
            let Some((_, body)) = defined.iter().find(|(n, _)| n == group) else {
                return vec![group.to_string()];
            };
            let (_, list) = body.split_once("<<").expect("a tuple");
            let list = list.trim_end().trim_end_matches(">>");
            list.split(", ").map(String::from).collect()
        };
        let groups = variables::GROUPS.map(|(group, _)| (group, members(group)));
        let all: Vec<&String> = groups.iter().flat_map(|(_, m)| m).collect();
        let is_action = |(name, body): &&(String, String)| {
            body.contains("UNCHANGED") && !name.contains("local_flush")
        };
        for (name, body) in defined.iter().filter(is_action) {
            // The last conjunct; those before are of one outcome.
            let last = words(body.rsplit_once("UNCHANGED").expect("it has one").1);
            let mut kept: Vec<&String> = Vec::new();
            for (group, members) in &groups {
                let whole = last.contains(group) && members.len() > 1;
                kept.extend(
                    members
                        .iter()
                        .filter(|m| whole || last.contains(m.as_str())),
                );
            }
            for variable in &all {
                let flushed = ["cpumask", "loaded", "tlb"].contains(&variable.as_str());
                let own = body.contains(&format!(" {variable}' ="))
                    || body.contains("Goto(") && *variable == "pc"
                    || body.contains("local_flush_tlb(") && flushed;
                let kept = kept.iter().filter(|k| k == &variable).count();
                let once = usize::from(own) + kept == 1;
                assert!(once, "{variable} in {name} of {}: {body}", config.design);
            }
        }
        assert!(all.iter().all(|v| variables.has(v.as_str())));
    }
}

#[test]
fn every_placement_and_every_property_is_written() {
    for config in configs() {
        let module = write(&config, "M");
        assert_eq!(
            module.matches("    cpu0 :> ").count(),
            config.starts().len()
        );
        for property in crate::property::PROPERTIES {
            let head = format!("\n{} ==", property.name);
            assert_eq!(module.matches(&head).count(), 1, "{}", property.name);
        }
        let safety = cfg(&config, Question::Safety { symmetry: false }).expect("no symmetry");
        for property in Exported::state_properties() {
            assert_eq!(safety.matches(property.name).count(), 1);
        }
    }
}

#[test]
fn every_constant_is_given_a_value_and_every_name_is_defined() {
    for config in configs() {
        let module = write(&config, "M");
        let safety = cfg(&config, Question::Safety { symmetry: false }).expect("no symmetry");
        for name in objects::names(&config) {
            assert!(safety.contains(&format!("    {name} = {name}\n")), "{name}");
            assert!(words(&module).contains(name.as_str()), "{name}");
        }
    }
}

#[test]
fn symmetry_is_refused_where_cpus_differ() {
    let config = |workload: &str, cpus, variants| {
        let environment = Environment {
            cpus,
            ..Environment::default()
        };
        let workload = Workload::parse(workload, &environment).expect("a workload");
        let design = DESIGNS[1].design;
        Config::new(design, environment, workload, variants).expect("it makes sense")
    };
    let asked = Question::Safety { symmetry: true };
    let plain = config("aging", 2, VariantSet::NONE);
    let text = cfg(&plain, asked).expect("one role for all");
    assert!(text.contains("\nSYMMETRY Symmetry\n"));
    for (refused, why) in [
        (config("three-cpus", 3, VariantSet::NONE), Asymmetric::Roles),
        (config("aging", 1, VariantSet::NONE), Asymmetric::One),
        (
            config("aging", 2, VariantSet::only(Variant::SkipOneTarget)),
            Asymmetric::Numbers,
        ),
    ] {
        assert_eq!(cfg(&refused, asked), Err(why));
    }
    // Never with a temporal formula.
    let progress = cfg(&plain, Question::Progress).expect("it does not ask for it");
    assert!(!progress.contains("SYMMETRY"));
}

#[test]
fn the_kept_modules_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tla");
    for (name, text) in kept() {
        let kept = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            kept == text,
            "spec/tla/{name} is stale: `cargo run --release -- export tla --docs .` writes it anew"
        );
    }
}

#[test]
fn a_module_can_be_called_what_tla_can_call_it() {
    let named = |name| {
        let design = DESIGNS.iter().find(|d| d.name == name).expect("a design");
        let workload = Workload::parse("aging", &Environment::default()).expect("a workload");
        let config = Config::new(
            design.design,
            Environment::default(),
            workload,
            VariantSet::NONE,
        );
        module_name(&config.expect("it makes sense"))
    };
    assert_eq!(named("v2.6.37"), "v2_6_37");
    assert_eq!(named("tracked-plain"), "tracked_plain");
    for design in DESIGNS {
        assert!(is_module_name(&named(design.name)));
    }
    for name in ["", "12", "a-b", "a b", "\u{e4}"] {
        assert!(!is_module_name(name), "{name}");
    }
}
