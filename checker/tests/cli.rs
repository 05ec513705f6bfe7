//! The built binary: exit codes, streams, and what it says about bad input.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run_as(program: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .env_remove("COLUMNS")
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    // A command that does not read it may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("it ends")
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    run_as(env!("CARGO_BIN_EXE_pullcheck"), arguments, input)
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn references_that_are_none_name_the_rule() {
    let long = "a".repeat(300);
    let digest = "registry.example/a@sha256:00";
    let table = [
        ("Foo/Bar", "lower case"),
        ("", "empty"),
        (long.as_str(), "at most"),
        ("registry.example/a\u{7}b:1", "control characters"),
        (digest, "digest"),
    ];
    for (text, rule) in table {
        let output = run(&["image", text], b"");
        let said = err(&output).replace(['\n', '│'], " ");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(2), "for {text:?}: {said}");
        assert!(
            said.contains(rule),
            "for {text:?} expected {rule:?}: {said}"
        );
        assert!(
            out(&output).is_empty(),
            "nothing on standard output for {text:?}"
        );
        assert!(
            !said.contains('\u{7}'),
            "control characters are escaped: {said:?}"
        );
    }
}

#[test]
fn usage_errors_are_two() {
    let table: &[&[&str]] = &[
        &["nonsense"],
        &["image"],
        &["image", "r.test/a", "--username", "u"],
        &["image", "r.test/a", "--platform", "Linux"],
        &["image", "r.test/a", "--dns", "dns.example"],
        &["image", "r.test/a", "--ca", "/nonexistent/ca.pem"],
        &["causes", "tag-not-fund"],
        &["pod", "p", "--kubeconfig", "/nonexistent/config"],
        &["pod", "p", "--arm-endpoint", "https://x"],
        &["pod", "p", "--arm-token-file", "/nonexistent/token"],
    ];
    for arguments in table {
        let output = run(arguments, b"");
        assert_eq!(
            output.status.code(),
            Some(2),
            "for {arguments:?}: {}",
            err(&output)
        );
        assert!(
            out(&output).is_empty() && !err(&output).is_empty(),
            "for {arguments:?}"
        );
    }
    assert!(
        err(&run(&["causes", "tag-not-fund"], b"")).contains("tag-not-found"),
        "the nearest id is named"
    );
}

#[test]
fn help_documents_the_exit_codes() {
    let output = run(&["--help"], b"");
    let page = out(&output);
    assert_eq!(output.status.code(), Some(0));
    for line in [
        "0    pullable",
        "1    blocked",
        "2    the command line",
        "3    undetermined",
        "130  interrupted",
    ] {
        assert!(page.contains(line), "no {line:?} in {page}");
    }
    assert_eq!(run(&["--version"], b"").status.code(), Some(0));
}

#[test]
fn the_plugin_is_the_same_program() {
    let output = run_as(env!("CARGO_BIN_EXE_kubectl-pullcheck"), &["--help"], b"");
    assert!(
        out(&output).contains("Usage: kubectl pullcheck"),
        "{}",
        out(&output)
    );
}

#[test]
fn messages_are_explained() {
    let message = "Failed to pull image \"r.example/a:1\": rpc error: code = NotFound desc = failed to pull and unpack \
                   image \"r.example/a:1\": failed to resolve image: r.example/a:1: not found";
    let text = run(&["explain", message], b"");
    assert_eq!(text.status.code(), Some(0));
    assert!(out(&text).starts_with("tag-not-found"), "{}", out(&text));
    let json: Value = serde_json::from_str(&out(&run(
        &["explain", "-", "--output", "json"],
        message.as_bytes(),
    )))
    .expect("JSON");
    assert_eq!(
        (&json["schema"], &json["clue"]),
        (&"pullcheck.explain/1".into(), &"tag-not-found".into())
    );
    let line = serde_json::json!({"id": 7, "message": message}).to_string();
    let lines = run(
        &["explain", "--jsonl"],
        format!("{line}\n\n{line}\n").as_bytes(),
    );
    let answers: Vec<Value> = out(&lines)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), 2);
    assert!(
        answers
            .iter()
            .all(|one| one["id"] == 7 && one["clue"] == "tag-not-found"),
        "{answers:?}"
    );
}

