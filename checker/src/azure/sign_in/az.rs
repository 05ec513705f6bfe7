//! The Azure CLI, run as every other program that hands out credentials: bounded, and only where programs may run.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use azure_identity::Executor;

use crate::keyring::Secret;
use crate::world::{Call, Programs};

/// Runs what the SDK wants run.
pub(super) struct Through {
    programs: Arc<dyn Programs>,
    deadline: Duration,
}

impl Through {
    pub(super) fn new(programs: &Arc<dyn Programs>, deadline: Duration) -> Self {
        Self {
            programs: Arc::clone(programs),
            deadline,
        }
    }
}

impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Through").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl Executor for Through {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        let call = Call {
            program: program.into(),
            arguments: arguments
                .iter()
                .map(|one| one.to_string_lossy().into_owned())
                .collect(),
            environment: Vec::new(),
            input: Secret::new(String::new()),
            deadline: self.deadline,
        };
        let ran = self.programs.run(&call).await.map_err(io::Error::other)?;
        Ok(Output {
            status: status(ran.code),
            stdout: ran.output.expose().as_bytes().to_vec(),
            stderr: ran.errors.expose().as_bytes().to_vec(),
        })
    }
}

#[cfg(unix)]
fn status(code: Option<i32>) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt as _;
    // As `wait` gives it: the code in the second byte; 9 where a signal ended it.
    ExitStatus::from_raw(code.map_or(9, |code| (code & 0xff) << 8))
}

#[cfg(windows)]
fn status(code: Option<i32>) -> ExitStatus {
    use std::os::windows::process::ExitStatusExt as _;
    ExitStatus::from_raw(code.unwrap_or(1).cast_unsigned())
}
