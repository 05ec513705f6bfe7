//! What the kubelet's own words prove without a probe, and how they stand beside one.

use super::ending::{Ending, Stop, addresses, ending, from};
use super::{Case, Draft, Settle, Told, ago, image, mirror, node, within};
use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::{KeyringMiss, ManifestKind, Platform, Role, Seen};
use crate::stage::Stage;
use crate::symptom::SecretState;
use crate::world::Vantage;

/// Minutes for which a throttled attempt still counts as today's weather.
const THROTTLED: i64 = 10;

/// Causes that stop a pull before anything is sent: no probe can add to them.
pub(super) fn before_the_pull(case: &Case<'_>) -> Option<Draft> {
    let told = case.told.first();
    let quoted = told.map_or_else(String::new, |told| format!(": {}", told.text));
    if case.reference.is_none() {
        let because = format!("`{}` is not an image reference{quoted}", case.image);
        return Some(Draft::proven(
            Stage::Reference,
            Cause::ImageNameInvalid,
            because,
        ));
    }
    if case.after_pull {
        return Some(after_the_pull(case));
    }
    match told?.clue {
        Clue::NeverPullAbsent => {
            let because =
                format!("the pod's pull policy is Never, and the image is not on the node{quoted}");
            Some(Draft::proven(
                Stage::Kubelet,
                Cause::NeverPullAbsent,
                because,
            ))
        }
        Clue::SecretMalformed => Some(unreadable_secret(case)),
        Clue::PullQpsExceeded => {
            let because =
                format!("the kubelet's own limit on pulls a second held this one back{quoted}");
            Some(Draft::proven(Stage::Kubelet, Cause::KubeletQps, because))
        }
        _ => None,
    }
}

/// A pull secret that cannot be read: the kubelet then pulls nothing, whatever the other secrets hold.
pub(super) fn unreadable_secret(case: &Case<'_>) -> Draft {
    let quoted = case
        .told
        .first()
        .map_or_else(String::new, |told| format!(": {}", told.text));
    let broken: Vec<String> = case
        .evidence
        .iter()
        .filter_map(|fact| match &fact.seen {
            Seen::CredentialPassedOver {
                source,
                why: KeyringMiss::Malformed { text },
                ..
            } => Some(format!("{source}: {text}")),
            _ => None,
        })
        .collect();
    let names: Vec<&str> = case
        .secrets
        .iter()
        .map(|secret| secret.name.as_str())
        .collect();
    let of = match (broken.first(), names.is_empty()) {
        (Some(broken), _) => format!(" ({broken})"),
        (None, false) => format!(" ({})", names.join(", ")),
        (None, true) => String::new(),
    };
    let because =
        format!("the kubelet cannot read a pull secret{of}, and then pulls nothing{quoted}");
    Draft::proven(Stage::Kubelet, Cause::PullSecretMalformed, because)
}

/// The pull is done and the container cannot run: another architecture, no image at all, or nothing
/// that concerns the pull.
fn after_the_pull(case: &Case<'_>) -> Draft {
    let told = case
        .told
        .first()
        .map_or_else(String::new, |told| format!(": {}", told.text));
    if is_artifact(case) {
        let because = format!("the reference names an artifact that is no container image{told}");
        return Draft::proven(Stage::Unpack, Cause::ArtifactNotImage, because);
    }
    if let Some(mismatch) = built_for_another(case) {
        let because = format!("{mismatch}{told}");
        return Draft::proven(Stage::Platform, Cause::PlatformMismatchSingle, because);
    }
    if built_for(case).is_none() {
        let because = format!("the image was pulled, and the container cannot run from it{told}");
        let candidates = vec![Cause::ArtifactNotImage, Cause::PlatformMismatchSingle];
        let settle = vec![Settle::by(
            "what the image is, and for which platform",
            format!("crane config {}", case.image),
        )];
        return Draft::open(Stage::Unpack, candidates, because, settle);
    }
    Draft::pullable(format!(
        "the image was pulled; the container stops for another reason{told}"
    ))
}

/// The platform in the image's own configuration, where a probe read it.
fn built_for<'a>(case: &Case<'a>) -> Option<&'a Platform> {
    case.evidence.iter().find_map(|fact| match &fact.seen {
        Seen::ConfigRead { platform, .. } => Some(platform),
        _ => None,
    })
}

