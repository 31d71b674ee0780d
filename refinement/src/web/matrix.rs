//! The verdict matrix, checked once for all browsers, smallest cell first.
//!
//! What is shown for a cell is what came out of its check, never what is written down for it; that stands beside. The
//! check begins with the first browser that asks, waits between cells while nobody looks, and holds one cell's search
//! at a time under the budget: a cell that does not fit is *incomplete* and says so.

use super::job::{Beside, seldom};
use super::server::lock;
use super::view::config::bare_schedule;
use super::view::event::{
    CellProperty, CellState, CellView, ExpectedView, MatrixView, ProgressView,
};
use crate::cli::matrix::short_name;
use crate::expectation::{Cell, Expectations};
use shootdown_refinement::review::word::word;
use shootdown_spec::check::{CheckResult, check};
use shootdown_spec::config::Config;
use shootdown_spec::model::Protocol;
use shootdown_spec::schedule::schedule;
use shootdown_spec::verdict::Verdict;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// The matrix as far as it is known.
pub struct Matrix {
    shared: Arc<Shared>,
    begun: OnceLock<()>,
    budget: u64,
}

struct Shared {
    cells: Mutex<Vec<Stamped>>,
    progress: Mutex<Option<ProgressView>>,
    /// Counts changes.
    changed: watch::Sender<u64>,
    cancel: Arc<AtomicBool>,
}

/// A cell and the change that made it so.
struct Stamped {
    view: CellView,
    stamp: u64,
}

/// What a browser has been told so far.
pub struct Watcher {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    seen: u64,
}

/// What there is to tell.
pub enum News {
    /// Cells that changed.
    Cells(Vec<CellView>),
    /// How the one that is being checked is getting on.
    Progress(ProgressView),
    /// Every cell is done.
    Done,
}

impl Matrix {
    /// Nothing is checked yet.
    pub fn new(budget: u64) -> Matrix {
        Matrix {
            shared: Arc::new(Shared {
                cells: Mutex::new(Vec::new()),
                progress: Mutex::new(None),
                changed: watch::channel(0).0,
                cancel: Arc::default(),
            }),
            begun: OnceLock::new(),
            budget,
        }
    }

    /// Ends the check.
    pub fn cancel(&self) {
        self.shared.cancel.store(true, Ordering::Relaxed);
        self.shared.tell();
    }

    /// The matrix as it stands, and what will tell of changes. The first one begins the check.
    pub fn watch(&self) -> (MatrixView, Watcher) {
        self.begun.get_or_init(|| begin(&self.shared, self.budget));
        let changes = self.shared.changed.subscribe();
        let cells = lock(&self.shared.cells);
        let seen = cells.iter().map(|c| c.stamp).max().unwrap_or(0);
        let cells: Vec<CellView> = cells.iter().map(|c| c.view.clone()).collect();
        let view = MatrixView {
            schema: "shootdown/matrix-live/1",
            done: cells.iter().filter(|c| c.state == CellState::Done).count(),
            cells,
        };
        let watcher = Watcher {
            shared: self.shared.clone(),
            changes,
            seen,
        };
        (view, watcher)
    }
}

impl Watcher {
    /// Waits for news; `None` when there will be none.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            {
                let cells = lock(&self.shared.cells);
                let news: Vec<CellView> = cells
                    .iter()
                    .filter(|c| c.stamp > self.seen)
                    .map(|c| c.view.clone())
                    .collect();
                self.seen = cells.iter().map(|c| c.stamp).max().unwrap_or(0);
                if !news.is_empty() {
                    return Some(News::Cells(news));
                }
                if cells.iter().all(|c| c.view.state == CellState::Done) {
                    return Some(News::Done);
                }
            }
            self.changes.changed().await.ok()?;
            if self.shared.cancel.load(Ordering::Relaxed) {
                return None;
            }
            let progress = lock(&self.shared.progress).clone();
            let fresh = lock(&self.shared.cells).iter().any(|c| c.stamp > self.seen);
            if let (false, Some(progress)) = (fresh, progress) {
                return Some(News::Progress(progress));
            }
        }
    }
}

impl Shared {
    fn tell(&self) -> u64 {
        let mut stamp = 0;
        self.changed.send_modify(|n| {
            *n += 1;
            stamp = *n;
        });
        stamp
    }

    fn set(&self, index: usize, change: impl FnOnce(&mut CellView)) {
        let mut cells = lock(&self.cells);
        change(&mut cells[index].view);
        // Stamped under the lock, so that nobody sees the change without its stamp.
        cells[index].stamp = *self.changed.borrow() + 1;
        drop(cells);
        self.tell();
    }
}

