//! The protocol of a recorded run, from the trace's first line.
//!
//! Design, environment and placement are the header's. Every program may run, on any mm, any number of times: what
//! a run did is in its events, so the workload constrains nothing ([`super::shadow`] tops up the budgets and lets
//! `pgd_alloc` have any slot).

use shootdown_impl::host::trace::Header;
use shootdown_spec::config::{Config, Start};
use shootdown_spec::id::{MAX_CPUS, MAX_MMS, MmId};
use shootdown_spec::model::Protocol;
use shootdown_spec::state::State;
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;

use crate::map;
use crate::map::id::mm_to_spec;

/// A recorded run's protocol and where it starts.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The trace's first line.
    pub header: Header,
    /// The protocol.
    pub protocol: Protocol,
    /// Where each CPU starts.
    pub start: Start,
}

impl Recorded {
    /// The protocol of a trace with this first line.
    ///
    /// # Errors
    /// If the header contradicts itself, or there are more CPUs or mms than the protocol has room for.
    pub fn new(header: &Header) -> Result<Self, String> {
        let env = &header.environment;
        let room = |what: &str, n: u8, most: usize| {
            let fits = n > 0 && usize::from(n) <= most;
            let no = || format!("the protocol has room for 1 to {most} {what}, the trace has {n}");
            fits.then_some(()).ok_or_else(no)
        };
        room("CPUs", env.cpus, MAX_CPUS)?;
        room("mm slots", env.mms, MAX_MMS)?;
        room("mms at the start", header.alive, MAX_MMS - 1)?;
        if header.alive > env.mms {
            return Err(format!(
                "{} mms are alive in {} slots",
                header.alive, env.mms
            ));
        }
        if header.design.as_deref() != header.axes.name() {
            let (says, is) = (header.design.as_deref(), header.axes.name());
            let name = |n: Option<&str>| n.map_or("none".to_string(), |n| format!("`{n}`"));
            return Err(format!(
                "the design is {}, but its axes are those of {}",
                name(says),
                name(is)
            ));
        }
        if header.placement.len() != usize::from(env.cpus) {
            let (n, cpus) = (header.placement.len(), env.cpus);
            return Err(format!("`placement` has {n} entries for {cpus} CPUs"));
        }
        if let Some(mm) = header
            .placement
            .iter()
            .flatten()
            .find(|mm| mm.0 >= header.alive)
        {
            return Err(format!(
                "a CPU starts on {mm}, which is not alive at the start"
            ));
        }
        let environment = map::config::environment_of(env, header.alive);
        let workload =
            Workload::parse("everything+madvise", &environment).map_err(|e| e.to_string())?;
        let design = map::config::design(&header.axes);
        let config = Config::new(design, environment, workload, VariantSet::default())
            .map_err(|e| e.to_string())?;
        let mut start = [MmId::NONE; MAX_CPUS];
        for (at, mm) in header.placement.iter().enumerate() {
            start[at] = mm_to_spec(*mm);
        }
        Ok(Self {
            header: header.clone(),
            protocol: Protocol::new(config),
            start,
        })
    }

    /// The state at the start. Unlike in the checker nothing is accessed yet: the recorder's user code runs.
    pub fn initial(&self) -> State {
        let mut state = State::initial(&self.protocol.config, &self.start);
        for mm in &mut state.mms {
            mm.age();
        }
        for cpu in &mut state.cpus {
            cpu.budget = 0;
        }
        state
    }
}