/// That the image is built for another platform than its node's, in words.
fn built_for_another(case: &Case<'_>) -> Option<String> {
    let (built, node) = (built_for(case)?.to_string(), case.platform?);
    let alike = built.starts_with(node) || node.starts_with(&built);
    (!alike).then(|| format!("the image is built for {built}, the node is {node}"))
}

/// Whether a probe found the manifest of something that is no container image: the same from everywhere.
fn is_artifact(case: &Case<'_>) -> bool {
    case.evidence.iter().any(|fact| match &fact.seen {
        Seen::ManifestFound(seen) => seen.kind == ManifestKind::Artifact,
        _ => false,
    })
}

/// The probe from the deciding vantage passed.
pub(super) fn passed(case: &Case<'_>, vantage: &Vantage) -> Draft {
    let mut draft = passed_as_told(case, vantage);
    for note in mirror::notes(case, vantage) {
        draft = draft.note(note);
    }
    for fact in case.evidence.from(vantage) {
        if let Seen::Flapping { working, dead } = &fact.seen {
            let list: Vec<String> = dead
                .iter()
                .take(4)
                .map(|one| format!("{}: {}", one.address, one.why))
                .collect();
            let what = if dead.iter().any(|one| one.accepts) {
                "a pull works only sometimes"
            } else {
                "a pull works, but waits for the others first when it meets them"
            };
            draft = draft.note(format!(
                "{what}: {working} of {} addresses of {} answer {} ({})",
                working + dead.len(),
                super::ending::host(fact),
                from(vantage),
                list.join(", ")
            ));
        }
    }
    draft
}

fn passed_as_told(case: &Case<'_>, vantage: &Vantage) -> Draft {
    let seen_from = from(vantage);
    let throttled = case
        .evidence
        .iter()
        .any(|fact| super::ending::status(fact) == Some(429));
    let Some(told) = case.told.first() else {
        if let Some(since) = case.hanging {
            return hanging(case, vantage, since);
        }
        // Up to runc 1.1 a program of another architecture ends with 1, as any other that fails.
        if case.stops_with == Some(1)
            && let Some(mismatch) = built_for_another(case)
        {
            let because = format!("{mismatch}; its container ends with 1");
            return Draft::proven(Stage::Platform, Cause::PlatformMismatchSingle, because);
        }
        let because = format!("every stage that a pull needs succeeded {seen_from}");
        if throttled {
            return Draft::pullable(because)
                .note("the registry answered 429 on the way and was waited for: it throttles");
        }
        return if case.in_cluster && *vantage == Vantage::Workstation {
            Draft::pullable(because).note("not seen from a node: no place to look from was given")
        } else {
            Draft::pullable(because)
        };
    };
    let last = told
        .last
        .map_or_else(String::new, |at| format!(", last {}", ago(case, at)));
    if let Some(draft) = node::stands(case, told, vantage) {
        return draft;
    }
    if told.clue == Clue::RateLimited
        && (throttled || told.last.is_none_or(|at| within(case, at, THROTTLED)))
    {
        let because = format!(
            "the registry answered 429 Too Many Requests to the node{last}; it comes and goes: a probe {seen_from} got through"
        );
        return Draft::proven(told.stage, image::throttler(case), because);
    }
    // A probe reads a chart as far as it can be read; a runtime that unpacks it fails at each attempt.
    let unusable =
        told.clue == Clue::UnpackFailed || told.causes.contains(&Cause::ArtifactNotImage);
    if unusable && is_artifact(case) {
        let because = format!(
            "the reference names an artifact that is no container image: {}",
            told.text
        );
        return Draft::proven(Stage::Unpack, Cause::ArtifactNotImage, because);
    }
    if matches!(vantage, Vantage::Node(_)) {
        let because = format!(
            "the pull would work now {seen_from}; the pod waits for the end of its back-off after an error{last}: {}",
            told.text
        );
        return Draft::proven(Stage::Kubelet, Cause::StaleBackoff, because);
    }
    told_only(case)
}

