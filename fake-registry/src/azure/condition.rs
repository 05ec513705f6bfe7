//! Conditions of role assignments (version 2.0), as far as registries know them.
//!
//! `((!(ActionMatches{'…'})) OR (@Request[…:name] StringStartsWithIgnoreCase 'team/'))`: words,
//! `!`, `AND`, `OR`, parentheses, string comparisons against one value or a set. A text that
//! cannot be read is an error where it is written, and never a silent grant.

use super::roles::wildcard;

/// A condition, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    ActionMatches(String),
    Compare {
        attribute: String,
        operator: Operator,
        negated: bool,
        values: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    kind: Kind,
    ignore_case: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Equals,
    StartsWith,
    Like,
}

/// Where a condition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the condition cannot be read at character {at}: {wanted} expected")]
pub struct ConditionError {
    /// Counted from 0.
    pub at: usize,
    /// What should stand there.
    pub wanted: &'static str,
}

/// Deeper nesting is not a condition but an attack.
const MAX_DEPTH: usize = 32;
const REPOSITORY_NAME: &str = "Microsoft.ContainerRegistry/registries/repositories:name";

impl Condition {
    pub(crate) fn parse(text: &str) -> Result<Self, ConditionError> {
        let mut reader = Reader {
            text,
            at: 0,
            depth: 0,
        };
        let condition = reader.any()?;
        reader.skip_space();
        if reader.at < text.len() {
            return Err(reader.wanted("the end"));
        }
        Ok(condition)
    }

    /// Whether it holds for an action on a repository. An attribute that we do not know holds for
    /// nothing.
    pub(crate) fn holds(&self, action: &str, repository: &str) -> bool {
        match self {
            Self::Not(inner) => !inner.holds(action, repository),
            Self::All(list) => list.iter().all(|inner| inner.holds(action, repository)),
            Self::Any(list) => list.iter().any(|inner| inner.holds(action, repository)),
            Self::ActionMatches(pattern) => wildcard(pattern, action),
            Self::Compare {
                attribute,
                operator,
                negated,
                values,
            } => {
                attribute.eq_ignore_ascii_case(REPOSITORY_NAME)
                    && values
                        .iter()
                        .any(|value| operator.matches(value, repository))
                        != *negated
            }
        }
    }
}

impl Operator {
    fn parse(word: &str) -> Option<(Self, bool)> {
        // A set is compared element by element.
        let word = word.strip_prefix("ForAnyOfAnyValues:").unwrap_or(word);
        let rest = word.strip_prefix("String")?;
        let (rest, negated) = rest
            .strip_prefix("Not")
            .map_or((rest, false), |rest| (rest, true));
        let (rest, ignore_case) = rest
            .strip_suffix("IgnoreCase")
            .map_or((rest, false), |rest| (rest, true));
        let kind = match rest {
            "Equals" => Kind::Equals,
            "StartsWith" => Kind::StartsWith,
            "Like" => Kind::Like,
            _ => return None,
        };
        Some((Self { kind, ignore_case }, negated))
    }

