//! The list of differences that are known and out of the model, each with its reason and source.

use std::sync::LazyLock;

use serde::Deserialize;

use super::compare::{Aspect, Difference};

/// One reason, and the differences that it explains.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Explanation {
    /// In which scenarios; in all where there is none.
    #[serde(default)]
    pub scenarios: Vec<String>,
    /// Of which kinds.
    pub aspects: Vec<Aspect>,
    /// A pattern of what is compared.
    pub what: String,
    /// A pattern of the text on the real cluster; none where there must not be one.
    #[serde(default)]
    pub real: Option<String>,
    /// A pattern of the text on the embedded one, likewise.
    #[serde(default)]
    pub embedded: Option<String>,
    /// Why the embedded cluster does not do the same.
    pub why: String,
    /// Where that can be read.
    pub source: String,
    /// Why no recording shows it, where none does: what chance brings now and then.
    #[serde(default)]
    pub unrecorded: Option<String>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Explained(Vec<Explanation>);

/// What is wrong with the list.
#[derive(Debug, thiserror::Error)]
pub enum ExplainedError {
    /// It cannot be read.
    #[error("the list of explained differences: {0}")]
    Read(String),
    /// Something is left empty.
    #[error(
        "the list of explained differences: entry {0} has no reason, no source, or explains anything"
    )]
    Empty(usize),
}

impl Explained {
    /// The list of this project.
    ///
    /// Errors: the file of the repository is broken.
    pub fn checked_in() -> Result<&'static Self, &'static ExplainedError> {
        static LIST: LazyLock<Result<Explained, ExplainedError>> =
            LazyLock::new(|| Explained::parse(include_str!("../../fidelity/explained.yaml")));
        LIST.as_ref()
    }

    /// Reads a list.
    ///
    /// Errors: it is not one, or an entry says nothing.
    pub fn parse(text: &str) -> Result<Self, ExplainedError> {
        let list: Vec<Explanation> = serde_saphyr::from_str(text)
            .map_err(|error| ExplainedError::Read(error.to_string()))?;
        let says_nothing = |one: &Explanation| {
            let texts = [&one.real, &one.embedded];
            let all = |text: &str| text.trim().trim_matches('*').is_empty();
            one.aspects.is_empty()
                || one.why.trim().is_empty()
                || one.source.trim().is_empty()
                || one.unrecorded.as_ref().is_some_and(|why| all(why))
                || (all(&one.what) && texts.into_iter().flatten().all(|text| all(text)))
        };
        match list.iter().position(says_nothing) {
            Some(at) => Err(ExplainedError::Empty(at + 1)),
            None => Ok(Self(list)),
        }
    }

    /// Every entry.
    pub fn entries(&self) -> &[Explanation] {
        &self.0
    }

    /// Why there is this difference, where that is known.
    pub fn of(&self, scenario: &str, difference: &Difference) -> Option<&Explanation> {
        self.0.iter().find(|one| one.explains(scenario, difference))
    }
}

impl Explanation {
    fn explains(&self, scenario: &str, difference: &Difference) -> bool {
        let text = |pattern: &Option<String>, text: &Option<String>| match (pattern, text) {
            (Some(pattern), Some(text)) => matches(pattern, text),
            (None, None) => true,
            _ => false,
        };
        (self.scenarios.is_empty() || self.scenarios.iter().any(|id| id == scenario))
            && self.aspects.contains(&difference.aspect)
            && matches(&self.what, &difference.what)
            && text(&self.real, &difference.real)
            && text(&self.embedded, &difference.embedded)
    }
}

/// Whether a text has the form of a pattern, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*b*", "abc", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("*x*y", "axbyy", true),
            ("", "", true),
        ];
        for (pattern, text, want) in table {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn the_list_of_this_project_is_read() {
        Explained::checked_in().unwrap();
    }

    #[test]
    fn an_entry_says_what_why_and_where() {
        let entry = "- {aspects: [events], what: W, real: R, why: Y, source: S}";
        let list = Explained::parse(entry).unwrap();
        let difference = |what: &str, real: Option<&str>, embedded: Option<&str>| Difference {
            aspect: Aspect::Events,
            what: what.into(),
            real: real.map(Into::into),
            embedded: embedded.map(Into::into),
        };
        let table = [
            (difference("W", Some("R"), None), true),
            (difference("W", Some("other"), None), false),
            (difference("V", Some("R"), None), false),
            // One that is on the other side as well, and differs there, is another difference.
            (difference("W", Some("R"), Some("R2")), false),
            (difference("W", None, Some("R")), false),
        ];
        for (difference, want) in table {
            assert_eq!(
                list.of("any", &difference).is_some(),
                want,
                "{difference:?}"
            );
        }
        for broken in [
            entry.replace("why: Y", "why: ''"),
            entry.replace("what: W, real: R", "what: '*', real: '**'"),
            entry.replace("source: S", "sources: S"),
            entry.replace("source: S", "source: S, unrecorded: ''"),
            entry.replace("events", "weather"),
        ] {
            assert!(Explained::parse(&broken).is_err(), "{broken}");
        }
    }
}
