//! Credentials, Azure identities and roles, network rules.

use super::{Asked, Record, blocked, candidates, now, refusal};
use crate::azure::{
    Assignment, AzureFacts, ClusterFacts, Grant, KubeletIdentity, PrivateEndpoint, RegistryFacts,
    RegistryMode,
};
use crate::cause::Cause;
use crate::evidence::{CredentialSource, Identity, KeyringMiss, Method, Role, Seen};
use crate::stage::Stage;
use crate::symptom::{PullSecret, SecretState};
use crate::verdict::{Names, remedies};
use crate::wire::Excerpt;

const IMAGE: &str = "shop.azurecr.io/team/web:v1";
const PLAIN: &str = "registry.example/team/web:v1";
const KUBELET: &str = "oid-kubelet";
const CONTROL: &str = "oid-control";
const REGISTRY: &str =
    "/subscriptions/s/resourceGroups/shared/providers/Microsoft.ContainerRegistry/registries/shop";

/// What a node sees whose identity is refused at the exchange: a token, a refusal, an anonymous try.
fn refused_at_the_exchange() -> Record {
    let identity = Identity::KubeletIdentity { client_id: None };
    let token = Seen::IdentityToken {
        requested: None,
        client_id: None,
        object_id: Some(KUBELET.into()),
        tenant: None,
        audience: None,
        expires: None,
    };
    let scope: Box<str> = "repository:team/web:pull".into();
    Record::of("shop.azurecr.io")
        .reached("a", "20.1.0.4:443")
        .fact(
            "a",
            Stage::Auth,
            Role::Metadata,
            Some(identity.clone()),
            token,
        )
        .fact(
            "a",
            Stage::Token,
            Role::Exchange,
            Some(identity.clone()),
            Seen::ExchangeRefused {
                refusal: refusal(401, "UNAUTHORIZED", "authentication required"),
            },
        )
        .ended("a", Stage::Token, identity, false)
        .fact(
            "a",
            Stage::Token,
            Role::TokenService,
            Some(Identity::Anonymous),
            Seen::TokenRefused {
                method: Method::Get,
                scope,
                refusal: refusal(401, "UNAUTHORIZED", "authentication required"),
            },
        )
        .ended("a", Stage::Token, Identity::Anonymous, false)
}

fn assignment(principal: &str, role: &str, grant: Grant, minutes_ago: i64) -> Assignment {
    Assignment {
        id: format!("{REGISTRY}/{principal}"),
        scope: REGISTRY.into(),
        inherited: false,
        role: role.into(),
        principal_id: principal.into(),
        principal_type: Some("ServicePrincipal".into()),
        members: vec![],
        changed: Some(now() - jiff::SignedDuration::from_mins(minutes_ago)),
        grant,
    }
}

fn azure(assignments: Vec<Assignment>) -> AzureFacts {
    AzureFacts {
        cluster: Some(ClusterFacts {
            name: "aks1".into(),
            resource_group: "shop".into(),
            kubelet: Some(KubeletIdentity {
                object_id: KUBELET.into(),
                ..KubeletIdentity::default()
            }),
            control_plane: vec![CONTROL.into()],
            ..ClusterFacts::default()
        }),
        registry: Some(RegistryFacts {
            id: REGISTRY.into(),
            name: "shop".into(),
            login_server: "shop.azurecr.io".into(),
            sku: "Standard".into(),
            public_network: true,
            arm_tokens: true,
            ..RegistryFacts::default()
        }),
        assignments: Some(assignments),
        ..AzureFacts::default()
    }
}

fn asked() -> Asked {
    Asked::image(IMAGE).on("a")
}

#[test]
fn the_kubelet_identity_and_its_roles() {
    let elsewhere = || assignment("oid-somebody", "AcrPull", Grant::Pull, 900);
    let table = [
        (vec![elsewhere()], Cause::AcrRoleMissing),
        (
            vec![
                elsewhere(),
                assignment(KUBELET, "AcrDelete", Grant::No, 900),
            ],
            Cause::AcrRoleMissing,
        ),
        (
            vec![assignment(CONTROL, "AcrPull", Grant::Pull, 900)],
            Cause::AcrRoleWrongIdentity,
        ),
        (
            vec![assignment(CONTROL, "Contributor", Grant::No, 900)],
            Cause::AcrRoleMissing,
        ),
        (
            vec![assignment(KUBELET, "AcrPull", Grant::Pull, 3)],
            Cause::AcrRolePropagating,
        ),
    ];
    for (assignments, cause) in table {
        let got = asked()
            .azure(azure(assignments.clone()))
            .judge(&refused_at_the_exchange());
        let all = [
            Cause::AcrRoleWrongIdentity,
            Cause::AcrRolePropagating,
            Cause::AcrAbacRoleMissing,
            Cause::AcrFirewallIp,
        ];
        let others: Vec<Cause> = all
            .into_iter()
            .filter(|other| cause == Cause::AcrRoleMissing && *other != cause)
            .collect();
        blocked(&got, cause, &others);
    }
    let mut abac = azure(vec![assignment(
        KUBELET,
        "AcrPull",
        Grant::NotHonoured,
        900,
    )]);
    abac.registry.as_mut().expect("there is one").mode = RegistryMode::Abac;
    blocked(
        &asked().azure(abac).judge(&refused_at_the_exchange()),
        Cause::AcrAbacRoleMissing,
        &[],
    );
}

#[test]
fn without_azure_the_missing_role_comes_first_and_is_not_proven() {
    let got = asked().judge(&refused_at_the_exchange());
    let found = candidates(&got);
    assert_eq!(found.first(), Some(&Cause::AcrRoleMissing));
    assert!(found.contains(&Cause::AcrRoleWrongIdentity));
    assert!(
        !found.contains(&Cause::CredentialsMissing),
        "the node did sign in: {found:?}"
    );
}

