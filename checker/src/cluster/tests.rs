//! A hand-made API server: one table of paths and answers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::{Target, WorkloadKind, read};
use crate::symptom::{GapReason, SecretState, Trouble};

pub(crate) type Answers = BTreeMap<String, (u16, Value)>;

/// A client whose server knows these paths; each other one is forbidden, as for a narrow role.
pub(crate) fn client(answers: Answers, asked: Arc<Mutex<Vec<String>>>) -> Client {
    let answers = Arc::new(answers);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answers = Arc::clone(&answers);
        asked
            .lock()
            .expect("no panic holds it")
            .push(request.uri().to_string());
        async move {
            let uri = request.uri().to_string();
            let known = answers
                .iter()
                .rev()
                .find(|(path, _)| uri.starts_with(path.as_str()));
            let (code, body) = known.map_or_else(
                || (403, status(403, "Forbidden")),
                |(_, answer)| answer.clone(),
            );
            let body = Body::from(body.to_string().into_bytes());
            let answer = Response::builder()
                .status(code)
                .body(body)
                .expect("a plain answer");
            Ok::<_, Infallible>(answer)
        }
    });
    Client::new(service, "default")
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

fn pod(name: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "labels": {"pod-template-hash": "5d9"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-5d9", "uid": "r", "controller": true}],
        },
        "spec": {
            "nodeName": "node-1", "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"name": "api", "image": "r.test/shop/api:1.91"}],
        },
        "status": {"phase": "Pending", "containerStatuses": [{
            "name": "api", "image": "r.test/shop/api:1.91", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull", "message": message}},
        }]},
    })
}

pub(crate) fn list(kind: &str, items: &[Value], next: Option<&str>) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": "7", "continue": next}, "items": items})
}

#[tokio::test]
async fn with_nothing_but_get_pods_the_missing_rights_are_named() {
    let path = "/api/v1/namespaces/shop/pods/api-1";
    let answers = Answers::from([(path.to_owned(), (200, pod("api-1", "not found")))]);
    let client = client(answers, Arc::default());
    let symptoms = read(
        &client,
        &Target::Pod {
            namespace: "shop".into(),
            name: "api-1".into(),
        },
    )
    .await;
    let one = symptoms.pods.first().expect("the pod");
    assert!(matches!(
        one.troubles().next(),
        Some(Trouble::Refused {
            message: Some("not found"),
            ..
        })
    ));
    assert_eq!(
        one.owner.as_ref().map(|owner| owner.name.as_str()),
        Some("api")
    );
    assert_eq!(
        one.pull_secrets.first().map(|secret| &secret.state),
        Some(&SecretState::Forbidden)
    );
    let questions: Vec<String> = symptoms
        .gaps
        .iter()
        .filter_map(|gap| {
            if let GapReason::Forbidden(right) = &gap.why {
                Some(right.question())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        questions,
        [
            "kubectl auth can-i list events -n shop",
            "kubectl auth can-i get nodes",
            "kubectl auth can-i get secrets -n shop"
        ]
    );
}

#[tokio::test]
async fn a_pod_that_is_not_there_is_a_gap() {
    let answers = Answers::from([(
        "/api/v1/namespaces/shop/pods/gone".to_owned(),
        (404, status(404, "NotFound")),
    )]);
    let client = client(answers, Arc::default());
    let symptoms = read(
        &client,
        &Target::Pod {
            namespace: "shop".into(),
            name: "gone".into(),
        },
    )
    .await;
    assert!(symptoms.pods.is_empty());
    assert_eq!(
        symptoms.gaps.first().map(|gap| gap.why.clone()),
        Some(GapReason::NotFound)
    );
}

#[tokio::test]
async fn the_pods_of_a_deployment_are_found_page_by_page() {
    let asked = Arc::default();
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "api"}}}});
    let mut other = pod("api-x", "not found");
    other["metadata"]["ownerReferences"][0]["name"] = json!("api-two-5d9");
    let answers = Answers::from([
        (
            "/apis/apps/v1/namespaces/shop/deployments/api".to_owned(),
            (200, deployment),
        ),
        (
            "/api/v1/namespaces/shop/pods?&labelSelector=app%3Dapi&limit=500".to_owned(),
            (
                200,
                list("PodList", &[pod("api-2", "not found"), other], Some("next")),
            ),
        ),
        (
            "/api/v1/namespaces/shop/pods?&labelSelector=app%3Dapi&limit=500&continue=next"
                .to_owned(),
            (200, list("PodList", &[pod("api-1", "not found")], None)),
        ),
        (
            "/api/v1/namespaces/shop/events".to_owned(),
            (200, list("EventList", &[], None)),
        ),
    ]);
    let client = client(answers, Arc::clone(&asked));
    let target = Target::Workload {
        kind: WorkloadKind::Deployment,
        namespace: "shop".into(),
        name: "api".into(),
    };
    let symptoms = read(&client, &target).await;
    let names: Vec<&str> = symptoms.pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(
        names,
        ["api-1", "api-2"],
        "asked {:?}",
        asked.lock().expect("no panic holds it")
    );
    assert_eq!(
        symptoms
            .pods
            .first()
            .and_then(|pod| pod.events.as_ref())
            .map(Vec::len),
        Some(0)
    );
}

#[tokio::test]
async fn secrets_are_read_and_never_printed() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": "shop"},
        "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "eyJhdXRocyI6e319"}});
    let answers = Answers::from([
        (
            "/api/v1/namespaces/shop/pods/api-1".to_owned(),
            (200, pod("api-1", "not found")),
        ),
        (
            "/api/v1/namespaces/shop/secrets/pull".to_owned(),
            (200, secret),
        ),
    ]);
    let symptoms = read(
        &client(answers, Arc::default()),
        &Target::Pod {
            namespace: "shop".into(),
            name: "api-1".into(),
        },
    )
    .await;
    let state = &symptoms.pods[0].pull_secrets[0].state;
    let SecretState::Found {
        body: Some(body), ..
    } = state
    else {
        panic!("got {state:?}")
    };
    assert_eq!(body.expose(), b"{\"auths\":{}}");
    assert!(!format!("{symptoms:?}").contains("auths"));
}
