//! What a pod's status says (`kubelet_pods.go`): containers, phase, conditions, in the fields that the
//! profile's kubelet writes.
//!
//! Pure but for the last step, which writes the status if it says something new. Times of conditions move
//! only when their status does.

use serde_json::{Map, Value, json};

use super::Shared;
use super::pod::{self, Container, Role};
use super::worker::{Ended, Known, Run, State};
use crate::profile::Profile;
use crate::store::Kind;

/// The last status of a pod: nothing waits any more.
pub(crate) struct Final;

/// Writes the status that the worker's knowledge amounts to.
pub(crate) fn write(kubelet: &Shared, pod: &Value, known: &Known, last: Option<&Final>) {
    let now = kubelet.clock.seconds();
    let (namespace, name) = (pod::namespace(pod), pod::name(pod));
    let view = View {
        profile: &kubelet.profile,
        pod,
        known,
        last: last.is_some(),
    };
    let address = kubelet.address.to_string();
    // The pod may have been replaced by one of the same name in the meantime.
    let _ = kubelet.store.update(Kind::Pod, namespace, name, |object| {
        if pod::uid(object) != pod::uid(pod) {
            return;
        }
        let before = object.get("status").cloned().unwrap_or_default();
        let status = view.status(&before, &address, &now);
        if let Some(object) = object.as_object_mut() {
            let current = object.entry("status").or_insert_with(|| json!({}));
            if let (Some(current), Value::Object(fields)) = (current.as_object_mut(), status) {
                current.extend(fields);
            }
        }
    });
}

struct View<'a> {
    profile: &'a Profile,
    pod: &'a Value,
    known: &'a Known,
    last: bool,
}

