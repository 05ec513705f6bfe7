//! What the registry answers about the image: limits, failures, platforms, manifests, layers.

use std::time::Duration;

use fake_registry::{
    Accounts, Action, AuthPolicy, End, FakeRegistry, HostSpec, Match, PullLimit, Route, Rule,
    TokenService,
};
use pullcheck::report::Report;

use crate::Expect::Blocked;
use crate::api::{Pod, Secret, State};
use crate::lab::{Lab, NODE, open, registry};
use crate::names::{IMAGE, pod, resolved};
use crate::{Row, row};

const REGISTRY: &str = "registry.example";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(Registry429, Blocked, registry_429),
        row!(HubRateLimit, Blocked, hub_rate_limit),
        row!(Registry5xx, Blocked, registry_5xx),
        row!(RegistryHtml, Blocked, registry_html),
        row!(PlatformMismatch, Blocked, platform_mismatch),
        row!(PlatformMismatchAs401, Blocked, platform_mismatch_as_401),
        row!(ManifestUnsupported, Blocked, manifest_unsupported),
        row!(LayerMissing, Blocked, layer_missing),
        row!(LayerCorrupt, Blocked, layer_corrupt),
        row!(LayerTruncated, Blocked, layer_truncated),
        row!(PlatformMismatchSingle, Blocked, platform_mismatch_single),
        row!(PlatformMismatchSingle, Blocked, ends_with_one),
        row!(ArtifactNotImage, Blocked, artifact_not_image),
    ]
}

/// One fault on every request of a route.
async fn fault(broken: bool, route: Route, action: Action, text: &str) -> Report {
    let fake = open();
    if broken {
        let when = Match::any().route(&[route]);
        fake.faults().add(Rule::new(action).when(when));
    }
    Lab::new(fake).told(broken, IMAGE, text).check().await
}

fn head(status: &str) -> String {
    resolved(
        IMAGE,
        &format!(
            "unexpected status from HEAD request to https://registry.example/v2/shop/api/manifests/1.9: {status}"
        ),
    )
}

fn copy(why: &str) -> String {
    format!("failed to pull and unpack image \"{IMAGE}\": {why}")
}

async fn registry_429(broken: bool) -> Report {
    let action = Action::status(429).retry_after(Duration::from_mins(4));
    let text = head("429 Too Many Requests");
    fault(broken, Route::Manifest, action, &text).await
}

/// The limit of pulls for an address is used up.
async fn hub_rate_limit(broken: bool) -> Report {
    let accounts = Accounts::new().anonymous(&["library/*:pull"]);
    let limit = PullLimit {
        anonymous: if broken { 0 } else { 100 },
        named: 200,
        window: Duration::from_hours(6),
    };
    let fake = registry(|with| {
        with.host(HostSpec::docker_hub(accounts).pull_limit(limit))
            .image(
                "registry-1.docker.io",
                "library/alpine:3 linux/amd64 1x1KiB",
            )
    });
    let image = "alpine:3";
    let text = resolved(
        "docker.io/library/alpine:3",
        "unexpected status from GET request to https://registry-1.docker.io/v2/library/alpine/manifests/sha256:00: \
         429 Too Many Requests\ntoomanyrequests: You have reached your unauthenticated pull rate limit. \
         https://www.docker.com/increase-rate-limit",
    );
    Lab::new(fake).told(broken, image, &text).check().await
}

async fn registry_5xx(broken: bool) -> Report {
    let text = head("503 Service Unavailable");
    fault(broken, Route::Manifest, Action::status(503), &text).await
}

/// A login page where the registry should be.
async fn registry_html(broken: bool) -> Report {
    let html = http::HeaderValue::from_static("text/html");
    let page = Action::status(200).body(html, "<!doctype html><title>Sign in</title>");
    let text = copy("unexpected media type text/html for sha256:00: not found");
    let fake = open();
    if broken {
        fake.faults().add(Rule::new(page).when(Match::any()));
    }
    Lab::new(fake).told(broken, IMAGE, &text).check().await
}

fn for_arm(line: &str) -> FakeRegistry {
    registry(|with| with.image(REGISTRY, line))
}

async fn platform_mismatch(broken: bool) -> Report {
    let line = if broken {
        "shop/api:1.9 linux/s390x,linux/arm64 1x1KiB"
    } else {
        "shop/api:1.9 linux/amd64,linux/arm64 1x1KiB"
    };
    let text = copy("no match for platform in manifest sha256:00: not found");
    Lab::new(for_arm(line))
        .told(broken, IMAGE, &text)
        .check()
        .await
}

