//! A play in its normal form: what was seen, without what differs by nature. Also the form of the fixtures:
//! JSON lines, the first of which says what was played, on what, when and how.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::normal::Names;
use crate::observer::{EventWrite, Seconds};
use crate::play::{Act, Play};

/// The form's name and version.
pub const SCHEMA: &str = "pullcheck.fidelity/1";
/// What the correlator of events puts before texts that it combines.
const COMBINED: &str = "(combined from similar events): ";
/// Of a crowd so many are recorded, and those that show something new.
const CROWD: usize = 4;
/// Of a node's requests likewise.
const MANY_REQUESTS: usize = 60;
/// A recording is no longer, in bytes.
const MAX_RECORDING: usize = 4 << 20;

/// What was played, on what, when and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The scenario's id.
    pub scenario: String,
    /// As the node's status has it: `v1.20.2`.
    pub kubernetes: String,
    /// As the node's status has it: `containerd://1.6.20~ds1`.
    pub runtime: String,
    /// The date.
    pub taken: String,
    /// How it was taken.
    pub how: String,
    /// For how long the failure was watched.
    pub observe: Seconds,
    /// For how long the checker was asked.
    pub diagnose: Seconds,
    /// How long all of it took.
    pub whole: Seconds,
}

/// One event object, through all its writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Event {
    /// `pod/web~2-<pod>`.
    pub object: String,
    /// Which one, where several objects have that name: from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: usize,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The reason.
    pub reason: String,
    /// The message.
    pub message: String,
    /// How often it has happened, at the end.
    pub count: i32,
    /// When it was written.
    pub at: Vec<Seconds>,
}

