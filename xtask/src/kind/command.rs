//! Other programs, called so that they can be stopped.
//!
//! Each runs in a process group of its own: Ctrl-C on a terminal reaches this process alone,
//! which ends the group, waits for it and then cleans up. Nothing runs without a deadline.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::error::KindError;
use super::progress::{Progress, Task};

/// How long a group of processes may take to end by itself when asked to.
const GRACE: Duration = Duration::from_secs(20);

/// Turns true when the user wants this to end.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Option<watch::Receiver<bool>>);

impl Stop {
    /// Follows SIGINT, SIGTERM and SIGHUP.
    pub(crate) fn on_signals(progress: &Progress) -> Result<Self, KindError> {
        let failed = |source| KindError::Runtime { source };
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(failed)?;
        let (sender, receiver) = watch::channel(false);
        let progress = progress.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    _ = interrupt.recv() => (),
                    _ = terminate.recv() => (),
                    _ = hang_up.recv() => (),
                }
                progress.note(if sender.send_replace(true) {
                    "still removing what was begun"
                } else {
                    "interrupted: removing what was begun"
                });
            }
        });
        Ok(Self(Some(receiver)))
    }

    /// For what must be finished whatever the user wants: cleaning up.
    pub(crate) fn never() -> Self {
        Self(None)
    }

    /// `Err` when it has been asked for.
    pub(crate) fn check(&self) -> Result<(), KindError> {
        match &self.0 {
            Some(receiver) if *receiver.borrow() => Err(KindError::Interrupted),
            _ => Ok(()),
        }
    }

    /// Ready when it has been asked for.
    pub(crate) async fn asked(&self) {
        if let Some(receiver) = &self.0
            && receiver.clone().wait_for(|stop| *stop).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    deadline: Duration,
}

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Call {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            deadline: Duration::from_mins(1),
        }
    }

    pub(crate) fn arguments<A: AsRef<OsStr>>(
        mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    pub(crate) fn variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it to its end, whatever its exit status.
    pub(crate) async fn said(&self, stop: &Stop) -> Result<Said, KindError> {
        let mut child = self.start(Stdio::piped(), Stdio::piped(), stop)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        // Both are read while it runs, or a full pipe would hold it up.
        let out = tokio::spawn(text_of(out));
        let err = tokio::spawn(text_of(err));
        let status = self.end_of(&mut child, stop).await?;
        Ok(Said {
            status,
            out: out.await.unwrap_or_default(),
            err: err.await.unwrap_or_default(),
        })
    }

    /// Runs it to its end and gives what it wrote to stdout; it must succeed.
    pub(crate) async fn text(&self, stop: &Stop) -> Result<String, KindError> {
        let said = self.said(stop).await?;
        if said.status.success() {
            return Ok(said.out.trim_end().to_owned());
        }
        Err(self.failed(&said))
    }

    /// The error for a call that said this.
    pub(crate) fn failed(&self, said: &Said) -> KindError {
        let text = if said.err.trim().is_empty() {
            &said.out
        } else {
            &said.err
        };
        KindError::Command {
            command: self.line(),
            status: said.status.to_string(),
            text: text.trim().to_owned(),
        }
    }

    /// Runs it to its end with all that it writes going to a file, whose last line is shown.
    pub(crate) async fn logged(
        &self,
        log: &Path,
        task: &Task,
        stop: &Stop,
    ) -> Result<ExitStatus, KindError> {
        let failed = |source| KindError::File {
            doing: "write",
            path: log.to_owned(),
            source,
        };
        let out = File::create(log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let mut child = self.start(out.into(), err.into(), stop)?;
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        let end = self.end_of(&mut child, stop);
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                status = &mut end => return status,
                _ = tick.tick() => task.detail(tail(log, 1).trim_end()),
            }
        }
    }

    /// The command line, for a message.
    pub(crate) fn line(&self) -> String {
        let program = Path::new(&self.program)
            .file_name()
            .unwrap_or(&self.program);
        std::iter::once(program)
            .chain(self.arguments.iter().map(OsString::as_os_str))
            .map(OsStr::to_string_lossy)
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn start(&self, out: Stdio, err: Stdio, stop: &Stop) -> Result<Child, KindError> {
        stop.check()?;
        Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| KindError::Start {
                program: self.program.to_string_lossy().into_owned(),
                source,
            })
    }

    async fn end_of(&self, child: &mut Child, stop: &Stop) -> Result<ExitStatus, KindError> {
        let error = tokio::select! {
            biased;
            status = child.wait() => {
                return status.map_err(|source| KindError::Start {
                    program: self.program.to_string_lossy().into_owned(),
                    source,
                });
            }
            () = stop.asked() => KindError::Interrupted,
            () = tokio::time::sleep(self.deadline) => {
                KindError::TooSlow { command: self.line(), seconds: self.deadline.as_secs() }
            }
        };
        end_group(child).await;
        Err(error)
    }
}