    fn matches(self, value: &str, name: &str) -> bool {
        let (value, name) = if self.ignore_case {
            (value.to_ascii_lowercase(), name.to_ascii_lowercase())
        } else {
            (value.to_owned(), name.to_owned())
        };
        match self.kind {
            Kind::Equals => value == name,
            Kind::StartsWith => name.starts_with(&value),
            // Repository names are lower case, so the pattern's indifference to case is harmless.
            Kind::Like => wildcard(&value, &name),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wanted(&self, wanted: &'static str) -> ConditionError {
        ConditionError {
            at: self.at,
            wanted,
        }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn need(&mut self, token: &'static str) -> Result<(), ConditionError> {
        if self.eat(token) {
            Ok(())
        } else {
            Err(self.wanted(token))
        }
    }

    /// `AND`, `OR` and the older `&&`, `||`.
    fn joined(&mut self, word: &str, sign: &str) -> bool {
        self.eat(sign) || self.eat(word)
    }

    fn any(&mut self) -> Result<Condition, ConditionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wanted("less nesting"));
        }
        let mut list = vec![self.all()?];
        while self.joined("OR", "||") {
            list.push(self.all()?);
        }
        self.depth -= 1;
        Ok(one_or(list, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, ConditionError> {
        let mut list = vec![self.one()?];
        while self.joined("AND", "&&") {
            list.push(self.one()?);
        }
        Ok(one_or(list, Condition::All))
    }

    fn one(&mut self) -> Result<Condition, ConditionError> {
        if self.eat("!") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(self.wanted("less nesting"));
            }
            let inner = self.one()?;
            self.depth -= 1;
            return Ok(Condition::Not(Box::new(inner)));
        }
        if self.eat("(") {
            let inner = self.any()?;
            self.need(")")?;
            return Ok(inner);
        }
        if self.eat("ActionMatches") {
            self.need("{")?;
            let pattern = self.quoted()?;
            self.need("}")?;
            return Ok(Condition::ActionMatches(pattern));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Condition, ConditionError> {
        if !["@Request", "@Resource"]
            .into_iter()
            .any(|source| self.eat(source))
        {
            return Err(self.wanted("an action or an attribute"));
        }
        self.need("[")?;
        let (attribute, _) = self
            .rest()
            .split_once(']')
            .ok_or_else(|| self.wanted("`]`"))?;
        let attribute = attribute.trim().to_owned();
        self.at += self.rest().find(']').unwrap_or_default() + 1;
        self.skip_space();
        let word = self
            .rest()
            .split(|c: char| c.is_whitespace() || c == '\'' || c == '{')
            .next()
            .unwrap_or_default();
        let (operator, negated) =
            Operator::parse(word).ok_or_else(|| self.wanted("a comparison of strings"))?;
        self.at += word.len();
        let mut values = Vec::new();
        if self.eat("{") {
            loop {
                values.push(self.quoted()?);
                if !self.eat(",") {
                    break;
                }
            }
            self.need("}")?;
        } else {
            values.push(self.quoted()?);
        }
        Ok(Condition::Compare {
            attribute,
            operator,
            negated,
            values,
        })
    }

    fn quoted(&mut self) -> Result<String, ConditionError> {
        self.need("'")?;
        let (value, _) = self
            .rest()
            .split_once('\'')
            .ok_or_else(|| self.wanted("a closing quote"))?;
        self.at += value.len() + 1;
        Ok(value.to_owned())
    }
}

fn one_or(mut list: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match list.pop() {
        Some(only) if list.is_empty() => only,
        Some(last) => {
            list.push(last);
            join(list)
        }
        None => join(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::roles::{CONTENT_READ, CONTENT_WRITE};

    const DOCUMENTED: &str = "((!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'}) AND !(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/metadata/read'})) OR (@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWithIgnoreCase 'team/'))";

    #[test]
    fn the_documented_form() {
        let condition = Condition::parse(DOCUMENTED).unwrap();
        let table = [
            (CONTENT_READ, "team/web", true),
            (CONTENT_READ, "other/web", false),
            (CONTENT_WRITE, "other/web", true),
        ];
        for (action, repository, want) in table {
            assert_eq!(
                condition.holds(action, repository),
                want,
                "for {action} on {repository}"
            );
        }
    }

    #[test]
    fn comparisons() {
        let table = [
            ("StringEquals 'a'", "a", true),
            ("StringEquals 'a'", "b", false),
            ("StringNotEquals 'a'", "b", true),
            ("StringEqualsIgnoreCase 'A'", "a", true),
            ("StringStartsWith 'a/'", "a/b", true),
            ("StringLike 'a/*/c'", "a/b/c", true),
            ("ForAnyOfAnyValues:StringEquals {'x', 'y'}", "y", true),
        ];
        for (comparison, repository, want) in table {
            let text = format!("@Request[{REPOSITORY_NAME}] {comparison}");
            let condition = Condition::parse(&text).unwrap();
            assert_eq!(
                condition.holds(CONTENT_READ, repository),
                want,
                "for {comparison}"
            );
        }
        let unknown = Condition::parse("@Request[other:name] StringNotEquals 'a'").unwrap();
        assert!(!unknown.holds(CONTENT_READ, "b"));
    }

    #[test]
    fn texts_that_are_no_condition() {
        for text in [
            "",
            "(",
            "()",
            "!",
            "@Request",
            "@Request[a] Less 'b'",
            "@Request[a] StringEquals 'b",
            "ActionMatches{'a'} x",
            &"(".repeat(100),
            &"!".repeat(100),
        ] {
            assert!(Condition::parse(text).is_err(), "for {text:?}");
        }
    }
}