/// The attempt with the secret ended at the platform, the anonymous one after it at the sign-in:
/// the last words are those of the second.
async fn platform_mismatch_as_401(broken: bool) -> Report {
    let accounts = Accounts::new().user("puller", "right", &["*"]);
    let line = if broken {
        "shop/api:1.9 linux/s390x,linux/arm64 1x1KiB"
    } else {
        "shop/api:1.9 linux/amd64,linux/arm64 1x1KiB"
    };
    let fake = registry(|with| {
        with.host(HostSpec::new(REGISTRY).auth(AuthPolicy::Token(TokenService::new(accounts))))
            .image(REGISTRY, line)
    });
    let text = resolved(
        IMAGE,
        "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to \
         https://registry.example/token?scope=repository%3Ashop%2Fapi%3Apull&service=registry.example: 401 Unauthorized",
    );
    let pod = if broken {
        Pod::fails(NODE, IMAGE, &text)
    } else {
        Pod::runs(NODE, IMAGE)
    };
    Lab::new(fake)
        .secret(Secret::docker("pull", REGISTRY, "puller", "right"))
        .pod(pod.with_secret("pull"))
        .check()
        .await
}

/// The format of before 2017, which runtimes no longer take.
async fn manifest_unsupported(broken: bool) -> Report {
    let kind =
        http::HeaderValue::from_static("application/vnd.docker.distribution.manifest.v1+prettyjws");
    let body = r#"{"schemaVersion": 1, "name": "shop/api", "tag": "1.9", "fsLayers": []}"#;
    let text =
        copy("unsupported media type application/vnd.docker.distribution.manifest.v1+prettyjws");
    fault(
        broken,
        Route::Manifest,
        Action::status(200).body(kind, body),
        &text,
    )
    .await
}

async fn layer_missing(broken: bool) -> Report {
    let text = copy(
        "failed to copy: httpReadSeeker: failed open: could not fetch content descriptor sha256:00 from remote: not found",
    );
    fault(broken, Route::Blob, Action::status(404), &text).await
}

/// Its bytes are not those that the digest stands for.
async fn layer_corrupt(broken: bool) -> Report {
    let text = copy(
        "failed commit on ref \"layer-sha256:00\": unexpected commit digest sha256:11, expected sha256:00: failed precondition",
    );
    fault(broken, Route::Blob, Action::corrupt(3), &text).await
}

async fn layer_truncated(broken: bool) -> Report {
    let text = copy("failed to copy: read expected 1024 bytes but got 40: unexpected EOF");
    fault(
        broken,
        Route::Blob,
        Action::cut_after(40, End::Close),
        &text,
    )
    .await
}

/// One manifest without an index: nothing on the way says that it is for another processor.
async fn platform_mismatch_single(broken: bool) -> Report {
    another_platform(broken, 255).await
}

/// The same with a runc of up to 1.1, and an image for the node whose program ends like that for reasons of its own.
async fn ends_with_one(broken: bool) -> Report {
    another_platform(broken, 1).await
}

async fn another_platform(broken: bool, exit: i32) -> Report {
    let line = if broken {
        "shop/api:1.9 linux/arm64 1x1KiB"
    } else {
        "shop/api:1.9 linux/amd64 1x1KiB"
    };
    let state = if broken || exit == 1 {
        State::Fails {
            reason: "CrashLoopBackOff",
            text: "back-off 5m0s restarting failed container",
            exit: Some(exit),
        }
    } else {
        State::Runs
    };
    Lab::new(for_arm(line)).pod(pod(state, IMAGE)).check().await
}

/// A chart where an image should be: the pull succeeds, and there is nothing to run.
async fn artifact_not_image(broken: bool) -> Report {
    let fake = open();
    let state = if broken {
        let kind = http::HeaderValue::from_static("application/vnd.oci.image.manifest.v1+json");
        let body = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.cncf.helm.config.v1+json",
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 2,
                "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
            "layers": []}"#;
        let manifest = Match::any().route(&[Route::Manifest]);
        fake.faults()
            .add(Rule::new(Action::status(200).body(kind, body)).when(manifest));
        State::Fails {
            reason: "RunContainerError",
            text: "failed to create containerd task: failed to create shim task: OCI runtime create failed: exec: \"/bin/sh\": \
                   stat /bin/sh: no such file or directory",
            exit: None,
        }
    } else {
        State::Runs
    };
    Lab::new(fake).pod(pod(state, IMAGE)).check().await
}
