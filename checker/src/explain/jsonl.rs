//! Messages in bulk: one JSON object a line in, the same object with the answer out.
//!
//! A line needs a `message`; every other member is passed through untouched, in its order. A line
//! that cannot be read gives an error that names the line, and the run goes on.

use super::{Explanation, explain};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::io::{self, BufRead, Write};

/// The longest line that is read, in bytes; a longer one is an error.
pub const LONGEST_LINE: usize = 4 << 20;

/// Why a line gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The line is not JSON.
    #[error("not JSON at column {}", .0.column())]
    NotJson(#[source] serde_json::Error),
    /// The line is JSON, and not an object.
    #[error("not an object")]
    NotObject,
    /// The object has no text called `message`.
    #[error("no text member `message`")]
    NoMessage,
    /// The line is longer than [`LONGEST_LINE`].
    #[error("longer than {LONGEST_LINE} bytes")]
    TooLong,
    /// The line is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
}

/// A line without an answer.
#[derive(Debug, thiserror::Error)]
#[error("line {line}")]
pub struct Refused {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub error: LineError,
}

/// What a run did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Messages that were answered.
    pub answered: usize,
    /// Lines that gave no answer; at most the first hundred are kept.
    pub refused: Vec<Refused>,
    /// How many lines gave no answer.
    pub refused_in_all: usize,
}

/// Reads messages from `reader` line by line and writes the answers to `writer`; blank lines are
/// passed over. Fails only where reading or writing does.
pub fn run(mut reader: impl BufRead, mut writer: impl Write) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let whole = read_line(&mut reader, &mut line)?;
        if line.is_empty() {
            break;
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let answer = if whole {
            answer(&line)
        } else {
            Err(LineError::TooLong)
        };
        match answer {
            Ok(answered) => {
                serde_json::to_writer(&mut writer, &answered)?;
                writer.write_all(b"\n")?;
                outcome.answered += 1;
            }
            Err(error) => {
                outcome.refused_in_all += 1;
                if outcome.refused.len() < 100 {
                    outcome.refused.push(Refused {
                        line: number,
                        error,
                    });
                }
            }
        }
    }
    writer.flush()?;
    Ok(outcome)
}

/// Reads one line, of which at most [`LONGEST_LINE`] bytes are kept; false where there were more.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let mut whole = true;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(whole);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |at| at + 1);
        let room = LONGEST_LINE.saturating_sub(line.len());
        line.extend(buffer.iter().take(taken.min(room)));
        whole &= taken <= room;
        reader.consume(taken);
        if end.is_some() {
            return Ok(whole);
        }
    }
}

/// The object of one line, and what its message tells.
fn answer(line: &[u8]) -> Result<Answered, LineError> {
    let line = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?;
    let value: Value = serde_json::from_str(line).map_err(LineError::NotJson)?;
    let Value::Object(object) = value else {
        return Err(LineError::NotObject);
    };
    let Some(Value::String(message)) = object.get("message") else {
        return Err(LineError::NoMessage);
    };
    let told = explain(message);
    Ok(Answered { object, told })
}

/// An object with an answer's members behind its own; its members of the same names give way.
struct Answered {
    object: Map<String, Value>,
    told: Explanation,
}

impl Serialize for Answered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = &self.told;
        let mut map = serializer.serialize_map(None)?;
        let answers = [
            "clue",
            "also",
            "certain",
            "stage",
            "reference",
            "host",
            "status",
            "layers",
            "attempts",
            "causes",
        ];
        for (name, value) in self
            .object
            .iter()
            .filter(|(name, _)| !answers.contains(&name.as_str()))
        {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("clue", &told.clue)?;
        map.serialize_entry("also", &told.also)?;
        map.serialize_entry("certain", &told.certain)?;
        map.serialize_entry("stage", &told.stage)?;
        for (name, value) in [("reference", &told.reference), ("host", &told.host)] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(status) = told.status {
            map.serialize_entry("status", &status)?;
        }
        map.serialize_entry("layers", &told.layers)?;
        if !told.attempts.is_empty() {
            map.serialize_entry("attempts", &told.attempts)?;
        }
        map.serialize_entry("causes", &told.causes)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_come_back_with_an_answer_and_bad_lines_are_named() {
        let input = "{\"id\":1,\"message\":\"x: pull QPS exceeded\",\"extra\":[1]}\n\nnope\n[1]\n{\"id\":2}\n{\"message\":\"no such host\"}";
        let mut out = Vec::new();
        let outcome = run(input.as_bytes(), &mut out).expect("memory does not fail");
        assert_eq!(outcome.answered, 2);
        let lines: Vec<usize> = outcome.refused.iter().map(|refused| refused.line).collect();
        assert_eq!(lines, [3, 4, 5]);
        let first: Value =
            serde_json::from_slice(out.split(|b| *b == b'\n').next().unwrap()).unwrap();
        assert_eq!(first["id"], 1);
        assert_eq!(first["extra"][0], 1);
        assert_eq!(first["clue"], "pull-qps-exceeded");
        assert_eq!(first["certain"], true);
        // The members are those of an explanation.
        let told = serde_json::to_value(explain("x: pull QPS exceeded")).unwrap();
        for (name, value) in told.as_object().unwrap() {
            assert_eq!(&first[name], value, "{name}");
        }
        assert!(
            first["layers"].is_array() && first["causes"].is_array() && first["also"].is_array()
        );
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let long = vec![b'x'; LONGEST_LINE + 10];
        let outcome = run(long.as_slice(), Vec::new()).expect("memory does not fail");
        assert!(matches!(
            outcome.refused.as_slice(),
            [Refused {
                line: 1,
                error: LineError::TooLong
            }]
        ));
    }
}
