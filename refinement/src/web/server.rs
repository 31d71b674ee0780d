//! What all requests share.

use super::api::{Answer, UNITS};
use super::clients::Clients;
use super::fates::Fates;
use super::job::Jobs;
use super::lru::Lru;
use super::matrix::Matrix;
use super::scenario::Text;
use super::turns::Turns;
use super::view::event::{FatesView, FoundView};
use super::view::run::SubjectName;
use serde::Serialize;
use shootdown_spec::config::Config;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// What `explore` was started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is explored.
    pub config: Config,
    /// Which side of it.
    pub subject: SubjectName,
    /// Most bytes in which graphs are kept.
    pub graph_budget: u64,
    /// Most bytes a search may hold that begins alone; later ones get less, all together hold twice as much.
    pub search_budget: u64,
}

/// Most bytes in which results of searches are kept: each is a few schedules.
const RESULT_BUDGET: u64 = 4 << 20;

/// What is searched for: a subject in a configuration, written as its schedule without actions.
pub type Key = (SubjectName, String);

/// Every property's result of one configuration.
pub type Found = Arc<Vec<FoundView>>;

/// What all requests share.
pub struct Server {
    /// What it was started with.
    pub settings: Settings,
    /// Searches for counterexamples.
    pub finds: Jobs<Key, Found>,
    /// What they found.
    pub found: Mutex<Lru<Key, Found>>,
    /// Searches for fates.
    pub graphs: Jobs<Key, FatesView>,
    /// The graphs they made.
    pub fates: Mutex<Lru<Key, Arc<Fates>>>,
    /// Checks of scenarios, and comparisons of two.
    pub scenarios: Jobs<Vec<Text>, Answer>,
    /// Room for texts that are being read.
    pub bodies: Semaphore,
    /// The matrix.
    pub matrix: Matrix,
    /// Who is connected.
    pub clients: Clients,
    /// Counters.
    pub counts: Counts,
    started: SystemTime,
}

/// Counters that only grow.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that were answered or refused.
    pub requests: AtomicU64,
    /// Handlers that panicked.
    pub panics: AtomicU64,
}

/// `/api/status`: how the server is.
#[derive(Clone, Debug, Serialize)]
pub struct StatusView {
    schema: &'static str,
    version: &'static str,
    /// Milliseconds since 1970: another number means that the server was started again.
    started: u64,
    requests: u64,
    panics: u64,
    connections: usize,
    searches: usize,
    graphs: CacheView,
    results: CacheView,
}

/// A cache by its own accounting.
#[derive(Clone, Debug, Serialize)]
pub struct CacheView {
    entries: usize,
    bytes: u64,
    budget: u64,
    evicted: u64,
}

impl CacheView {
    fn new<K: PartialEq, V: Clone>(lru: &Lru<K, V>) -> CacheView {
        CacheView {
            entries: lru.len(),
            bytes: lru.bytes(),
            budget: lru.budget(),
            evicted: lru.evicted(),
        }
    }
}

/// What was told before a panic is still true.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// With nothing worked out yet.
    pub fn new(settings: Settings) -> Server {
        let turns = Arc::new(Turns::new(settings.search_budget));
        Server {
            finds: Jobs::new(turns.clone()),
            found: Mutex::new(Lru::new(RESULT_BUDGET)),
            graphs: Jobs::new(turns.clone()),
            scenarios: Jobs::new(turns),
            bodies: Semaphore::new(UNITS),
            fates: Mutex::new(Lru::new(settings.graph_budget)),
            matrix: Matrix::new(settings.search_budget),
            clients: Clients::default(),
            counts: Counts::default(),
            started: SystemTime::now(),
            settings,
        }
    }

    /// Ends everything that runs beside the server.
    pub fn cancel(&self) {
        self.finds.cancel();
        self.graphs.cancel();
        self.scenarios.cancel();
        self.matrix.cancel();
    }

    /// The fates of a configuration, if its graph is at hand.
    pub fn fates_of(&self, key: &Key) -> Option<Arc<Fates>> {
        lock(&self.fates).get(key)
    }

    /// How it is.
    pub fn status(&self) -> StatusView {
        let started = self.started.duration_since(UNIX_EPOCH);
        StatusView {
            schema: "shootdown/status/1",
            version: env!("CARGO_PKG_VERSION"),
            started: started.map_or(0, |d| d.as_millis() as u64),
            requests: self.counts.requests.load(Ordering::Relaxed),
            panics: self.counts.panics.load(Ordering::Relaxed),
            connections: self.clients.len(),
            searches: self.finds.len() + self.graphs.len() + self.scenarios.len(),
            graphs: CacheView::new(&lock(&self.fates)),
            results: CacheView::new(&lock(&self.found)),
        }
    }
}
