//! The third seam: programs that hand out credentials.
//!
//! Credential helpers of docker and credential providers of the kubelet are programs: a request goes to their
//! standard input, a credential comes out. A [`Call`] describes one run, [`Programs`] makes it. What a program
//! printed is a secret until it is read; a simulation answers from a table, and a world without programs says so.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::keyring::Secret;

/// One run of a program.
#[derive(Clone)]
pub struct Call {
    /// A path, or a bare name that is looked for in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables besides those of this process.
    pub environment: Vec<(String, Secret)>,
    /// What it reads on standard input.
    pub input: Secret,
    /// How long it may take.
    pub deadline: Duration,
}

impl fmt::Debug for Call {
    /// The name alone: arguments and variables of credential programs may hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output, at most [`MAX_OUTPUT`] bytes.
    pub output: Secret,
    /// Standard error, at most [`MAX_ERRORS`] bytes. It may hold anything, secrets included.
    pub errors: Secret,
}

/// No answer with credentials is longer.
pub const MAX_OUTPUT: usize = 1024 * 1024;
/// What is kept of standard error.
pub const MAX_ERRORS: usize = 16 * 1024;

/// Why there is no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// There is no such program.
    #[error("there is no such program")]
    NotFound,
    /// It is there and could not be started.
    #[error("it cannot be started: {text}")]
    NotStarted {
        /// What the system said.
        text: String,
    },
    /// It did not end in time, and was ended.
    #[error("it did not end within {} s", deadline.as_secs())]
    TimedOut {
        /// How long was waited.
        deadline: Duration,
    },
    /// It printed more than any answer.
    #[error("it printed more than 1 MiB")]
    TooMuch,
    /// No programs are run in this world.
    #[error("no programs are run here")]
    Forbidden,
}

/// Runs programs.
pub trait Programs: Send + Sync {
    /// Runs one to its end.
    fn run<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Ran, RunError>>;
}

/// Runs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrograms;

impl Programs for NoPrograms {
    fn run<'a>(&'a self, _: &'a Call) -> BoxFuture<'a, Result<Ran, RunError>> {
        Box::pin(async { Err(RunError::Forbidden) })
    }
}
