//! What programs answered, and what of their complaints may be repeated.
//!
//! A program that fails explains itself on standard error, where it may print anything. One line of it is kept,
//! with whatever could be a secret taken out: values after telling words, and words that look made by a machine.

use super::{Candidate, PassedOver, Secret};
use crate::wire::Excerpt;
use crate::world::{Ran, RunError};

/// What was found for one image by asking programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What they gave, in the order in which it is tried.
    pub order: Vec<Candidate>,
    /// What they did not, and why.
    pub passed_over: Vec<PassedOver>,
}

impl Asked {
    /// Adds what was found elsewhere, after what there is.
    pub fn append(&mut self, other: Self) {
        self.order.extend(other.order);
        self.passed_over.extend(other.passed_over);
    }
}

const HIDDEN: &str = "[hidden]";
/// Words whose value is hidden, as they end before `=`, `:` or a space.
const TELLING: [&str; 14] = [
    "password",
    "passwd",
    "pass",
    "pwd",
    "sig",
    "signature",
    "credential",
    "secret",
    "token",
    "key",
    "authorization",
    "basic",
    "bearer",
    "auth",
];
/// Words from this length on are hidden if they mix letters and digits.
const LONG: usize = 20;

/// Why a run gave nothing, in words that hold no secret.
pub(super) fn failure(outcome: &Result<Ran, RunError>) -> Excerpt {
    match outcome {
        Err(error) => Excerpt::new(&error.to_string()),
        Ok(ran) => {
            let end = ran.code.map_or_else(
                || "ended by a signal".to_owned(),
                |code| format!("exit code {code}"),
            );
            let said = complaint(&ran.errors);
            Excerpt::new(&if said.is_empty() {
                end
            } else {
                format!("{end}: {said}")
            })
        }
    }
}

/// The first line that says something.
fn complaint(errors: &Secret) -> String {
    let line = errors
        .expose()
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    without_secrets(line)
}

pub(super) fn without_secrets(line: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut hide_next = false;
    for word in line.split_whitespace().take(80) {
        let bare = word.trim_matches(['"', '\'', ',', '{', '}', '(', ')', '[', ']', ';']);
        if hide_next {
            hide_next = is_telling(bare);
            out.push(if hide_next {
                word.to_owned()
            } else {
                HIDDEN.to_owned()
            });
        } else if let Some(at) = value_of_telling(word) {
            // The value may stand in this word, or be the next one.
            let (head, value) = word.split_at(at);
            hide_next = value.trim_matches(['"', '\'', ':', '=']).is_empty();
            out.push(format!("{head}{}", if hide_next { "" } else { HIDDEN }));
        } else if is_telling(bare.trim_end_matches([':', '='])) {
            hide_next = true;
            out.push(word.to_owned());
        } else if looks_made(bare) {
            out.push(HIDDEN.to_owned());
        } else {
            out.push(word.to_owned());
        }
    }
    out.join(" ")
}

fn is_telling(word: &str) -> bool {
    let word = word.trim_matches('"').to_ascii_lowercase();
    TELLING.iter().any(|end| word.ends_with(end))
}

/// Where the value begins in `password=x`, `--token=x`, `"secret":"x"`.
fn value_of_telling(word: &str) -> Option<usize> {
    word.match_indices(['=', ':']).find_map(|(at, _)| {
        let name = word.get(..at)?.trim_end_matches(['"', '\'']);
        is_telling(name).then_some(at + 1)
    })
}

/// Long, of one piece, and of mixed kinds of characters, as tokens are; but no identifier in groups of hex.
fn looks_made(word: &str) -> bool {
    let plain = word
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-.~".contains(&byte));
    let has = |wanted: fn(&u8) -> bool| word.as_bytes().iter().any(wanted);
    let digits = has(u8::is_ascii_digit);
    let mixed = digits && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let groups = word.split('-').count() == 5
        && word
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    plain && word.len() >= LONG && !groups && (mixed || (digits && word.len() >= 40))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn complaints_keep_their_words_and_lose_their_secrets() {
        let table = [
            (
                "error getting credentials - err: exec: no such file",
                "error getting credentials - err: exec: no such file",
            ),
            (
                "denied for password=hunter2 at r.example",
                "denied for password=[hidden] at r.example",
            ),
            (
                r#"bad answer {"Username":"u","Secret":"hunter2"}"#,
                r#"bad answer {"Username":"u","Secret":[hidden]"#,
            ),
            (
                "Authorization: Basic c29tZW9uZTpodW50ZXIy",
                "Authorization: Basic [hidden]",
            ),
            ("got ya29A0AfH6SMBx7Qk1Lm9 back", "got [hidden] back"),
            (
                "correlation 01234567-89ab-cdef-0123-456789abcdef",
                "correlation 01234567-89ab-cdef-0123-456789abcdef",
            ),
            ("token: hunter2", "token: [hidden]"),
            ("pwd=hunter2", "pwd=[hidden]"),
            ("--token hunter2", "--token [hidden]"),
        ];
        for (line, want) in table {
            assert_eq!(without_secrets(line), want, "for {line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in any::<String>()) {
            let _ = without_secrets(&line);
        }

        #[test]
        fn what_stands_after_a_telling_word_is_gone(value in "[a-z0-9]{6,30}", word in "password|token|secret|Bearer", joint in "=|: |:| ") {
            prop_assume!(!TELLING.iter().any(|end| value.ends_with(end)));
            let shown = without_secrets(&format!("failed: {word}{joint}{value} and more"));
            prop_assert!(!shown.contains(&value), "{}", shown);
        }
    }
}
