//! What makes two plays comparable: everything that differs by nature is replaced by what it is.
//!
//! Names that the stage made up become those of the scenario file, or say whose they are (`web~2-<pod>`: a pod
//! of the second template of `web`); digests, identifiers, dates, addresses and ports become placeholders.

use std::collections::BTreeMap;

use crate::traces::Traces;

/// The names of one play, and what stands for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The longest first, so that no name is taken for a part of another.
    pairs: Vec<(String, String)>,
}

impl Names {
    pub(super) fn of(traces: &Traces) -> Self {
        let mut pairs = BTreeMap::<&str, String>::new();
        let mut templates = BTreeMap::<&str, usize>::new();
        // Those who own others come before them.
        for (name, owner) in &traces.owners {
            if owner.kind == "Deployment" {
                let count = templates.entry(&owner.name).or_default();
                *count += 1;
                pairs.insert(name, format!("{}~{count}", owner.name));
            }
        }
        for (name, owner) in &traces.owners {
            if matches!(owner.kind.as_str(), "ReplicaSet" | "DaemonSet" | "Job") {
                let of = pairs.get(owner.name.as_str());
                let of = of.map_or(owner.name.as_str(), String::as_str).to_owned();
                pairs.insert(name, format!("{of}-<pod>"));
            }
        }
        let stage = traces.stage.names.iter();
        pairs.extend(stage.map(|(name, own)| (name.as_str(), own.clone())));
        let mut pairs: Vec<_> = pairs
            .into_iter()
            .map(|(name, own)| (name.to_owned(), own))
            .collect();
        pairs.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { pairs }
    }

    /// A text without anything that is this play's alone.
    pub(super) fn text(&self, text: &str) -> String {
        let named = self
            .pairs
            .iter()
            .fold(text.to_owned(), |text, (name, own)| text.replace(name, own));
        folders(&words(&named))
    }
}

/// Whether a character can be part of a date, an address, a digest.
const fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-')
}

fn words(text: &str) -> String {
    let pulled = text.starts_with("Successfully pulled image");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if is_part(first) {
            rest.find(|c| !is_part(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (head, tail) = rest.split_at(end);
        out.push_str(&word(head, pulled));
        rest = tail;
    }
    if pulled {
        // `Image size: 70123 bytes.`
        if let Some((before, after)) = out.split_once("Image size: ") {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            return format!("{before}Image size: <n>{after}");
        }
    }
    out
}

/// Where data hosts keep a blob: `sha256/4f/4f3a…`.
fn folders(text: &str) -> String {
    let mut parts = text.split("/sha256/");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.split_once('/') {
        Some((two, rest)) if two.len() == 2 && rest.starts_with("<id>") => {
            format!("{text}/sha256/<id>/{rest}")
        }
        _ => format!("{text}/sha256/{part}"),
    })
}

fn word(word: &str, pulled: bool) -> String {
    let core = word.trim_end_matches(['.', ':', '-']);
    let (_, end) = word.split_at(core.len());
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let digest = core.split_once("sha256:");
    let put = match digest {
        Some((before, digest)) if hex(digest) => format!("{before}sha256:<digest>"),
        _ if core.len() == 64 && hex(core) => "<id>".to_owned(),
        _ if is_uuid(core) => "<uuid>".to_owned(),
        _ if core.parse::<std::net::Ipv4Addr>().is_ok() => "<address>".to_owned(),
        _ if core.parse::<std::net::SocketAddrV4>().is_ok() => "<address>:<port>".to_owned(),
        _ if core.contains('T') && core.parse::<jiff::Timestamp>().is_ok() => "<time>".to_owned(),
        _ if pulled && is_duration(core) => "<duration>".to_owned(),
        _ => core.to_owned(),
    };
    put + end
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// As Go prints it: `1m2.5s`, `261.52ms`.
fn is_duration(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with('s')
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'h' | 'm' | 's' | 'n' | 'u'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::{Owner, Stage};

    fn names() -> Names {
        let owner = |kind: &str, name: &str| Owner {
            kind: kind.into(),
            name: name.into(),
        };
        let mut traces = Traces::default();
        for (name, of) in [
            ("web-7d9f8", owner("Deployment", "web")),
            ("web-7d9f8-abcde", owner("ReplicaSet", "web-7d9f8")),
            ("web-5c4b2", owner("Deployment", "web")),
            ("web-5c4b2-fghij", owner("ReplicaSet", "web-5c4b2")),
            ("db-0", owner("StatefulSet", "db")),
        ] {
            traces.owners.insert(name.into(), of);
        }
        traces.stage = Stage {
            names: vec![
                ("scenarios-worker".into(), "node-2".into()),
                ("scenarios-worker2".into(), "node-3".into()),
                ("k12-registry.example".into(), "registry.example".into()),
                ("pk-12-bad-tag".into(), "default".into()),
            ],
            ..Stage::default()
        };
        Names::of(&traces)
    }

    #[test]
    fn what_differs_by_nature_is_replaced() {
        let digest = "a".repeat(64);
        let table = [
            (
                "Successfully assigned pk-12-bad-tag/web-5c4b2-fghij to scenarios-worker2",
                "Successfully assigned default/web~2-<pod> to node-3".to_owned(),
            ),
            ("Scaled up replica set web-7d9f8 to 1", "Scaled up replica set web~1 to 1".to_owned()),
            ("pod db-0", "pod db-0".to_owned()),
            (
                &format!("Get \"https://k12-registry.example/v2/a/manifests/sha256:{digest}\": EOF"),
                "Get \"https://registry.example/v2/a/manifests/sha256:<digest>\": EOF".to_owned(),
            ),
            (
                "dial tcp 172.18.0.2:443: i/o timeout; read udp 10.0.0.1:4455->10.0.0.2:53: refused",
                "dial tcp <address>:<port>: i/o timeout; read udp <address>:<port>-><address>:<port>: refused"
                    .to_owned(),
            ),
            ("lookup a on 10.0.0.53.", "lookup a on <address>.".to_owned()),
            (
                "current time 2026-11-24T10:00:00Z is after 2026-11-01T00:00:00Z",
                "current time <time> is after <time>".to_owned(),
            ),
            (
                "Successfully pulled image \"a:1\" in 1m2.5s (1m3s including waiting). Image size: 70123 bytes.",
                "Successfully pulled image \"a:1\" in <duration> (<duration> including waiting). Image size: <n> bytes."
                    .to_owned(),
            ),
            ("back-off 10s restarting", "back-off 10s restarting".to_owned()),
            (
                "id 0f0e0d0c-1111-2222-3333-444455556666: version 1.2.3",
                "id <uuid>: version 1.2.3".to_owned(),
            ),
            (&format!("sandbox \"{digest}\""), "sandbox \"<id>\"".to_owned()),
            (
                &format!("Get https://a/blobs/sha256/aa/{digest}/data: no"),
                "Get https://a/blobs/sha256/<id>/<id>/data: no".to_owned(),
            ),
            ("µs → 1.2.3.4", "µs → <address>".to_owned()),
            ("", String::new()),
        ];
        for (text, want) in table {
            assert_eq!(names().text(text), want);
        }
    }
}
