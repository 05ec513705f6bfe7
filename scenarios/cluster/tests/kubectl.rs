//! Stock kubectl against the embedded cluster, over a socket and in real time.
//!
//! Three of Debian: the one on the path (1.20 in Debian 12), and those of trixie (1.32) and sid (1.36) that
//! `fake-registry/tests/witness/prepare kubectl-trixie` and `… kubectl-sid` keep; or the one that `KUBECTL` names.
//! Without any the tests say that they skip; with `CI` set they fail instead. Plain HTTP on loopback: what
//! is tested is the API, not TLS.
#![expect(clippy::unwrap_used, reason = "a test program, helpers included")]

mod stock;

use serde_json::{Value, json};
use sim_cluster::cluster::Cluster;
use sim_cluster::store::{Action, Kind};
use stock::{Kubectl, each};

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

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn the_commands_people_type() {
    each(play_node, commands);
}

fn commands(kubectl: &Kubectl) {
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
    each(play_node, refusals);
}

fn refusals(kubectl: &Kubectl) {
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

#[test]
fn what_fields_mean() {
    each(play_node, explained);
}

fn explained(kubectl: &Kubectl) {
    has(
        &kubectl.ok("explain pods"),
        &[
            "KIND: ",
            "Pod",
            "VERSION:",
            "DESCRIPTION:",
            "spec",
            "<PodSpec>",
        ]
        .map(|part| {
            // Before 1.27 a field's type is shown by its form.
            if kubectl.is_old() && part == "<PodSpec>" {
                "<Object>"
            } else {
                part
            }
        }),
    );
    has(
        &kubectl.ok("explain deployment.spec.template.spec.containers.imagePullPolicy"),
        &[
            "imagePullPolicy <string>",
            "One of Always, Never, IfNotPresent",
        ],
    );
    has(
        &kubectl.ok("explain pod.spec.imagePullSecrets"),
        &["imagePullSecrets", "name", "<string>"],
    );
    has(
        &kubectl.ok("explain cronjob.spec.jobTemplate --recursive"),
        &["backoffLimit", "<integer>", "restartPolicy"],
    );
    has(
        &kubectl.fails("explain pod.spec.imagePullSecret", ""),
        &["imagePullSecret\" does not exist"],
    );
}

#[test]
fn tables_and_edits() {
    each(play_node, edited);
}

fn edited(kubectl: &Kubectl) {
    kubectl.ok_with("apply -f -", MANIFEST);
    kubectl.ok("rollout status deployment/web --timeout=20s");
    has(
        &kubectl.ok("get pods -o custom-columns=IMAGE:.spec.containers[0].image,ON:.spec.nodeName"),
        &["IMAGE", "ON", "registry.example/team/web:v1", "node-1"],
    );
    let yaml = kubectl.ok("get deployment web -o yaml");
    has(&yaml, &["kind: Deployment", "revisionHistoryLimit: 10"]);
    // What was read can be written back as it is.
    has(&kubectl.ok_with("replace -f -", &yaml), &["replaced"]);
    has(
        &kubectl.ok_with(
            "apply -f -",
            &MANIFEST.replace("replicas: 2", "replicas: 1"),
        ),
        &["configured"],
    );
    let other = kubectl.run(
        &["diff", "-f", "-"],
        &MANIFEST.replace("web:v1\"", "web:v2\""),
    );
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    has(
        &String::from_utf8_lossy(&other.stdout),
        &[
            "registry.example/team/web:v1",
            "registry.example/team/web:v2",
        ],
    );
    let edit = kubectl
        .command(&["edit", "deployment", "web"])
        .env("KUBE_EDITOR", "sed -i s/web:v1$/web:v3/")
        .output()
        .unwrap();
    has(
        &String::from_utf8_lossy(&edit.stdout),
        &["deployment.apps/web edited"],
    );
    has(
        &kubectl.ok("get deployment web -o jsonpath={..image}"),
        &["registry.example/team/web:v3"],
    );
    let secret = "create secret docker-registry pull --docker-server=registry.example --docker-username=u --docker-password=p";
    kubectl.ok(secret);
    has(
        &kubectl.ok("describe secret pull"),
        &[
            "Type:  kubernetes.io/dockerconfigjson",
            ".dockerconfigjson:",
        ],
    );
    has(
        &kubectl.ok("describe serviceaccount default"),
        &["Name: ", "Image pull secrets:"],
    );
    has(
        &kubectl.ok("create job once --image=registry.example/x:1"),
        &["job.batch/once created"],
    );
    has(&kubectl.ok("get jobs"), &["COMPLETIONS", "once"]);
    has(
        &kubectl.ok("delete job once"),
        &["job.batch \"once\" deleted"],
    );
    // A watch prints what is there, then what comes.
    let mut watch = kubectl
        .command(&["get", "pods", "-w", "--request-timeout=8s"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    kubectl.ok("run late --image=registry.example/x:1");
    let output = std::io::read_to_string(watch.stdout.take().unwrap()).unwrap();
    watch.wait().unwrap();
    has(&output, &["NAME", "web-", "late", "Running"]);
}