#[test]
fn causes_are_listed_and_described() {
    let list = out(&run(&["causes"], b""));
    assert_eq!(list.lines().count(), pullcheck::cause::Cause::ALL.len());
    let one = out(&run(&["causes", "firewall-drop"], b""));
    assert!(one.starts_with("firewall-drop (at tcp)"), "{one}");
    let json: Value =
        serde_json::from_str(&out(&run(&["causes", "-o", "json"], b""))).expect("JSON");
    assert_eq!(
        json["causes"].as_array().map(Vec::len),
        Some(pullcheck::cause::Cause::ALL.len())
    );
}

#[test]
fn a_closed_pipe_is_quiet() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pullcheck"))
        .args(["causes", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(err(&output).is_empty(), "{}", err(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_image_that_nobody_serves() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("bound")
        .port();
    let image = format!("127.0.0.1:{port}/a:1");
    let output = run(&["image", &image, "--output", "json"], b"");
    let report: Value = serde_json::from_str(&out(&output)).expect("JSON");
    assert_eq!(report["schema"], "pullcheck.report/1");
    assert_eq!(report["cause"], "tcp-refused", "{report:#}");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).is_empty(),
        "no progress without a terminal: {}",
        err(&output)
    );
}

#[test]
fn manifests_that_are_none_are_located_and_not_shown() {
    let text = b"kind: Secret\nstringData:\n  password: hunter2 hunter2: [\n";
    let output = run(&["manifests", "-f", "-"], text);
    let said = err(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("standard input:3"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let empty = run(&["manifests", "-f", "-"], b"");
    assert_eq!(empty.status.code(), Some(3), "{}", out(&empty));
}

/// A registry on a loopback port that lets nobody in but `puller`; what `ask` makes of its address.
fn with_registry<T>(ask: impl FnOnce(&str) -> T) -> T {
    use fake_registry::{Accounts, AuthPolicy, FakeRegistry, HostSpec};
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let accounts = Accounts::new().user("puller", "hunter2-hunter2", &["*:pull"]);
    let started = runtime.block_on(async {
        FakeRegistry::builder()
            .host(HostSpec::new("r.test").auth(AuthPolicy::Basic(accounts)))
            .any_host("r.test")
            .image("r.test", "team/web:v1 linux/amd64,linux/arm64 1x1KiB")
            .start()
            .await
    });
    let registry = started.expect("a registry");
    ask(&registry.address().to_string())
}

#[test]
fn manifests_are_checked_with_a_docker_configuration() {
    with_registry(|address| {
        let folder = tempfile::tempdir().expect("a folder");
        // puller:hunter2-hunter2
        let config =
            format!(r#"{{"auths":{{"{address}":{{"auth":"cHVsbGVyOmh1bnRlcjItaHVudGVyMg=="}}}}}}"#);
        std::fs::write(folder.path().join("config.json"), config).expect("a file");
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {{containers: [{{name: web, image: '{address}/team/web:v1'}}]}}\n"
        );
        let folder = folder.path().display().to_string();
        let with = [
            "manifests",
            "-f",
            "-",
            "--platform",
            "linux/amd64",
            "--docker-config",
            &folder,
        ];
        let output = run(&with, pod.as_bytes());
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}{}",
            out(&output),
            err(&output)
        );
        let without = run(&with[..5], pod.as_bytes());
        assert_eq!(without.status.code(), Some(1), "{}", out(&without));
        assert!(
            out(&without).contains("\nBLOCKED credentials-missing"),
            "{}",
            out(&without)
        );
        for page in [out(&output), out(&without)] {
            assert!(
                !page.contains("hunter2") && !page.contains("cHVsbGVy"),
                "{page}"
            );
        }
    });
}

/// A kubelet's configuration, a program that it names, and a registry that lets in whom the program names.
#[cfg(unix)]
#[test]
fn a_credential_provider_is_run_as_the_kubelet_runs_it() {
    use std::os::unix::fs::PermissionsExt as _;
    with_registry(|address| {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("vault-provider");
        let script = format!(
            "#!/bin/sh\nread -r request\ncase \"$request\" in *CredentialProviderRequest*{address}*) ;; *) exit 1 ;; esac\n\
             echo '{{\"kind\":\"CredentialProviderResponse\",\"apiVersion\":\"credentialprovider.kubelet.k8s.io/v1\",\
             \"cacheKeyType\":\"Registry\",\"auth\":{{\"{address}\":{{\"username\":\"puller\",\"password\":\"hunter2-hunter2\"}}}}}}'\n"
        );
        std::fs::write(&program, script).expect("a file");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
            .expect("a program");
        let config = folder.path().join("providers.yaml");
        let text = format!(
            "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n\
             - name: vault-provider\n  matchImages: ['{address}']\n  defaultCacheDuration: 10m\n  \
             apiVersion: credentialprovider.kubelet.k8s.io/v1\n"
        );
        std::fs::write(&config, text).expect("a file");
        let output = run(
            &[
                "image",
                &format!("{address}/team/web:v1"),
                "--platform",
                "linux/amd64",
                "--credential-provider-config",
                &config.display().to_string(),
                "--credential-provider-bin-dir",
                &folder.path().display().to_string(),
            ],
            b"",
        );
        let page = out(&output);
        assert_eq!(output.status.code(), Some(0), "{page}{}", err(&output));
        assert!(
            page.contains("credential provider vault-provider"),
            "{page}"
        );
        assert!(!page.contains("hunter2"), "{page}");
    });
}

#[test]
fn colour_only_where_it_is_wanted_and_more_only_when_asked_for() {
    with_registry(|address| {
        let image = format!("{address}/team/web:v1");
        let plain = run(&["image", &image, "--anonymous"], b"");
        assert!(!out(&plain).contains('\u{1b}'), "no colour in a pipe");
        let coloured = run(&["image", &image, "--anonymous", "--color", "always"], b"");
        assert!(out(&coloured).contains("\u{1b}["), "{}", out(&coloured));
        let quiet = run(&["image", &image, "--anonymous", "--quiet"], b"");
        assert_eq!(quiet.status.code(), Some(1));
        assert!(err(&quiet).is_empty());
        let wordy = run(&["image", &image, "--anonymous", "--verbose"], b"");
        assert!(out(&wordy).len() >= out(&plain).len());
        let both = run(&["image", &image, "--quiet", "--verbose"], b"");
        assert_eq!(both.status.code(), Some(2));
    });
}

#[cfg(not(feature = "azure-identity"))]
#[test]
fn a_build_without_azure_says_so_and_what_to_do() {
    let output = run(&["cluster", "--azure-auth", "cli"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("--arm-token-file"),
        "{}",
        err(&output)
    );
}

#[cfg(feature = "azure-identity")]
#[test]
fn a_way_to_sign_in_names_the_variable_that_is_missing() {
    let output = run(&["cluster", "--azure-auth", "client-secret"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("AZURE_TENANT_ID"), "{}", err(&output));
}

/// Arguments in, lines of JSON out: what a pod of `--from nodes` does, here without a node's files.
#[test]
fn the_program_in_the_pod_tells_what_it_sees() {
    let nothing = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_pullcheck"))
        .args([
            "node-probe",
            "--plain-http",
            "--image",
            "127.0.0.1:9/team/web:v1",
        ])
        .env("PULLCHECK_NODE", "worker-1")
        .env("PULLCHECK_HOST", nothing.path())
        .output()
        .expect("it runs");
    assert_eq!(
        output.status.code(),
        Some(0),
        "what it finds is no failure of its own"
    );
    let text = String::from_utf8(output.stdout).expect("text");
    let heard = pullcheck::nodes::Heard::read(&text, "worker-1").expect("its own lines");
    assert!(heard.complete);
    let seen = &heard.images["127.0.0.1:9/team/web:v1"];
    let end = seen
        .attempts()
        .last()
        .map(|(_, end)| (end.stage.id(), end.complete));
    assert_eq!(end, Some(("tcp", false)), "{text}");
    assert_eq!(
        heard.notes,
        ["no authorities were found below the node's /etc"]
    );
    let output = Command::new(env!("CARGO_BIN_EXE_pullcheck"))
        .args(["node-probe", "--image"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_manifests_of_the_node_vantage_are_documents_in_order() {
    let output = Command::new(env!("CARGO_BIN_EXE_pullcheck"))
        .args(["nodes", "--print-manifests", "--subject", "user:alice"])
        .args(["--node-namespace", "probes"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("text");
    let documents: Vec<&str> = text.split("---\n").skip(1).collect();
    assert_eq!(documents.len(), 7, "{text}");
    let (job, objects) = documents.split_last().expect("some");
    assert!(
        job.lines().all(|line| line.starts_with("# ")),
        "the Job is for review"
    );
    let kinds: Vec<&str> = objects
        .iter()
        .filter_map(|one| one.lines().find_map(|line| line.strip_prefix("kind: ")))
        .collect();
    assert_eq!(
        kinds,
        [
            "Namespace",
            "ServiceAccount",
            "Role",
            "RoleBinding",
            "ClusterRole",
            "ClusterRoleBinding"
        ]
    );
    assert!(
        text.contains("name: alice") && text.contains("namespace: probes"),
        "{text}"
    );
}