#[test]
fn the_remedy_names_the_object_and_the_scope() {
    let facts = azure(vec![]);
    let record = refused_at_the_exchange();
    let asked = asked().azure(facts.clone());
    let judgement = asked.judge(&record);
    let reference = crate::reference::Reference::parse(IMAGE).expect("a reference");
    let case = super::super::Case {
        image: IMAGE,
        reference: Some(&reference),
        in_cluster: true,
        told: &[],
        hanging: None,
        ahead: &[],
        after_pull: false,
        stops_with: None,
        running: 0,
        platform: None,
        node: None,
        runs_beside: false,
        always_pulls: false,
        on_azure: true,
        failing_nodes: &asked.nodes,
        secrets: &[],
        namespace: Some("shop"),
        evidence: &record.evidence,
        shallow: &[],
        azure: Some(&facts),
        corrected_host: None,
        now: now(),
    };
    let list = remedies(&case, &judgement, &Names::default());
    let wanted = format!(
        "az role assignment create --assignee-object-id {KUBELET} --assignee-principal-type ServicePrincipal --role AcrPull --scope {REGISTRY}"
    );
    assert!(
        list.iter()
            .flat_map(|one| &one.commands)
            .any(|command| *command == wanted),
        "{list:#?}"
    );
}

fn denied() -> Record {
    let text = "client with IP '20.4.5.6' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.";
    let scope: Box<str> = "repository:team/web:pull".into();
    Record::of("shop.azurecr.io")
        .reached("a", "20.1.0.4:443")
        .fact(
            "a",
            Stage::Token,
            Role::TokenService,
            Some(Identity::Anonymous),
            Seen::TokenRefused {
                method: Method::Get,
                scope,
                refusal: refusal(403, "DENIED", text),
            },
        )
        .ended("a", Stage::Token, Identity::Anonymous, false)
}

#[test]
fn network_rules_of_the_registry() {
    let with = |change: fn(&mut RegistryFacts)| {
        let mut facts = azure(vec![]);
        change(facts.registry.as_mut().expect("there is one"));
        asked().azure(facts).judge(&denied())
    };
    blocked(
        &with(|one| one.denies_by_default = true),
        Cause::AcrFirewallIp,
        &[Cause::AcrPrivateOnly],
    );
    blocked(
        &with(|one| one.public_network = false),
        Cause::AcrPrivateOnly,
        &[Cause::AcrFirewallIp],
    );
    let linked = with(|one| {
        one.public_network = false;
        one.private_endpoints = vec![PrivateEndpoint {
            name: "pe".into(),
            status: "Approved".into(),
        }];
    });
    blocked(&linked, Cause::PrivateDnsZoneUnlinked, &[]);
    assert_eq!(
        candidates(&asked().judge(&denied())),
        [
            Cause::AcrFirewallIp,
            Cause::AcrPrivateOnly,
            Cause::PrivateDnsZoneUnlinked
        ]
    );
}

/// A registry that refuses anonymous requests.
fn private(who: Identity) -> Record {
    let scope: Box<str> = "repository:team/web:pull".into();
    Record::of("registry.example")
        .reached("a", "20.1.0.4:443")
        .fact(
            "a",
            Stage::Token,
            Role::TokenService,
            Some(who.clone()),
            Seen::TokenRefused {
                method: Method::Get,
                scope,
                refusal: refusal(401, "UNAUTHORIZED", "authentication required"),
            },
        )
        .ended("a", Stage::Token, who, false)
}

fn secret(state: SecretState) -> PullSecret {
    PullSecret {
        name: "pull".into(),
        state,
        elsewhere: Vec::new(),
    }
}

#[test]
fn pull_secrets() {
    let found = |kind: &str, body: bool| SecretState::Found {
        kind: kind.into(),
        keys: vec![],
        body: body.then(|| crate::symptom::SecretBody::new(b"{}".to_vec())),
    };
    let table = [
        (vec![], Cause::CredentialsMissing),
        (vec![secret(SecretState::Missing)], Cause::PullSecretMissing),
        (
            vec![secret(found("Opaque", false))],
            Cause::PullSecretMalformed,
        ),
    ];
    for (secrets, cause) in table {
        let mut asked = Asked::image(PLAIN).on("a");
        asked.secrets = secrets;
        blocked(&asked.judge(&private(Identity::Anonymous)), cause, &[]);
    }
    let source = CredentialSource::PullSecret {
        namespace: "shop".into(),
        name: "pull".into(),
    };
    let passed_over = Seen::CredentialPassedOver {
        source,
        key: Excerpt::new("other.example"),
        why: KeyringMiss::Host,
    };
    let mut asked = Asked::image(PLAIN).on("a");
    asked.secrets = vec![secret(found("kubernetes.io/dockerconfigjson", true))];
    let record = private(Identity::Anonymous).seen("a", Stage::Auth, passed_over);
    blocked(&asked.judge(&record), Cause::PullSecretWrongHost, &[]);
    asked.secrets = vec![secret(SecretState::Forbidden)];
    assert!(
        candidates(&asked.judge(&private(Identity::Anonymous)))
            .contains(&Cause::PullSecretWrongHost)
    );
}

#[test]
fn a_wrong_password_is_not_a_missing_one() {
    let source = CredentialSource::PullSecret {
        namespace: "shop".into(),
        name: "pull".into(),
    };
    let who = Identity::Credential {
        source,
        key: "registry.example".into(),
    };
    blocked(
        &Asked::image(PLAIN).on("a").judge(&private(who)),
        Cause::CredentialsWrong,
        &[Cause::CredentialsMissing],
    );
}
