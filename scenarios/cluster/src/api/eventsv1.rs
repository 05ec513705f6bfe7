//! Events have two encodings of one object: `v1`, which is stored, and `events.k8s.io/v1`.

use serde_json::Value;

/// Field names: stored, and as `events.k8s.io/v1` has them.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// A stored event as `events.k8s.io/v1` shows it.
pub(super) fn from_stored(event: &mut Value) {
    rename(event, "events.k8s.io/v1", |name| {
        NAMES
            .iter()
            .find(|(stored, _)| *stored == name)
            .map(|(_, shown)| *shown)
    });
}

/// The other way.
pub(super) fn to_stored(event: &mut Value) {
    rename(event, "v1", |name| {
        NAMES
            .iter()
            .find(|(_, shown)| *shown == name)
            .map(|(stored, _)| *stored)
    });
}

fn rename(event: &mut Value, version: &str, other: impl Fn(&str) -> Option<&'static str>) {
    let Some(fields) = event.as_object_mut() else {
        return;
    };
    let before = std::mem::take(fields);
    for (name, value) in before {
        if name == "apiVersion" {
            fields.insert(name, version.into());
        } else {
            fields.insert(other(&name).map_or(name, str::to_owned), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_and_back_is_the_same_event() {
        let stored = json!({
            "kind": "Event", "apiVersion": "v1", "metadata": { "name": "e" },
            "involvedObject": { "name": "web" }, "message": "m", "count": 2,
            "source": { "component": "kubelet" }, "reportingComponent": "kubelet"
        });
        let mut event = stored.clone();
        from_stored(&mut event);
        assert_eq!(event["apiVersion"], "events.k8s.io/v1");
        assert_eq!(event["regarding"]["name"], "web");
        assert_eq!(event["note"], "m");
        assert_eq!(event["deprecatedCount"], 2);
        to_stored(&mut event);
        assert_eq!(event, stored);
    }
}
