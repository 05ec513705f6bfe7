//! The room in which one scenario is learnt: the cluster, the terminal, and what is typed.
//!
//! Lines come from a thread of their own, so that a session can end also while it waits for one. It reads when
//! one is wanted only: in between the keyboard belongs to what the learner runs, such as `kubectl edit`.
//! Work is done in the simulation, where time then passes as fast as it goes.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::LocalBoxFuture;
use pull_scenarios::live::Lab;
use tokio::sync::mpsc;

use super::WorkshopError;
use crate::cluster::{Served, Told, UpError};

/// Whether a program of the learner's has the terminal.
static FOREGROUND: AtomicBool = AtomicBool::new(false);

/// Whether a signal from the keyboard is for a program that runs, not for the session.
pub(super) fn is_for_a_program() -> bool {
    FOREGROUND.load(Ordering::Relaxed)
}

/// Bytes of a line that are read.
const LONGEST_LINE: usize = 64 * 1024;

/// What comes from the keyboard.
pub(super) enum Heard {
    Line(String),
    /// There is nothing more.
    End,
}

pub(super) struct Terminal {
    wanted: std::sync::mpsc::Sender<()>,
    lines: mpsc::Receiver<String>,
    /// Whether a person sits there.
    pub(super) person: bool,
    pub(super) width: usize,
}

impl Terminal {
    pub(super) fn open() -> io::Result<Self> {
        let (said, lines) = mpsc::channel(1);
        let (wanted, asked) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("keyboard".to_owned());
        thread.spawn(move || {
            let mut input = io::stdin().lock();
            let mut line = Vec::new();
            while asked.recv().is_ok() {
                line.clear();
                match read_line(&mut input, &mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if said.blocking_send(text).is_err() {
                    return;
                }
            }
        })?;
        let person = io::stdin().is_terminal() && io::stdout().is_terminal();
        let columns = usize::from(console::Term::stdout().size().1);
        Ok(Self {
            wanted,
            lines,
            person,
            width: if person { columns.clamp(60, 110) } else { 100 },
        })
    }

    /// The next line. Meanwhile what has to be kept fresh is kept so.
    pub(super) async fn hear(
        &mut self,
        served: &mut Served,
        prompt: &str,
    ) -> Result<Heard, WorkshopError> {
        if self.person {
            say_raw(prompt)?;
        }
        // A thread that is gone has met the end of its input: then there are no lines either.
        let _ = self.wanted.send(());
        loop {
            tokio::select! {
                biased;
                told = served.simulation.next() => match told {
                    Some(Told::View(view)) => served.files.set_token(view.token.as_deref())?,
                    Some(Told::Failed(error)) => return Err(error.into()),
                    Some(Told::Ready(_)) => {}
                    None => return Err(died()),
                },
                line = self.lines.recv() => {
                    let Some(line) = line else {
                        if self.person {
                            say("")?;
                        }
                        return Ok(Heard::End);
                    };
                    if !self.person {
                        say(&format!("{prompt}{line}"))?;
                    }
                    return Ok(Heard::Line(line));
                }
            }
        }
    }
}

fn read_line(input: &mut io::StdinLock<'_>, line: &mut Vec<u8>) -> io::Result<usize> {
    use io::Read as _;
    let limit = LONGEST_LINE as u64;
    input.take(limit).read_until(b'\n', line)
}

/// Does something in the simulation, and says so where it has ended.
pub(super) async fn work<T, F>(served: &mut Served, work: F) -> Result<T, WorkshopError>
where
    T: Send + 'static,
    F: for<'a> FnOnce(&'a Lab) -> LocalBoxFuture<'a, T> + Send + 'static,
{
    let result = served.simulation.with(work).await;
    if let Some(result) = result {
        return Ok(result);
    }
    // It ended; it may have said why.
    while let Some(told) = served.simulation.next().await {
        if let Told::Failed(error) = told {
            return Err(error.into());
        }
    }
    Err(died())
}

fn died() -> WorkshopError {
    UpError::Died("without a word".to_owned()).into()
}

/// Runs a line in a shell that knows the cluster's variables, and waits for it.
pub(super) async fn shell(served: &Served, line: &str, person: bool) -> Result<(), WorkshopError> {
    let (program, flag) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("sh", "-c")
    };
    let mut command = tokio::process::Command::new(program);
    command.args([flag, line]).kill_on_drop(true);
    for (name, value) in served.variables() {
        command.env(name, expanded(&value));
    }
    if !person {
        command.stdin(std::process::Stdio::null());
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            say(&format!("{program} cannot be started: {error}"))?;
            return Ok(());
        }
    };
    // Ctrl-C is for the program that runs: `kubectl get pods -w` ends, the session does not.
    FOREGROUND.store(person, Ordering::Relaxed);
    let ended = child.wait().await;
    FOREGROUND.store(false, Ordering::Relaxed);
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Ok(say(&format!("({status})"))?),
        Err(error) => Ok(say(&format!("({error})"))?),
    }
}

/// A value as a shell would have it.
fn expanded(value: &str) -> std::ffi::OsString {
    let Some(folder) = value.strip_suffix(":$PATH") else {
        return value.into();
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.into()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or_else(|_| folder.into())
}

/// Prints text and ends its line.
pub(super) fn say(text: &str) -> io::Result<()> {
    say_raw(&format!("{}\n", text.trim_end_matches('\n')))
}

fn say_raw(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