impl View<'_> {
    fn status(&self, before: &Value, address: &str, now: &str) -> Value {
        let init = pod::containers(self.pod, "initContainers");
        let apps = pod::containers(self.pod, "containers");
        let ephemeral = pod::containers(self.pod, "ephemeralContainers");
        let statuses = |containers: &[Container]| -> Vec<Value> {
            containers
                .iter()
                .map(|c| self.container(c, !init.is_empty()))
                .collect()
        };
        let by_name = |mut all: Vec<Value>| {
            all.sort_by(|a, b| pod::text(a, &["name"]).cmp(pod::text(b, &["name"])));
            Value::Array(all)
        };
        let mut status = Map::new();
        let mut put = |name: &str, value: Value| {
            status.insert(name.to_owned(), value);
        };
        if self.profile.tells_observed_generation() {
            put("observedGeneration", pod::generation(self.pod).into());
        }
        put("phase", self.phase(&init, &apps).into());
        put("conditions", self.conditions(before, &init, &apps, now));
        put("hostIP", address.into());
        if self.profile.tells_sandbox_condition() {
            put("hostIPs", json!([{ "ip": address }]));
        }
        if let Some(ip) = &self.known.address {
            put("podIP", ip.clone().into());
            put("podIPs", json!([{ "ip": ip }]));
        }
        put("startTime", self.known.started.clone().into());
        if !init.is_empty() {
            put("initContainerStatuses", Value::Array(statuses(&init)));
        }
        put("containerStatuses", by_name(statuses(&apps)));
        if !ephemeral.is_empty() {
            put("ephemeralContainerStatuses", by_name(statuses(&ephemeral)));
        }
        Value::Object(status)
    }

    fn container(&self, container: &Container, has_init: bool) -> Value {
        let run = self.known.runs.get(&container.name);
        let reason = self.known.reasons.get(&container.name);
        let waiting = || {
            if let Some(failure) = reason {
                return json!({ "waiting": { "message": failure.message, "reason": failure.reason } });
            }
            let initializing = has_init && container.role != Role::Ephemeral;
            let reason = if initializing {
                "PodInitializing"
            } else {
                "ContainerCreating"
            };
            json!({ "waiting": { "reason": reason } })
        };
        let (state, last) = match run.map(|run| &run.state) {
            Some(State::Running { since }) => (json!({ "running": { "startedAt": since } }), None),
            // Something that will be started again waits; how it ended is its last state.
            Some(State::Ended(ended)) if reason.is_some() && !self.last => (waiting(), Some(ended)),
            Some(State::Ended(ended)) => (
                json!({ "terminated": terminated(ended, self.profile.container_scheme()) }),
                None,
            ),
            None => (waiting(), None),
        };
        let last = last.or_else(|| run.and_then(|run| run.last.as_ref()));
        let ready = self.ready(container);
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| {
            out.insert(name.to_owned(), value);
        };
        if let Some(run) = run {
            put(
                "containerID",
                format!("{}{}", self.profile.container_scheme(), run.id).into(),
            );
        }
        put(
            "image",
            run.map_or(&container.image, |run| &run.image)
                .clone()
                .into(),
        );
        put(
            "imageID",
            run.map(|run| run.image_id.clone())
                .unwrap_or_default()
                .into(),
        );
        put(
            "lastState",
            last.map_or_else(
                || json!({}),
                |ended| json!({ "terminated": terminated(ended, self.profile.container_scheme()) }),
            ),
        );
        put("name", container.name.clone().into());
        put("ready", ready.into());
        let details = self.profile.tells_container_details();
        if details && run.is_some() {
            put("resources", json!({}));
        }
        put("restartCount", run.map_or(0, |run| run.restarts).into());
        let running = matches!(
            run,
            Some(Run {
                state: State::Running { .. },
                ..
            })
        );
        put("started", (running && container.role != Role::Init).into());
        put("state", state);
        if details {
            if run.is_some() {
                put(
                    "user",
                    json!({ "linux": { "gid": 0, "supplementalGroups": [0], "uid": 0 } }),
                );
            }
            put("volumeMounts", self.volume_mounts(container));
        }
        Value::Object(out)
    }

    fn volume_mounts(&self, container: &Container) -> Value {
        let fields = ["initContainers", "containers", "ephemeralContainers"];
        let spec = fields
            .iter()
            .flat_map(|field| pod::list(self.pod, &["spec", field]))
            .find(|c| pod::text(c, &["name"]) == container.name);
        let mounts = spec
            .map(|c| pod::list(c, &["volumeMounts"]))
            .unwrap_or_default();
        let mount = |mount: &Value| {
            let mut out = Map::new();
            for field in ["mountPath", "name", "readOnly"] {
                if let Some(value) = mount.get(field) {
                    out.insert(field.to_owned(), value.clone());
                }
            }
            if mount.get("readOnly") == Some(&Value::Bool(true)) {
                out.insert("recursiveReadOnly".to_owned(), "Disabled".into());
            }
            Value::Object(out)
        };
        Value::Array(mounts.iter().map(mount).collect())
    }

    fn ready(&self, container: &Container) -> bool {
        match self.known.runs.get(&container.name).map(|run| &run.state) {
            Some(State::Running { .. }) => container.role != Role::Init && !self.last,
            Some(State::Ended(ended)) => container.role == Role::Init && ended.code == 0,
            None => false,
        }
    }

    fn phase(&self, init: &[Container], apps: &[Container]) -> &'static str {
        let state = |c: &Container| self.known.runs.get(&c.name).map(|run| &run.state);
        let initialized = init.iter().all(|c| self.initialized(c));
        if !initialized {
            return "Pending";
        }
        let policy = pod::text(self.pod, &["spec", "restartPolicy"]);
        let (mut running, mut failed, mut ended) = (0, 0, 0);
        for container in apps {
            match state(container) {
                None => return "Pending",
                Some(State::Running { .. }) => running += 1,
                Some(State::Ended(how)) => {
                    ended += 1;
                    failed += u32::from(how.code != 0);
                }
            }
        }
        match (running, failed, policy) {
            (0, 0, "Never" | "OnFailure") if ended > 0 => "Succeeded",
            (0, 1.., "Never") => "Failed",
            (0, 0, _) if self.last && ended > 0 => "Succeeded",
            _ => "Running",
        }
    }

    fn initialized(&self, container: &Container) -> bool {
        match self.known.runs.get(&container.name).map(|run| &run.state) {
            Some(State::Running { .. }) => container.role == Role::Sidecar,
            Some(State::Ended(ended)) => container.role == Role::Init && ended.code == 0,
            None => false,
        }
    }

    fn conditions(
        &self,
        before: &Value,
        init: &[Container],
        apps: &[Container],
        now: &str,
    ) -> Value {
        let names = |containers: &mut dyn Iterator<Item = &Container>| -> Vec<String> {
            containers.map(|c| c.name.clone()).collect()
        };
        let incomplete = names(&mut init.iter().filter(|c| !self.initialized(c)));
        let sidecars = init.iter().filter(|c| c.role == Role::Sidecar);
        let unready = names(&mut sidecars.chain(apps).filter(|c| !self.ready(c)));
        let problem = |names: &[String], reason: &str, what: &str| {
            (!names.is_empty()).then(|| {
                (
                    reason.to_owned(),
                    format!("containers with {what} status: [{}]", names.join(" ")),
                )
            })
        };
        let initialized = problem(&incomplete, "ContainersNotInitialized", "incomplete");
        let ready = problem(&unready, "ContainersNotReady", "unready");
        let mut all = Vec::new();
        let mut put = |kind: &str, status: bool, why: Option<&(String, String)>| {
            let status = if status { "True" } else { "False" };
            all.push(self.condition(before, kind, status, why, now));
        };
        if self.profile.tells_sandbox_condition() {
            put(
                "PodReadyToStartContainers",
                self.known.address.is_some() && !self.last,
                None,
            );
        }
        put("Initialized", initialized.is_none(), initialized.as_ref());
        put("Ready", ready.is_none(), ready.as_ref());
        put("ContainersReady", ready.is_none(), ready.as_ref());
        put("PodScheduled", true, None);
        Value::Array(all)
    }

    fn condition(
        &self,
        before: &Value,
        kind: &str,
        status: &str,
        why: Option<&(String, String)>,
        now: &str,
    ) -> Value {
        let old = pod::list(before, &["conditions"])
            .iter()
            .find(|c| pod::text(c, &["type"]) == kind);
        let since = old
            .filter(|c| pod::text(c, &["status"]) == status)
            .map(|c| pod::text(c, &["lastTransitionTime"]))
            .filter(|t| !t.is_empty());
        let mut out = Map::new();
        out.insert("lastProbeTime".to_owned(), Value::Null);
        out.insert("lastTransitionTime".to_owned(), since.unwrap_or(now).into());
        if let Some((reason, message)) = why {
            out.insert("message".to_owned(), message.clone().into());
            out.insert("reason".to_owned(), reason.clone().into());
        }
        if self.profile.tells_observed_generation() {
            out.insert(
                "observedGeneration".to_owned(),
                pod::generation(self.pod).into(),
            );
        }
        out.insert("status".to_owned(), status.into());
        out.insert("type".to_owned(), kind.into());
        Value::Object(out)
    }
}

fn terminated(ended: &Ended, scheme: &str) -> Value {
    let mut out = json!({
        "containerID": format!("{scheme}{}", ended.id),
        "exitCode": ended.code,
        "finishedAt": ended.finished,
        "reason": ended.reason,
        "startedAt": ended.started,
    });
    if !ended.message.is_empty()
        && let Some(fields) = out.as_object_mut()
    {
        fields.insert("message".to_owned(), ended.message.clone().into());
    }
    out
}