/// A pull that runs on and on while the probe finds nothing wrong.
fn hanging(case: &Case<'_>, vantage: &Vantage, since: jiff::Timestamp) -> Draft {
    let probed = if now_passes(case) {
        format!("; a probe {} passes every stage", from(vantage))
    } else {
        String::new()
    };
    let because = format!(
        "the pull began {} and neither ended nor failed{probed}",
        ago(case, since)
    );
    if let Some(ahead) = case.ahead.first().filter(|_| now_passes(case)) {
        let because = format!(
            "{because}; {} pulls {} for pod {}/{} since {}, and pulls one image at a time",
            ahead.node,
            ahead.image,
            ahead.namespace,
            ahead.pod,
            ago(case, ahead.since)
        );
        return Draft::proven(Stage::Kubelet, Cause::SerializedQueue, because);
    }
    let node = case.failing_nodes.first().map_or("NODE", String::as_str);
    let settle = vec![
        Settle::by(
            "whether another pull of this node runs before it",
            format!("kubectl get pods --all-namespaces --field-selector spec.nodeName={node}"),
        ),
        Settle::by(
            "whether bytes still come in on the node",
            format!("kubectl debug node/{node} -it --image=busybox -- netstat -tn"),
        ),
    ];
    Draft::open(
        Stage::Kubelet,
        vec![
            Cause::PullHanging,
            Cause::SerializedQueue,
            Cause::RegistrySlow,
        ],
        because,
        settle,
    )
}

/// Nobody looked from a node: the kubelet's words are the only evidence from there. They are facts
/// about the node, and what a registry holds can be seen from anywhere.
pub(super) fn told_only(case: &Case<'_>) -> Draft {
    let Some(told) = case.told.first() else {
        if let Some(since) = case.hanging {
            return hanging(case, &Vantage::Workstation, since);
        }
        let because = "nothing was probed, and no pod tells of a failure".to_owned();
        return Draft::open(
            Stage::Dns,
            Vec::new(),
            because,
            vec![Settle::new("a place on the network to look from")],
        );
    };
    let node = told
        .node
        .as_ref()
        .map_or_else(|| "a node".into(), |node| format!("node {node}"));
    let because = format!("{node} says: {}", told.text);
    if matches!(
        told.clue,
        Clue::BackOffOnly | Clue::Unknown | Clue::PullCancelled
    ) {
        let settle = vec![
            Settle::new("the kubelet's last error (newer kubelets keep it in the waiting message)"),
            Settle::new("the same probe from the node"),
        ];
        return Draft::open(told.stage, told.causes.clone(), because, settle);
    }
    let unsigned = matches!(
        told.clue,
        Clue::AuthRequiredNoCredentials | Clue::ManifestOrAuthAmbiguous | Clue::SecretMissing
    );
    let gone = |secret: &crate::symptom::PullSecret| secret.state == SecretState::Missing;
    if unsigned && !case.secrets.is_empty() && case.secrets.iter().all(gone) {
        let because = format!("{because}; {}", secrets_in_words(case));
        let cause = super::access::missing_secret(case);
        return Draft::proven(Stage::Auth, cause, because);
    }
    // An error that the node itself met, in words that admit one cause only.
    let direct = match told.clue {
        _ if told.certain && elsewhere(case, told).is_some() => elsewhere(case, told),
        _ if node::proven_by_words(told).is_some() => {
            node::proven_by_words(told).map(|(cause, _)| cause)
        }
        Clue::DnsServerFailed if told.certain => Some(Cause::DnsServfail),
        Clue::TcpRefused if told.certain && told.causes.first() == Some(&Cause::TcpRefused) => {
            Some(Cause::TcpRefused)
        }
        Clue::TlsNameMismatch if told.certain => Some(Cause::TlsHostnameMismatch),
        Clue::HttpToHttps if told.certain => Some(Cause::TlsPlainHttp),
        Clue::RateLimited => Some(image::throttler(case)),
        Clue::Registry5xx if told.certain => Some(Cause::Registry5xx),
        Clue::PlatformMismatch if told.certain => Some(Cause::PlatformMismatch),
        _ => None,
    };
    // What only the way from the node can show stays open, whatever passes from here.
    let mut candidates: Vec<Cause> = direct
        .into_iter()
        .chain(told.causes.iter().copied())
        .collect();
    candidates.dedup();
    fit_to_pod(case, &mut candidates);
    let fresh = told.last.is_none_or(|at| within(case, at, THROTTLED));
    if let Some(cause) = direct.filter(|_| fresh) {
        return Draft::proven(told.stage, cause, because);
    }
    if !candidates.contains(&Cause::StaleBackoff) && now_passes(case) {
        candidates.push(Cause::StaleBackoff);
    }
    Draft::open(
        told.stage,
        candidates,
        because,
        settle_from_node(case, told),
    )
}

