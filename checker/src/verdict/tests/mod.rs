//! Tables of plain evidence: what was seen, and the one verdict that it admits.

mod access;
mod image;
mod network;
mod pods;

use std::time::Duration;

use jiff::Timestamp;

use super::{Case, Judgement, Told, Verdict, judge};
use crate::azure::AzureFacts;
use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::{AttemptEnd, Endpoint, Evidence, Fact, Identity, Refusal, Role, Seen};
use crate::reference::Reference;
use crate::stage::Stage;
use crate::symptom::PullSecret;
use crate::wire::Excerpt;
use crate::world::{Authority, Vantage};

pub(super) const NOW: &str = "2026-01-15T09:10:00Z";

pub(super) fn now() -> Timestamp {
    NOW.parse().expect("a date")
}

/// A record that is written fact by fact.
pub(super) struct Record {
    pub(super) host: &'static str,
    pub(super) evidence: Evidence,
}

impl Record {
    pub(super) fn of(host: &'static str) -> Self {
        Self {
            host,
            evidence: Evidence::new(),
        }
    }

    pub(super) fn fact(
        mut self,
        from: &str,
        stage: Stage,
        role: Role,
        who: Option<Identity>,
        seen: Seen,
    ) -> Self {
        let host = if role == Role::Metadata {
            "169.254.169.254"
        } else {
            self.host
        };
        self.push(from, stage, role, host, who, seen);
        self
    }

    fn push(
        &mut self,
        from: &str,
        stage: Stage,
        role: Role,
        host: &str,
        identity: Option<Identity>,
        seen: Seen,
    ) {
        self.evidence.push(Fact {
            stage,
            vantage: place(from),
            endpoint: Some(Endpoint::new(role, Authority::parse(host).expect("a host"))),
            identity,
            at: now(),
            took: Duration::from_millis(1),
            seen,
        });
    }

    pub(super) fn seen(self, from: &str, stage: Stage, seen: Seen) -> Self {
        self.fact(from, stage, Role::Registry, None, seen)
    }

    /// The name resolves to `address`, which accepts a connection.
    pub(super) fn reached(self, from: &str, address: &str) -> Self {
        self.resolved(from, address).seen(
            from,
            Stage::Tcp,
            Seen::Connected {
                address: socket(address),
            },
        )
    }

    pub(super) fn resolved(self, from: &str, address: &str) -> Self {
        let addresses = vec![socket(address).ip()];
        self.seen(
            from,
            Stage::Dns,
            Seen::Resolved {
                addresses,
                aliases: vec![],
                server: Some("10.0.0.10:53".into()),
            },
        )
    }

    pub(super) fn ended(self, from: &str, stage: Stage, who: Identity, complete: bool) -> Self {
        self.fact(
            from,
            stage,
            Role::Registry,
            Some(who),
            Seen::AttemptEnded(AttemptEnd { stage, complete }),
        )
    }
}

pub(super) fn place(from: &str) -> Vantage {
    if from == "here" {
        Vantage::Workstation
    } else {
        Vantage::node(from)
    }
}

pub(super) fn socket(address: &str) -> std::net::SocketAddr {
    address.parse().expect("an address with a port")
}

pub(super) fn refusal(status: u16, code: &str, message: &str) -> Refusal {
    Refusal {
        status,
        codes: if code.is_empty() {
            vec![]
        } else {
            vec![Excerpt::new(code)]
        },
        message: Excerpt::new(message),
        content_type: None,
        retry_after: None,
        rate_limit: None,
        correlation: None,
        date: None,
    }
}

pub(super) fn told(node: &str, clue: Clue, stage: Stage, text: &str) -> Told {
    Told {
        node: Some(node.into()),
        clue,
        certain: true,
        stage,
        causes: clue.causes().to_vec(),
        host: None,
        status: None,
        text: text.into(),
        last: Some(now() - jiff::SignedDuration::from_secs(60)),
        count: 3,
    }
}

/// A case about `image` that fails on `nodes`; none means a question about the image alone.
pub(super) struct Asked {
    pub(super) image: &'static str,
    pub(super) nodes: Vec<String>,
    pub(super) told: Vec<Told>,
    pub(super) secrets: Vec<PullSecret>,
    pub(super) azure: Option<AzureFacts>,
    pub(super) corrected: Option<&'static str>,
    pub(super) hanging: Option<Timestamp>,
}

impl Asked {
    pub(super) fn image(image: &'static str) -> Self {
        Self {
            image,
            nodes: vec![],
            told: vec![],
            secrets: vec![],
            azure: None,
            corrected: None,
            hanging: None,
        }
    }

    pub(super) fn on(mut self, node: &str) -> Self {
        self.nodes.push(node.into());
        self
    }

    pub(super) fn told(mut self, told: Told) -> Self {
        self.told.push(told);
        self
    }

    pub(super) fn azure(mut self, azure: AzureFacts) -> Self {
        self.azure = Some(azure);
        self
    }

    pub(super) fn judge(&self, record: &Record) -> Judgement {
        let reference = Reference::parse(self.image).ok();
        judge(&Case {
            image: self.image,
            reference: reference.as_ref(),
            in_cluster: !self.nodes.is_empty(),
            told: &self.told,
            hanging: self.hanging,
            ahead: &[],
            after_pull: false,
            stops_with: None,
            running: 0,
            platform: None,
            node: None,
            runs_beside: false,
            always_pulls: false,
            on_azure: true,
            failing_nodes: &self.nodes,
            secrets: &self.secrets,
            namespace: Some("shop"),
            evidence: &record.evidence,
            shallow: &[],
            azure: self.azure.as_ref(),
            corrected_host: self.corrected,
            now: now(),
        })
    }
}

pub(super) fn candidates(judgement: &Judgement) -> &[Cause] {
    match &judgement.verdict {
        Verdict::Undetermined {
            candidates,
            would_settle,
            ..
        } => {
            assert!(
                !would_settle.is_empty(),
                "nothing is said to settle {candidates:?}"
            );
            candidates
        }
        other => panic!(
            "expected undetermined, got {other:?}: {}",
            judgement.because
        ),
    }
}

/// Asserts a proven cause and that these look-alikes are ruled out, each with a reason.
pub(super) fn blocked(judgement: &Judgement, cause: Cause, ruled_out: &[Cause]) {
    assert_eq!(
        judgement.verdict.cause(),
        Some(cause),
        "{:?}\n{}",
        judgement.verdict,
        judgement.because
    );
    for other in ruled_out {
        let found = judgement.ruled_out.iter().find(|one| one.cause == *other);
        assert!(
            found.is_some_and(|one| !one.because.is_empty()),
            "{other} is not ruled out: {:#?}",
            judgement.ruled_out
        );
    }
}
