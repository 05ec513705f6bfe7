//! What `explain` promises: the deciding attempt, pasted text, no secrets, no panic.

#![allow(
    clippy::indexing_slicing,
    clippy::needless_raw_string_hashes,
    reason = "a test may panic; one form for all messages"
)]

use proptest::prelude::*;
use pullcheck::cause::Cause;
use pullcheck::clue::Clue;
use pullcheck::explain::{Role, Speaker, explain, render_text};

const OAUTH_401: &str = r#"failed to pull and unpack image "r.test/a:1": failed to resolve image: failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://r.test/oauth2/token?scope=repository%3Aa%3Apull&service=r.test: 401 Unauthorized"#;
const ANONYMOUS_401: &str = r#"failed to pull and unpack image "r.test/a:1": failed to resolve image: failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://r.test/oauth2/token?scope=repository%3Aa%3Apull&service=r.test: 401 Unauthorized"#;
const NO_PLATFORM: &str = "rpc error: code = NotFound desc = get image config descriptor: no match for platform in manifest sha256:00aa: not found";
const NOT_FOUND: &str = r#"rpc error: code = NotFound desc = failed to pull and unpack image "r.test/a:1": failed to resolve image: r.test/a:1: not found"#;
const NO_HOST: &str = r#"failed to pull and unpack image "r.test/a:1": failed to resolve image: failed to do request: Head "https://r.test/v2/a/manifests/1": dial tcp: lookup r.test on 10.0.0.1:53: no such host"#;
const HEAD_401: &str = r#"failed to pull and unpack image "r.test/a:1": failed to resolve image: unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 401 Unauthorized"#;
const NO_BASIC: &str = r#"failed to pull and unpack image "r.test/a:1": failed to resolve image: pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"#;
const DOCKER_500: &str = r#"rpc error: code = Unknown desc = Error response from daemon: Get https://r.test/v2/a/manifests/1: received unexpected HTTP status: 500 Internal Server Error"#;
const DOCKER_401: &str = r#"rpc error: code = Unknown desc = Error response from daemon: Get https://r.test/v2/a/manifests/1: unauthorized: authentication required"#;

#[test]
fn of_two_attempts_the_one_that_got_further_decides() {
    let table: &[(&[&str], Clue, usize)] = &[
        (&[OAUTH_401, ANONYMOUS_401], Clue::CredentialsRejected, 0),
        (&[NO_PLATFORM, ANONYMOUS_401], Clue::PlatformMismatch, 0),
        (&[NOT_FOUND, ANONYMOUS_401], Clue::TagNotFound, 0),
        (&[OAUTH_401, NOT_FOUND], Clue::TagNotFound, 1),
        (&[NO_HOST, ANONYMOUS_401], Clue::DnsNotFound, 0),
        (&[HEAD_401, NO_BASIC], Clue::CredentialsRejected, 0),
        (&[DOCKER_500, DOCKER_401], Clue::Registry5xx, 0),
        (
            &[OAUTH_401, OAUTH_401, ANONYMOUS_401],
            Clue::CredentialsRejected,
            0,
        ),
    ];
    for (attempts, clue, decides) in table {
        let message = format!(
            "Failed to pull image \"r.test/a:1\": [{}]",
            attempts.join(", ")
        );
        let told = explain(&message);
        assert_eq!(told.clue, *clue, "{message}");
        assert_eq!(told.attempts.len(), attempts.len(), "{message}");
        assert_eq!(
            told.attempts.iter().position(|attempt| attempt.decides),
            Some(*decides),
            "{message}"
        );
        // Back-off puts the same behind another wrapper.
        let again = explain(&format!(
            "Back-off pulling image \"r.test/a:1\": ErrImagePull: [{}]",
            attempts.join(", ")
        ));
        assert_eq!(again.clue, *clue);
    }
}

#[test]
fn the_platform_behind_an_anonymous_401_is_named() {
    let told = explain(&format!("[{NO_PLATFORM}, {ANONYMOUS_401}]"));
    assert!(told.causes.contains(&Cause::PlatformMismatchAs401));
    assert_eq!(told.attempts[1].role, Role::Anonymous);
    assert!(
        !told.also.contains(&Clue::AuthRequiredNoCredentials),
        "the echo is dropped"
    );
}