/// What the pod and its reference say about the causes that a message admits: without pull secrets
/// none of them can be wrong, with some it is they that are asked about first.
fn fit_to_pod(case: &Case<'_>, candidates: &mut Vec<Cause>) {
    let of_secret = |cause: &Cause| cause.id().starts_with("pull-secret-");
    if case.secrets.is_empty() {
        if case.in_cluster {
            candidates.retain(|cause| !of_secret(cause));
        }
    } else if candidates.first() == Some(&Cause::CredentialsMissing) {
        let last = candidates.iter().rposition(of_secret).unwrap_or(0);
        if let Some(front) = candidates.get_mut(..=last) {
            front.rotate_left(1);
        }
    }
}

/// The cause when the host that the node could not reach is not the registry's: the token service,
/// or the storage behind it.
fn elsewhere(case: &Case<'_>, told: &Told) -> Option<Cause> {
    let unreachable = [
        Clue::TcpRefused,
        Clue::TcpTimeout,
        Clue::NetworkUnreachable,
        Clue::DnsNotFound,
    ];
    let host = told
        .host
        .as_deref()
        .filter(|_| unreachable.contains(&told.clue))?;
    let registry = case.reference?.endpoint();
    let bare = host
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .map_or(host, |(name, _)| name);
    if bare.eq_ignore_ascii_case(&registry.host().to_string()) || told.text.contains("ns=") {
        return None;
    }
    if told.text.contains("failed to authorize") {
        return Some(Cause::TokenEndpointUnreachable);
    }
    let layers = told.text.contains("failed to copy") || told.stage == Stage::Blob;
    layers.then_some(if told.clue == Clue::DnsNotFound {
        Cause::DnsDataEndpointMissing
    } else {
        Cause::DataEndpointBlocked
    })
}

fn now_passes(case: &Case<'_>) -> bool {
    case.evidence.attempts().any(|(_, end)| end.complete)
}

fn settle_from_node(case: &Case<'_>, told: &Told) -> Vec<Settle> {
    let host = case
        .reference
        .map_or_else(|| case.image.to_owned(), |one| one.endpoint().to_string());
    let node = told.node.as_deref().unwrap_or("NODE");
    let mut settle = vec![Settle::by(
        format!("the same probe from node {node}"),
        format!(
            "kubectl debug node/{node} -it --image=curlimages/curl -- curl -sv --max-time 30 https://{host}/v2/"
        ),
    )];
    if now_passes(case) {
        settle.push(Settle::new(
            "the kubelet's next attempt: from this workstation the pull would work now",
        ));
    }
    settle
}

/// A workstation's probe stopped, but pods fail on nodes that nobody looked from: it counts only as
/// far as it shows the same thing as the node, or what is the same from everywhere.
pub(super) fn weigh_against_the_node(case: &Case<'_>, vantage: &Vantage, draft: Draft) -> Draft {
    let Some(told) = case.told.first() else {
        return not_the_nodes(case, vantage, draft);
    };
    if *vantage != Vantage::Workstation {
        return contradictions(case, vantage, draft);
    }
    let agrees = draft
        .candidates
        .first()
        .is_some_and(|cause| told.causes.contains(cause));
    if agrees {
        return draft.note("the node was not looked from; its own message says the same");
    }
    let mut from_node = told_only(case);
    let found = draft
        .candidates
        .first()
        .map_or("nothing", |cause| cause.id());
    from_node.notes.push(format!(
        "the probe {} stopped elsewhere ({found}): {}",
        from(vantage),
        draft.because
    ));
    if !from_node.proven {
        from_node.candidates.extend(draft.candidates);
    }
    from_node
}

