//! What the distribution specification says in its corners, each as a raw client sees it: the
//! points that its conformance suite looks at and that ordinary clients seldom reach.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use common::{Answer, Client, HOST, client, sha256};
use fake_registry::{FakeRegistry, HostSpec};
use serde_json::json;
use sha2::Digest as _;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn with(change: impl FnOnce(HostSpec) -> HostSpec) -> Client {
    let registry = FakeRegistry::builder()
        .host(change(HostSpec::new(HOST)))
        .seed(1)
        .build();
    client(&registry.unwrap())
}

fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{:x}", sha2::Sha512::digest(bytes))
}

async fn push(client: &Client, repository: &str, digest: &str, bytes: &[u8]) {
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    let answer = client.ask("POST", &path, bytes).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

async fn put(client: &Client, path: &str, kind: &str, bytes: &[u8]) -> Answer {
    client
        .with("Content-Type", kind)
        .ask("PUT", path, bytes)
        .await
}

/// An image manifest with an empty config and no layers.
fn bare(extra: &serde_json::Value) -> Vec<u8> {
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2},
        "layers": [],
    });
    for (key, value) in extra.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    manifest.to_string().into_bytes()
}

#[tokio::test]
async fn a_minimum_for_chunks_is_announced_and_holds_for_all_but_the_last() {
    let client = with(|spec| spec.min_chunk(4));
    let started = client.ask("POST", "/v2/a/blobs/uploads/", b"").await;
    assert_eq!(started.header("oci-chunk-min-length"), Some("4"));
    let place = started.header("location").unwrap();
    let chunk = |range: &str| client.with("Content-Range", range);
    assert_eq!(chunk("0-3").ask("PATCH", place, b"0123").await.status, 202);
    assert_eq!(chunk("4-5").ask("PATCH", place, b"45").await.status, 202);
    let after = chunk("6-9").ask("PATCH", place, b"6789").await;
    assert_eq!((after.status, after.code().as_str()), (400, "SIZE_INVALID"));
    let digest = sha256(b"012345");
    let done = client
        .ask("PUT", &format!("{place}?digest={digest}"), b"")
        .await;
    assert_eq!(done.status, 201, "the short chunk was the last one");
    // Nothing is announced where there is no minimum.
    let free = with(|spec| spec);
    let started = free.ask("POST", "/v2/a/blobs/uploads/", b"").await;
    assert_eq!(started.header("oci-chunk-min-length"), None);
}

#[tokio::test]
async fn sha512_holds_for_blobs_in_every_form_of_upload() {
    let client = with(|spec| spec);
    let whole = b"0123456789";
    let digest = sha512(whole);
    for start in ["", "?digest-algorithm=sha512"] {
        let path = format!("/v2/a/blobs/uploads/{start}");
        let started = client.ask("POST", &path, b"").await;
        let place = started.header("location").unwrap();
        assert_eq!(client.ask("PATCH", place, whole).await.status, 202);
        let done = client
            .ask("PUT", &format!("{place}?digest={digest}"), b"")
            .await;
        assert_eq!(done.status, 201, "with {start:?}");
        assert_eq!(done.header("docker-content-digest"), Some(digest.as_str()));
        let blob = client.get(&format!("/v2/a/blobs/{digest}")).await;
        assert_eq!(blob.text(), "0123456789");
        let path = format!("/v2/a/blobs/{digest}");
        assert_eq!(client.ask("DELETE", &path, b"").await.status, 202);
    }
    let odd = client
        .ask("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", b"")
        .await;
    assert_eq!((odd.status, odd.code().as_str()), (400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn a_manifest_by_digest_takes_tags_along() {
    let client = with(|spec| spec);
    push(&client, "a", &sha256(b"{}"), b"{}").await;
    let bytes = bare(&json!({}));
    for (digest, tags) in [
        (sha256(&bytes), ["v1", "v2"]),
        (sha512(&bytes), ["w1", "w2"]),
    ] {
        let path = format!("/v2/a/manifests/{digest}?tag={}&tag={}", tags[0], tags[1]);
        let answer = put(&client, &path, OCI_MANIFEST, &bytes).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let named: Vec<&str> = answer
            .head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| name.eq_ignore_ascii_case("oci-tag"))
            .map(|(_, tag)| tag)
            .collect();
        assert_eq!(named, tags);
        for tag in tags {
            let head = client.head(&format!("/v2/a/manifests/{tag}")).await;
            assert_eq!(head.header("docker-content-digest"), Some(digest.as_str()));
        }
    }
    let path = format!("/v2/a/manifests/{}?tag=.bad", sha256(&bytes));
    let refused = put(&client, &path, OCI_MANIFEST, &bytes).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "TAG_INVALID")
    );
}