/// Asks the child's whole group to end, and makes it end when it does not.
async fn end_group(child: &mut Child) {
    let Some(group) = child.id() else { return };
    for signal in ["TERM", "KILL"] {
        // The shell's own `kill`: a program of that name need not be installed.
        let kill =
            ["-c", r#"kill -s "$0" -- "-$1""#, signal, &group.to_string()].map(OsString::from);
        let _ = Command::new("bash")
            .args(kill)
            .stderr(Stdio::null())
            .status()
            .await;
        if tokio::time::timeout(GRACE, child.wait()).await.is_ok() {
            return;
        }
    }
}

async fn text_of(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // 4 MiB is far above what any of these programs says; the rest is dropped.
        let mut pipe = pipe;
        let _ = (&mut pipe).take(4 << 20).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines of a file, without control characters.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    const WINDOW: u64 = 8 << 10;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
        let mut bytes = Vec::new();
        file.take(WINDOW).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    last_lines(&String::from_utf8_lossy(&read().unwrap_or_default()), lines)
}

fn last_lines(text: &str, lines: usize) -> String {
    let clean: Vec<String> = text
        .split(['\n', '\r'])
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    let skip = clean.len().saturating_sub(lines);
    clean.into_iter().skip(skip).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stoppable() -> (watch::Sender<bool>, Stop) {
        let (sender, receiver) = watch::channel(false);
        (sender, Stop(Some(receiver)))
    }

    fn shell(script: &str) -> Call {
        Call::new("bash").arguments(["-c", script])
    }

    #[tokio::test]
    async fn what_a_program_says_and_how_it_ends() {
        let never = Stop::never();
        let said = shell("echo out; echo err >&2; exit 3")
            .said(&never)
            .await
            .unwrap();
        assert_eq!(
            (said.out.as_str(), said.err.as_str(), said.status.code()),
            ("out\n", "err\n", Some(3))
        );
        assert_eq!(shell("echo out").text(&never).await.unwrap(), "out");
        let error = shell("echo why >&2; exit 1")
            .text(&never)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        let error = Call::new("/no/such/program")
            .said(&never)
            .await
            .unwrap_err();
        assert!(matches!(error, KindError::Start { .. }), "{error}");
    }

    #[tokio::test]
    async fn more_than_a_pipe_holds_does_not_hold_it_up() {
        let said = shell("head -c 5000000 /dev/zero | tr '\\0' x")
            .said(&Stop::never())
            .await
            .unwrap();
        assert_eq!(
            said.out.len(),
            4 << 20,
            "bounded, and the program still ended"
        );
        assert!(said.status.success());
    }

    #[tokio::test]
    async fn stopping_ends_the_whole_group() {
        let (sender, stop) = stoppable();
        let file =
            std::env::temp_dir().join(format!("pullcheck-kind-group-{}", std::process::id()));
        // The grandchild's process id; the script outlives SIGTERM long enough to clean up.
        let script = format!(
            "trap 'exit 7' TERM; sleep 600 & echo $! >{}; wait",
            file.display()
        );
        let call = shell(&script);
        let running = tokio::spawn(async move { call.said(&stop).await });
        let grandchild = loop {
            match std::fs::read_to_string(&file) {
                Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        sender.send_replace(true);
        assert!(matches!(
            running.await.unwrap(),
            Err(KindError::Interrupted)
        ));
        // Gone, or a zombie that nobody has waited for; the signal is delivered, not yet obeyed.
        let ended = async {
            while let Ok(state) = std::fs::read_to_string(format!("/proc/{grandchild}/stat"))
                && !state.contains(") Z ")
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
        assert!(ended.is_ok(), "the grandchild {grandchild} still runs");
        std::fs::remove_file(file).unwrap();
    }

    #[tokio::test]
    async fn nothing_starts_after_the_wish_to_stop() {
        let (sender, stop) = stoppable();
        sender.send_replace(true);
        assert!(matches!(
            shell("true").said(&stop).await,
            Err(KindError::Interrupted)
        ));
        assert!(
            shell("true").said(&Stop::never()).await.is_ok(),
            "cleaning up still does"
        );
    }

    #[tokio::test]
    async fn a_deadline_ends_it() {
        let slow = shell("sleep 600").within(Duration::from_millis(50));
        let error = slow.said(&Stop::never()).await.unwrap_err();
        assert!(matches!(error, KindError::TooSlow { .. }), "{error}");
    }

    #[test]
    fn the_last_lines_of_a_text() {
        let table = [
            ("", 1, ""),
            ("a\nb\n", 1, "b"),
            ("a\nb\n\n", 2, "a\nb"),
            ("10%\r50%\r100%", 1, "100%"),
            ("\u{1b}[31mred\u{1b}[0m\n", 1, "[31mred[0m"),
        ];
        for (text, lines, want) in table {
            assert_eq!(last_lines(text, lines), want, "for {text:?}");
        }
    }
}