#[test]
fn mirrors_speak_where_the_registry_failed_by_network_only() {
    let list = |mirror: &str, primary: &str| {
        format!(
            "initializing source docker://r.test/a:1: (Mirrors also failed: [m.test/a:1: {mirror}]): r.test/a:1: {primary}"
        )
    };
    let unknown = "reading manifest 1 in m.test/a: manifest unknown";
    let refused = r#"pinging container registry r.test: Get "https://r.test/v2/": dial tcp 10.0.0.1:443: connect: connection refused"#;
    let denied = "reading manifest 1 in r.test/a: unauthorized: access to the requested resource is not authorized";
    let table = [
        (list(unknown, refused), Clue::TagNotFound),
        (list(refused, unknown), Clue::TagNotFound),
        (list(unknown, denied), Clue::PermissionDenied),
        (
            list(
                unknown,
                "registry r.test is blocked in /etc/containers/registries.conf",
            ),
            Clue::TagNotFound,
        ),
        (
            list(
                refused,
                r#"pinging container registry r.test: Get "https://r.test/v2/": dial tcp: lookup r.test: no such host"#,
            ),
            Clue::DnsNotFound,
        ),
    ];
    for (message, clue) in table {
        let told = explain(&message);
        assert_eq!(told.clue, clue, "{message}");
        assert_eq!(told.attempts.len(), 2);
        assert_eq!(
            (told.attempts[0].role, told.attempts[1].role),
            (Role::Mirror, Role::Primary)
        );
    }
}

#[test]
fn pasted_describe_output_gives_the_failure_in_it() {
    let describe = r#"Name:             web-5d9c
Namespace:        shop
Containers:
  web:
    Image:          r.test/a:1
    State:          Waiting
      Reason:       ImagePullBackOff
Events:
  Type     Reason     Age                From               Message
  ----     ------     ----               ----               -------
  Normal   Scheduled  3m                 default-scheduler  Successfully assigned shop/web-5d9c to node-1
  Normal   Pulling    90s (x4 over 3m)   kubelet            Pulling image "r.test/a:1"
  Warning  Failed     90s (x4 over 3m)   kubelet            Failed to pull image "r.test/a:1": failed to pull and unpack image "r.test/a:1": failed to resolve image: failed to do request: Head "https://r.test/v2/a/manifests/1": dial tcp 10.0.0.1:443: i/o timeout
  Warning  Failed     90s (x4 over 3m)   kubelet            Error: ErrImagePull
  Normal   BackOff    5s (x10 over 3m)   kubelet            Back-off pulling image "r.test/a:1"
  Warning  Failed     5s (x10 over 3m)   kubelet            Error: ImagePullBackOff
"#;
    let told = explain(describe);
    assert_eq!(told.clue, Clue::TcpTimeout);
    assert!(told.certain);
    assert_eq!(told.reference.as_deref(), Some("r.test/a:1"));

    let with_secret = describe.replace(
        "dial tcp 10.0.0.1:443: i/o timeout",
        "x\n  Warning  FailedToRetrieveImagePullSecret  1s (x9 over 3m)  kubelet  Unable to retrieve some image pull secrets (gone); attempting to pull the image may not succeed.",
    );
    assert_eq!(explain(&with_secret).clue, Clue::SecretMissing);
}

#[test]
fn journal_lines_and_escapes_are_undone() {
    let line = r#"Nov 23 05:38:00 node-1 kubelet[812]: E1123 05:38:00.123456     812 log.go:32] "PullImage from image service failed" err="rpc error: code = NotFound desc = failed to pull and unpack image \"r.test/a:1\": failed to resolve reference \"r.test/a:1\": r.test/a:1: not found" image="r.test/a:1""#;
    let told = explain(line);
    assert_eq!(told.clue, Clue::TagNotFound);
    assert!(
        told.layers
            .iter()
            .any(|layer| layer.code.as_deref() == Some("NotFound"))
    );
    assert!(
        told.layers
            .iter()
            .any(|layer| layer.who == Speaker::Containerd)
    );
}

#[test]
fn layers_say_who_where_and_what() {
    let told = explain(&format!(
        "Failed to pull image \"r.test/a:1\": {ANONYMOUS_401}"
    ));
    let speakers: Vec<_> = told.layers.iter().map(|layer| layer.who).collect();
    assert_eq!(speakers[..2], [Speaker::Kubelet, Speaker::Containerd]);
    let last = told.layers.last().expect("there are layers");
    assert_eq!(last.status, Some(401));
    assert_eq!(last.method.as_deref(), Some("GET"));
    assert_eq!(last.host.as_deref(), Some("r.test"));
    assert_eq!(told.status, Some(401));
    assert_eq!(told.stage.id(), "token");
    assert_eq!(told.causes.first(), Some(&Cause::CredentialsMissing));
}

#[test]
fn causes_follow_the_structure() {
    let acr = ANONYMOUS_401.replace("r.test", "shop.azurecr.io");
    assert!(explain(&acr).causes.contains(&Cause::AcrRoleMissing));
    let ghcr = ANONYMOUS_401.replace("r.test", "ghcr.io");
    assert!(!explain(&ghcr).causes.contains(&Cause::AcrRoleMissing));
    let blob = r#"failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://x.blob.core.windows.net/a/blobs/sha256:00": dial tcp 10.0.0.1:443: i/o timeout"#;
    assert_eq!(
        explain(blob).causes.first(),
        Some(&Cause::DataEndpointBlocked)
    );
    let token = r#"failed to authorize: failed to fetch anonymous token: Get "https://auth.test/token?scope=a&service=b": dial tcp 10.0.0.1:443: i/o timeout"#;
    assert_eq!(
        explain(token).causes.first(),
        Some(&Cause::TokenEndpointUnreachable)
    );
    let hub = "toomanyrequests: You have reached your pull rate limit";
    let hub = format!(
        "Failed to pull image \"nginx\": failed to pull and unpack image \"docker.io/library/nginx:latest\": {hub}"
    );
    assert_eq!(explain(&hub).causes.first(), Some(&Cause::HubRateLimit));
}

