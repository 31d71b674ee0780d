//! Searches that run beside the server, told to whoever asks, ended when nobody does any more.
//!
//! Whoever asks for a search that runs already watches that one. One search runs at a time (so that the page stays
//! quick on two cores); the others wait their turn. When the last watcher is gone the search is cancelled.

use super::server::lock;
use super::view::event::ProgressView;
use shootdown_spec::search::{Options, Progress, ProgressFn};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// Most searches that run or wait.
const MOST: usize = 32;

/// How far a search is.
#[derive(Clone, Debug)]
pub enum Phase<T> {
    /// Another one is running.
    Waiting,
    /// It runs.
    Running(ProgressView),
    /// It is over.
    Done(T),
    /// It came to nothing.
    Failed(String),
}

/// One search.
pub struct Job<T> {
    phase: watch::Sender<Phase<T>>,
    cancel: Arc<AtomicBool>,
}

impl Job<()> {
    /// The turn that searches wait for.
    pub fn slot() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }
}

/// Searches by what is searched for.
pub struct Jobs<K, T> {
    slot: Arc<Semaphore>,
    running: Arc<Running<K, T>>,
}

type Running<K, T> = Mutex<Vec<(K, Arc<Job<T>>)>>;

/// What a search is given: bounds, a way to end it, whom to tell.
pub struct Beside {
    /// Most bytes it may hold.
    pub max_memory: u64,
    /// Raised when nobody wants it any more.
    pub cancel: Arc<AtomicBool>,
    /// Told how it is getting on.
    pub progress: ProgressFn,
}

/// Tells how a search is getting on, but not more often than anybody can read.
pub fn seldom(tell: impl Fn(&Progress) + Send + Sync + 'static) -> ProgressFn {
    const PAUSE: Duration = Duration::from_millis(100);
    let last = Mutex::new(None::<Instant>);
    Arc::new(move |progress: &Progress| {
        let mut last = lock(&last);
        if last.is_none_or(|at| at.elapsed() >= PAUSE) {
            *last = Some(Instant::now());
            tell(progress);
        }
    })
}

impl Beside {
    /// The search's options. One thread: the page and whatever else runs here need the other cores.
    pub fn options(&self) -> Options {
        Options {
            threads: NonZeroUsize::MIN,
            max_memory: Some(self.max_memory),
            cancel: self.cancel.clone(),
            progress: Some(self.progress.clone()),
            ..Options::default()
        }
    }
}

impl<K, T> Jobs<K, T>
where
    K: PartialEq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// None yet; they take turns for `slot`.
    pub fn new(slot: Arc<Semaphore>) -> Jobs<K, T> {
        Jobs {
            slot,
            running: Arc::default(),
        }
    }

    /// How many run or wait.
    pub fn len(&self) -> usize {
        lock(&self.running).len()
    }

    /// Ends them all.
    pub fn cancel(&self) {
        for (_, job) in lock(&self.running).iter() {
            job.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Watches the search for `key`, which is begun if it does not run yet. `None`: too many do.
    pub fn watch(
        &self,
        key: K,
        what: String,
        max_memory: u64,
        search: impl FnOnce(&Beside) -> Result<T, String> + Send + 'static,
    ) -> Option<watch::Receiver<Phase<T>>> {
        let mut running = lock(&self.running);
        if let Some((_, job)) = running.iter().find(|(k, _)| *k == key) {
            return Some(job.phase.subscribe());
        }
        if running.len() >= MOST {
            return None;
        }
        let (phase, receiver) = watch::channel(Phase::Waiting);
        let job = Arc::new(Job {
            phase,
            cancel: Arc::default(),
        });
        running.push((key.clone(), job.clone()));
        drop(running);
        tokio::spawn(run(
            job.clone(),
            self.slot.clone(),
            what,
            max_memory,
            search,
            forget(self.running.clone(), job, key),
        ));
        Some(receiver)
    }
}

/// Takes a search off the list once it is over or nobody watches it any more; says whether it did.
fn forget<K, T>(
    running: Arc<Running<K, T>>,
    job: Arc<Job<T>>,
    key: K,
) -> impl Fn(bool) -> bool + Send + Sync + 'static
where
    K: PartialEq + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    move |over| {
        // Under the lock nobody can begin to watch what is given up.
        let mut running = lock(&running);
        let wanted = job.phase.receiver_count() > 0;
        let forgotten = over || !wanted;
        if forgotten {
            running.retain(|(k, _)| *k != key);
        }
        forgotten
    }
}

async fn run<T: Clone + Send + Sync + 'static>(
    job: Arc<Job<T>>,
    slot: Arc<Semaphore>,
    what: String,
    max_memory: u64,
    search: impl FnOnce(&Beside) -> Result<T, String> + Send + 'static,
    forget: impl Fn(bool) -> bool + Send + Sync + 'static,
) {
    let given_up = async {
        loop {
            job.phase.closed().await;
            if forget(false) {
                return;
            }
        }
    };
    tokio::pin!(given_up);
    let turn = tokio::select! {
        turn = slot.acquire_owned() => turn,
        () = &mut given_up => return,
    };
    let told = job.clone();
    let beside = Beside {
        max_memory,
        cancel: job.cancel.clone(),
        progress: seldom(move |p| {
            let view = ProgressView::new(&what, p, None);
            told.phase.send_replace(Phase::Running(view));
        }),
    };
    let (over, mut ended) = tokio::sync::oneshot::channel();
    let begun = std::thread::Builder::new()
        .name("search".into())
        .spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| search(&beside)));
            let result = result.unwrap_or_else(|_| Err("the search panicked: a bug".to_string()));
            let _ = over.send(result);
        });
    if let Err(error) = begun {
        forget(true);
        job.phase
            .send_replace(Phase::Failed(format!("no thread for the search: {error}")));
        return;
    }
    let result = tokio::select! {
        result = &mut ended => result,
        () = &mut given_up => {
            job.cancel.store(true, Ordering::Relaxed);
            // Its turn is over when it has ended, not before.
            ended.await
        }
    };
    drop(turn);
    forget(true);
    job.phase.send_replace(match result {
        Ok(Ok(value)) => Phase::Done(value),
        Ok(Err(why)) => Phase::Failed(why),
        Err(_) => Phase::Failed("the search ended without a result: a bug".to_string()),
    });
}
