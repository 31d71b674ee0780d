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
            let sets = std::sync::Mutex::new([(); 4].map(|()| std::collections::HashSet::<std::num::NonZeroU64>::new()));
            let dup = std::sync::Mutex::new((std::collections::HashMap::<std::num::NonZeroU64, [[shootdown_refinement::code::automaton::NodeId; 2]; 4]>::new(), 0, 0)); let count = std::env::var("COUNT").is_ok();
            let o = loop { let o = search(&r, |m: &Refinement, s: &Joint| { if count { use shootdown_spec::search::fingerprint as f; let mut l = sets.lock().unwrap(); l[0].insert(f(&s.spec)); l[1].insert(f(&s.code.machine)); l[2].insert(f(&s.code.at)); l[3].insert(f(&(s.code.machine, s.spec))); let k=f(&(s.code.machine, s.spec)); let mut d=dup.lock().unwrap(); if let Some(o)=d.0.get(&k).copied() { if o != s.code.at && d.1 < 6 && d.2 % 5000 == 0 { d.1+=1; for c in 0..4 { for l in 0..2 { if o[c][l]!=s.code.at[c][l] { println!("DUP {c} {l}\n   {}\n   {}", m.code.code.dbg(o[c][l]), m.code.code.dbg(s.code.at[c][l])); } } } } d.2+=1; } else { d.0.insert(k, s.code.at); } } m.facts(s) }, &Options::default().keeping_graph());
            let parted = r.code.code.parted(); if parted.is_empty() { break o; }
            println!("again: {}", parted.len());
            r.code.code = r.code.code.again(parted); };
            println!("{} {}: {} states {} trans {:.2}s {:.0}/s {} B/state; runs {} points {} nondet {:?}; bits {:x?}", e.name, d.name, o.unique, o.generated, o.elapsed.as_secs_f64(), o.rate(), o.bytes_per_state as u64, r.code.code.runs(), r.code.code.points(), r.code.code.nondeterminism(), (0..15).filter(|&i| o.hit(i).is_some()).collect::<Vec<_>>());
            if count { let s = sets.lock().unwrap(); println!("   spec {} machine {} at {} both {}", s[0].len(), s[1].len(), s[2].len(), s[3].len()); }
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
