//! Sign-in: which credential was sent, if any, and what the registry makes of it.

use fake_registry::{
    Accounts, Action, AuthPolicy, FakeRegistry, HostSpec, Match, Route, Rule, TokenService,
};
use pullcheck::report::Report;

use crate::Expect::{Blocked, Open};
use crate::api::{Pod, Secret};
use crate::lab::{Lab, NODE, OTHER, registry};
use crate::names::{ACR, IMAGE, acr, azure, resolved, tenant};
use crate::{Row, row};

const REGISTRY: &str = "registry.example";

pub(crate) fn rows() -> Vec<Row> {
    use pullcheck::cause::Cause as C;
    vec![
        row!(CredentialsMissing, Blocked, credentials_missing),
        row!(
            CredentialsMissing,
            Open(&[C::RepositoryNotFound]),
            credentials_missing_where_names_are_hidden
        ),
        row!(CredentialsWrong, Blocked, credentials_wrong),
        row!(CredentialsExpired, Blocked, credentials_expired),
        row!(PullSecretMissing, Blocked, pull_secret_missing),
        row!(
            PullSecretWrongNamespace,
            Blocked,
            pull_secret_wrong_namespace
        ),
        row!(PullSecretMalformed, Blocked, pull_secret_malformed),
        row!(PullSecretMalformed, Blocked, pull_secret_of_another_type),
        row!(PullSecretWrongHost, Blocked, pull_secret_wrong_host),
        row!(ScopeInsufficient, Blocked, scope_insufficient),
        row!(
            BadCredentialBlocksPublic,
            Blocked,
            bad_credential_blocks_public
        ),
        row!(
            CredentialProviderBroken,
            Open(&[C::StaleBackoff]),
            credential_provider_broken
        ),
        row!(
            MirrorCredentialMisrouted,
            Blocked,
            mirror_credential_misrouted
        ),
        row!(MirrorBroken, Blocked, mirror_broken),
        row!(CredentialReverify, Blocked, credential_reverify),
    ]
}

/// A private registry with one user who may pull everything, and one who may pull nothing here.
fn private(anonymous: &[&str]) -> FakeRegistry {
    let accounts = Accounts::new()
        .user("puller", "right", &["*"])
        .user("stranger", "right", &["other/*:pull"])
        .anonymous(anonymous);
    registry(|with| {
        with.host(HostSpec::new(REGISTRY).auth(AuthPolicy::Token(TokenService::new(accounts))))
            .image(REGISTRY, "shop/api:1.9 linux/amd64 1x1KiB")
    })
}

fn good() -> Secret {
    Secret::docker("pull", REGISTRY, "puller", "right")
}

/// The two words by which a runtime tells whether it had a credential.
fn refused(word: &str) -> String {
    resolved(
        IMAGE,
        &format!(
            "failed to authorize: failed to fetch {word} token: unexpected status from GET request to \
             https://registry.example/token?scope=repository%3Ashop%2Fapi%3Apull&service=registry.example: 401 Unauthorized"
        ),
    )
}

/// A pod that names the secret `pull`: failing, or running.
fn with_secret(broken: bool, text: &str) -> Pod {
    let pod = if broken {
        Pod::fails(NODE, IMAGE, text)
    } else {
        Pod::runs(NODE, IMAGE)
    };
    pod.with_secret("pull")
}

/// The registry wants a name and a password for everything.
async fn credentials_missing(broken: bool) -> Report {
    let accounts = Accounts::new().user("puller", "right", &["*"]);
    let fake = registry(|with| {
        with.host(HostSpec::new(REGISTRY).auth(AuthPolicy::Basic(accounts)))
            .image(REGISTRY, "shop/api:1.9 linux/amd64 1x1KiB")
    });
    let text = resolved(
        IMAGE,
        "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
    );
    let pod = if broken {
        Pod::fails(NODE, IMAGE, &text)
    } else {
        Pod::runs(NODE, IMAGE).with_secret("pull")
    };
    Lab::new(fake).secret(good()).pod(pod).check().await
}

