//! Events end an hour after their last write, as the real server's `--event-ttl` has it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::object::{date, name, namespace};
use crate::api::Api;
use crate::store::Kind;

/// How long an event that nobody touches is kept.
const KEPT_SECONDS: i64 = 3600;
/// How often is looked.
const EVERY: Duration = Duration::from_mins(1);

/// Takes old events away for ever.
pub(super) async fn run(api: Api) {
    loop {
        sleep(EVERY).await;
        let now = api.store().clock().now().as_second();
        for event in api.store().list_shared(Kind::Event, None).0 {
            if last_written(&event).is_some_and(|written| written + KEPT_SECONDS <= now) {
                // Someone may have deleted it before.
                let _ = api
                    .store()
                    .delete(Kind::Event, namespace(&event), name(&event));
            }
        }
    }
}

fn last_written(event: &Value) -> Option<i64> {
    let paths = [
        "/metadata/creationTimestamp",
        "/lastTimestamp",
        "/series/lastObservedTime",
    ];
    paths
        .into_iter()
        .filter_map(|path| date(event, path))
        .map(jiff::Timestamp::as_second)
        .max()
}
