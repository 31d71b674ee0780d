//! The documented exit codes, and nothing else.

/// What the process says to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitCode {
    /// As promised, or as expected.
    AsPromised = 0,
    /// Violated, rejected, or not as expected.
    NotAsExpected = 1,
    /// Usage, or unreadable input.
    Usage = 2,
    /// A bound, a time-out or Ctrl-C cut it off.
    Incomplete = 3,
    /// A bug here.
    Internal = 4,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code as u8)
    }
}