#[test]
fn no_secret_comes_out_again() {
    const SECRETS: &[&str] = &[
        "hunter2",
        "SIGVALUE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefgh",
        "dXNlcjpwYXNz",
    ];
    let messages = [
        r#"failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://x.blob.core.windows.net/c/d?se=2026&sig=SIGVALUE&sp=r: 403 Forbidden"#.to_owned(),
        r#"Get "https://bob:hunter2@r.test/v2/": dial tcp 10.0.0.1:443: i/o timeout"#.to_owned(),
        r#"Authorization: Basic dXNlcjpwYXNz denied"#.to_owned(),
        r#"{"auths":{"r.test":{"username":"bob","password":"hunter2","auth":"dXNlcjpwYXNz"}}}: illegal base64 data"#.to_owned(),
        r#"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefgh: unauthorized"#.to_owned(),
        r#"failed to fetch oauth token: Post "https://auth.test/token?refresh_token=hunter2": EOF password=hunter2"#.to_owned(),
    ];
    for message in messages {
        let told = explain(&message);
        let json = serde_json::to_string(&told).expect("an explanation has a JSON form");
        let text = render_text(&told, 100);
        for secret in SECRETS {
            assert!(
                !json.contains(secret) && !text.contains(secret),
                "{secret} in {json}\n{text}"
            );
        }
    }
}

#[test]
fn the_text_begins_with_the_answer() {
    let told = explain(&format!(
        "Failed to pull image \"shop.azurecr.io/a:1\": {}",
        NO_HOST.replace("r.test", "shop.azurecr.io")
    ));
    let text = render_text(&told, 80);
    assert!(
        text.starts_with(
            "dns-not-found (certain): The resolver says that the host name does not exist.\n"
        ),
        "{text}"
    );
    for part in [
        "Who said what",
        "kubelet: ",
        "Causes that fit",
        "dns-nxdomain: ",
        "Run next",
        "nslookup shop.azurecr.io",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    for line in text.lines() {
        assert!(
            line.chars().count() <= 80 || line.contains("kubectl") || !line.trim().contains(' '),
            "{line}"
        );
    }
}

/// Pieces that real messages are made of, to be put together at random.
const PIECES: &[&str] = &[
    ": ",
    "\"",
    "\\\"",
    "[",
    "]",
    ", ",
    "(",
    ")",
    "\n",
    " ",
    "Failed to pull image ",
    "rpc error: code = Unknown desc = ",
    "failed to resolve reference ",
    "dial tcp ",
    "lookup ",
    "r.test/a:1",
    "https://r.test/v2/",
    "401 Unauthorized",
    "not found",
    "EOF",
    "denied",
    "(Mirrors also failed: [",
    "]): ",
    "* ",
    "errors occurred:",
    "; artifact err: ",
    "manifest unknown",
    "é",
    "@sha256:00",
    "10.0.0.1:443",
    "Warning  Failed  1s  kubelet  ",
    "secret \"",
    "image \"",
];

proptest! {
    #[test]
    fn no_text_panics_the_explainer(text in any::<String>()) {
        let told = explain(&text);
        prop_assert!(told.also.len() <= 3 && !told.also.contains(&told.clue));
        let _ = render_text(&told, 80);
    }

    #[test]
    fn no_mixture_of_pieces_panics_the_explainer(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        let text = pieces.concat();
        let told = explain(&text);
        prop_assert!(told.also.len() <= 3 && !told.also.contains(&told.clue));
        prop_assert!(told.attempts.is_empty() || told.attempts.iter().filter(|attempt| attempt.decides).count() <= 1);
        let _ = render_text(&told, 60);
    }

    #[test]
    fn quoting_once_more_changes_nothing(at in 0..9_usize) {
        let message = [OAUTH_401, ANONYMOUS_401, NO_PLATFORM, NOT_FOUND, NO_HOST, HEAD_401, NO_BASIC, DOCKER_500, DOCKER_401][at];
        let quoted = format!("err={}", serde_json::to_string(message).unwrap());
        let twice = format!("msg={}", serde_json::to_string(&quoted).unwrap());
        prop_assert_eq!(explain(&quoted).clue, explain(message).clue);
        prop_assert_eq!(explain(&twice).clue, explain(message).clue);
    }
}
