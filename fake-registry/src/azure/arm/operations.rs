//! Operations that take a while: accepted now, asked after until they are done.
//!
//! What an operation changes is changed when it is accepted; the first question after it is
//! answered with `InProgress` all the same, so that a client has to ask again as it must in Azure.

use http::{HeaderName, StatusCode, header};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{ArmError, Outcome, Request};
use crate::azure::state::State;
use crate::message::{Reply, empty_reply, json_reply, set};

/// So many operations are remembered; the oldest goes first.
const REMEMBERED: usize = 256;

/// How often each was asked after.
pub(in crate::azure) type Operations = IndexMap<String, u32>;

/// The answer to a request whose work goes on: 201 with the resource as it will be, or 202.
/// `place` is where operations of this kind are asked after.
pub(super) fn accepted(
    request: &Request<'_>,
    state: &mut State,
    place: &str,
    resource: Option<&Value>,
) -> Reply {
    let id = request.core.random.guid();
    if state.operations.len() >= REMEMBERED {
        state.operations.shift_remove_index(0);
    }
    state.operations.insert(id.clone(), 0);
    let mut reply = match resource {
        Some(resource) => json_reply(StatusCode::CREATED, resource),
        None => empty_reply(StatusCode::ACCEPTED),
    };
    let base = format!(
        "{}://{}{place}",
        request.call.connection.scheme(),
        request.call.authority
    );
    let version = "api-version=2024-01-01";
    set(
        &mut reply,
        HeaderName::from_static("azure-asyncoperation"),
        &format!("{base}/operations/{id}?{version}"),
    );
    if resource.is_none() {
        set(
            &mut reply,
            header::LOCATION,
            &format!("{base}/operationresults/{id}?{version}"),
        );
        set(&mut reply, header::CONTENT_LENGTH, "0");
    }
    set(&mut reply, header::RETRY_AFTER, "1");
    reply
}

/// How an operation stands (`operations`), or what came of it (`operationresults`).
pub(super) fn answer(request: &Request<'_>, path: &str, id: &str) -> Outcome {
    super::resources::only_get(request)?;
    let mut state = request.azure.write();
    let asked = state.operations.get_mut(id).ok_or_else(|| {
        ArmError::new(
            StatusCode::NOT_FOUND,
            "OperationNotFound",
            format!("The operation '{id}' could not be found."),
        )
    })?;
    let is_result = path.to_ascii_lowercase().contains("/operationresults/");
    if is_result {
        let done = *asked > 0;
        let status = if done {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::ACCEPTED
        };
        *asked += 1;
        return Ok(empty_reply(status));
    }
    let status = if *asked == 0 {
        "InProgress"
    } else {
        "Succeeded"
    };
    *asked = asked.saturating_add(1);
    let body = json!({"id": path, "name": id, "status": status, "startTime": request.core.clock.now().to_string()});
    let mut reply = json_reply(StatusCode::OK, &body);
    if status == "InProgress" {
        set(&mut reply, header::RETRY_AFTER, "1");
    }
    Ok(reply)
}
