use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use futures::StreamExt as _;
use http::Request;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use kube::api::{
    Api as KubeApi, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchParams,
};
use kube::core::WatchEvent;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::clock::Clock;
use crate::store::Kind;

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A server with the namespace `default` and its service account.
fn server() -> super::Api {
    let store = Store::new(Clock::default(), Seed::new(1));
    let api = super::Api::new(store, 36, Seed::new(1));
    let make = |kind, namespace: &str, name: &str| {
        let object = json!({ "metadata": { "name": name } });
        api.create(kind, namespace, object, WriteOptions::default())
            .unwrap();
    };
    make(Kind::Namespace, "", "default");
    make(Kind::ServiceAccount, "default", "default");
    api
}

fn pod(name: &str, image: &str) -> Value {
    json!({ "kind": "Pod", "apiVersion": "v1",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "containers": [{ "name": "main", "image": image }] } })
}

async fn call(api: &super::Api, method: &str, path: &str, media: &str, body: Value) -> Response {
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media)
        .body(body)
        .unwrap();
    api.router().oneshot(request).await.unwrap()
}

async fn ask(api: &super::Api, method: &str, path: &str, body: Value) -> (u16, Value) {
    let response = call(api, method, path, "application/json", body).await;
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test(start_paused = true)]
async fn a_new_pod_is_completed_and_admitted() {
    let api = server();
    let patch = json!({ "imagePullSecrets": [{ "name": "pull" }] });
    let path = "/api/v1/namespaces/default/serviceaccounts/default";
    let media = "application/strategic-merge-patch+json";
    assert_eq!(call(&api, "PATCH", path, media, patch).await.status(), 200);
    let (status, made) = ask(&api, "POST", PODS, pod("web", "nginx")).await;
    assert_eq!(status, 201, "{made}");
    let spec = &made["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert_eq!(spec["imagePullSecrets"], json!([{ "name": "pull" }]));
    assert_eq!(spec["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(
        made["status"],
        json!({ "phase": "Pending", "qosClass": "BestEffort" })
    );
    assert_eq!(made["metadata"]["generation"], 1);
    let volume = spec["volumes"][0]["name"].as_str().unwrap();
    assert!(volume.starts_with("kube-api-access-"), "{volume}");
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], volume);

    let mut own = pod("own", "nginx:1");
    own["spec"]["imagePullSecrets"] = json!([{ "name": "mine" }]);
    own["spec"]["automountServiceAccountToken"] = false.into();
    let (_, made) = ask(&api, "POST", PODS, own).await;
    assert_eq!(
        made["spec"]["imagePullSecrets"],
        json!([{ "name": "mine" }])
    );
    assert_eq!(
        made["spec"]["containers"][0]["imagePullPolicy"],
        "IfNotPresent"
    );
    assert_eq!(made["spec"]["volumes"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_those_of_a_real_server() {
    let api = server();
    let (_, first) = ask(&api, "POST", PODS, pod("web", "nginx")).await;
    let mut other_account = pod("x", "nginx");
    other_account["spec"]["serviceAccountName"] = "robot".into();
    let mut stale = first.clone();
    stale["metadata"]["resourceVersion"] = "1".into();
    let mut moved = first.clone();
    moved["metadata"]["name"] = "else".into();
    let web = "/api/v1/namespaces/default/pods/web";
    let table = [
        (
            "GET",
            "/api/v1/namespaces/default/pods/none",
            Value::Null,
            404,
            "NotFound",
            "pods \"none\" not found",
        ),
        (
            "GET",
            "/apis/apps/v1/namespaces/default/deployments/d",
            Value::Null,
            404,
            "NotFound",
            "deployments.apps \"d\" not found",
        ),
        (
            "POST",
            PODS,
            pod("web", "nginx"),
            409,
            "AlreadyExists",
            "pods \"web\" already exists",
        ),
        (
            "PUT",
            web,
            stale,
            409,
            "Conflict",
            "Operation cannot be fulfilled on pods \"web\": the object has been modified; please apply your changes to the latest version and try again",
        ),
        (
            "PUT",
            web,
            moved,
            400,
            "BadRequest",
            "the name of the object (else) does not match the name on the URL (web)",
        ),
        (
            "POST",
            PODS,
            pod("bad", ""),
            422,
            "Invalid",
            "Pod \"bad\" is invalid: spec.containers[0].image: Required value",
        ),
        (
            "POST",
            PODS,
            other_account,
            403,
            "Forbidden",
            "pods \"x\" is forbidden: error looking up service account default/robot: serviceaccount \"robot\" not found",
        ),
        (
            "POST",
            "/api/v1/namespaces/none/pods",
            pod("x", "nginx"),
            404,
            "NotFound",
            "namespaces \"none\" not found",
        ),
        (
            "POST",
            PODS,
            json!({ "metadata": {}, "spec": { "containers": [{ "name": "a", "image": "b" }] } }),
            422,
            "Invalid",
            "Pod \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (
            "POST",
            "/api/v1/pods",
            pod("x", "nginx"),
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
        (
            "DELETE",
            "/api/v1/namespaces/default",
            Value::Null,
            403,
            "Forbidden",
            "namespaces \"default\" is forbidden: this namespace may not be deleted",
        ),
        (
            "GET",
            "/api/v1/namespaces/default/pods/web/nothing",
            Value::Null,
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        (
            "GET",
            "/api/v1/pods?fieldSelector=spec.x%3D1",
            Value::Null,
            400,
            "BadRequest",
            "field label not supported: spec.x",
        ),
        (
            "GET",
            "/api/v1/pods?resourceVersion=9999",
            Value::Null,
            504,
            "Timeout",
            "Timeout: Too large resource version: 9999, current: 4",
        ),
        (
            "PATCH",
            web,
            json!({}),
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
        ),
    ];
    for (method, path, body, code, reason, message) in table {
        let (status, answer) = ask(&api, method, path, body).await;
        assert_eq!(status, code, "{method} {path}: {answer}");
        assert_eq!(answer["message"], message, "{method} {path}");
        assert_eq!(
            (&answer["reason"], &answer["code"]),
            (&reason.into(), &code.into())
        );
        assert_eq!(
            (&answer["kind"], &answer["status"]),
            (&"Status".into(), &"Failure".into())
        );
    }
    let (_, answer) = ask(&api, "POST", PODS, pod("bad", "")).await;
    assert_eq!(
        answer["details"],
        json!({ "name": "bad", "kind": "Pod", "causes": [{ "reason": "FieldValueRequired",
            "message": "Required value", "field": "spec.containers[0].image" }] })
    );
    let (status, answer) = ask(&api, "GET", "/nowhere", Value::Null).await;
    assert_eq!((status, answer), (404, "404 page not found\n".into()));
    let broken = call(&api, "POST", PODS, "application/json", "text".into()).await;
    assert_eq!(broken.status(), 400);
    let xml = call(&api, "POST", PODS, "text/xml", json!({})).await;
    assert_eq!(xml.status(), 415);
    let huge = json!({ "metadata": { "name": "x", "annotations": { "a": "x".repeat(4 << 20) } } });
    assert_eq!(
        call(&api, "POST", PODS, "application/json", huge)
            .await
            .status(),
        413
    );
}

#[tokio::test(start_paused = true)]
async fn writes_touch_only_their_half() {
    let api = server();
    ask(&api, "POST", PODS, pod("web", "nginx:1")).await;
    let web = format!("{PODS}/web");
    let merge = "application/merge-patch+json";
    let patch =
        json!({ "status": { "phase": "Running" }, "metadata": { "labels": { "new": "yes" } } });
    call(&api, "PATCH", &web, merge, patch.clone()).await;
    let (_, pod) = ask(&api, "GET", &web, Value::Null).await;
    assert_eq!(
        pod["status"]["phase"], "Pending",
        "the status has a door of its own"
    );
    assert_eq!(pod["metadata"]["labels"]["new"], "yes");
    let status = format!("{web}/status");
    let patch = json!({ "status": { "phase": "Running" }, "spec": { "nodeName": "elsewhere" } });
    call(&api, "PATCH", &status, merge, patch).await;
    let (_, pod) = ask(&api, "GET", &web, Value::Null).await;
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod["spec"]["nodeName"], Value::Null);
    assert_eq!(pod["metadata"]["generation"], 1);
    let image = json!({ "spec": { "containers": [{ "name": "main", "image": "nginx:2" }] } });
    let strategic = "application/strategic-merge-patch+json";
    call(&api, "PATCH", &web, strategic, image).await;
    let (_, pod) = ask(&api, "GET", &web, Value::Null).await;
    assert_eq!(pod["spec"]["containers"][0]["image"], "nginx:2");
    assert_eq!(pod["metadata"]["generation"], 2);
    let dry = format!("{web}?dryRun=All");
    let (_, before) = ask(&api, "GET", &web, Value::Null).await;
    call(
        &api,
        "PATCH",
        &dry,
        merge,
        json!({ "metadata": { "labels": { "dry": "yes" } } }),
    )
    .await;
    assert_eq!(ask(&api, "GET", &web, Value::Null).await.1, before);
}

#[tokio::test(start_paused = true)]
async fn a_typo_is_refused_when_asked_for() {
    let api = server();
    let mut typo = pod("web", "nginx");
    typo["spec"]["containers"][0]["imagePulPolicy"] = "Always".into();
    let strict = format!("{PODS}?fieldValidation=Strict");
    let (status, answer) = ask(&api, "POST", &strict, typo.clone()).await;
    assert_eq!(status, 400);
    assert!(
        answer["message"].as_str().unwrap().ends_with(
            "strict decoding error: unknown field \"spec.containers[0].imagePulPolicy\""
        )
    );
    let warn = format!("{PODS}?fieldValidation=Warn");
    let response = call(&api, "POST", &warn, "application/json", typo).await;
    assert_eq!(
        response.headers()["warning"],
        r#"299 - "unknown field \"spec.containers[0].imagePulPolicy\"""#
    );
}

#[tokio::test(start_paused = true)]
async fn deleting_a_pod_on_a_node_takes_its_time() {
    let api = server();
    let mut placed = pod("placed", "nginx");
    placed["spec"]["nodeName"] = "node-1".into();
    ask(&api, "POST", PODS, placed).await;
    ask(&api, "POST", PODS, pod("free", "nginx")).await;
    let (status, _) = ask(&api, "DELETE", &format!("{PODS}/free"), Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(
        ask(&api, "GET", &format!("{PODS}/free"), Value::Null)
            .await
            .0,
        404
    );
    let path = format!("{PODS}/placed");
    let (_, marked) = ask(&api, "DELETE", &path, Value::Null).await;
    assert_eq!(
        marked["metadata"]["deletionTimestamp"],
        "2026-01-15T09:00:30Z"
    );
    let wrong = json!({ "preconditions": { "uid": "other" } });
    assert_eq!(ask(&api, "DELETE", &path, wrong).await.0, 409);
    let force = json!({ "gracePeriodSeconds": 0 });
    assert_eq!(ask(&api, "DELETE", &path, force).await.0, 200);
    assert_eq!(ask(&api, "GET", &path, Value::Null).await.0, 404);
    assert_eq!(
        ask(&api, "DELETE", &path, json!({ "gracePeriodSeconds": -1 }))
            .await
            .0,
        422
    );
}

#[tokio::test(start_paused = true)]
async fn rights_are_refused_and_reviewed() {
    let api = server();
    let user = Access::of_user("jane");
    user.deny(Denial::of("list", "events"));
    let limited = api.with_access(user.clone());
    let path = "/api/v1/namespaces/default/events";
    let (status, answer) = ask(&limited, "GET", path, Value::Null).await;
    assert_eq!(status, 403);
    assert_eq!(
        answer["message"],
        "events is forbidden: User \"jane\" cannot list resource \"events\" in API group \"\" in \
         the namespace \"default\""
    );
    let review = |verb: &str| json!({ "spec": { "resourceAttributes": { "verb": verb, "resource": "events", "namespace": "default" } } });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let (status, answer) = ask(&limited, "POST", path, review("list")).await;
    assert_eq!((status, &answer["status"]["allowed"]), (201, &false.into()));
    let (_, answer) = ask(&limited, "POST", path, review("get")).await;
    assert_eq!(answer["status"]["allowed"], true);
    assert_eq!(ask(&api, "GET", "/api/v1/events", Value::Null).await.0, 200);
    user.allow_all();
    assert_eq!(
        ask(&limited, "GET", "/api/v1/events", Value::Null).await.0,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn kube_works_on_it_in_memory() -> TestResult {
    let api = server();
    let client = kube::Client::new(api.router(), "default");
    assert_eq!(client.apiserver_version().await?.minor, "36");
    let pods: KubeApi<Pod> = KubeApi::default_namespaced(client.clone());
    for name in ["a", "b", "c"] {
        let made: Pod = serde_json::from_value(pod(name, "nginx:1"))?;
        pods.create(&PostParams::default(), &made).await?;
    }
    let labelled = pods
        .list(&ListParams::default().labels("app in (a,b)"))
        .await?;
    assert_eq!(labelled.items.len(), 2);
    let page = pods.list(&ListParams::default().limit(2)).await?;
    assert_eq!(page.metadata.remaining_item_count, Some(1));
    let token = page.metadata.continue_.unwrap();
    let rest = pods
        .list(&ListParams::default().limit(2).continue_token(&token))
        .await?;
    assert_eq!(rest.items[0].metadata.name.as_deref(), Some("c"));
    assert_eq!(rest.metadata.continue_, None);

    let missing = pods.get("none").await.unwrap_err();
    let kube::Error::Api(status) = missing else {
        return Err("expected a Status".into());
    };
    assert_eq!((status.code, status.reason.as_str()), (404, "NotFound"));

    let patch = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "1" } });
    let maps: KubeApi<ConfigMap> = KubeApi::default_namespaced(client.clone());
    let manager = PatchParams::apply("test");
    let made = maps.patch("m", &manager, &Patch::Apply(&patch)).await?;
    assert_eq!(made.data.unwrap()["a"], "1");
    let patch = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "b": "2" } });
    let merged = maps.patch("m", &manager, &Patch::Apply(&patch)).await?;
    // What the same manager no longer applies is gone.
    assert_eq!(merged.data.unwrap().into_keys().collect::<Vec<_>>(), ["b"]);
    let secrets: KubeApi<Secret> = KubeApi::default_namespaced(client.clone());
    let secret =
        serde_json::from_value(json!({ "metadata": { "name": "s" }, "stringData": { "k": "v" } }))?;
    let made = secrets.create(&PostParams::default(), &secret).await?;
    assert_eq!(made.data.unwrap()["k"].0, b"v");
    let gone = maps.delete("m", &DeleteParams::default()).await?;
    assert!(gone.is_right(), "a Status, as the real server answers");
    let accounts: KubeApi<ServiceAccount> = KubeApi::default_namespaced(client);
    assert!(accounts.get_opt("default").await?.is_some());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_a_selector_sees() -> TestResult {
    let api = server();
    let client = kube::Client::new(api.router(), "default");
    let pods: KubeApi<Pod> = KubeApi::default_namespaced(client);
    let version = api.store().version().to_string();
    let params = WatchParams::default().labels("app=web").timeout(120);
    let mut stream = pods.watch(&params, &version).await?.boxed();
    let writer = api.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let options = WriteOptions::default();
        writer
            .create(Kind::Pod, "default", pod("other", "x:1"), options)
            .unwrap();
        writer
            .create(Kind::Pod, "default", pod("web", "x:1"), options)
            .unwrap();
        let relabel = |label: &'static str| {
            move |pod: &mut Value| pod["metadata"]["labels"]["app"] = label.into()
        };
        writer
            .change(Kind::Pod, "default", "web", relabel("gone"))
            .unwrap();
        writer
            .change(Kind::Pod, "default", "other", relabel("web"))
            .unwrap();
    });
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await {
        seen.push(match event? {
            WatchEvent::Added(pod) => format!("added {}", pod.metadata.name.unwrap()),
            WatchEvent::Modified(pod) => format!("modified {}", pod.metadata.name.unwrap()),
            WatchEvent::Deleted(pod) => format!("deleted {}", pod.metadata.name.unwrap()),
            WatchEvent::Bookmark(_) => "bookmark".into(),
            WatchEvent::Error(error) => format!("error {}", error.code),
        });
    }
    assert_eq!(
        seen,
        [
            "added web",
            "deleted web",
            "added other",
            "bookmark",
            "bookmark"
        ]
    );

    api.store().keep_history(1);
    let mut stream = pods.watch(&WatchParams::default(), &version).await?.boxed();
    let first = stream.next().await.unwrap()?;
    assert!(matches!(first, WatchEvent::Error(status) if status.code == 410));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_ends_with_its_bookmark() {
    let api = server();
    ask(&api, "POST", PODS, pod("web", "nginx")).await;
    let path = format!(
        "{PODS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=5"
    );
    let (_, text) = ask(&api, "GET", &path, Value::Null).await;
    let lines: Vec<Value> = text
        .as_str()
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["type"], "ADDED");
    assert_eq!(lines[1]["type"], "BOOKMARK");
    let annotations = &lines[1]["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    let path = format!("{PODS}?watch=true&sendInitialEvents=true");
    assert_eq!(ask(&api, "GET", &path, Value::Null).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn kubectl_finds_its_way() {
    let api = server();
    ask(&api, "POST", PODS, pod("web", "nginx")).await;
    let get = async |path: &str, accept: &str| {
        let request = Request::builder().uri(path).header("accept", accept);
        let response = api
            .router()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let media = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (
            media,
            serde_json::from_slice::<Value>(&bytes).unwrap_or_default(),
        )
    };
    let (_, table) = get(
        PODS,
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    )
    .await;
    assert_eq!(table["kind"], "Table");
    assert_eq!(
        table["rows"][0]["cells"],
        json!([
            "web", "0/1", "Pending", "0", "0s", "<none>", "<none>", "<none>", "<none>"
        ])
    );
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (_, list) = get("/api/v1", "application/json").await;
    let names: Vec<&str> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"pods/log") && names.contains(&"serviceaccounts"),
        "{names:?}"
    );
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    let (media, groups) = get("/apis", aggregated).await;
    assert_eq!(
        media,
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    );
    assert_eq!(
        groups["items"][0]["versions"][0]["resources"][1]["subresources"][0]["subresource"],
        "scale"
    );
    let (_, groups) = get("/apis", "application/json, */*").await;
    assert_eq!(groups["kind"], "APIGroupList");
    let (_, document) = get("/openapi/v3/apis/apps/v1", "application/json").await;
    assert!(
        document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"].is_object()
    );
    assert_eq!(
        document["components"]["schemas"]["io.k8s.api.core.v1.Container"]["required"],
        json!(["name"])
    );
    let (media, _) = get(
        "/openapi/v2",
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    )
    .await;
    assert_eq!(
        media,
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    );
}