/// Everybody is given a token here, and with that of nobody nothing can be seen.
async fn credentials_missing_where_names_are_hidden(broken: bool) -> Report {
    let lab = Lab::new(private(&[])).secret(good());
    let pod = if broken {
        Pod::fails(NODE, IMAGE, &refused("anonymous"))
    } else {
        Pod::runs(NODE, IMAGE).with_secret("pull")
    };
    lab.pod(pod).check().await
}

/// The pod has a pull secret: this one where the world is broken, else a good one.
async fn with(broken: bool, secret: Option<Secret>, word: &str) -> Report {
    let mut lab = Lab::new(private(&[]));
    if let Some(secret) = if broken { secret } else { Some(good()) } {
        lab = lab.secret(secret);
    }
    lab.pod(with_secret(broken, &refused(word))).check().await
}

async fn credentials_wrong(broken: bool) -> Report {
    let secret = Secret::docker("pull", REGISTRY, "puller", "wrong");
    with(broken, Some(secret), "oauth").await
}

/// Amazon's passwords live for twelve hours, and the registry says so when they are over.
async fn credentials_expired(broken: bool) -> Report {
    let account = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let end = if broken {
        "2026-01-15T08:00:00Z"
    } else {
        "2026-01-15T20:00:00Z"
    };
    let accounts = Accounts::new().user_until("AWS", "right", &["*"], end.parse().expect("a date"));
    let fake = registry(|with| {
        with.host(HostSpec::ecr("123456789012", "eu-west-1", accounts))
            .image(account, "shop/api:1.9 linux/amd64 1x1KiB")
    });
    let image = format!("{account}/shop/api:1.9");
    let text = resolved(
        &image,
        "pull access denied, repository does not exist or may require authorization: authorization failed: \
         Your authorization token has expired. Reauthenticate and try again.",
    );
    let pod = if broken {
        Pod::fails(NODE, &image, &text)
    } else {
        Pod::runs(NODE, &image)
    };
    Lab::new(fake)
        .secret(Secret::docker("pull", account, "AWS", "right"))
        .pod(pod.with_secret("pull"))
        .check()
        .await
}

async fn pull_secret_missing(broken: bool) -> Report {
    with(broken, None, "anonymous").await
}

async fn pull_secret_wrong_namespace(broken: bool) -> Report {
    let secret = Secret {
        namespace: "platform",
        ..good()
    };
    with(broken, Some(secret), "anonymous").await
}

