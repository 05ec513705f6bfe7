//! The scope receipt: what the probes proved, and what nobody looked at.

use std::collections::BTreeSet;

use serde::Serialize;

use super::ending::{from, host, role};
use super::{Case, Judgement};
use crate::evidence::{BlobKind, Fact, Role, Seen};
use crate::world::Vantage;

/// What an answer rests on, and what it does not cover.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Seen to succeed, by vantage.
    pub proved: Vec<String>,
    /// Not looked at, or not reached.
    pub not_proved: Vec<String>,
}

/// Writes the receipt of a judgement.
pub fn receipt(case: &Case<'_>, judgement: &Judgement) -> Receipt {
    let mut receipt = Receipt::default();
    for vantage in case.evidence.vantages() {
        let steps = proved_from(case, vantage);
        if !steps.is_empty() {
            receipt
                .proved
                .push(format!("{}: {}", from(vantage), steps.join(", ")));
        }
    }
    let Some(deciding) = judgement.vantage.as_ref() else {
        receipt
            .not_proved
            .push("nothing was probed; this rests on what the cluster says".into());
        return receipt;
    };
    let facts = || case.evidence.from(deciding);
    let by_address = case
        .reference
        .is_some_and(|one| one.endpoint().host().name().is_none());
    let later = [
        (
            "the name",
            by_address
                || facts().any(|fact| {
                    matches!(fact.seen, Seen::Resolved { .. } | Seen::Connected { .. })
                }),
        ),
        (
            "TCP",
            facts().any(|fact| matches!(fact.seen, Seen::Connected { .. })),
        ),
        (
            "TLS",
            facts().any(|fact| matches!(fact.seen, Seen::TlsEstablished { .. } | Seen::PlainHttp)),
        ),
        (
            "the manifest",
            facts().any(|fact| matches!(fact.seen, Seen::ManifestFound(_))),
        ),
        (
            "the layers",
            facts().any(|fact| matches!(fact.seen, Seen::BlobReachable { .. })),
        ),
    ];
    let unreached: Vec<&str> = later
        .iter()
        .filter(|(_, seen)| !seen)
        .map(|(name, _)| *name)
        .collect();
    if !unreached.is_empty() {
        receipt
            .not_proved
            .push(format!("{}: {}", from(deciding), unreached.join(", ")));
    }
    let unread = facts()
        .filter(|fact| {
            matches!(
                &fact.seen,
                Seen::BlobReachable {
                    verified: false,
                    kind: BlobKind::Layer,
                    ..
                }
            )
        })
        .count();
    if unread > 0 {
        receipt.not_proved.push(format!(
            "the content of {unread} layers (they answer; their bytes were not all read)"
        ));
    }
    let looked: BTreeSet<&Vantage> = case.evidence.vantages().into_iter().collect();
    let blind: Vec<&str> = case
        .failing_nodes
        .iter()
        .filter(|node| !looked.contains(&Vantage::node(node)))
        .map(String::as_str)
        .collect();
    if !blind.is_empty() {
        let shown: Vec<&str> = blind.iter().copied().take(3).collect();
        let more = if blind.len() > shown.len() {
            format!(" and {} more", blind.len() - shown.len())
        } else {
            String::new()
        };
        receipt
            .not_proved
            .push(format!("the way from {}{more}", shown.join(", ")));
    }
    let from_node = looked.iter().any(|one| **one != Vantage::Workstation);
    if !case.in_cluster && !from_node {
        receipt
            .not_proved
            .push("the way from any node of a cluster".into());
    }
    receipt
}

fn proved_from(case: &Case<'_>, vantage: &Vantage) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut layers = 0_usize;
    for fact in case.evidence.from(vantage) {
        if let Seen::BlobReachable {
            kind: BlobKind::Layer,
            ..
        } = fact.seen
        {
            layers += 1;
        }
        if let Some(step) = step(fact).filter(|step| !steps.contains(step)) {
            steps.push(step);
        }
    }
    if layers > 0 {
        steps.push(format!("{layers} layers answer"));
    }
    steps
}

fn step(fact: &Fact) -> Option<String> {
    if role(fact) == Role::Metadata {
        return None;
    }
    let of = match role(fact) {
        Role::Registry => String::new(),
        _ => format!(" of {}", host(fact)),
    };
    Some(match &fact.seen {
        Seen::Resolved { .. } => format!("name{of}"),
        Seen::Connected { .. } => format!("TCP{of}"),
        Seen::TlsEstablished { .. } => format!("TLS{of}"),
        Seen::Pinged {
            status: 200 | 401, ..
        } => "a registry answers".into(),
        Seen::TokenGranted { scope, .. } => format!("token for {scope}"),
        Seen::ExchangeGranted { .. } => "exchange of the node's identity".into(),
        Seen::ManifestFound(_) => "manifest".into(),
        Seen::PlatformChosen { wanted, .. } => format!("an image for {wanted}"),
        Seen::ConfigRead { .. } => "configuration".into(),
        Seen::Tags { complete: true, .. } => "tag list".into(),
        _ => return None,
    })
}
