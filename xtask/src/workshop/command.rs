//! What can be typed at the prompt.

/// A line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Story,
    Setup,
    Status,
    Hint,
    Answer(String),
    Causes(String),
    Others,
    Ask(String),
    Accounts,
    Wait(String),
    Check,
    Mend,
    Skip,
    Quit,
    /// For the shell, with the cluster's variables.
    Shell(String),
    Nothing,
    Unknown(String),
}

/// Programs that need no `!` before them.
const PROGRAMS: &[&str] = &["kubectl", "az", "pullcheck", "curl", "crane", "skopeo"];

pub(super) const HELP: &str = "  story            what happened, once more
  setup            how to point kubectl at the cluster, from another terminal
  status           pods, nodes, and what you have so far
  hint             the next hint, from vague to plain; each costs points
  causes [WORDS]   the causes that there are, or those that have these words
  answer CAUSE     what it is: an id, or words
  others           what only others can do for you: network, names, registries, nodes
  ask N            asks others for number N of that list
  ask STEP         the same as a step of docs/scenarios.md: firewall: { to: HOST, action: open }
  accounts         names and passwords that you would get if you asked around
  wait TIME        lets time pass at once: wait 5m
  check            is it mended? time passes until the pods run, at most as long as a repair may take
  mend             shows how: the scenario's own repair, once the cause is named
  skip             gives this one up, with the debrief
  quit             ends; what you have is kept
  kubectl …, az …, pullcheck …, curl …, or ! LINE   runs here, with the cluster's variables
";

impl Command {
    pub(super) fn read(line: &str) -> Self {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix('!') {
            return Self::Shell(rest.trim().to_owned());
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim().to_owned();
        match word {
            "" => Self::Nothing,
            "help" | "?" => Self::Help,
            "story" => Self::Story,
            "setup" => Self::Setup,
            "status" => Self::Status,
            "hint" => Self::Hint,
            "answer" | "cause" => Self::Answer(rest),
            "causes" => Self::Causes(rest),
            "others" => Self::Others,
            "ask" => Self::Ask(rest),
            "accounts" => Self::Accounts,
            "wait" => Self::Wait(rest),
            "check" => Self::Check,
            "mend" => Self::Mend,
            "skip" => Self::Skip,
            "quit" | "exit" => Self::Quit,
            program if PROGRAMS.contains(&program) => Self::Shell(line.to_owned()),
            _ => Self::Unknown(line.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let table = [
            ("", Command::Nothing),
            ("  hint ", Command::Hint),
            (
                "answer tag-not-found",
                Command::Answer("tag-not-found".to_owned()),
            ),
            (
                "answer  the tag is wrong",
                Command::Answer("the tag is wrong".to_owned()),
            ),
            ("answer", Command::Answer(String::new())),
            (
                "kubectl get pods -w",
                Command::Shell("kubectl get pods -w".to_owned()),
            ),
            ("! ls | wc -l", Command::Shell("ls | wc -l".to_owned())),
            ("rm -rf x", Command::Unknown("rm -rf x".to_owned())),
            ("ask firewall: {}", Command::Ask("firewall: {}".to_owned())),
        ];
        for (line, want) in table {
            assert_eq!(Command::read(line), want, "{line:?}");
        }
        for word in [
            "story", "setup", "status", "hint", "check", "mend", "skip", "quit", "others",
            "accounts",
        ] {
            assert!(
                HELP.contains(&format!("  {word} ")),
                "{word} is not in the help"
            );
            assert!(
                !matches!(Command::read(word), Command::Unknown(_)),
                "{word}"
            );
        }
    }
}
