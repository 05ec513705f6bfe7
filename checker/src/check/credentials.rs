//! The credential map: what the kubelet would try for an image, in its order, and why not the rest.
//!
//! Built from the pod's pull secrets as they were read. Of a token only what it says of itself is
//! shown: issuer, audience, tenant, end; never a value, and no user name, for some registries put
//! keys there. Where secrets may not be read, their names and the kubelet's own words remain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::{Evidence, KeyringMiss, Seen};
use crate::keyring::{Candidate, Keyring};
use crate::reference::Reference;
use crate::report::CredentialSeen;
use crate::symptom::{Pod, SecretBody, SecretState};
use crate::wire::Excerpt;
use crate::wire::claims::Claims;

/// The map for one image of `pod`.
pub(super) fn map(
    pod: Option<&Pod>,
    reference: Option<&Reference>,
    evidence: &Evidence,
    now: Timestamp,
) -> Vec<CredentialSeen> {
    let (Some(pod), Some(reference)) = (pod, reference) else {
        return Vec::new();
    };
    let mut keyring = Keyring::new();
    let mut found = Vec::new();
    for secret in &pod.pull_secrets {
        let source = format!("pull secret {}/{}", pod.namespace, secret.name);
        let state = match &secret.state {
            SecretState::Found { kind, body, .. } => {
                let body = body.as_ref().map(SecretBody::expose);
                keyring.add_pull_secret(&pod.namespace, &secret.name, kind, body);
                continue;
            }
            SecretState::Missing if secret.elsewhere.is_empty() => "does not exist".to_owned(),
            SecretState::Missing => format!(
                "does not exist here; one of that name is in {}",
                secret.elsewhere.join(", ")
            ),
            SecretState::Forbidden => {
                "may not be read with these rights; the kubelet reads it".to_owned()
            }
            SecretState::NotRead => "was not read".to_owned(),
            SecretState::Failed(why) => format!("could not be read: {}", Excerpt::new(why)),
        };
        found.push(CredentialSeen {
            source,
            state,
            ..CredentialSeen::default()
        });
    }
    let lookup = keyring.lookup(reference);
    let mut map: Vec<CredentialSeen> = Vec::new();
    for (at, candidate) in lookup.order.iter().enumerate() {
        map.push(tried(at + 1, candidate, now));
    }
    for other in &lookup.passed_over {
        map.push(CredentialSeen {
            source: other.source.to_string(),
            key: Some(other.key.to_string()).filter(|key| !key.is_empty()),
            state: why_not(&other.why, reference),
            ..CredentialSeen::default()
        });
    }
    if lookup.malformed {
        for one in &mut map {
            if one.turn.take().is_some() {
                one.state =
                    "not tried: another pull secret cannot be read, so nothing is pulled".into();
            }
        }
    }
    map.extend(found);
    // After the pod's own: what the node has, as far as a probe from there showed it.
    if evidence.iter().any(|fact| {
        matches!(
            fact.seen,
            Seen::IdentityTokenRefused { .. } | Seen::ExchangeRefused { .. }
        )
    }) {
        map.push(CredentialSeen {
            source: "the node's credential provider".into(),
            state: "gave nothing: its identity was refused".into(),
            ..CredentialSeen::default()
        });
    }
    let tried = map.iter().filter(|one| one.turn.is_some()).count();
    if !map.is_empty() && tried == 0 && !lookup.malformed {
        map.push(CredentialSeen {
            source: "nobody".into(),
            state: "the pull is anonymous unless the node has credentials of its own".into(),
            ..CredentialSeen::default()
        });
    }
    map
}

fn tried(turn: usize, candidate: &Candidate, now: Timestamp) -> CredentialSeen {
    let credential = &candidate.credential;
    let secret = credential.password.expose();
    let claims = Claims::read(secret).unwrap_or_default();
    let expires = claims.expires.or_else(|| {
        (&*credential.username == "AWS")
            .then(|| ends(secret))
            .flatten()
    });
    let state = if credential.is_anonymous() {
        "tried, as nobody: it holds neither user nor password"
    } else if expires.is_some_and(|at| at < now) {
        "tried; it has expired"
    } else {
        "tried"
    };
    let text = |value: Option<Box<str>>| value.map(|text| Excerpt::new(&text).to_string());
    CredentialSeen {
        turn: Some(turn),
        source: candidate.source.to_string(),
        key: Some(Excerpt::new(&candidate.key).to_string()),
        state: state.into(),
        issuer: text(claims.issuer),
        audience: text(claims.audience),
        tenant: text(claims.tenant),
        expires: expires.map(|at| at.to_string()),
        expired: expires.is_some_and(|at| at < now),
    }
}

