//! Stock kubectl against the embedded cluster, over a socket and in real time.
//!
//! Needs a `kubectl` on the path, or the one that `KUBECTL` names. Without it the tests say that they skip;
//! with `CI` set they fail instead. Plain HTTP on loopback: what is tested is the API, not TLS.
#![expect(clippy::unwrap_used, reason = "a test program, helpers included")]

use std::net::SocketAddr;
use std::process::{Command, Output};

use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sim_cluster::api::{Access, Denial};
use sim_cluster::cluster::Cluster;
use sim_cluster::store::{Action, Kind};
use tower::ServiceExt as _;

const MANIFEST: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - { name: main, image: "registry.example/team/web:v1", ports: [{ containerPort: 80 }] }
"#;

/// Serves the cluster from a thread of its own until the test process ends.
fn serve() -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let cluster = Cluster::builder().seed(1).build();
            play_node(&cluster);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let limited = Access::of_user("jane");
            limited.deny(Denial::of("list", "events"));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let everyone = cluster.service();
                let jane = cluster.service_for(limited.clone());
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request: http::Request<_>| {
                        let named = request.headers().get("impersonate-user").is_some();
                        let router = if named {
                            jane.clone()
                        } else {
                            everyone.clone()
                        };
                        router.oneshot(request)
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
    });
    receiver.recv().unwrap()
}

/// One ready node; pods run after a moment, but for those whose tag is `bad`.
fn play_node(cluster: &Cluster) {
    let store = cluster.store();
    let now = store.clock().seconds();
    let node = json!({
        "metadata": { "name": "node-1", "labels": { "kubernetes.io/hostname": "node-1" } },
        "spec": {},
        "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": now }],
            "nodeInfo": { "kubeletVersion": "v1.36.2" },
            "capacity": { "cpu": "4", "memory": "8Gi", "pods": "110" },
            "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } }
    });
    store.create(Kind::Node, node).unwrap();
    tokio::spawn(async move {
        let mut watch = store.watch(Kind::Pod, 0);
        while let Ok(change) = watch.next().await {
            let pod = &change.object;
            let text = |path: &str| {
                pod.pointer(path)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            if change.action == Action::Deleted || text("/spec/nodeName").is_empty() {
                continue;
            }
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            if pod.pointer("/metadata/deletionTimestamp").is_some() {
                let _ = store.delete(Kind::Pod, namespace, name);
                continue;
            }
            let bad = text("/spec/containers/0/image").ends_with(":bad");
            let now = store.clock().seconds();
            let status = if bad {
                json!({ "containerStatuses": [{ "name": "main", "ready": false, "restartCount": 0,
                    "image": "", "imageID": "", "state": { "waiting": { "reason": "ImagePullBackOff" } } }] })
            } else {
                json!({ "phase": "Running", "conditions":
                        [{ "type": "Ready", "status": "True", "lastTransitionTime": now }],
                    "containerStatuses": [{ "name": "main", "ready": true, "restartCount": 0,
                        "image": "", "imageID": "", "state": { "running": { "startedAt": now } } }] })
            };
            let told = pod.pointer("/status/containerStatuses/0/name").is_some();
            if !told {
                let _ = store.merge_status(Kind::Pod, namespace, name, status);
            }
        }
    });
}

struct Kubectl {
    server: SocketAddr,
    cache: std::path::PathBuf,
}

