//! Searches that run beside the server, told to whoever asks, ended when nobody does any more.
//!
//! Whoever asks for a search that runs already watches that one. Searches take [turns](super::turns). When the last
//! watcher is gone the search is cancelled; so is one that has searched for [`LONGEST`], and the one that has searched
//! the longest when there are too many.

use super::server::lock;
use super::turns::{Aside, Turn, Turns};
use super::view::event::ProgressView;
use shootdown_spec::search::{Options, Progress, ProgressFn, Stop};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Most searches that run or wait.
const MOST: usize = 32;

/// How long a search may take, the time in which others have their turn left out. `shootdown check` takes longer.
pub const LONGEST: Duration = Duration::from_secs(120);

/// How far a search is.
#[derive(Clone, Debug)]
pub enum Phase<T> {
    /// Others have their turn.
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
    /// There from its first turn to its end.
    turn: Mutex<Option<Arc<Turn>>>,
    /// It had to make room.
    evicted: AtomicBool,
}

impl<T> Job<T> {
    fn searched(&self) -> Duration {
        let turn = lock(&self.turn).clone();
        turn.map_or(Duration::ZERO, |turn| turn.searched())
    }
}

/// Searches by what is searched for.
pub struct Jobs<K, T> {
    turns: Arc<Turns>,
    running: Arc<Running<K, T>>,
}

type Running<K, T> = Mutex<Vec<(K, Arc<Job<T>>)>>;

/// What a search is given: bounds, a way to end it, whom to tell.
pub struct Beside {
    /// Most bytes it may hold.
    pub max_memory: u64,
    /// Raised when nobody wants it any more, or its time is up.
    pub cancel: Arc<AtomicBool>,
    /// Told how it is getting on.
    pub progress: ProgressFn,
    /// Its time was up.
    pub late: Arc<AtomicBool>,
    /// The turn it has; none if it takes none.
    pub turn: Option<Arc<Turn>>,
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

    /// Gives the turn up, to go on beside the turns: for a search that has no moments at which it could. None if nobody
    /// wants it any more.
    pub fn alone(&self) -> Option<Aside> {
        self.turn.as_ref()?.aside(&self.cancel)
    }

    /// Why a search was cut off: that its time was up is told to it as a cancellation.
    pub fn why(&self, stopped: Stop) -> Stop {
        match stopped {
            Stop::Cancelled if self.late.load(Ordering::Relaxed) => Stop::Timeout,
            stopped => stopped,
        }
    }
}

impl<K, T> Jobs<K, T>
where
    K: PartialEq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// None yet.
    pub fn new(turns: Arc<Turns>) -> Jobs<K, T> {
        Jobs {
            turns,
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

    /// Watches the search for `key`, which is begun if it does not run yet.
    pub fn watch(
        &self,
        key: K,
        what: String,
        search: impl FnOnce(&Beside) -> Result<T, String> + Send + 'static,
    ) -> watch::Receiver<Phase<T>> {
        let mut running = lock(&self.running);
        if let Some((_, job)) = running.iter().find(|(k, _)| *k == key) {
            return job.phase.subscribe();
        }
        if running.len() >= MOST {
            make_room(&mut running);
        }
        let (phase, receiver) = watch::channel(Phase::Waiting);
        let job = Arc::new(Job {
            phase,
            cancel: Arc::default(),
            turn: Mutex::new(None),
            evicted: AtomicBool::new(false),
        });
        running.push((key, job.clone()));
        drop(running);
        let running = self.running.clone();
        tokio::spawn(run(job, self.turns.clone(), what, running, search));
        receiver
    }
}

/// Ends the search that has searched the longest: it has had the most of what there is.
fn make_room<K, T>(running: &mut Vec<(K, Arc<Job<T>>)>) {
    let longest = running.iter().enumerate();
    let longest = longest.max_by_key(|(_, (_, job))| job.searched());
    if let Some((at, _)) = longest {
        let (_, job) = running.remove(at);
        job.evicted.store(true, Ordering::Relaxed);
        job.cancel.store(true, Ordering::Relaxed);
    }
}

/// Takes a search off the list once it is over or nobody watches it any more; says whether it did. By identity: under
/// the same key there may be a newer one.
fn forget<K, T>(running: &Running<K, T>, job: &Arc<Job<T>>, over: bool) -> bool {
    // Under the lock nobody can begin to watch what is given up.
    let mut running = lock(running);
    let wanted = job.phase.receiver_count() > 0;
    let forgotten = over || !wanted;
    if forgotten {
        running.retain(|(_, j)| !Arc::ptr_eq(j, job));
    }
    forgotten
}

async fn run<K, T>(
    job: Arc<Job<T>>,
    turns: Arc<Turns>,
    what: String,
    running: Arc<Running<K, T>>,
    search: impl FnOnce(&Beside) -> Result<T, String> + Send + 'static,
) where
    K: Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    let given_up = async {
        loop {
            job.phase.closed().await;
            if forget(&running, &job, false) {
                return;
            }
        }
    };
    let (over, mut ended) = tokio::sync::oneshot::channel();
    let searching = job.clone();
    let begun = std::thread::Builder::new()
        .name("search".into())
        .spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                in_turn(&searching, &turns, what, search)
            }));
            let result = result.unwrap_or_else(|_| Err("the search panicked: a bug".to_string()));
            // Others may have theirs.
            lock(&searching.turn).take();
            let _ = over.send(result);
        });
    if let Err(error) = begun {
        forget(&running, &job, true);
        job.phase
            .send_replace(Phase::Failed(format!("no thread for the search: {error}")));
        return;
    }
    let result = tokio::select! {
        result = &mut ended => result,
        () = given_up => {
            job.cancel.store(true, Ordering::Relaxed);
            ended.await
        }
    };
    forget(&running, &job, true);
    job.phase.send_replace(match result {
        _ if job.evicted.load(Ordering::Relaxed) => {
            Phase::Failed("the search was ended to make room for newer ones".to_string())
        }
        Ok(Ok(value)) => Phase::Done(value),
        Ok(Err(why)) => Phase::Failed(why),
        Err(_) => Phase::Failed("the search ended without a result: a bug".to_string()),
    });
}

/// Searches when it is its turn, on a thread of its own.
fn in_turn<T: Send + Sync + 'static>(
    job: &Arc<Job<T>>,
    turns: &Arc<Turns>,
    what: String,
    search: impl FnOnce(&Beside) -> Result<T, String>,
) -> Result<T, String> {
    let cancelled = || "the search was ended: nobody watched it".to_string();
    let turn = Arc::new(turns.begin(&job.cancel).ok_or_else(cancelled)?);
    *lock(&job.turn) = Some(turn.clone());
    let late = Arc::new(AtomicBool::new(false));
    let (told, is_late) = (job.clone(), late.clone());
    let tell = seldom(move |p| {
        let view = ProgressView::new(&what, p, None);
        told.phase.send_replace(Phase::Running(view));
    });
    let (cancel, mine) = (job.cancel.clone(), turn.clone());
    let beside = Beside {
        max_memory: turn.memory(),
        cancel: job.cancel.clone(),
        late,
        turn: Some(turn.clone()),
        progress: Arc::new(move |p| {
            tell(p);
            mine.pass(&cancel);
            if mine.searched() >= LONGEST && !is_late.swap(true, Ordering::Relaxed) {
                cancel.store(true, Ordering::Relaxed);
            }
        }),
    };
    search(&beside)
}
