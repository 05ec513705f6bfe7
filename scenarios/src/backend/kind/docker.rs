//! Docker by its own command line, with a deadline for each call: what is run, what it says, and why it
//! did not work.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// Longer than anything that is asked here takes on a busy machine.
const DEADLINE: Duration = Duration::from_mins(2);
/// An answer that is read whole is no longer.
const MAX_ANSWER: u64 = 16 << 20;

/// Why Docker did not do it.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// The program does not start.
    #[error("failed to start `docker`")]
    Start {
        /// Why.
        source: std::io::Error,
    },
    /// It, or what it ran, said no.
    #[error("`docker {command}` failed: {text}")]
    Refused {
        /// The arguments.
        command: String,
        /// What it wrote.
        text: String,
    },
    /// It did not come to an end.
    #[error("`docker {command}` did not end within {} s", DEADLINE.as_secs())]
    TooSlow {
        /// The arguments.
        command: String,
    },
    /// It said something else.
    #[error("`docker {command}` answered something unexpected: {text}")]
    Answer {
        /// The arguments.
        command: String,
        /// What it wrote, or the beginning of it.
        text: String,
    },
}

fn command<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new("docker");
    // A group of its own: Ctrl-C is for us, who then clean up.
    #[cfg(unix)]
    command.process_group(0);
    command.args(arguments).kill_on_drop(true);
    command
}

fn line<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let words = arguments
        .iter()
        .map(|word| word.as_ref().to_string_lossy().into_owned());
    let line = words.collect::<Vec<_>>().join(" ");
    // A script is not for a message.
    match line.split_once('\n') {
        Some((first, _)) => format!("{first} …"),
        None => line,
    }
}

/// Runs `docker` and gives what it wrote to standard output.
pub(super) async fn docker<S: AsRef<OsStr>>(arguments: &[S]) -> Result<String, DockerError> {
    docker_with(arguments, &[]).await
}

/// The same, with standard input.
pub(super) async fn docker_with<S: AsRef<OsStr>>(
    arguments: &[S],
    input: &[u8],
) -> Result<String, DockerError> {
    let start = |source| DockerError::Start { source };
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let work = async {
        let write = async {
            if let Some(mut stdin) = stdin {
                // It may have ended before it read all.
                let _ = stdin.write_all(input).await;
            }
        };
        let read = async {
            if let Some(stdout) = stdout {
                let _ = stdout.take(MAX_ANSWER).read_to_end(&mut out).await;
            }
        };
        let complain = async {
            if let Some(stderr) = stderr {
                let _ = stderr.take(MAX_ANSWER).read_to_end(&mut err).await;
            }
        };
        tokio::join!(write, read, complain);
        child.wait().await
    };
    let status = match tokio::time::timeout(DEADLINE, work).await {
        Ok(status) => status.map_err(start)?,
        Err(_) => {
            return Err(DockerError::TooSlow {
                command: line(arguments),
            });
        }
    };
    let out = String::from_utf8_lossy(&out).trim_end().to_owned();
    if status.success() {
        return Ok(out);
    }
    let err = String::from_utf8_lossy(&err).trim().to_owned();
    Err(DockerError::Refused {
        command: line(arguments),
        text: if err.is_empty() { out } else { err },
    })
}

/// Starts `docker` with its three streams in hand.
pub(super) fn start<S: AsRef<OsStr>>(arguments: &[S]) -> std::io::Result<Child> {
    command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// What is known of a container.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) address: std::net::IpAddr,
}

/// Asks for a running container's address on a network.
pub(super) async fn container(name: &str, network: &str) -> Result<Container, DockerError> {
    let arguments = ["container", "inspect", name];
    let text = docker(&arguments).await?;
    address_of(&text, network)
        .map(|address| Container {
            name: name.to_owned(),
            address,
        })
        .ok_or_else(|| DockerError::Answer {
            command: line(&arguments),
            text: text.chars().take(200).collect(),
        })
}

fn address_of(json: &str, network: &str) -> Option<std::net::IpAddr> {
    let containers: Vec<serde_json::Value> = serde_json::from_str(json).ok()?;
    let networks = containers.first()?.pointer("/NetworkSettings/Networks")?;
    networks
        .get(network)?
        .get("IPAddress")?
        .as_str()?
        .parse()
        .ok()
}

/// Whether a container has ended or is not there. Where Docker itself does not answer, nothing is known of it.
pub(super) async fn has_ended(name: &str) -> bool {
    let arguments = [
        "container",
        "inspect",
        "--format",
        "{{.State.Running}}",
        name,
    ];
    match docker(&arguments).await {
        Ok(running) => running == "false",
        Err(DockerError::Refused { text, .. }) => text.to_lowercase().contains("no such"),
        Err(_) => false,
    }
}

/// Removes containers with a label, running or not; none is fine.
pub(super) async fn remove_labelled(label: &str) -> Result<(), DockerError> {
    let filter = format!("label={label}");
    let ids = docker(&["container", "ls", "--all", "--quiet", "--filter", &filter]).await?;
    let ids: Vec<&str> = ids.lines().collect();
    if ids.is_empty() {
        return Ok(());
    }
    let arguments = [&["container", "rm", "--force", "--volumes"], ids.as_slice()].concat();
    docker(&arguments).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_container() {
        let json = r#"[{"NetworkSettings":{"Networks":{"kind":{"IPAddress":"172.18.0.3"},"none":{"IPAddress":""}}}}]"#;
        assert_eq!(address_of(json, "kind"), "172.18.0.3".parse().ok());
        for (json, network) in [
            (json, "other"),
            (json, "none"),
            ("[]", "kind"),
            ("", "kind"),
        ] {
            assert_eq!(address_of(json, network), None, "for {json} {network}");
        }
    }

    #[test]
    fn the_line_of_a_script_is_its_first() {
        assert_eq!(
            line(&["exec", "node", "sh", "-c", "a\nb"]),
            "exec node sh -c a …"
        );
    }
}
