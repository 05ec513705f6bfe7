//! What is wrong with the text of a reference: the rule, the character, its place, and a correction.

use std::fmt;

use super::digest::DigestError;
use super::host::HostError;
use super::{MAX_REPOSITORY, MAX_TAG, MAX_TEXT, Reference};

/// A text that is not a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceError {
    text: Box<str>,
    rule: Rule,
    at: usize,
    correction: Option<Box<str>>,
}

/// The rule that the text breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// There is no text.
    Empty,
    /// The whole text is longer than any reference can be.
    TextTooLong,
    /// A control character stands in it.
    ControlCharacter,
    /// A blank stands in it.
    Blank,
    /// A character outside ASCII stands in it.
    NotAscii,
    /// It begins with `https://` or the like.
    Scheme,
    /// 64 hexadecimal digits alone: an image id, which no registry can resolve.
    BareId,
    /// The registry's host is wrong.
    Host(HostError),
    /// The host holds an underscore, which the grammar of references does not allow.
    HostUnderscore,
    /// Nothing stands where the repository belongs.
    RepositoryEmpty,
    /// An upper-case letter in the repository.
    UpperCase,
    /// A character that no repository holds.
    RepositoryCharacter,
    /// A part of the repository begins or ends with a separator, or two stand in a row.
    Separator,
    /// Two slashes in a row, or one at the end.
    EmptyComponent,
    /// The repository is too long.
    RepositoryTooLong,
    /// A colon without a tag behind it.
    TagEmpty,
    /// The tag begins with a dot or a hyphen.
    TagStart,
    /// A character that no tag holds.
    TagCharacter,
    /// The tag is too long.
    TagTooLong,
    /// What follows `@` is not a digest.
    Digest(DigestError),
}

impl ReferenceError {
    pub(super) fn new(text: &str, rule: Rule, at: usize) -> Self {
        Self {
            text: text.into(),
            rule,
            at,
            correction: None,
        }
    }

    /// Offers `correction`, but only if it is itself a reference.
    pub(super) fn or_try(mut self, correction: Option<String>) -> Self {
        self.correction = correction
            .filter(|text| *text != *self.text && Reference::parse_once(text).is_ok())
            .map(Into::into);
        self
    }

    /// The rule that is broken.
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Byte offset of the place in the text as given.
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// The place counted in characters from 1, as people count.
    pub fn position(&self) -> usize {
        self.text
            .char_indices()
            .take_while(|(at, _)| *at < self.at)
            .count()
            + 1
    }

    /// The character at the place, if the text reaches that far.
    pub fn found(&self) -> Option<char> {
        self.text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
    }

    /// The whole text as given (may hold control characters: print it escaped).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A reference that may have been meant.
    pub fn correction(&self) -> Option<&str> {
        self.correction.as_deref()
    }
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Empty => f.write_str("an image reference is empty")?,
            Rule::TextTooLong => {
                write!(f, "an image reference has at most {MAX_TEXT} characters, this one has {}", self.text.len())?;
            }
            Rule::ControlCharacter => f.write_str("an image reference holds no control characters")?,
            Rule::Blank => f.write_str("an image reference holds no blanks")?,
            Rule::NotAscii => f.write_str("an image reference holds ASCII characters only")?,
            Rule::Scheme => f.write_str("an image reference begins with the registry's host, without a scheme")?,
            Rule::BareId => f.write_str(
                "64 hexadecimal digits are an image id, which no registry can resolve; write repository@sha256:digits",
            )?,
            Rule::Host(error) => write!(f, "the registry's host is not valid: {error}")?,
            Rule::HostUnderscore => f.write_str("the registry's host holds no underscores")?,
            Rule::RepositoryEmpty => f.write_str("the repository name is missing")?,
            Rule::UpperCase => f.write_str("a repository name must be lower case")?,
            Rule::RepositoryCharacter => {
                f.write_str("a repository name holds only a-z, 0-9, and `.`, `_`, `-`, `/` between them")?;
            }
            Rule::Separator => f.write_str(
                "each part of a repository name begins and ends with a letter or digit, with one `.`, one or two `_`, \
                 or any number of `-` between them",
            )?,
            Rule::EmptyComponent => f.write_str("no part of a repository name between two slashes may be empty")?,
            Rule::RepositoryTooLong => write!(f, "a repository name has at most {MAX_REPOSITORY} characters")?,
            Rule::TagEmpty => f.write_str("a tag must follow the colon")?,
            Rule::TagStart => f.write_str("a tag begins with a letter, a digit or `_`")?,
            Rule::TagCharacter => f.write_str("a tag holds only letters, digits, `_`, `.` and `-`")?,
            Rule::TagTooLong => write!(f, "a tag has at most {MAX_TAG} characters")?,
            Rule::Digest(error) => write!(f, "the digest is not valid: {error}")?,
        }
        if matches!(self.rule, Rule::Empty | Rule::TextTooLong | Rule::BareId) {
            return Ok(());
        }
        match self.found() {
            Some(found) => write!(
                f,
                ": `{}` at position {}",
                found.escape_debug(),
                self.position()
            ),
            None => write!(f, ": the text ends at position {}", self.position()),
        }
    }
}

impl std::error::Error for ReferenceError {}