/// The end of an ECR password: JSON in base64 with a field `expiration`, in seconds.
fn ends(password: &str) -> Option<Timestamp> {
    if password.len() > 16 * 1024 {
        return None;
    }
    let value: Value = serde_json::from_slice(&STANDARD.decode(password).ok()?).ok()?;
    Timestamp::from_second(value.get("expiration")?.as_i64()?).ok()
}

fn why_not(why: &KeyringMiss, reference: &Reference) -> String {
    let image = reference.name();
    match why {
        KeyringMiss::Host => format!("not for {image}: another host"),
        KeyringMiss::Labels => format!("not for {image}: a wildcard stands for one label only"),
        KeyringMiss::Port => format!("not for {image}: another port"),
        KeyringMiss::Path => format!("not for {image}: another path"),
        KeyringMiss::BadPattern => "its key is no pattern that can be read".into(),
        KeyringMiss::Malformed { text } => format!("cannot be read, so nothing is pulled: {text}"),
        KeyringMiss::WrongType { kind } => {
            format!("is of type {kind}, which a kubelet passes over")
        }
        KeyringMiss::NotRead { field } => {
            format!("holds only `{field}`, which a kubelet does not read")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symptom::PullSecret;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const NOW: &str = "2026-01-15T09:00:00Z";

    fn secret(name: &str, state: SecretState) -> PullSecret {
        PullSecret {
            name: name.into(),
            state,
            elsewhere: Vec::new(),
        }
    }

    fn found(json: &str) -> SecretState {
        SecretState::Found {
            kind: "kubernetes.io/dockerconfigjson".into(),
            keys: vec![".dockerconfigjson".into()],
            body: Some(SecretBody::new(json.as_bytes().to_vec())),
        }
    }

    fn lines(secrets: Vec<PullSecret>) -> Vec<String> {
        let pod = Pod {
            namespace: "shop".into(),
            pull_secrets: secrets,
            ..Pod::default()
        };
        let reference = Reference::parse("shop.azurecr.io/api:1").expect("a reference");
        let now = NOW.parse().expect("a date");
        map(Some(&pod), Some(&reference), &Evidence::new(), now)
            .iter()
            .map(|one| {
                format!(
                    "{:?} {} {:?} {} {:?} {:?} {:?} {:?}",
                    one.turn,
                    one.source,
                    one.key,
                    one.state,
                    one.issuer,
                    one.audience,
                    one.tenant,
                    one.expires
                )
            })
            .collect()
    }

    #[test]
    fn order_claims_and_reasons_without_a_value() {
        let payload = r#"{"aud":"shop.azurecr.io","iss":"Azure Container Registry","tenant":"t-1","exp":1768467000}"#;
        let token = format!("e30.{}.SIGNATURE", URL_SAFE_NO_PAD.encode(payload));
        let auth = STANDARD.encode(format!("USERNAME:{token}"));
        let good = format!(
            r#"{{"auths":{{"shop.azurecr.io":{{"auth":"{auth}"}},"other.io":{{"auth":"{auth}"}}}}}}"#
        );
        let got = lines(vec![
            secret("pull", found(&good)),
            secret("gone", SecretState::Missing),
            secret("kept", SecretState::Forbidden),
        ]);
        assert_eq!(
            got,
            [
                "Some(1) pull secret shop/pull Some(\"shop.azurecr.io\") tried; it has expired Some(\"Azure Container Registry\") Some(\"shop.azurecr.io\") Some(\"t-1\") Some(\"2026-01-15T08:50:00Z\")",
                "None pull secret shop/pull Some(\"other.io\") not for shop.azurecr.io/api: another host None None None None",
                "None pull secret shop/gone None does not exist None None None None",
                "None pull secret shop/kept None may not be read with these rights; the kubelet reads it None None None None",
            ]
        );
        let all = got.join("\n");
        assert!(!all.contains("SIGNATURE") && !all.contains("USERNAME") && !all.contains(&auth));
    }

    #[test]
    fn one_unreadable_secret_stops_all() {
        let good = r#"{"auths":{"shop.azurecr.io":{"username":"u","password":"p"}}}"#;
        let got = lines(vec![
            secret("pull", found(good)),
            secret("bad", found("{\"auths\":{\"x\":{\"auth\":\"***\"}}}")),
        ]);
        assert!(got.iter().all(|line| line.starts_with("None")), "{got:?}");
        assert!(
            got.iter()
                .any(|line| line.contains("cannot be read, so nothing is pulled")),
            "{got:?}"
        );
    }

    #[test]
    fn ecr_passwords_tell_their_end() {
        let password = STANDARD.encode(r#"{"payload":"x","expiration":1768467600}"#);
        assert_eq!(
            ends(&password).map(|at| at.to_string()).as_deref(),
            Some(NOW)
        );
        assert_eq!(ends("nonsense"), None);
    }
}