#[tokio::test]
async fn manifests_end_at_four_mebibytes() {
    let client = with(|spec| spec);
    push(&client, "a", &sha256(b"{}"), b"{}").await;
    let filled = |size: usize| {
        let frame = bare(&json!({"annotations": {"x": ""}})).len();
        bare(&json!({"annotations": {"x": "y".repeat(size - frame)}}))
    };
    let largest = filled(4 << 20);
    assert_eq!(largest.len(), 4 << 20);
    let answer = put(&client, "/v2/a/manifests/v1", OCI_MANIFEST, &largest).await;
    assert_eq!(answer.status, 201);
    let over = filled((4 << 20) + 1);
    let answer = put(&client, "/v2/a/manifests/v2", OCI_MANIFEST, &over).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "SIZE_INVALID")
    );
    assert_eq!(client.head("/v2/a/manifests/v2").await.status, 404);
}

#[tokio::test]
async fn without_a_referrers_api_the_fallback_tag_is_a_tag_like_any_other() {
    let client = with(|spec| spec.referrers(false));
    push(&client, "a", &sha256(b"{}"), b"{}").await;
    let image = bare(&json!({}));
    assert_eq!(
        put(&client, "/v2/a/manifests/v1", OCI_MANIFEST, &image)
            .await
            .status,
        201
    );
    let subject = json!({"mediaType": OCI_MANIFEST, "digest": sha256(&image), "size": image.len()});
    let signature = bare(&json!({"artifactType": "test/signature", "subject": subject}));
    let digest = sha256(&signature);
    let answer = put(
        &client,
        &format!("/v2/a/manifests/{digest}"),
        OCI_MANIFEST,
        &signature,
    )
    .await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.header("oci-subject"),
        None,
        "the client has to keep the tag itself"
    );
    let referrers = format!("/v2/a/referrers/{}", sha256(&image));
    assert_eq!(client.get(&referrers).await.status, 404);
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": digest, "size": signature.len(), "artifactType": "test/signature"},
    ]});
    let list = list.to_string().into_bytes();
    let tag = sha256(&image).replace(':', "-");
    let path = format!("/v2/a/manifests/{tag}");
    assert_eq!(put(&client, &path, OCI_INDEX, &list).await.status, 201);
    assert_eq!(client.get(&path).await.body, list);
    let tags = client.get("/v2/a/tags/list").await.json();
    assert_eq!(tags["tags"], json!([tag, "v1"]));
}

#[tokio::test]
async fn sparse_content_is_a_matter_of_policy() {
    let absent = sha256(b"absent");
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": absent, "size": 6},
    ]});
    let index = index.to_string().into_bytes();
    let image = bare(&json!({"layers": [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": absent, "size": 6},
    ]}));
    for (sparse, status) in [(false, 400), (true, 201)] {
        let client = with(|spec| spec.sparse(sparse));
        push(&client, "a", &sha256(b"{}"), b"{}").await;
        for (kind, bytes) in [(OCI_INDEX, &index), (OCI_MANIFEST, &image)] {
            let answer = put(&client, "/v2/a/manifests/v1", kind, bytes).await;
            assert_eq!(answer.status, status, "{}", answer.text());
            if status == 400 {
                assert_eq!(answer.code(), "MANIFEST_BLOB_UNKNOWN");
            }
        }
    }
}

