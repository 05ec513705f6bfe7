//! `pods/log`: what the kubelet answers through the API server. Containers of the simulation write
//! nothing unless a program runs in them, so the log of one that runs is mostly empty; one that waits says why.

use serde_json::Value;

use super::query::Query;
use crate::program::Logs;
use crate::store::ApiError;

/// The answer: a log, or nothing at all for a pod that is on no node yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Log {
    Text(String),
    NoContent,
}

pub(super) fn read(pod: &Value, query: &Query, logs: &Logs) -> Result<Log, ApiError> {
    let name = text(pod, "/metadata/name");
    let container = pick(pod, &name, &query.container)?;
    if text(pod, "/spec/nodeName").is_empty() {
        return Ok(Log::NoContent);
    }
    let waiting = |why: &str| {
        ApiError::bad_request(format!(
            "container {container:?} in pod {name:?} is waiting to start: {why}"
        ))
    };
    let status = ["containerStatuses", "initContainerStatuses"]
        .iter()
        .filter_map(|list| pod.pointer(&format!("/status/{list}"))?.as_array())
        .flatten()
        .find(|status| status.get("name").and_then(Value::as_str) == Some(&container));
    let Some(status) = status else {
        return Err(waiting("ContainerCreating"));
    };
    let has = |path: &str| status.pointer(path).is_some_and(|value| !value.is_null());
    if query.previous {
        return if has("/lastState/terminated") {
            Ok(Log::Text(String::new()))
        } else {
            Err(ApiError::bad_request(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            )))
        };
    }
    if has("/state/running") || has("/state/terminated") || has("/lastState/terminated") {
        let printed = logs.of(&text(pod, "/metadata/uid"), &container);
        let mut printed = printed.unwrap_or_default();
        if let Some(most) = query.limit_bytes.filter(|most| *most < printed.len()) {
            let end = (0..=most).rev().find(|at| printed.is_char_boundary(*at));
            printed.truncate(end.unwrap_or(0));
        }
        return Ok(Log::Text(printed));
    }
    let reason = text(status, "/state/waiting/reason");
    Err(match reason.as_str() {
        "ErrImagePull" => waiting("image can't be pulled"),
        "ImagePullBackOff" => waiting("trying and failing to pull image"),
        "" => waiting("ContainerCreating"),
        reason => waiting(reason),
    })
}

fn pick(pod: &Value, name: &str, wanted: &str) -> Result<String, ApiError> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod.pointer(&format!("/spec/{list}"));
        let containers = containers.and_then(Value::as_array).into_iter().flatten();
        containers
            .map(|container| text(container, "/name"))
            .collect()
    };
    let main = names("containers");
    let init = names("initContainers");
    if wanted.is_empty() {
        return match main.as_slice() {
            [one] if init.is_empty() => Ok(one.clone()),
            _ => {
                let mut all = format!("choose one of: [{}]", main.join(" "));
                if !init.is_empty() {
                    all = format!("{all} or one of the init containers: [{}]", init.join(" "));
                }
                Err(ApiError::bad_request(format!(
                    "a container name must be specified for pod {name}, {all}"
                )))
            }
        };
    }
    if main.iter().chain(&init).any(|name| name == wanted) {
        return Ok(wanted.to_owned());
    }
    Err(ApiError::bad_request(format!(
        "container {wanted} is not valid for pod {name}"
    )))
}

fn text(value: &Value, path: &str) -> String {
    let found = value.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_waiting_container_says_why() {
        let pod = |state: Value| {
            json!({
                "metadata": { "name": "p" },
                "spec": { "nodeName": "n", "containers": [{ "name": "c" }] },
                "status": { "containerStatuses": [{ "name": "c", "state": state }] }
            })
        };
        let printed = Logs::default();
        printed.keep("u", "c", "gr\u{fc}n\n".into());
        let waiting = |reason: &str| pod(json!({ "waiting": { "reason": reason } }));
        let ask = |pod: &Value, query: &str| {
            read(pod, &Query::parse(query).unwrap(), &printed).map_err(|error| error.message)
        };
        let said = |why: &str| {
            Err(format!(
                r#"container "c" in pod "p" is waiting to start: {why}"#
            ))
        };
        assert_eq!(
            ask(&waiting("ErrImagePull"), ""),
            said("image can't be pulled")
        );
        assert_eq!(
            ask(&waiting("ImagePullBackOff"), ""),
            said("trying and failing to pull image")
        );
        assert_eq!(
            ask(&waiting("InvalidImageName"), ""),
            said("InvalidImageName")
        );
        let running = pod(json!({ "running": {} }));
        assert_eq!(ask(&running, "container=c"), Ok(Log::Text(String::new())));
        let mut ours = running.clone();
        ours["metadata"]["uid"] = "u".into();
        for (query, want) in [
            ("", "gr\u{fc}n\n"),
            ("limitBytes=4", "gr\u{fc}"),
            ("limitBytes=3", "gr"),
        ] {
            assert_eq!(ask(&ours, query), Ok(Log::Text(want.into())), "{query}");
        }
        assert_eq!(
            ask(&running, "previous=true"),
            Err(r#"previous terminated container "c" in pod "p" not found"#.into())
        );
        assert_eq!(
            ask(&running, "container=x"),
            Err("container x is not valid for pod p".into())
        );
        let two = json!({ "metadata": { "name": "p" },
            "spec": { "containers": [{ "name": "a" }, { "name": "b" }] } });
        assert_eq!(
            ask(&two, ""),
            Err("a container name must be specified for pod p, choose one of: [a b]".into())
        );
        assert_eq!(ask(&two, "container=a"), Ok(Log::NoContent));
    }
}
