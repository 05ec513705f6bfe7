//! Programs for real: started without a shell, bounded in time and in what they print.
//!
//! A program that does not end is killed with its deadline. Its output is read while it is written to, so that
//! neither side waits for the other; what goes over the bound ends it.

use std::io;
use std::process::Stdio;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::programs::{Call, MAX_ERRORS, MAX_OUTPUT, Programs, Ran, RunError};
use crate::keyring::Secret;

/// This machine's programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemPrograms;

impl Programs for SystemPrograms {
    fn run<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Ran, RunError>> {
        Box::pin(async move {
            let mut child = start(call)?;
            let ended = timeout(call.deadline, to_its_end(&mut child, call)).await;
            if ended.is_err() {
                let _ = child.start_kill();
            }
            ended.unwrap_or(Err(RunError::TimedOut {
                deadline: call.deadline,
            }))
        })
    }
}

fn start(call: &Call) -> Result<Child, RunError> {
    let variables = call
        .environment
        .iter()
        .map(|(name, value)| (name, value.expose()));
    Command::new(&call.program)
        .args(&call.arguments)
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => RunError::NotFound,
            _ => RunError::NotStarted {
                text: error.to_string(),
            },
        })
}

async fn to_its_end(child: &mut Child, call: &Call) -> Result<Ran, RunError> {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut input) = input {
            // A program that reads nothing closes the pipe: no fault of its answer.
            let _ = input.write_all(call.input.expose().as_bytes()).await;
            let _ = input.shutdown().await;
        }
        Ok(())
    };
    // The first failure ends the run: a program that prints too much may go on for ever.
    let errors = async { Ok(kept(errors).await) };
    let ((), output, errors) = futures::future::try_join3(write, bounded(output), errors).await?;
    let status = child.wait().await.map_err(|error| RunError::NotStarted {
        text: error.to_string(),
    })?;
    Ok(Ran {
        code: status.code(),
        output: text(&output),
        errors: text(&errors),
    })
}

fn text(bytes: &[u8]) -> Secret {
    Secret::new(String::from_utf8_lossy(bytes).into_owned())
}

/// All that comes; an error beyond the bound.
async fn bounded(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, RunError> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let _ = stream
            .take(MAX_OUTPUT as u64 + 1)
            .read_to_end(&mut bytes)
            .await;
    }
    if bytes.len() > MAX_OUTPUT {
        return Err(RunError::TooMuch);
    }
    Ok(bytes)
}

/// The beginning of what comes; the rest is read and dropped, so that the program can end.
async fn kept(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(mut stream) = stream else {
        return bytes;
    };
    let mut part = [0_u8; 4096];
    while let Ok(read) = stream.read(&mut part).await {
        let Some(new) = part.get(..read).filter(|new| !new.is_empty()) else {
            break;
        };
        let room = MAX_ERRORS.saturating_sub(bytes.len());
        bytes.extend_from_slice(new.get(..room).unwrap_or(new));
    }
    bytes
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shell(script: &str, input: &str, deadline: Duration) -> Call {
        Call {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("PULLCHECK_TEST_WORD".into(), "word".into())],
            input: input.into(),
            deadline,
        }
    }

    async fn run(call: Call) -> Result<Ran, RunError> {
        SystemPrograms.run(&call).await
    }

    #[tokio::test]
    async fn what_goes_in_and_out() {
        let long = Duration::from_secs(20);
        let ran = run(shell(
            "cat; echo $PULLCHECK_TEST_WORD; echo no >&2; exit 3",
            "in ",
            long,
        ))
        .await
        .unwrap();
        assert_eq!(ran.code, Some(3));
        assert_eq!(ran.output.expose(), "in word\n");
        assert_eq!(ran.errors.expose(), "no\n");
        // It reads nothing and prints much on both sides.
        let ran = run(shell(
            "head -c 200000 /dev/zero >&2; echo done",
            &"x".repeat(200_000),
            long,
        ))
        .await
        .unwrap();
        assert_eq!(ran.output.expose(), "done\n");
        assert_eq!(ran.errors.expose().len(), MAX_ERRORS);
    }

    #[tokio::test]
    async fn programs_that_do_not_behave() {
        let long = Duration::from_secs(20);
        let short = Duration::from_millis(200);
        assert_eq!(
            run(shell("sleep 60", "", short)).await,
            Err(RunError::TimedOut { deadline: short })
        );
        assert_eq!(
            run(shell("head -c 3000000 /dev/zero; sleep 60", "", long)).await,
            Err(RunError::TooMuch)
        );
        let mut absent = shell("", "", long);
        absent.program = "docker-credential-there-is-none".into();
        assert_eq!(run(absent).await, Err(RunError::NotFound));
        let mut folder = shell("", "", long);
        folder.program = "/".into();
        assert!(matches!(
            run(folder).await,
            Err(RunError::NotStarted { .. })
        ));
    }
}