#[tokio::test]
async fn the_same_blob_pushed_by_many_at_once_is_there_once_and_whole() {
    let client = with(|spec| spec);
    let bytes = vec![7_u8; 300 << 10];
    let digest = sha256(&bytes);
    let pushes = (0..16).map(|number| {
        let (client, bytes, digest) = (client.clone(), bytes.clone(), digest.clone());
        tokio::spawn(async move {
            let start = format!("/v2/team/app-{}/blobs/uploads/", number % 3);
            let started = client.ask("POST", &start, b"").await;
            let place = started.header("location").unwrap().to_owned();
            let (first, rest) = bytes.split_at(1000 * (number + 1));
            assert_eq!(client.ask("PATCH", &place, first).await.status, 202);
            let path = format!("{place}?digest={digest}");
            assert_eq!(client.ask("PUT", &path, rest).await.status, 201);
        })
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await.unwrap();
    }
    for number in 0..3 {
        let path = format!("/v2/team/app-{number}/blobs/{digest}");
        assert!(client.get(&path).await.body == bytes);
    }
}

#[tokio::test]
async fn a_blob_ends_where_the_registry_says() {
    let client = with(|spec| spec.max_blob(8));
    let started = client.ask("POST", "/v2/a/blobs/uploads/", b"").await;
    let place = started.header("location").unwrap();
    assert_eq!(client.ask("PATCH", place, b"0123").await.status, 202);
    let over = client.ask("PATCH", place, b"456789").await;
    assert_eq!((over.status, over.code().as_str()), (413, "SIZE_INVALID"));
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"0123456789"));
    assert_eq!(client.ask("POST", &path, b"0123456789").await.status, 413);
}

#[tokio::test]
async fn unfinished_uploads_have_a_limit_together() {
    let client = with(|spec| spec.max_unfinished(10));
    let start = || async {
        let started = client.ask("POST", "/v2/a/blobs/uploads/", b"").await;
        started.header("location").unwrap().to_owned()
    };
    let idle = start().await;
    assert_eq!(client.ask("PATCH", &idle, b"012345").await.status, 202);
    let (busy, empty) = (start().await, start().await);
    assert_eq!(client.ask("PATCH", &busy, b"012345").await.status, 202);
    assert_eq!(client.get(&idle).await.status, 404, "it made room");
    assert_eq!(client.get(&empty).await.status, 204, "it has none to make");
    let chunk = client.with("Content-Range", "6-11");
    let over = chunk.ask("PATCH", &busy, b"6789ab").await;
    assert_eq!(
        (over.status, over.code().as_str()),
        (429, "TOOMANYREQUESTS")
    );
    assert_eq!(client.get(&busy).await.header("range"), Some("0-5"));
    let digest = sha256(b"012345");
    let path = format!("{busy}?digest={digest}");
    assert_eq!(client.ask("PUT", &path, b"").await.status, 201);
    // What is finished, refused or cancelled holds nothing.
    for _ in 0..3 {
        let wrong = format!("/v2/a/blobs/uploads/?digest={digest}");
        assert_eq!(client.ask("POST", &wrong, b"0123456789").await.status, 400);
        let place = start().await;
        assert_eq!(client.ask("PATCH", &place, b"0123456789").await.status, 202);
        assert_eq!(client.ask("DELETE", &place, b"").await.status, 204);
    }
    push(&client, "a", &sha256(b"0123456789"), b"0123456789").await;
}

#[tokio::test]
async fn manifests_that_are_deep_are_refused() {
    let client = with(|spec| spec);
    push(&client, "a", &sha256(b"{}"), b"{}").await;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let bytes = String::from_utf8(bare(&json!({"x": 1}))).unwrap();
    let bytes = bytes.replace("\"x\":1", &format!("\"x\":{deep}"));
    assert!(bytes.contains("[[["));
    let answer = put(
        &client,
        "/v2/a/manifests/v1",
        OCI_MANIFEST,
        bytes.as_bytes(),
    )
    .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "MANIFEST_INVALID")
    );
}