/// Nothing waits, and nobody looked from a node: how a workstation gets there, and as whom it asks, says
/// nothing about nodes on which the image runs. What the registry holds is the same from everywhere.
fn not_the_nodes(case: &Case<'_>, vantage: &Vantage, mut draft: Draft) -> Draft {
    let fine = case.running > 0 && case.failing_nodes.is_empty() && case.hanging.is_none();
    if *vantage != Vantage::Workstation || !fine || draft.at >= Stage::Manifest {
        return draft;
    }
    draft.proven = false;
    draft
        .settle
        .insert(0, Settle::new("the same probe from a node"));
    draft.note(
        "nothing waits for the image, and it runs: the probe from this workstation did not go the nodes' way, \
         nor as their identity",
    )
}

/// A node that was asked no further than to `/v2/` and got there.
pub(super) fn reached_by_nodes<'c>(case: &Case<'c>) -> Option<&'c Vantage> {
    let passed = |vantage: &&Vantage| matches!(ending(case.evidence, vantage), Ending::Passed);
    case.shallow.iter().find(passed)
}

/// The workstation does not get to the registry, and nodes do: what stops it is not what stops them.
pub(super) fn not_the_way_of_nodes(case: &Case<'_>, stop: &Stop<'_>) -> Draft {
    let node = reached_by_nodes(case).map_or_else(|| "from nodes".to_owned(), from);
    let reached = format!(
        "the registry answers {node}; the probe from this workstation stopped at {}",
        stop.stage
    );
    if !case.told.is_empty() {
        return told_only(case).note(reached);
    }
    let settle = vec![Settle::new(
        "the same probe from nodes with the pods' pull secret (--node-pull-secret)",
    )];
    Draft::open(Stage::Auth, Vec::new(), reached, settle)
}

/// Says so when the kubelet's message and the probe from its node speak of different stages.
fn contradictions(case: &Case<'_>, vantage: &Vantage, draft: Draft) -> Draft {
    let Some(told) = case.told.first() else {
        return draft;
    };
    let Some(first) = draft.candidates.first() else {
        return draft;
    };
    let vague = matches!(
        told.clue,
        Clue::BackOffOnly | Clue::Unknown | Clue::PullCancelled
    );
    if vague || told.causes.is_empty() || told.causes.contains(first) {
        return draft;
    }
    let note = format!(
        "the kubelet spoke of {} ({}), the probe {} finds {first}",
        told.clue.id(),
        told.text,
        from(vantage)
    );
    draft.note(note)
}

/// A sentence about the pod's pull secrets, for verdicts about missing credentials.
pub(super) fn secrets_in_words(case: &Case<'_>) -> String {
    if case.secrets.is_empty() {
        return "the pod names no pull secret".into();
    }
    let each = case.secrets.iter().map(|secret| {
        let state = match &secret.state {
            SecretState::Missing if !secret.elsewhere.is_empty() => format!(
                "does not exist here, but in namespace {}",
                secret.elsewhere.join(", ")
            ),
            SecretState::Missing => "does not exist".into(),
            SecretState::Forbidden => "may not be read with these rights".into(),
            SecretState::NotRead => "was not read".into(),
            SecretState::Failed(why) => format!("could not be read ({why})"),
            SecretState::Found {
                body: None, kind, ..
            } => format!("is of type {kind}, which a kubelet passes over"),
            SecretState::Found { .. } => "exists".into(),
        };
        format!("pull secret {} {state}", secret.name)
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Whether the registry's name resolved from `vantage`, in words.
pub(super) fn resolved(case: &Case<'_>, vantage: &Vantage) -> Option<String> {
    let found = addresses(case.evidence, vantage, Role::Registry);
    let server = case
        .evidence
        .from(vantage)
        .find_map(|fact| match &fact.seen {
            Seen::Resolved {
                server: Some(server),
                ..
            } => Some(format!(" (asked {server})")),
            _ => None,
        });
    let list: Vec<String> = found.iter().map(ToString::to_string).collect();
    (!list.is_empty()).then(|| {
        format!(
            "the name resolves to {} {}{}",
            list.join(", "),
            from(vantage),
            server.unwrap_or_default()
        )
    })
}
