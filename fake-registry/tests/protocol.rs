//! The distribution API as a raw client sees it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use common::{Client, HOST, client, sha256};
use fake_registry::{FakeRegistry, HostSpec};
use serde_json::json;

fn open() -> Client {
    client(
        &FakeRegistry::builder()
            .host(HostSpec::new(HOST))
            .seed(1)
            .build()
            .unwrap(),
    )
}

fn seeded() -> Client {
    let registry = FakeRegistry::builder()
        .seed(1)
        .image(HOST, "team/web:v1 linux/amd64,linux/arm64 2x4KiB")
        .image(HOST, "team/web:v2 1x4KiB")
        .image(HOST, "other/app:1 docker")
        .build()
        .unwrap();
    client(&registry)
}

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes a blob in one request.
async fn push(client: &Client, repository: &str, bytes: &[u8]) -> String {
    let digest = sha256(bytes);
    let answer = client
        .ask(
            "POST",
            &format!("/v2/{repository}/blobs/uploads/?digest={digest}"),
            bytes,
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    digest
}

async fn push_manifest(
    client: &Client,
    repository: &str,
    reference: &str,
    extra: serde_json::Value,
) -> (String, common::Answer) {
    let config = push(client, repository, b"{}").await;
    let layer = push(client, repository, b"layer").await;
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": 5}],
    });
    for (key, value) in extra.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    let bytes = manifest.to_string().into_bytes();
    let reference = if reference == "@" {
        sha256(&bytes)
    } else {
        reference.to_owned()
    };
    let typed = client.with("Content-Type", OCI_MANIFEST);
    let answer = typed
        .ask(
            "PUT",
            &format!("/v2/{repository}/manifests/{reference}"),
            &bytes,
        )
        .await;
    (sha256(&bytes), answer)
}