impl Kubectl {
    /// None without a kubectl.
    fn start(name: &str) -> Option<Self> {
        let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".into());
        let there = Command::new(&program)
            .args(["version", "--client"])
            .output()
            .is_ok_and(|output| output.status.success());
        assert!(there || std::env::var_os("CI").is_none(), "no {program}");
        if !there {
            eprintln!("skipped: no {program}");
            return None;
        }
        let cache = format!("sim-cluster-{name}-{}", std::process::id());
        Some(Self {
            server: serve(),
            cache: std::env::temp_dir().join(cache),
        })
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".into());
        let mut child = Command::new(program)
            .arg(format!("--server=http://{}", self.server))
            .arg(format!("--cache-dir={}", self.cache.display()))
            .args(arguments)
            .env("KUBECONFIG", "/dev/null")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("a kubectl");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// Debian 12 brings 1.20, which lacks `kubectl events` and has older texts.
    fn is_old(&self) -> bool {
        self.ok("version --client").contains("v1.20.")
    }

    /// Runs a command that must succeed.
    fn ok(&self, line: &str) -> String {
        self.ok_with(line, "")
    }

    fn ok_with(&self, line: &str, input: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.run(&arguments, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {line}\n{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command that must fail; gives what it says.
    fn fails(&self, line: &str, input: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.run(&arguments, input);
        assert!(!output.status.success(), "kubectl {line} should fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn the_commands_people_type() {
    let Some(kubectl) = Kubectl::start("commands") else {
        return;
    };
    has(&kubectl.ok("version"), &["Server Version: ", "v1.36.2"]);
    has(
        &kubectl.ok("api-resources"),
        &["deployments", "deploy", "serviceaccounts"],
    );
    has(
        &kubectl.ok("get nodes"),
        &["NAME", "STATUS", "node-1", "Ready", "v1.36.2"],
    );
    has(&kubectl.ok("cluster-info"), &["is running at"]);

    has(
        &kubectl.ok_with("apply -f -", MANIFEST),
        &["deployment.apps/web created"],
    );
    has(
        &kubectl.ok("rollout status deployment/web --timeout=20s"),
        &["successfully rolled out"],
    );
    has(
        &kubectl.ok_with("apply -f -", MANIFEST),
        &["deployment.apps/web unchanged"],
    );
    has(
        &kubectl.ok("get deployment web"),
        &["READY", "UP-TO-DATE", "2/2"],
    );
    has(
        &kubectl.ok("get pods"),
        &[
            "NAME", "READY", "STATUS", "RESTARTS", "AGE", "1/1", "Running",
        ],
    );
    has(
        &kubectl.ok("get pods -o wide"),
        &["IP", "NODE", "node-1", "<none>"],
    );
    has(
        &kubectl.ok("get all"),
        &[
            "pod/web-",
            "service/kubernetes",
            "deployment.apps/web",
            "replicaset.apps/web-",
        ],
    );
    has(
        &kubectl.ok("get pods -A --show-labels"),
        &["NAMESPACE", "default", "pod-template-hash="],
    );
    has(&kubectl.ok("get pods -l app=web -o name"), &["pod/web-"]);
    has(
        &kubectl.ok("get pods --field-selector=spec.nodeName=node-1 --sort-by=.metadata.name"),
        &["web-"],
    );
    has(
        &kubectl.ok("get deployment web -o jsonpath={.spec.template.spec.containers[0].image}"),
        &["registry.example/team/web:v1"],
    );
    has(
        &kubectl.ok("describe deployment web"),
        &[
            "ScalingReplicaSet",
            "Scaled up replica set web-",
            "2 available",
        ],
    );
    let pod = kubectl.ok("get pods -l app=web -o name");
    let pod = pod.lines().next().unwrap();
    has(
        &kubectl.ok(&format!("describe {pod}")),
        &["Controlled By:", "Successfully assigned default/web-"],
    );
    has(
        &kubectl.ok("describe node node-1"),
        &["Non-terminated Pods:", "(2 in total)"],
    );
    if !kubectl.is_old() {
        has(
            &kubectl.ok("events --for deployment/web"),
            &["ScalingReplicaSet"],
        );
    }
    has(
        &kubectl.ok("get events --sort-by=.lastTimestamp"),
        &["SuccessfulCreate", "Scheduled"],
    );

    has(
        &kubectl.ok("set image deployment/web main=registry.example/team/web:bad"),
        &["image updated"],
    );
    has(
        &kubectl.fails("rollout status deployment/web --timeout=2s", ""),
        &["timed out"],
    );
    let bad = kubectl.ok("get pods -o wide");
    has(&bad, &["0/1", "ImagePullBackOff"]);
    let name = bad.lines().find(|line| line.contains("0/1")).unwrap();
    let name = name.split_whitespace().next().unwrap();
    has(
        &kubectl.fails(&format!("logs {name}"), ""),
        &[
            "Error from server (BadRequest): container \"main\" in pod",
            "is waiting to start: trying and failing to pull image",
        ],
    );
    has(
        &kubectl.ok("rollout history deployment/web"),
        &["REVISION", "1", "2"],
    );
    has(&kubectl.ok("rollout undo deployment/web"), &["rolled back"]);
    has(
        &kubectl.ok("rollout status deployment/web --timeout=20s"),
        &["successfully rolled out"],
    );
    has(
        &kubectl.ok("rollout restart deployment/web"),
        &["restarted"],
    );
    has(
        &kubectl.ok("rollout status deployment/web --timeout=20s"),
        &["successfully rolled out"],
    );
    has(
        &kubectl.ok("scale deployment/web --replicas=3"),
        &["scaled"],
    );
    has(
        &kubectl.ok("wait --for=condition=Available deployment/web --timeout=20s"),
        &["condition met"],
    );
    has(&kubectl.ok("label deployment web tier=front"), &["labeled"]);
    has(
        &kubectl.ok("annotate deployment web note=x"),
        &["annotated"],
    );

    let secret = "create secret docker-registry pull --docker-server=registry.example --docker-username=u --docker-password=p";
    has(&kubectl.ok(secret), &["secret/pull created"]);
    has(
        &kubectl.ok("get secret pull"),
        &["kubernetes.io/dockerconfigjson", "1"],
    );
    let config = kubectl.ok("get secret pull -o jsonpath={.data.\\.dockerconfigjson}");
    assert!(config.starts_with("eyJhdXRocyI6"), "{config}");
    let patch = r#"patch serviceaccount default -p {"imagePullSecrets":[{"name":"pull"}]}"#;
    has(&kubectl.ok(patch), &["patched"]);
    has(&kubectl.ok("create serviceaccount robot"), &["created"]);
    has(
        &kubectl.ok("set serviceaccount deployment web robot"),
        &["serviceaccount updated"],
    );
    has(
        &kubectl.ok("create namespace team"),
        &["namespace/team created"],
    );
    has(
        &kubectl.ok("create configmap settings --from-literal=a=b"),
        &["created"],
    );
    has(
        &kubectl.ok("create deployment other --image=registry.example/x:1 -n team"),
        &["created"],
    );
    has(
        &kubectl.ok("wait --for=condition=Available deployment/other -n team --timeout=20s"),
        &["condition met"],
    );
    has(
        &kubectl.ok("run single --image=registry.example/x:1"),
        &["pod/single created"],
    );
    has(
        &kubectl.ok("wait --for=condition=Ready pod/single --timeout=20s"),
        &["condition met"],
    );
}

#[test]
fn refusals_and_the_end() {
    let Some(kubectl) = Kubectl::start("refusals") else {
        return;
    };
    has(
        &kubectl.fails("get pod none", ""),
        &["Error from server (NotFound): pods \"none\" not found"],
    );
    has(
        &kubectl.fails("get unicorns", ""),
        &["the server doesn't have a resource type \"unicorns\""],
    );
    if !kubectl.is_old() {
        let typo = MANIFEST.replace("replicas: 2", "replicsa: 2");
        has(
            &kubectl.fails("apply -f -", &typo),
            &["strict decoding error: unknown field \"spec.replicsa\""],
        );
    }
    let lacking = MANIFEST.replace("image: \"registry.example/team/web:v1\",", "");
    has(
        &kubectl.fails("apply -f -", &lacking),
        &[
            "The Deployment \"web\" is invalid: spec.template.spec.containers[0].image: Required value",
        ],
    );
    has(&kubectl.ok("auth can-i create pods"), &["yes"]);
    has(&kubectl.fails("auth can-i list events --as=jane", ""), &[]);
    has(
        &kubectl.fails("get events --as=jane", ""),
        &[
            "Error from server (Forbidden): events is forbidden: User \"jane\" cannot list resource \"events\"",
        ],
    );
    kubectl.ok_with("create -f -", MANIFEST);
    has(
        &kubectl.fails("create -f -", MANIFEST),
        &[
            "Error from server (AlreadyExists)",
            "\"web\" already exists",
        ],
    );
    has(
        &kubectl.ok("rollout status deployment/web --timeout=20s"),
        &["successfully rolled out"],
    );
    has(
        &kubectl.ok_with("apply --server-side -f -", MANIFEST),
        &["serverside-applied"],
    );
    has(
        &kubectl.ok_with("apply --dry-run=server -f -", MANIFEST),
        &["(server dry run)"],
    );
    has(&kubectl.ok_with("replace -f -", MANIFEST), &["replaced"]);
    has(&kubectl.ok("cordon node-1"), &["cordoned"]);
    has(&kubectl.ok("get nodes"), &["Ready,SchedulingDisabled"]);
    has(
        &kubectl.ok("drain node-1 --ignore-daemonsets --timeout=20s"),
        &[if kubectl.is_old() {
            "deleted"
        } else {
            "evicted"
        }],
    );
    has(&kubectl.ok("uncordon node-1"), &["uncordoned"]);
    has(
        &kubectl.ok("rollout status deployment/web --timeout=20s"),
        &["successfully rolled out"],
    );
    has(
        &kubectl.ok("delete deployment web --timeout=20s"),
        &["deployment.apps \"web\" deleted"],
    );
    // Fails when they are gone already, in old versions.
    let gone = "wait --for=delete pod -l app=web --timeout=20s";
    kubectl.run(&gone.split_whitespace().collect::<Vec<_>>(), "");
    let left = kubectl.run(&["get", "pods"], "");
    has(
        &String::from_utf8_lossy(&left.stderr),
        &["No resources found in default namespace."],
    );
    has(&kubectl.ok("create namespace team"), &["created"]);
    has(
        &kubectl.ok("delete namespace team --timeout=20s"),
        &["deleted"],
    );
}
