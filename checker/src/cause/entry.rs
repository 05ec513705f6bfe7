//! The shape of the catalogue: what is known about one cause, as plain data.
//!
//! The texts are for a person on call at night: short sentences, no jargon that the message itself
//! does not use. Commands are templates; `<word>` is a placeholder out of [`PLACEHOLDERS`], and
//! [`RemedyTemplate::fill`] puts values in. Nothing here decides anything.

use super::Cause;
use crate::stage::Stage;

/// All that the catalogue knows about a cause.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stage: Stage,
    pub(super) meaning: &'static str,
    pub(super) detail: &'static str,
    pub(super) evidence: &'static str,
    pub(super) remedies: &'static [RemedyTemplate],
}

/// Another cause with the same symptom, and the question that tells the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookAlike {
    /// The other cause.
    pub cause: Cause,
    /// The question whose answer splits the pair; it reads the same from both sides.
    pub question: &'static str,
}

/// Something to do about a cause; commands hold placeholders such as `<namespace>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemedyTemplate {
    /// What it does, as an order: `Use a tag that exists`.
    pub title: &'static str,
    /// Lines to paste, in order, with `<placeholders>`.
    pub commands: &'static [&'static str],
    /// What to know before or after.
    pub note: Option<&'static str>,
}

/// Every placeholder that a command template may hold.
pub const PLACEHOLDERS: &[&str] = &[
    "acr",
    "address",
    "ca-file",
    "client-id",
    "cluster",
    "container",
    "digest",
    "host",
    "image",
    "namespace",
    "node",
    "node-resource-group",
    "object-id",
    "other-namespace",
    "pod",
    "registry",
    "registry-id",
    "repository",
    "resource-group",
    "secret",
    "tag",
    "vnet",
    "vnet-id",
    "workload",
];

pub(super) const fn remedy(
    title: &'static str,
    commands: &'static [&'static str],
    note: &'static str,
) -> RemedyTemplate {
    RemedyTemplate {
        title,
        commands,
        note: if note.is_empty() { None } else { Some(note) },
    }
}

impl RemedyTemplate {
    /// The commands with each `<name>` of `values` replaced; a placeholder without a value stays
    /// as it is, so that a reader sees what is still open.
    pub fn fill(&self, values: &[(&str, &str)]) -> Vec<String> {
        self.commands
            .iter()
            .map(|command| fill_template(command, values))
            .collect()
    }

    /// The placeholders that the commands hold, in order of first use.
    pub fn placeholders(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        for command in self.commands {
            for (name, _) in pieces(command) {
                if let Some(name) = name
                    && !found.contains(&name)
                {
                    found.push(name);
                }
            }
        }
        found
    }
}

/// Fills one template line: each `<name>` of `values` is replaced, in one pass, so that a value is
/// never searched for placeholders.
pub fn fill_template(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    for (name, text) in pieces(template) {
        match name.and_then(|name| values.iter().find(|(key, _)| *key == name)) {
            Some((_, value)) => out.push_str(value),
            None => out.push_str(text),
        }
    }
    out
}

/// Splits a template into plain text and placeholders (name, text as written).
fn pieces(template: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(tail) = rest.strip_prefix('<')
            && let Some((name, after)) = tail.split_once('>')
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        {
            let (text, _) = rest.split_at(name.len() + 2);
            rest = after;
            return Some((Some(name), text));
        }
        let skip = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == '<')
            .map_or(rest.len(), |(at, _)| at);
        let (text, after) = rest.split_at(end.max(skip));
        rest = after;
        Some((None, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_replaces_known_placeholders_only() {
        let template = remedy(
            "t",
            &["kubectl -n <namespace> get <pod> <odd", "<a b> <pod>"],
            "",
        );
        assert_eq!(
            template.fill(&[("namespace", "<pod>"), ("pod", "web")]),
            ["kubectl -n <pod> get web <odd", "<a b> web"]
        );
        assert_eq!(template.placeholders(), ["namespace", "pod"]);
    }
}