#[tokio::test]
async fn plain_answers() {
    let client = seeded();
    let none = format!("sha256:{}", "0".repeat(64));
    let table = [
        ("GET", "/v2/".to_owned(), 200, ""),
        ("GET", "/v2".to_owned(), 301, ""),
        ("GET", "/".to_owned(), 404, "NOT_FOUND"),
        ("GET", "/v2/team/web/manifests/v1".to_owned(), 200, ""),
        (
            "GET",
            "/v2/team/web/manifests/v9".to_owned(),
            404,
            "MANIFEST_UNKNOWN",
        ),
        (
            "GET",
            format!("/v2/team/web/manifests/{none}"),
            404,
            "MANIFEST_UNKNOWN",
        ),
        (
            "GET",
            "/v2/team/nothing/manifests/v1".to_owned(),
            404,
            "NAME_UNKNOWN",
        ),
        (
            "GET",
            "/v2/Team/web/manifests/v1".to_owned(),
            400,
            "NAME_INVALID",
        ),
        (
            "GET",
            "/v2/../web/manifests/v1".to_owned(),
            400,
            "NAME_INVALID",
        ),
        (
            "GET",
            "/v2/%2e%2e/web/manifests/v1".to_owned(),
            400,
            "NAME_INVALID",
        ),
        (
            "GET",
            "/v2/team/web/manifests/sha256:0".to_owned(),
            400,
            "DIGEST_INVALID",
        ),
        (
            "GET",
            "/v2/team/web/blobs/sha256:0".to_owned(),
            400,
            "DIGEST_INVALID",
        ),
        (
            "GET",
            format!("/v2/team/web/blobs/{none}"),
            404,
            "BLOB_UNKNOWN",
        ),
        (
            "GET",
            format!("/v2/team/nothing/blobs/{none}"),
            404,
            "NAME_UNKNOWN",
        ),
        (
            "DELETE",
            format!("/v2/team/web/blobs/{none}"),
            404,
            "BLOB_UNKNOWN",
        ),
        (
            "POST",
            "/v2/team/web/manifests/v1".to_owned(),
            405,
            "UNSUPPORTED",
        ),
        ("PUT", "/v2/".to_owned(), 405, "UNSUPPORTED"),
        (
            "GET",
            "/v2/team/web/blobs/uploads/none".to_owned(),
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            "PATCH",
            "/v2/team/web/blobs/uploads/none".to_owned(),
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            "GET",
            "/v2/team/web/referrers/bad".to_owned(),
            400,
            "DIGEST_INVALID",
        ),
        ("GET", format!("/v2/team/nothing/referrers/{none}"), 200, ""),
        (
            "GET",
            "/v2/team/web/tags/list?n=x".to_owned(),
            400,
            "PAGINATION_NUMBER_INVALID",
        ),
        (
            "GET",
            "/v2/team/nothing/tags/list".to_owned(),
            404,
            "NAME_UNKNOWN",
        ),
    ];
    for (method, path, status, code) in table {
        let answer = client.ask(method, &path, b"").await;
        assert_eq!(
            answer.status,
            status,
            "for {method} {path}: {}",
            answer.text()
        );
        if !code.is_empty() {
            assert_eq!(answer.code(), code, "for {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_manifest_comes_with_its_headers_by_tag_and_digest_get_and_head() {
    let client = seeded();
    let digest = client.registry.digest(HOST, "team/web:v1").unwrap();
    for reference in ["v1", &digest] {
        let path = format!("/v2/team/web/manifests/{reference}");
        let got = client.get(&path).await;
        let head = client.head(&path).await;
        assert_eq!(sha256(&got.body), digest);
        for answer in [&got, &head] {
            assert_eq!(
                answer.header("docker-content-digest"),
                Some(digest.as_str())
            );
            assert_eq!(
                answer.header("content-type"),
                Some("application/vnd.oci.image.index.v1+json")
            );
            assert_eq!(
                answer.header("content-length"),
                Some(got.body.len().to_string().as_str())
            );
            assert_eq!(
                answer.header("docker-distribution-api-version"),
                Some("registry/2.0")
            );
            assert!(answer.header("date").is_some());
        }
    }
    let unchanged = client
        .with("If-None-Match", &format!("\"{digest}\""))
        .get("/v2/team/web/manifests/v1")
        .await;
    assert_eq!(unchanged.status, 304);
}

#[tokio::test]
async fn a_described_image_is_whole() {
    let client = seeded();
    let index = client.get("/v2/team/web/manifests/v1").await.json();
    let children = index["manifests"].as_array().unwrap();
    assert_eq!(children.len(), 2);
    assert_eq!(children[1]["platform"]["architecture"], "arm64");
    for child in children {
        let manifest = client
            .get(&format!(
                "/v2/team/web/manifests/{}",
                child["digest"].as_str().unwrap()
            ))
            .await
            .json();
        let config = client
            .get(&format!(
                "/v2/team/web/blobs/{}",
                manifest["config"]["digest"].as_str().unwrap()
            ))
            .await;
        assert_eq!(
            config.json()["architecture"],
            child["platform"]["architecture"]
        );
        assert_eq!(
            config.json()["rootfs"]["diff_ids"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        for layer in manifest["layers"].as_array().unwrap() {
            let blob = client
                .get(&format!(
                    "/v2/team/web/blobs/{}",
                    layer["digest"].as_str().unwrap()
                ))
                .await;
            assert_eq!(sha256(&blob.body), layer["digest"].as_str().unwrap());
            assert_eq!(blob.body.len() as u64, layer["size"].as_u64().unwrap());
            assert_eq!(blob.body[..2], [0x1f, 0x8b]);
        }
    }
}

#[tokio::test]
async fn ranges_of_a_blob() {
    let client = open();
    let digest = push(&client, "a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    let table = [
        ("bytes=0-3", 206, Some("bytes 0-3/10"), "0123"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=-2", 206, Some("bytes 8-9/10"), "89"),
        ("bytes=10-", 416, Some("bytes */10"), ""),
        ("bytes=5-4", 416, Some("bytes */10"), ""),
        ("bytes=0-1,4-5", 200, None, "0123456789"),
        ("lines=1-2", 200, None, "0123456789"),
    ];
    for (range, status, content_range, body) in table {
        let answer = client.with("Range", range).get(&path).await;
        assert_eq!(answer.status, status, "for {range}");
        assert_eq!(answer.header("content-range"), content_range, "for {range}");
        if status != 416 {
            assert_eq!(answer.text(), body, "for {range}");
        }
    }
    let head = client.head(&path).await;
    assert_eq!(
        (
            head.status,
            head.header("content-length"),
            head.header("accept-ranges")
        ),
        (200, Some("10"), Some("bytes"))
    );
}

#[tokio::test]
async fn uploads_in_every_form() {
    let client = open();
    let whole = b"0123456789";
    let digest = sha256(whole);
    let start = || async {
        let answer = client.ask("POST", "/v2/a/blobs/uploads/", b"").await;
        assert_eq!((answer.status, answer.header("range")), (202, Some("0-0")));
        assert!(answer.header("docker-upload-uuid").is_some());
        answer.header("location").unwrap().to_owned()
    };
    // POST and PUT.
    let place = start().await;
    let answer = client
        .ask("PUT", &format!("{place}?digest={digest}"), whole)
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.header("location"),
        Some(format!("/v2/a/blobs/{digest}").as_str())
    );
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(digest.as_str())
    );
    assert_eq!(client.get(&place).await.status, 404, "the session is over");
    // Streamed PATCH without a range, then an empty PUT.
    let place = start().await;
    let answer = client.ask("PATCH", &place, whole).await;
    assert_eq!((answer.status, answer.header("range")), (202, Some("0-9")));
    assert_eq!(
        client
            .ask("PUT", &format!("{place}?digest={digest}"), b"")
            .await
            .status,
        201
    );
    // Chunks, one out of order, the last one with the PUT.
    let place = start().await;
    let chunk = |range: &str| client.with("Content-Range", range);
    assert_eq!(chunk("0-3").ask("PATCH", &place, b"0123").await.status, 202);
    let refused = chunk("6-9").ask("PATCH", &place, b"6789").await;
    assert_eq!(
        (refused.status, refused.header("range")),
        (416, Some("0-3"))
    );
    let status = client.get(&place).await;
    assert_eq!((status.status, status.header("range")), (204, Some("0-3")));
    assert_eq!(status.header("location"), Some(place.as_str()));
    let short = chunk("4-9").ask("PATCH", &place, b"45").await;
    assert_eq!((short.status, short.code().as_str()), (400, "SIZE_INVALID"));
    assert_eq!(
        chunk("4-5").ask("PATCH", &place, b"45").await.status,
        202,
        "the short chunk left no trace"
    );
    let done = chunk("6-9")
        .ask("PUT", &format!("{place}?digest={digest}"), b"6789")
        .await;
    assert_eq!(done.status, 201);
    assert_eq!(
        client.get(&format!("/v2/a/blobs/{digest}")).await.text(),
        "0123456789"
    );
    // Not what was announced.
    let place = start().await;
    let wrong = client
        .ask("PUT", &format!("{place}?digest={digest}"), b"other")
        .await;
    assert_eq!(
        (wrong.status, wrong.code().as_str()),
        (400, "DIGEST_INVALID")
    );
    // Cancelled.
    let place = start().await;
    assert_eq!(client.ask("DELETE", &place, b"").await.status, 204);
    assert_eq!(client.ask("DELETE", &place, b"").await.status, 404);
    // sha512.
    let long = format!("sha512:{}", "a".repeat(128));
    let answer = client
        .ask(
            "POST",
            &format!("/v2/a/blobs/uploads/?digest={long}"),
            whole,
        )
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "DIGEST_INVALID")
    );
    // A session belongs to its repository.
    let place = start().await.replace("/v2/a/", "/v2/b/");
    assert_eq!(client.get(&place).await.status, 404);
}

#[tokio::test]
async fn mounts() {
    let client = open();
    let digest = push(&client, "a", b"shared").await;
    let table = [
        (format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), 201),
        (format!("/v2/c/blobs/uploads/?mount={digest}"), 201),
        (
            format!("/v2/d/blobs/uploads/?mount={digest}&from=nothing"),
            202,
        ),
        (
            format!("/v2/d/blobs/uploads/?mount={}&from=a", sha256(b"absent")),
            202,
        ),
        ("/v2/d/blobs/uploads/?mount=bad&from=a".to_owned(), 400),
    ];
    for (path, status) in table {
        assert_eq!(
            client.ask("POST", &path, b"").await.status,
            status,
            "for {path}"
        );
    }
    assert_eq!(
        client.get(&format!("/v2/b/blobs/{digest}")).await.text(),
        "shared"
    );
    assert_eq!(
        client.get(&format!("/v2/d/blobs/{digest}")).await.status,
        404
    );
}

#[tokio::test]
async fn manifests_are_checked_on_the_way_in() {
    let client = open();
    let (digest, answer) = push_manifest(&client, "a", "v1", json!({})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(
        answer.header("location"),
        Some(format!("/v2/a/manifests/{digest}").as_str())
    );
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(digest.as_str())
    );
    let absent = sha256(b"absent");
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let huge = vec![b' '; (4 << 20) + 1];
    let table: Vec<(&str, String, Vec<u8>, u16, &str)> = vec![
        ("no JSON", "v2".into(), b"{".to_vec(), 400, "MANIFEST_INVALID"),
        ("thousands deep", "v2".into(), deep.into_bytes(), 400, "MANIFEST_INVALID"),
        ("too large", "v2".into(), huge, 413, "SIZE_INVALID"),
        ("schema", "v2".into(), b"{\"schemaVersion\":3}".to_vec(), 400, "MANIFEST_INVALID"),
        ("a list", "v2".into(), b"[]".to_vec(), 400, "MANIFEST_INVALID"),
        ("type", "v2".into(), b"{\"schemaVersion\":2,\"mediaType\":\"x/y\"}".to_vec(), 400, "MANIFEST_INVALID"),
        ("tag", "-v2".into(), b"{}".to_vec(), 400, "TAG_INVALID"),
        ("digest", absent.clone(), b"{}".to_vec(), 400, "DIGEST_INVALID"),
        (
            "child",
            "v2".into(),
            json!({"schemaVersion": 2, "manifests": [{"digest": absent, "size": 1, "mediaType": OCI_MANIFEST}]}).to_string().into_bytes(),
            400,
            "MANIFEST_BLOB_UNKNOWN",
        ),
    ];
    for (what, reference, bytes, status, code) in table {
        let typed = client.with("Content-Type", OCI_MANIFEST);
        let answer = typed
            .ask("PUT", &format!("/v2/a/manifests/{reference}"), &bytes)
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "for {what}"
        );
    }
    assert_eq!(client.get("/v2/a/manifests/v2").await.status, 404);
    let (_, answer) = push_manifest(&client, "a", "@", json!({"annotations": {"x": "y"}})).await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn tags_and_repositories_come_page_by_page() {
    let client = open();
    for tag in ["c", "a", "b"] {
        push_manifest(&client, "r", tag, json!({})).await;
    }
    let table = [
        ("/v2/r/tags/list", json!(["a", "b", "c"]), None),
        (
            "/v2/r/tags/list?n=2",
            json!(["a", "b"]),
            Some("</v2/r/tags/list?last=b&n=2>; rel=\"next\""),
        ),
        ("/v2/r/tags/list?last=b&n=2", json!(["c"]), None),
        ("/v2/r/tags/list?n=3", json!(["a", "b", "c"]), None),
        ("/v2/r/tags/list?n=0", json!([]), None),
        ("/v2/r/tags/list?last=aa", json!(["b", "c"]), None),
    ];
    for (path, tags, link) in table {
        let answer = client.get(path).await;
        assert_eq!(
            answer.json(),
            json!({"name": "r", "tags": tags}),
            "for {path}"
        );
        assert_eq!(answer.header("link"), link, "for {path}");
    }
    push_manifest(&client, "q", "x", json!({})).await;
    let answer = client.get("/v2/_catalog?n=1").await;
    assert_eq!(answer.json(), json!({"repositories": ["q"]}));
    assert_eq!(
        answer.header("link"),
        Some("</v2/_catalog?last=q&n=1>; rel=\"next\"")
    );
}

#[tokio::test]
async fn referrers_are_listed_and_filtered() {
    let client = open();
    let (subject, _) = push_manifest(&client, "r", "v1", json!({})).await;
    let refer = json!({
        "artifactType": "application/signature", "annotations": {"a": "b"},
        "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1},
    });
    let (referrer, answer) = push_manifest(&client, "r", "@", refer).await;
    assert_eq!(answer.header("oci-subject"), Some(subject.as_str()));
    let all = client.get(&format!("/v2/r/referrers/{subject}")).await;
    assert_eq!(
        all.header("content-type"),
        Some("application/vnd.oci.image.index.v1+json")
    );
    assert_eq!(all.header("oci-filters-applied"), None);
    let item = &all.json()["manifests"][0];
    assert_eq!(
        (item["digest"].as_str(), item["artifactType"].as_str()),
        (Some(referrer.as_str()), Some("application/signature"))
    );
    assert_eq!(item["annotations"], json!({"a": "b"}));
    let none = client
        .get(&format!("/v2/r/referrers/{subject}?artifactType=other"))
        .await;
    assert_eq!(none.json()["manifests"], json!([]));
    assert_eq!(none.header("oci-filters-applied"), Some("artifactType"));
    client
        .ask("DELETE", &format!("/v2/r/manifests/{referrer}"), b"")
        .await;
    assert_eq!(
        client
            .get(&format!("/v2/r/referrers/{subject}"))
            .await
            .json()["manifests"],
        json!([])
    );
    let off = FakeRegistry::builder()
        .host(HostSpec::new(HOST).referrers(false).deletes(false))
        .build()
        .unwrap();
    let client = common::client(&off);
    assert_eq!(
        client
            .get(&format!("/v2/r/referrers/{subject}"))
            .await
            .status,
        404
    );
    assert_eq!(
        client.ask("DELETE", "/v2/r/manifests/v1", b"").await.status,
        405
    );
}

#[tokio::test]
async fn what_is_deleted_is_gone() {
    let client = seeded();
    let digest = client.registry.digest(HOST, "team/web:v2").unwrap();
    assert_eq!(
        client
            .ask("DELETE", "/v2/team/web/manifests/v2", b"")
            .await
            .status,
        202
    );
    assert_eq!(client.get("/v2/team/web/manifests/v2").await.status, 404);
    let path = format!("/v2/team/web/manifests/{digest}");
    assert_eq!(client.get(&path).await.status, 200, "only the tag went");
    client.registry.tag(HOST, "team/web:v2 1x4KiB").unwrap();
    assert_eq!(client.get("/v2/team/web/manifests/v2").await.status, 200);
    assert_eq!(client.ask("DELETE", &path, b"").await.status, 202);
    assert_eq!(
        client.get("/v2/team/web/manifests/v2").await.status,
        404,
        "tags go with the manifest"
    );
    let blob = push(&client, "team/web", b"x").await;
    let path = format!("/v2/team/web/blobs/{blob}");
    assert_eq!(client.ask("DELETE", &path, b"").await.status, 202);
    assert_eq!(client.get(&path).await.status, 404);
}

#[tokio::test]
async fn blobs_may_live_at_another_host() {
    let spec = HostSpec::new(HOST).blobs_at("data.example");
    let registry = FakeRegistry::builder().host(spec).build().unwrap();
    let client = client(&registry);
    let digest = push(&client, "a", b"0123456789").await;
    let answer = client.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(answer.status, 307);
    let location = answer.header("location").unwrap().to_owned();
    let path = location.strip_prefix("http://data.example").unwrap();
    let data = client.at("data.example");
    assert_eq!(data.get(path).await.text(), "0123456789");
    assert_eq!(data.with("Range", "bytes=2-3").get(path).await.text(), "23");
    let forged = path.replace("sig=", "sig=A");
    let refused = data.get(&forged).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("<Code>AuthenticationFailed</Code>"));
    assert_eq!(
        client.head(&format!("/v2/a/blobs/{digest}")).await.status,
        200,
        "HEAD is not redirected"
    );
}

