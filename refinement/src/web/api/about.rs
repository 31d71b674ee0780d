//! `GET /api/about`: everything that is the same for every run.

use super::{Json, work};
use crate::cli::matrix::short_name;
use crate::expectation::Expectations;
use crate::web::error::ApiError;
use crate::web::server::Server;
use crate::web::view::about::{
    About, DesignAbout, EnvironmentAbout, Named, Opening, PropertyAbout, Story, VariantAbout,
};
use crate::web::view::config::bare_schedule;
use axum::extract::State;
use shootdown_spec::check::check;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::{ENVIRONMENTS, Environment};
use shootdown_spec::model::Protocol;
use shootdown_spec::program::PROGRAMS;
use shootdown_spec::property::{Decided, PROPERTIES};
use shootdown_spec::schedule::schedule;
use shootdown_spec::search::Options;
use shootdown_spec::variant::{VARIANTS, VariantSet};
use shootdown_spec::workload::{WORKLOADS, Workload};
use std::sync::{Arc, OnceLock};

/// What happened in 2011.
const STORY: [&str; 5] = [
    "In February 2011 a kernel with transparent huge pages stopped: two CPUs waited for each other for ever.",
    "CPU1 aged a page. It took the mm's page_table_lock, cleared the ACCESSED bit and sent CPU0 an interrupt: flush \
     your TLB.",
    "It spun until CPU0 had answered, still holding the lock.",
    "CPU0 was in vmalloc_sync_all: interrupts off, pgd_lock taken, spinning for that very page_table_lock. With \
     interrupts off it never answered.",
    "No lockdep report: one of the two waits is not for a lock. Here every design that was shipped or proposed is \
     explored in every interleaving, and the runs that go wrong are shown step by step.",
];

/// Everything that is the same for every run.
pub async fn about(State(server): State<Arc<Server>>) -> Result<Json<About>, ApiError> {
    let shared = server.clone();
    work(&server, move || Ok(Json(about_view(&shared)))).await
}

/// The same, for a page without a server.
pub fn about_view(server: &Server) -> About {
    let grid = Expectations::load().grid;
    let mut columns: Vec<&'static str> = Vec::new();
    for cell in &grid {
        let name = ENVIRONMENTS.iter().find(|e| e.name == cell.env);
        if let Some(e) = name.filter(|e| !columns.contains(&e.name)) {
            columns.push(e.name);
        }
    }
    let settings = &server.settings;
    About {
        schema: "shootdown/about/1",
        version: env!("CARGO_PKG_VERSION"),
        story: Story {
            lines: STORY,
            schedule: deadlock_of_2011(),
        },
        default: Opening {
            subject: settings.subject,
            schedule: bare_schedule(&settings.config),
        },
        designs: DESIGNS
            .iter()
            .map(|d| DesignAbout {
                name: d.name,
                origin: d.origin,
                axes: d.design,
            })
            .collect(),
        environments: ENVIRONMENTS
            .iter()
            .map(|e| EnvironmentAbout {
                name: e.name,
                about: e.about,
                axes: e.environment,
            })
            .collect(),
        workloads: WORKLOADS
            .iter()
            .map(|w| Named {
                name: w.name,
                about: w.about,
            })
            .collect(),
        programs: PROGRAMS
            .iter()
            .map(|p| Named {
                name: p.name,
                about: p.about,
            })
            .collect(),
        properties: PROPERTIES
            .iter()
            .map(|p| PropertyAbout {
                name: p.name,
                short: short_name(p.name),
                promise: p.promise,
                relies: p.relied_on_by,
                not_covered: p.not_covered,
                on_graph: matches!(p.decided, Decided::OnGraph),
            })
            .collect(),
        variants: VARIANTS
            .iter()
            .map(|v| VariantAbout {
                name: v.name,
                about: v.about.trim(),
                breaks: v.breaks,
            })
            .collect(),
        columns,
    }
}

/// The shortest run into the deadlock, found once: some ten thousand states.
pub fn deadlock_of_2011() -> Option<String> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let environment = Environment::named("split+thp")?;
        let workload = Workload::parse("aging", &environment).ok()?;
        let design = Design::named("v2.6.37")?;
        let config = Config::new(design, environment, workload, VariantSet::NONE).ok()?;
        let result = check(&Protocol::new(config.clone()), &Options::threads(1));
        let deadlock = result.property("no_deadlock")?.counterexample.as_ref()?;
        Some(schedule(&config, &deadlock.trace))
    });
    found.clone()
}
