//! Clients that we did not write, against the program on a TCP port.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests, which may panic and say that they skip"
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use common::program::Program;
use common::{Client, HOST, client};
use fake_registry::FakeRegistry;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Whether a program is there; in CI it has to be.
fn available(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} is not installed, and CI has to have it"
        );
        eprintln!("skipped: {program} is not installed on this machine");
    }
    found
}

fn skopeo(home: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env_remove("REGISTRY_AUTH_FILE")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// Writes an image as an OCI layout, fetched piece by piece from a registry in memory.
async fn write_layout(at: &Path, line: &str) {
    let registry = FakeRegistry::builder().image(HOST, line).build().unwrap();
    let client = client(&registry);
    let name = line.split_whitespace().next().unwrap();
    let (repository, tag) = name.split_once(':').unwrap();
    let top = registry.digest(HOST, name).unwrap();
    std::fs::create_dir_all(at.join("blobs/sha256")).unwrap();
    let top_bytes = save(&client, at, repository, "manifests", &top).await;
    let top_value: Value = serde_json::from_slice(&top_bytes).unwrap();
    let mut manifests = vec![top_value.clone()];
    for child in top_value["manifests"].as_array().into_iter().flatten() {
        let bytes = save(
            &client,
            at,
            repository,
            "manifests",
            child["digest"].as_str().unwrap(),
        )
        .await;
        manifests.push(serde_json::from_slice(&bytes).unwrap());
    }
    for manifest in manifests {
        let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
        for blob in layers.iter().chain(manifest.get("config")) {
            save(
                &client,
                at,
                repository,
                "blobs",
                blob["digest"].as_str().unwrap(),
            )
            .await;
        }
    }
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": top_value["mediaType"], "digest": top, "size": top_bytes.len(),
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }]});
    std::fs::write(at.join("index.json"), index.to_string()).unwrap();
    std::fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

async fn save(client: &Client, at: &Path, repository: &str, kind: &str, digest: &str) -> Vec<u8> {
    let answer = client
        .get(&format!("/v2/{repository}/{kind}/{digest}"))
        .await;
    assert_eq!(answer.status, 200);
    let hex = digest.strip_prefix("sha256:").unwrap();
    std::fs::write(at.join("blobs/sha256").join(hex), &answer.body).unwrap();
    answer.body
}

fn blobs(at: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(at.join("blobs/sha256"))
        .unwrap()
        .map(Result::unwrap);
    entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn skopeo_pushes_and_copies_back_byte_for_byte() {
    if !available("skopeo") {
        return;
    }
    let home = TempDir::new().unwrap();
    let (from, back) = (home.path().join("from"), home.path().join("back"));
    write_layout(&from, "team/web:v1 linux/amd64,linux/arm64 2x256KiB").await;
    let program = Program::start(&[]);
    let remote = format!("docker://{}/team/web", program.address);
    let layout = |path: &Path| format!("oci:{}:v1", path.display());
    let run = |arguments: &[&str]| skopeo(home.path(), arguments);
    run(&[
        "copy",
        "--all",
        "--dest-tls-verify=false",
        &layout(&from),
        &format!("{remote}:v1"),
    ])
    .unwrap();
    run(&[
        "copy",
        "--all",
        "--src-tls-verify=false",
        &format!("{remote}:v1"),
        &layout(&back),
    ])
    .unwrap();
    let (sent, received) = (blobs(&from), blobs(&back));
    assert_eq!(
        sent.keys().collect::<Vec<_>>(),
        received.keys().collect::<Vec<_>>()
    );
    assert!(sent == received, "every blob byte for byte");
    assert_eq!(
        sent.len(),
        1 + 2 * (1 + 1 + 2),
        "an index, and twice a manifest, a config and two layers"
    );

    let inspected = run(&["inspect", "--tls-verify=false", &format!("{remote}:v1")]).unwrap();
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["RepoTags"], json!(["v1"]));
    run(&[
        "copy",
        "--all",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        &format!("{remote}:v1"),
        &format!("docker://{}/other/app:v2", program.address),
    ])
    .unwrap();
    run(&["delete", "--tls-verify=false", &format!("{remote}:v1")]).unwrap();
    let gone = run(&["inspect", "--tls-verify=false", &format!("{remote}:v1")]).unwrap_err();
    assert!(gone.contains("manifest unknown"), "{gone}");
    let tags = run(&[
        "list-tags",
        "--tls-verify=false",
        &format!("docker://{}/other/app", program.address),
    ])
    .unwrap();
    assert!(tags.contains("\"v2\""), "{tags}");
}