/// A state of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Status {
    /// When it was first seen.
    pub at: Seconds,
    /// `web~2-<pod>`.
    pub pod: String,
    /// Which one, where several pods have that name: from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: usize,
    /// The container.
    pub container: String,
    /// The waiting reason, `Running`, or the reason for which it ended.
    pub state: String,
    /// The waiting message, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A request of a node's runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Asked {
    /// Since some moment before the play.
    pub at: Seconds,
    /// The node.
    pub node: String,
    /// `HEAD registry.example/v2/team/web/manifests/v1`
    pub request: String,
    /// `Accept`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
    /// `Range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// `none`, `basic`, `bearer` or `other`.
    pub authorization: String,
    /// The answer's status; none where there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// A play in its normal form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// What was played.
    pub header: Header,
    /// In the order in which they were first written.
    pub events: Vec<Event>,
    /// In the order in which they were seen.
    pub statuses: Vec<Status>,
    /// In the order of their arrival.
    pub requests: Vec<Asked>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Recording(Header),
    Event(Event),
    Status(Status),
    Request(Asked),
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A line is not what it should be.
    #[error("{file}:{line}: {source}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The first line is not the head of a recording, or another one is.
    #[error("{file}:{line}: a recording begins with its head, `{{\"recording\": …}}`, and has one")]
    Head {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// A form that this version does not know.
    #[error("{file}:1: the form is `{found}`, not `{SCHEMA}`")]
    Schema {
        /// The file.
        file: String,
        /// Its form.
        found: String,
    },
    /// Too long.
    #[error("{file}: longer than {MAX_RECORDING} bytes")]
    TooLong {
        /// The file.
        file: String,
    },
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls it in"
)]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Observation {
    /// The normal form of a play.
    pub fn of(play: &Play) -> Self {
        let names = Names::of(&play.traces);
        let length = |act: Act| {
            let played = play.acts.iter().find(|played| played.act == act);
            played.map_or(Seconds::default(), |played| {
                Seconds(played.to.0.saturating_sub(played.from.0))
            })
        };
        let header = Header {
            schema: SCHEMA.to_owned(),
            scenario: play.scenario.id().to_owned(),
            kubernetes: play.traces.stage.kubernetes.clone(),
            runtime: play.traces.stage.runtime.clone(),
            taken: String::new(),
            how: String::new(),
            observe: length(Act::Observe),
            diagnose: length(Act::Diagnose),
            whole: play.acts.last().map_or(Seconds::default(), |act| act.to),
        };
        Self {
            header,
            events: events(play, &names),
            statuses: statuses(play, &names),
            requests: requests(play, &names),
        }
    }

    /// The same without most of a crowd: of many pods of one name the first few, and those that show a text
    /// which these do not; of a node's many requests likewise.
    #[must_use]
    pub fn thinned(mut self) -> Self {
        let mut texts: BTreeSet<(String, String)> = BTreeSet::new();
        let mut kept: BTreeSet<(String, usize)> = BTreeSet::new();
        let shown = self.events.iter().map(|event| {
            let text = format!("{} {} {}", event.type_, event.reason, event.message);
            (event.object.clone(), event.number, text)
        });
        let states = self.statuses.iter().map(|status| {
            let text = format!("{} {} {:?}", status.container, status.state, status.message);
            (format!("pod/{}", status.pod), status.number, text)
        });
        let mut all: Vec<_> = shown.chain(states).collect();
        all.sort_by_key(|(_, number, _)| *number);
        for (object, number, text) in all {
            if texts.insert((object.clone(), text)) || number < CROWD {
                kept.insert((object, number));
            }
        }
        self.events
            .retain(|event| kept.contains(&(event.object.clone(), event.number)));
        self.statuses
            .retain(|status| kept.contains(&(format!("pod/{}", status.pod), status.number)));
        let mut seen = BTreeSet::new();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        self.requests.retain(|asked| {
            let count = counts.entry(asked.node.clone()).or_default();
            *count += 1;
            let shape = Asked {
                at: Seconds::default(),
                node: String::new(),
                ..asked.clone()
            };
            seen.insert(format!("{shape:?}")) || *count <= MANY_REQUESTS
        });
        self
    }

    /// As a fixture: one line a thing.
    pub fn to_lines(&self) -> String {
        let lines = std::iter::once(Line::Recording(self.header.clone()))
            .chain(self.events.iter().cloned().map(Line::Event))
            .chain(self.statuses.iter().cloned().map(Line::Status))
            .chain(self.requests.iter().cloned().map(Line::Request));
        let texts = lines.map(|line| serde_json::json!(line).to_string() + "\n");
        texts.collect()
    }

    /// Reads a fixture; `file` is for the error.
    pub fn from_lines(file: &str, text: &str) -> Result<Self, RecordingError> {
        if text.len() > MAX_RECORDING {
            return Err(RecordingError::TooLong { file: file.into() });
        }
        let mut read = Self::default();
        let mut lines = 0;
        for (at, text) in text.lines().enumerate() {
            let line = at + 1;
            let parsed = serde_json::from_str(text).map_err(|source| RecordingError::Line {
                file: file.into(),
                line,
                source,
            })?;
            let head = || RecordingError::Head {
                file: file.into(),
                line,
            };
            match parsed {
                Line::Recording(header) if at == 0 && header.schema == SCHEMA => {
                    read.header = header;
                }
                Line::Recording(header) if at == 0 => {
                    return Err(RecordingError::Schema {
                        file: file.into(),
                        found: header.schema,
                    });
                }
                Line::Event(event) if at > 0 => read.events.push(event),
                Line::Status(status) if at > 0 => read.statuses.push(status),
                Line::Request(request) if at > 0 => read.requests.push(request),
                _ => return Err(head()),
            }
            lines = line;
        }
        if lines == 0 {
            return Err(RecordingError::Head {
                file: file.into(),
                line: 1,
            });
        }
        Ok(read)
    }
}

/// Which of several things of one normal name something is, in the order of their appearance.
#[derive(Default)]
struct Numbers(Vec<(String, String)>);

impl Numbers {
    fn of(&mut self, normal: &str, actual: &str) -> usize {
        let same = self.0.iter().filter(|(name, _)| name == normal);
        let (known, next) = (
            same.clone().position(|(_, name)| name == actual),
            same.count(),
        );
        known.unwrap_or_else(|| {
            self.0.push((normal.to_owned(), actual.to_owned()));
            next
        })
    }
}

