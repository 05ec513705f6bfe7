//! What the node says and no probe can see: a probe that passes does not speak against it.
//!
//! A full disk, a policy of the runtime, a mirror on the node itself, ports that run out, a credential provider
//! that gives nothing though it could. Everything here begins with the kubelet's own, fresh words.

use std::net::IpAddr;

use super::ending::{addresses, from, is_private};
use super::{Case, Draft, Settle, Told, ago, within};
use crate::azure::Grant;
use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::{Identity, Role, Seen};
use crate::stage::Stage;
use crate::world::Vantage;

/// Minutes for which the words of a failed attempt still tell how the node is: two back-offs.
const FRESH: i64 = 10;
/// Failures after which it is more than bad luck.
const REPEATED: u32 = 2;

/// A probe from the node passed; the kubelet's last words may stand all the same.
pub(super) fn stands(case: &Case<'_>, told: &Told, vantage: &Vantage) -> Option<Draft> {
    if !told.last.is_none_or(|at| within(case, at, FRESH)) {
        return None;
    }
    if let Some((cause, what)) = proven_by_words(told) {
        let because = format!("{what}: {}", told.text);
        return Some(Draft::proven(cause.stage(), cause, because));
    }
    let at_node = matches!(vantage, Vantage::Node(_));
    match told.clue {
        Clue::PullCancelled => Some(cancelled(told, vantage)),
        Clue::TcpTimeout if at_node && told.count >= REPEATED => ports(case, told, vantage),
        Clue::AuthRequiredNoCredentials
        | Clue::AzureIdentityFailed
        | Clue::CredentialProviderFailed
            if at_node =>
        {
            provider(case, told, vantage)
        }
        _ => None,
    }
}

/// A cause that the message itself proves, with what it says.
pub(super) fn proven_by_words(told: &Told) -> Option<(Cause, &'static str)> {
    let text = told.text.to_ascii_lowercase();
    match told.clue {
        Clue::DiskFull if told.certain => {
            Some((Cause::DiskFull, "the node has no room for the image"))
        }
        Clue::PolicyBlocked if text.contains("signature") => Some((
            Cause::SignatureRejected,
            "the node's policy refuses the image's signature",
        )),
        _ if text.contains("//localhost:8578/") => Some((
            Cause::AcrStreamingProxy,
            "the node asks the streaming proxy of its own, and that one fails",
        )),
        _ => None,
    }
}

/// The runtime gave up; it does not say on what.
fn cancelled(told: &Told, vantage: &Vantage) -> Draft {
    let because = format!(
        "the runtime ended the pull without a reason of its own; a probe {} passes every stage: {}",
        from(vantage),
        told.text
    );
    let node = told.node.as_deref().unwrap_or("NODE");
    let settle = vec![
        Settle::by(
            "why it was ended: no progress for image_pull_progress_timeout, a restart, or a deleted pod",
            format!(
                "kubectl debug node/{node} -it --image=busybox -- chroot /host journalctl -u containerd --since -1h"
            ),
        ),
        Settle::new("how long a whole pull takes from the node"),
    ];
    let candidates = vec![
        Cause::PullProgressTimeout,
        Cause::PullHanging,
        Cause::RegistrySlow,
        Cause::StaleBackoff,
    ];
    Draft::open(told.stage, candidates, because, settle)
}

/// Dials to a public address time out again and again, and a single one of the probe does not.
fn ports(case: &Case<'_>, told: &Told, vantage: &Vantage) -> Option<Draft> {
    let public = |address: &IpAddr| !is_private(*address);
    if !addresses(case.evidence, vantage, Role::Registry)
        .iter()
        .any(public)
    {
        return None;
    }
    let last = told
        .last
        .map_or_else(String::new, |at| format!(", last {}", ago(case, at)));
    let because = format!(
        "{} attempts of the kubelet timed out on the way{last}, and a probe {} passes: mended since, or it works only sometimes",
        told.count,
        from(vantage)
    );
    let node = told.node.as_deref().unwrap_or("NODE");
    let settle = vec![
        Settle::new("the kubelet's next attempt"),
        Settle::by(
            "many dials at a time from the node: where ports run out, some of them fail",
            format!(
                "kubectl debug node/{node} -it --image=curlimages/curl -- curl -s -o /dev/null --parallel --parallel-max 64 --connect-timeout 5 -w '%{{http_code}}\\n' \"https://{}/v2/?[1-200]\"",
                case.reference
                    .map_or_else(String::new, |one| one.endpoint().to_string())
            ),
        ),
    ];
    Some(Draft::open(
        Stage::Tcp,
        vec![Cause::StaleBackoff, Cause::SnatExhaustion],
        because,
        settle,
    ))
}

/// The node's identity may pull and the node can get its token, and yet the kubelet had none.
fn provider(case: &Case<'_>, told: &Told, vantage: &Vantage) -> Option<Draft> {
    let passed = case.evidence.from(vantage).find(|fact| {
        matches!(fact.identity, Some(Identity::KubeletIdentity { .. }))
            && matches!(&fact.seen, Seen::AttemptEnded(end) if end.complete)
    })?;
    let because = format!(
        "the kubelet pulled without a credential, though {} gets one {} and pulls with it",
        passed
            .identity
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        from(vantage)
    );
    let changed = case.azure.and_then(|azure| {
        let kubelet = azure.kubelet()?;
        let mut grants = azure.assignments_of(&kubelet.object_id);
        grants.find(|one| one.grant == Grant::Pull)?.changed
    });
    if let (Some(changed), Some(last)) = (changed, told.last)
        && changed > last
    {
        // The role came after the failure: that is what was mended.
        return None;
    }
    let mut candidates = vec![Cause::StaleBackoff, Cause::CredentialProviderBroken];
    let arm_tokens = case
        .azure
        .and_then(|azure| azure.registry.as_ref())
        .is_none_or(|registry| registry.arm_tokens);
    let mut because = because;
    if !arm_tokens {
        candidates.insert(0, Cause::AcrArmTokenDisabled);
        because.push_str("; the registry refuses tokens for Azure Resource Manager, which older credential providers bring");
    }
    let node = told.node.as_deref().unwrap_or("NODE");
    let settle = vec![
        Settle::new(
            "the kubelet's next attempt: a role that was given a moment ago is known by then",
        ),
        Settle::by(
            "what the kubelet says about its credential provider",
            format!(
                "kubectl debug node/{node} -it --image=busybox -- chroot /host journalctl -u kubelet --since -1h --grep credential"
            ),
        ),
    ];
    Some(Draft::open(Stage::Auth, candidates, because, settle))
}
