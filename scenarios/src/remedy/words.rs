//! A command line in words, its options apart from the rest. Every option of the known commands takes a value.

use std::cell::RefCell;

use indexmap::IndexMap;

use super::CommandError;

/// What stands where the reader has something to fill in.
const TO_FILL: &str = "…";

pub(super) struct Words<'a> {
    line: &'a str,
    plain: Vec<String>,
    options: Vec<(String, String)>,
    /// Options that the command asked for.
    asked: RefCell<Vec<String>>,
}

impl<'a> Words<'a> {
    pub(super) fn read(
        line: &'a str,
        with: Option<&IndexMap<String, String>>,
    ) -> Result<Self, CommandError> {
        let words = shlex::split(line).ok_or_else(|| CommandError::Syntax(line.to_owned()))?;
        let placeholder = || CommandError::Placeholder(line.to_owned());
        if words.iter().any(|word| has_placeholder(word)) {
            return Err(placeholder());
        }
        let mut plain = Vec::new();
        let mut options = Vec::new();
        let mut rest = words.into_iter();
        while let Some(word) = rest.next() {
            if !word.starts_with('-') {
                plain.push(word);
                continue;
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (word, rest.next().unwrap_or_default()),
            };
            let value = if value == TO_FILL {
                let filled = with.and_then(|with| with.get(&name));
                filled.cloned().ok_or_else(placeholder)?
            } else {
                value
            };
            options.push((name, value));
        }
        if plain.iter().any(|word| word == TO_FILL) {
            return Err(placeholder());
        }
        Ok(Self {
            line,
            plain,
            options,
            asked: RefCell::default(),
        })
    }

    /// Words that are no options.
    pub(super) fn plain(&self) -> Vec<&str> {
        self.plain.iter().map(String::as_str).collect()
    }

    pub(super) fn optional(&self, names: &[&str]) -> Option<String> {
        let mut asked = self.asked.borrow_mut();
        asked.extend(names.iter().map(|name| (*name).to_owned()));
        let found = self
            .options
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, value)| value.clone())
    }

    pub(super) fn required(&self, names: &[&'static str]) -> Result<String, CommandError> {
        self.optional(names)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| CommandError::Missing {
                line: self.line.to_owned(),
                option: names.first().copied().unwrap_or_default(),
            })
    }

    pub(super) fn boolean(&self, names: &[&'static str]) -> Result<Option<bool>, CommandError> {
        match self.optional(names).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                Err(self.value(names.first().copied().unwrap_or_default(), other.to_owned()))
            }
        }
    }

    pub(super) fn value(&self, option: &'static str, value: String) -> CommandError {
        CommandError::Value {
            line: self.line.to_owned(),
            option,
            value,
        }
    }

    /// Whether every option was one that the command knows.
    pub(super) fn all_known(&self) -> Result<(), CommandError> {
        let asked = self.asked.borrow();
        let stray = self.options.iter().find(|(name, _)| !asked.contains(name));
        match stray {
            None => Ok(()),
            Some((option, _)) => Err(CommandError::Option {
                line: self.line.to_owned(),
                option: option.clone(),
            }),
        }
    }
}

/// Whether a word holds `<something>`.
fn has_placeholder(word: &str) -> bool {
    word.split_once('<').is_some_and(|(_, rest)| {
        rest.split_once('>').is_some_and(|(name, _)| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
    })
}