#[tokio::test]
async fn the_journal_has_every_request_in_order() {
    let client = seeded().with("User-Agent", "test/1").bearer("secret-token");
    client.get("/v2/").await;
    client
        .with("Range", "bytes=0-1")
        .head("/v2/team/web/manifests/v9?ns=other&token=hidden")
        .await;
    let journal = client.registry.journal();
    assert_eq!(
        journal.lines(),
        ["GET /v2/ -> 200", "HEAD /v2/team/web/manifests/v9 -> 404"]
    );
    let entry = &journal.entries()[1];
    assert_eq!(entry.client.as_ref(), "node-1");
    assert_eq!(entry.query.as_deref(), Some("ns=other&token=***"));
    assert_eq!(entry.authorization, fake_registry::Authorization::Bearer);
    assert_eq!(entry.user_agent.as_deref(), Some("test/1"));
    assert!(!format!("{entry:?}").contains("secret"));
}

#[tokio::test]
async fn hosts_that_nobody_has() {
    let client = open();
    assert_eq!(client.at("elsewhere.example").get("/v2/").await.status, 421);
    assert_eq!(
        client.at("REGISTRY.example:443").get("/v2/").await.status,
        200
    );
    // Without a described host the one registry answers to every name.
    assert_eq!(
        seeded()
            .at("127.0.0.1:5000")
            .get("/v2/team/web/tags/list")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn heads_that_are_too_large_or_no_heads() {
    let client = open();
    let long = format!(
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(70_000)
    );
    let answer = String::from_utf8(client.raw(long.as_bytes()).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = String::from_utf8(client.raw(b"nonsense\r\n\r\n").await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