#[tokio::test]
async fn skopeo_logs_in_with_and_without_tls() {
    if !available("skopeo") {
        return;
    }
    let home = TempDir::new().unwrap();
    let from = home.path().join("from");
    write_layout(&from, "team/web:v1 1x16KiB").await;
    for (kind, tls) in [
        ("basic", true),
        ("token", true),
        ("basic", false),
        ("token", false),
    ] {
        let (program, ca) = Program::guarded(home.path(), kind, tls);
        let certificates = if tls {
            let folder = home.path().join(kind);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::rename(&ca, folder.join("ca.crt")).unwrap();
            format!("--dest-cert-dir={}", folder.display())
        } else {
            "--dest-tls-verify=false".to_owned()
        };
        let push = |credentials: &str| {
            let from = format!("oci:{}:v1", from.display());
            let to = format!("docker://{}/team/web:v1", program.address);
            skopeo(
                home.path(),
                &[
                    "copy",
                    &certificates,
                    &format!("--dest-creds={credentials}"),
                    &from,
                    &to,
                ],
            )
        };
        push("ci:s3cret").unwrap();
        let reading = certificates.replace("--dest-", "--");
        let named = format!("docker://{}/team/web", program.address);
        let image = format!("{named}:v1");
        let with = |work: &str, what: &str| {
            let credentials = "--creds=ci:s3cret";
            skopeo(home.path(), &[work, &reading, credentials, what])
        };
        assert!(with("inspect", &image).unwrap().contains("sha256:"));
        assert!(with("list-tags", &named).unwrap().contains("\"v1\""));
        with("delete", &image).unwrap();
        assert!(with("inspect", &image).is_err());
        let refused = push("ci:wrong").unwrap_err();
        assert!(
            refused.contains("unauthorized") || refused.contains("authentication required"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn skopeo_syncs_inspects_and_deletes_over_tls() {
    if !available("skopeo") {
        return;
    }
    let home = TempDir::new().unwrap();
    let start = |arguments: &[&str]| {
        let program = Program::start(&[&["--tls"], arguments].concat());
        let certificates = home.path().join(program.address.replace(':', "-"));
        std::fs::create_dir_all(&certificates).unwrap();
        let ca = program.ca.as_ref().unwrap();
        std::fs::copy(ca, certificates.join("ca.crt")).unwrap();
        std::fs::remove_file(ca).unwrap();
        (program, certificates.display().to_string())
    };
    let line = |tag: &str| format!("team/web:{tag} linux/amd64,linux/arm64 1x16KiB");
    let (one, two) = (line("v1"), line("v2"));
    let (source, source_certificates) = start(&["--image", &one, "--image", &two]);
    let (target, target_certificates) = start(&[]);
    let run = |arguments: &[&str]| skopeo(home.path(), arguments);
    run(&[
        "sync",
        "--all",
        "--src=docker",
        "--dest=docker",
        &format!("--src-cert-dir={source_certificates}"),
        &format!("--dest-cert-dir={target_certificates}"),
        &format!("{}/team/web", source.address),
        &format!("{}/copies", target.address),
    ])
    .unwrap();
    let certificates = format!("--cert-dir={target_certificates}");
    let image = |tag: &str| format!("docker://{}/copies/web:{tag}", target.address);
    let raw = |certificates: &str, image: &str| {
        let certificates = format!("--cert-dir={certificates}");
        run(&["inspect", "--raw", &certificates, image]).unwrap()
    };
    for tag in ["v1", "v2"] {
        let original = format!("docker://{}/team/web:{tag}", source.address);
        let copied = raw(&target_certificates, &image(tag));
        assert_eq!(copied, raw(&source_certificates, &original));
    }
    run(&["delete", &certificates, &image("v1")]).unwrap();
    let tags = format!("docker://{}/copies/web", target.address);
    let tags = run(&["list-tags", &certificates, &tags]).unwrap();
    let tags: Value = serde_json::from_str(&tags).unwrap();
    assert_eq!(tags["Tags"], json!(["v2"]));
    let unknown = run(&["inspect", &image("v2")]).unwrap_err();
    assert!(unknown.contains("x509"), "{unknown}");
}

#[tokio::test]
async fn skopeo_syncs_with_credentials() {
    if !available("skopeo") {
        return;
    }
    let home = TempDir::new().unwrap();
    let from = home.path().join("from");
    write_layout(&from, "team/web:v1 linux/amd64,linux/arm64 1x16KiB").await;
    for (kind, tls) in [
        ("basic", true),
        ("token", true),
        ("basic", false),
        ("token", false),
    ] {
        let folder = home.path().join(format!("{kind}-{tls}"));
        std::fs::create_dir_all(&folder).unwrap();
        let (program, ca) = Program::guarded(&folder, kind, tls);
        let secure = |side: &str| {
            if tls {
                format!("--{side}-cert-dir={}", folder.display())
            } else {
                format!("--{side}-tls-verify=false")
            }
        };
        if tls {
            std::fs::rename(&ca, folder.join("ca.crt")).unwrap();
        }
        let run = |arguments: &[&str]| skopeo(home.path(), arguments);
        run(&[
            "copy",
            "--all",
            &secure("dest"),
            "--dest-creds=ci:s3cret",
            &format!("oci:{}:v1", from.display()),
            &format!("docker://{}/team/web:v1", program.address),
        ])
        .unwrap();
        let sync = |password: &str| {
            run(&[
                "sync",
                "--all",
                "--src=docker",
                "--dest=docker",
                &secure("src"),
                &secure("dest"),
                &format!("--src-creds=ci:{password}"),
                &format!("--dest-creds=ci:{password}"),
                &format!("{}/team/web", program.address),
                &format!("{}/copies", program.address),
            ])
        };
        let refused = sync("wrong").unwrap_err();
        assert!(refused.contains("unauthorized") || refused.contains("authentication"));
        sync("s3cret").unwrap();
        let raw = |name: &str| {
            let secure = secure("x").replace("--x-", "--");
            let image = format!("docker://{}/{name}:v1", program.address);
            run(&["inspect", "--raw", &secure, "--creds=ci:s3cret", &image]).unwrap()
        };
        assert_eq!(raw("copies/web"), raw("team/web"), "{kind}, TLS: {tls}");
    }
}

mod oci_client {
    use fake_registry::{Accounts, AuthPolicy, FakeRegistry, HostSpec, Server, TokenService};
    use oci_distribution::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
    use oci_distribution::secrets::RegistryAuth;
    use oci_distribution::{Client, Reference};

    use super::common::HOST;

    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    fn client() -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::new(ClientConfig {
            protocol: ClientProtocol::Http,
            ..ClientConfig::default()
        })
    }

    fn reference(server: &Server, name: &str) -> Reference {
        format!("{}/{name}", server.address()).parse().unwrap()
    }

    async fn push(client: &Client, to: &Reference, auth: &RegistryAuth) -> Result<(), String> {
        let layer = ImageLayer::new(b"layer".to_vec(), LAYER.to_owned(), None);
        let kind = "application/vnd.oci.image.config.v1+json";
        let config = Config::new(b"{}".to_vec(), kind.into(), None);
        let pushed = client.push(to, &[layer], config, auth, None).await;
        pushed.map(|_| ()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn pushes_and_pulls() {
        let server = FakeRegistry::builder()
            .image(HOST, "team/web:v1 linux/amd64,linux/arm64 2x64KiB")
            .start()
            .await
            .unwrap();
        let (client, auth) = (client(), RegistryAuth::Anonymous);
        let mine = reference(&server, "team/mine:v1");
        push(&client, &mine, &auth).await.unwrap();
        let pulled = client.pull(&mine, &auth, vec![LAYER]).await.unwrap();
        assert_eq!(pulled.layers[0].data.as_ref(), b"layer");
        // An image of a description, chosen by platform from its index.
        let described = reference(&server, "team/web:v1");
        let pulled = client.pull(&described, &auth, vec![LAYER]).await.unwrap();
        assert_eq!(pulled.layers.len(), 2);
        assert_eq!(pulled.layers[0].data.len(), 64 << 10);
        let lines = server.registry().journal().lines();
        assert!(
            lines.contains(&"PUT /v2/team/mine/manifests/v1 -> 201".to_owned()),
            "{lines:?}"
        );
    }

    #[tokio::test]
    async fn pushes_and_pulls_with_credentials() {
        let accounts = || Accounts::new().user("ci", "s3cret", &["*"]);
        for policy in [
            AuthPolicy::Basic(accounts()),
            AuthPolicy::Token(TokenService::new(accounts())),
        ] {
            let server = FakeRegistry::builder()
                .host(HostSpec::new(HOST).auth(policy))
                .any_host(HOST)
                .start()
                .await
                .unwrap();
            let mine = reference(&server, "team/mine:v1");
            let login = |password: &str| RegistryAuth::Basic("ci".into(), password.into());
            // A client each: they keep tokens.
            for auth in [RegistryAuth::Anonymous, login("wrong")] {
                let client = client();
                assert!(push(&client, &mine, &auth).await.is_err());
                assert!(client.pull(&mine, &auth, vec![LAYER]).await.is_err());
            }
            assert_eq!(server.registry().tags(HOST, "team/mine"), [""; 0]);
            let auth = login("s3cret");
            push(&client(), &mine, &auth).await.unwrap();
            let pulled = client().pull(&mine, &auth, vec![LAYER]).await.unwrap();
            assert_eq!(pulled.layers[0].data.as_ref(), b"layer");
        }
    }
}

#[test]
fn the_program_says_what_is_wrong() {
    let home = TempDir::new().unwrap();
    let script = home.path().join("faults.yaml");
    std::fs::write(&script, "rules:\n  - action: { stattus: 503 }\n").unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_fake-registry"))
            .arg("serve")
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = run(&["--faults", script.to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(
        text.contains("faults.yaml: line 2, column 15: ") && text.contains("stattus"),
        "{text}"
    );
    let (code, text) = run(&["--image", "Web"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("`Web` is not a repository name"), "{text}");
    let (code, text) = run(&["--config", "/nowhere.yaml"]);
    assert!(
        code == Some(2) && text.contains("cannot read /nowhere.yaml"),
        "{text}"
    );
    let (code, _) = run(&["--listen", "nonsense"]);
    assert_eq!(code, Some(2));
}

#[test]
fn the_program_ends_in_order_when_told_to() {
    for signal in ["-INT", "-TERM"] {
        let mut program = Program::start(&["--image", "team/web:v1"]);
        let sent = Command::new("kill")
            .args([signal, &program.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        assert!(program.child.wait().unwrap().success(), "after {signal}");
    }
}