async fn pull_secret_malformed(broken: bool) -> Report {
    let secret = Secret::raw("pull", r#"{"auths": ["registry.example"]}"#.into());
    let mut lab = Lab::new(private(&[])).secret(if broken { secret } else { good() });
    let text = "unable to parse auth field, must be formatted as base64(username:password)";
    let pod = if broken {
        Pod::waits(
            NODE,
            IMAGE,
            "unable to parse auth field, must be formatted as base64",
            text,
        )
    } else {
        Pod::runs(NODE, IMAGE)
    };
    lab = lab.pod(pod.with_secret("pull"));
    lab.check().await
}

/// The kubelet passes over a secret of a type that is none of the two it knows, without a word.
async fn pull_secret_of_another_type(broken: bool) -> Report {
    let secret = Secret {
        kind: "Opaque",
        ..good()
    };
    with(broken, Some(secret), "anonymous").await
}

async fn pull_secret_wrong_host(broken: bool) -> Report {
    let secret = Secret::docker("pull", "registry.example:5000", "puller", "right");
    with(broken, Some(secret), "anonymous").await
}

/// The user is known, and may pull something else.
async fn scope_insufficient(broken: bool) -> Report {
    let secret = Secret::docker("pull", REGISTRY, "stranger", "right");
    let lab = Lab::new(private(&[])).secret(if broken { secret } else { good() });
    let text = resolved(
        IMAGE,
        "pull access denied, repository does not exist or may require authorization: server message: \
         insufficient_scope: authorization failed",
    );
    lab.pod(with_secret(broken, &text)).check().await
}

/// Everybody may pull; the stale secret is sent all the same, and refused.
async fn bad_credential_blocks_public(broken: bool) -> Report {
    let secret = Secret::docker("pull", REGISTRY, "puller", "wrong");
    let lab = Lab::new(private(&["*"])).secret(if broken { secret } else { good() });
    lab.pod(with_secret(broken, &refused("oauth")))
        .check()
        .await
}

/// The kubelet had no credential, though the node's identity may pull and the node can get it.
async fn credential_provider_broken(broken: bool) -> Report {
    let text = resolved(
        ACR,
        "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to \
         https://shop.azurecr.io/oauth2/token?scope=repository%3Ateam%2Fweb%3Apull&service=shop.azurecr.io: 401 Unauthorized",
    );
    Lab::new(azure(tenant(acr())))
        .told(broken, ACR, &text)
        .pod(Pod::runs(OTHER, ACR))
        .check()
        .await
}

/// A mirror in front of the registry, by hosts.toml.
fn mirror(lab: Lab, mirror: &str) -> Lab {
    let mut lab = lab;
    let toml = format!(
        "server = \"https://{mirror}\"\n[host.\"https://{mirror}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
    );
    let file = pullcheck::mirrors::HostsFile::parse(&toml).expect("a hosts.toml");
    lab.settings.mirrors = pullcheck::mirrors::Mirrors::default().with_folder(REGISTRY, file);
    lab
}

/// The mirror wants a credential of its own, and the secret holds one for the registry.
async fn mirror_credential_misrouted(broken: bool) -> Report {
    let accounts = Accounts::new()
        .user("puller", "right", &["*"])
        .anonymous(if broken { &[] } else { &["*"] });
    let policy = AuthPolicy::Token(TokenService::new(accounts));
    let fake = registry(|with| {
        with.host(HostSpec::new("mirror.example").auth(policy))
            .image("mirror.example", "shop/api:1.9 linux/amd64 1x1KiB")
            .image(REGISTRY, "shop/api:1.9 linux/amd64 1x1KiB")
    });
    let text = resolved(
        IMAGE,
        "unexpected status from HEAD request to https://mirror.example/v2/shop/api/manifests/1.9?ns=registry.example: 401 Unauthorized",
    );
    let lab = mirror(Lab::new(fake), "mirror.example").secret(good());
    lab.pod(with_secret(broken, &text)).check().await
}

/// The mirror fails, and the registry behind it cannot be reached from here.
async fn mirror_broken(broken: bool) -> Report {
    let fake = registry(|with| {
        with.image("mirror.example", "shop/api:1.9 linux/amd64 1x1KiB")
            .image(REGISTRY, "shop/api:1.9 linux/amd64 1x1KiB")
    });
    if broken {
        let manifest = Match::any()
            .host("mirror.example")
            .route(&[Route::Manifest]);
        let fails = Rule::new(Action::status(500)).when(manifest);
        fake.faults().add(fails);
    }
    let text = resolved(
        IMAGE,
        "unexpected status from HEAD request to https://mirror.example/v2/shop/api/manifests/1.9?ns=registry.example: 500 Internal Server Error",
    );
    mirror(Lab::new(fake), "mirror.example")
        .told(broken, IMAGE, &text)
        .check()
        .await
}

/// The image is on the node and runs there; a pod without a secret must show that it may have it.
async fn credential_reverify(broken: bool) -> Report {
    let lab = Lab::new(private(&[])).secret(good());
    let lab = lab.pod(Pod::runs(NODE, IMAGE).with_secret("pull"));
    if broken {
        lab.pod(Pod::fails(NODE, IMAGE, &refused("anonymous")))
    } else {
        lab
    }
    .check()
    .await
}