/// Lists the cells and starts checking them.
fn begin(shared: &Arc<Shared>, budget: u64) {
    let grid: Vec<(Cell, Config)> = Expectations::load()
        .grid
        .into_iter()
        .filter_map(|cell| {
            let config = cell.config().ok()?;
            Some((cell, config))
        })
        .collect();
    let views = grid
        .iter()
        .enumerate()
        .map(|(index, (cell, config))| Stamped {
            view: waiting(index, cell, config),
            stamp: 0,
        });
    *lock(&shared.cells) = views.collect();
    let shared = shared.clone();
    let begun = std::thread::Builder::new()
        .name("matrix".into())
        .spawn(move || check_all(&shared, &grid, budget));
    if let Err(error) = begun {
        tracing::warn!(%error, "the matrix is not checked");
    }
}

fn waiting(index: usize, cell: &Cell, config: &Config) -> CellView {
    CellView {
        index,
        design: cell.design.clone(),
        environment: cell.env.clone(),
        workload: cell.workload.clone(),
        state: CellState::Waiting,
        verdict: None,
        properties: Vec::new(),
        states: None,
        stopped: None,
        config: bare_schedule(config),
        expected: ExpectedView {
            states: cell.states,
            violated: cell.violated.clone(),
            vacuous: cell.vacuous.clone(),
        },
        as_expected: None,
        proof: None,
        depth: None,
        word: None,
    }
}

fn check_all(shared: &Arc<Shared>, grid: &[(Cell, Config)], budget: u64) {
    let mut order: Vec<usize> = (0..grid.len()).collect();
    order.sort_by_key(|&i| grid[i].0.states);
    for i in order {
        let stopped = || shared.cancel.load(Ordering::Relaxed);
        while shared.changed.receiver_count() == 0 && !stopped() {
            std::thread::sleep(Duration::from_millis(50));
        }
        if stopped() {
            return;
        }
        let (cell, config) = &grid[i];
        shared.set(i, |view| view.state = CellState::Running);
        let result = check(
            &Protocol::new(config.clone()),
            &options(shared, cell, budget),
        );
        if stopped() {
            return;
        }
        shared.set(i, |view| done(view, cell, config, &result));
    }
    *lock(&shared.progress) = None;
    shared.tell();
}

fn options(shared: &Arc<Shared>, cell: &Cell, budget: u64) -> shootdown_spec::search::Options {
    let what = format!("{} in {}", cell.design, cell.env);
    let (told, states) = (shared.clone(), cell.states);
    let beside = Beside {
        turn: None,
        max_memory: budget,
        cancel: shared.cancel.clone(),
        late: Arc::default(),
        progress: seldom(move |p| {
            *lock(&told.progress) = Some(ProgressView::new(&what, p, Some(states)));
            told.tell();
        }),
    };
    beside.options()
}

fn done(view: &mut CellView, cell: &Cell, config: &Config, result: &CheckResult) {
    view.state = CellState::Done;
    view.properties = properties(config, result, |name| cell.expected(name));
    view.verdict = worst(&view.properties);
    let violated: Vec<&str> = result.violated().collect();
    let deadlock = result.property("no_deadlock").map(|p| p.verdict);
    view.word = Some(word(&violated, deadlock, result.complete, &cell.workload));
    view.states = Some(result.states.unique);
    view.depth = Some(result.states.depth);
    view.proof = cell.prove().ok();
    view.stopped = result.stopped.map(|s| s.to_string());
    view.as_expected = result.complete.then(|| cell.differences(result).is_empty());
}

/// Every property's verdict and shortest counterexample.
fn properties(
    config: &Config,
    result: &CheckResult,
    expected: impl Fn(&str) -> Verdict,
) -> Vec<CellProperty> {
    let one = |p: &shootdown_spec::verdict::PropertyResult| CellProperty {
        name: p.name,
        short: short_name(p.name),
        verdict: p.verdict,
        expected: expected(p.name),
        schedule: p
            .counterexample
            .as_ref()
            .map(|c| schedule(config, &c.trace)),
        steps: p.counterexample.as_ref().map(|c| c.trace.actions.len()),
        unreached: p
            .witnesses
            .iter()
            .filter(|(_, reached)| !reached)
            .map(|(name, _)| *name)
            .collect(),
    };
    result.properties.iter().map(one).collect()
}

/// Violated before incomplete before what holds; a vacuous property does not make its cell vacuous.
fn worst(properties: &[CellProperty]) -> Option<Verdict> {
    let any = |verdict| properties.iter().any(|p| p.verdict == verdict);
    Some(if any(Verdict::Violated) {
        Verdict::Violated
    } else if any(Verdict::Incomplete) {
        Verdict::Incomplete
    } else {
        Verdict::Holds
    })
}
