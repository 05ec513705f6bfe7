//! Images that are pulled each time, on every stage that is not made anew for each play.

use serde_json::{Value, json};

/// The part of an object that says what its pods are.
pub(crate) fn pod_spec(object: &mut Value) -> Option<&mut Value> {
    if object["kind"] == "Pod" {
        object.pointer_mut("/spec")
    } else {
        object.pointer_mut("/spec/template/spec")
    }
}

/// Every container pulls anew: on a real node the image of the play before may still be there.
pub(crate) fn pull_always(object: &mut Value) {
    let Some(spec) = pod_spec(object) else { return };
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(container) = container.as_object_mut()
                && !container.contains_key("imagePullPolicy")
            {
                container.insert("imagePullPolicy".to_owned(), json!("Always"));
            }
        }
    }
}