fn events(play: &Play, names: &Names) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut numbers = Numbers::default();
    // Counts of the events as they are, several of which may have one normal form.
    let mut counts: BTreeMap<(&str, &str, &str), i32> = BTreeMap::new();
    // Nodes have none in the namespaces in which real clusters play.
    let of_namespace = |write: &&EventWrite| !write.object.starts_with("node/");
    for write in play.events.iter().filter(of_namespace) {
        // Texts that were combined are replaced by each other.
        let own = if write.message.starts_with(COMBINED) {
            COMBINED
        } else {
            write.message.as_str()
        };
        let key = (write.object.as_str(), write.reason.as_str(), own);
        let before = counts.insert(key, write.count).unwrap_or(0);
        // A watch that begins anew shows again what was there.
        if before >= write.count {
            continue;
        }
        let object = names.text(&write.object);
        let number = numbers.of(&object, &write.object);
        let message = names.text(&write.message);
        let same = events.iter_mut().find(|event| {
            event.object == object
                && event.number == number
                && event.type_ == write.type_
                && event.reason == write.reason
                && event.message == message
        });
        let more = write.count - before;
        match same {
            Some(event) => {
                event.at.push(write.at);
                event.count += more;
            }
            None => events.push(Event {
                object,
                number,
                type_: write.type_.clone(),
                reason: write.reason.clone(),
                message,
                count: more,
                at: vec![write.at],
            }),
        }
    }
    events
}

fn statuses(play: &Play, names: &Names) -> Vec<Status> {
    let mut numbers = Numbers::default();
    let changes = play.traces.containers.iter().map(|change| {
        let pod = names.text(&change.pod);
        Status {
            at: change.at,
            number: numbers.of(&pod, &change.pod),
            pod,
            container: change.container.clone(),
            state: change.state.clone(),
            message: change.message.as_deref().map(|text| names.text(text)),
        }
    });
    changes.collect()
}

/// Only what the nodes' runtimes asked: the checker's own questions are no part of the pull.
fn requests(play: &Play, names: &Names) -> Vec<Asked> {
    let asked = play.traces.requests.iter().filter(|request| {
        let agent = request.user_agent.as_deref().unwrap_or_default();
        agent.starts_with("containerd/")
    });
    let asked = asked.map(|request| {
        let query = request.query.as_ref().map(|query| format!("?{query}"));
        let line = format!(
            "{} {}{}{}",
            request.method,
            request.host,
            request.path,
            query.unwrap_or_default()
        );
        Asked {
            at: Seconds(millis(request.at)),
            node: request.client.clone(),
            request: names.text(&line),
            accept: request.accept.clone(),
            range: request.range.clone(),
            authorization: request.authorization.clone(),
            status: request.status,
        }
    });
    asked.collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is cast saturates"
)]
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if seconds.is_finite() && seconds >= 0.0 {
            Ok(Self(millis(seconds)))
        } else {
            Err(serde::de::Error::custom("a length of time is not negative"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let scenarios = crate::catalogue::all().unwrap();
        let bad_tag = scenarios.iter().find(|one| one.id() == "bad-tag").unwrap();
        let observation = Observation::of(&crate::play_embedded(bad_tag, 1));
        assert!(!observation.events.is_empty() && !observation.statuses.is_empty());
        let lines = observation.to_lines();
        let read = Observation::from_lines("a.jsonl", &lines).unwrap();
        assert_eq!(read, observation);
        let text = lines.replace("<pod>", "");
        assert!(!text.contains("sha256:a"), "{text}");
    }

    #[test]
    fn recordings_that_are_refused_say_where() {
        let head = serde_json::json!({"recording": Header {
            schema: SCHEMA.into(),
            ..Header::default()
        }});
        let other = head.to_string().replace("fidelity/1", "fidelity/9");
        let table = [
            (String::new(), "a.jsonl:1: a recording begins"),
            (format!("{head}\n{head}\n"), "a.jsonl:2: a recording begins"),
            (other, "a.jsonl:1: the form is `pullcheck.fidelity/9`"),
            (format!("{head}\n{{}}\n"), "a.jsonl:2: "),
            (
                format!("{head}\n{{\"status\":{{\"at\":-1}}}}"),
                "a.jsonl:2: ",
            ),
            ("nonsense".to_owned(), "a.jsonl:1: "),
            (" ".repeat(MAX_RECORDING + 1), "a.jsonl: longer than"),
        ];
        for (text, want) in table {
            let error = Observation::from_lines("a.jsonl", &text).unwrap_err();
            assert!(error.to_string().starts_with(want), "{error}");
        }
    }
}
