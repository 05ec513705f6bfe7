//! TOML with places: every complaint names its line and column.

use toml_edit::{Document, Item, TableLike};

use crate::wire::Excerpt;

/// No configuration of a runtime is larger.
pub(super) const MAX_FILE: usize = 256 * 1024;

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {text}")]
pub struct ConfigError {
    /// The line, from 1; 0 if the whole file is meant.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub text: Excerpt,
}

/// A file that is TOML.
pub(super) struct Toml<'a> {
    raw: &'a str,
    document: Document<&'a str>,
}

impl<'a> Toml<'a> {
    pub(super) fn parse(raw: &'a str) -> Result<Self, ConfigError> {
        if raw.len() > MAX_FILE {
            return Err(ConfigError {
                line: 0,
                column: 0,
                text: Excerpt::new(&format!("more than {MAX_FILE} bytes")),
            });
        }
        match Document::parse(raw) {
            Ok(document) => Ok(Self { raw, document }),
            Err(error) => Err(complain(
                raw,
                error.span().map_or(0, |span| span.start),
                error.message(),
            )),
        }
    }

    pub(super) fn root(&self) -> &dyn TableLike {
        self.document.as_table()
    }

    /// A complaint about an entry.
    pub(super) fn wrong(&self, item: &Item, text: &str) -> ConfigError {
        complain(self.raw, item.span().map_or(0, |span| span.start), text)
    }

    /// A complaint about a key of a table.
    pub(super) fn wrong_key(&self, table: &dyn TableLike, key: &str, text: &str) -> ConfigError {
        let span = table
            .get_key_value(key)
            .and_then(|(key, item)| key.span().or_else(|| item.span()));
        complain(self.raw, span.map_or(0, |span| span.start), text)
    }

    pub(super) fn text<'t>(
        &self,
        table: &'t dyn TableLike,
        key: &str,
    ) -> Result<Option<&'t str>, ConfigError> {
        self.typed(table, key, "a text", Item::as_str)
    }

    pub(super) fn flag(&self, table: &dyn TableLike, key: &str) -> Result<bool, ConfigError> {
        let found = self.typed(table, key, "true or false", Item::as_bool)?;
        Ok(found.unwrap_or(false))
    }

    /// A text, or a list of texts.
    pub(super) fn texts<'t>(
        &self,
        table: &'t dyn TableLike,
        key: &str,
    ) -> Result<Option<Vec<&'t str>>, ConfigError> {
        let Some(item) = table.get(key) else {
            return Ok(None);
        };
        if let Some(text) = item.as_str() {
            return Ok(Some(vec![text]));
        }
        let list = item
            .as_array()
            .and_then(|list| list.iter().map(toml_edit::Value::as_str).collect());
        list.map(Some).ok_or_else(|| {
            self.wrong(
                item,
                &format!("`{key}` is neither a text nor a list of texts"),
            )
        })
    }

    fn typed<'t, T>(
        &self,
        table: &'t dyn TableLike,
        key: &str,
        wanted: &str,
        read: impl Fn(&'t Item) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match table.get(key) {
            None => Ok(None),
            Some(item) => match read(item) {
                Some(value) => Ok(Some(value)),
                None => Err(self.wrong(item, &format!("`{key}` is not {wanted}"))),
            },
        }
    }
}

fn complain(raw: &str, at: usize, text: &str) -> ConfigError {
    let before = raw.get(..at).unwrap_or(raw);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    ConfigError {
        line,
        column,
        text: Excerpt::new(text),
    }
}
