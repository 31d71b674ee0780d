//! probe
use shootdown_refinement::map;
use shootdown_refinement::relation::joint::*;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::{ENVIRONMENTS, Environment};
use shootdown_spec::search::{Options, replay_trail, search};
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;

#[test]
fn probe() {
    let only_env = std::env::var("ENVS").unwrap_or("nosplit,split".into());
    let only_design = std::env::var("DESIGN").ok();
    for e in ENVIRONMENTS {
        if !only_env.split(',').any(|x| x == e.name) { continue; }
        for d in DESIGNS {
            if only_design.as_deref().is_some_and(|x| x != d.name) { continue; }
            let env = Environment::named(e.name).unwrap();
            let w = if e.name == "3-cpus" { "aging" } else { "everything" };
            let w = std::env::var("WL").unwrap_or(w.into());
            let w = Workload::parse(&w, &env).unwrap();
            let config = Config::new(d.design, env, w, VariantSet::NONE).unwrap();
            let axes = map::config::axes(&d.design);
            let mut r = Refinement::new(config.clone(), Box::new(axes));
            if std::env::var("FULL").is_ok() { r.code.reduce = false; }
            let o = search(&r, |m: &Refinement, s: &Joint| m.facts(s), &Options::default().keeping_graph());
            println!("{} {}: {} states {} trans {:.2}s {:.0}/s {} B/state; runs {} points {} nondet {:?}; bits {:x?}", e.name, d.name, o.unique, o.generated, o.elapsed.as_secs_f64(), o.rate(), o.bytes_per_state as u64, r.code.code.runs(), r.code.code.points(), r.code.code.nondeterminism(), (0..15).filter(|&i| o.hit(i).is_some()).collect::<Vec<_>>());
            for bit in [61,62,63] { if let Some(h) = o.hit(bit) {
                println!("  BIT {bit} depth {} count {}", h.depth, o.counts[bit]);
                let path = replay_trail(&r, &h.trail).unwrap();
                let mut last = path[0].1;
                for (a, s) in &path[1..] { let a = a.unwrap();
                    let (n, m) = r.step(&last, &a);
                    println!("    {a}   {:?}", if let Some(l) = r.spec.line(&last.spec, &a) { l.1.source } else {""});
                    if let Some(m) = m { println!("   MISFIT {}", format!("{m:#?}").lines().filter(|l| !l.contains("candidate")).take(14).collect::<Vec<_>>().join(" ")); }
                    if let Some(m) = n.code.noticed { println!("   NOTICED {m}"); }
                    let _ = s; last = n;
                }
                println!("{:?}", last.spec);
            } }
        }
    }
}
