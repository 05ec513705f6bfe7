//! Old sets are kept for a rollback, but not all of them.

use serde_json::Value;

use super::{Deployments, Set};
use crate::api::DeleteOptions;
use crate::controllers::object::{is_deleted, namespace, number};
use crate::store::Kind;

impl Deployments {
    /// Deletes the oldest empty sets beyond the limit, once the rollout is complete.
    pub(super) fn forget_old(&self, deployment: &Value, sets: &[Set], newest: &Set) {
        let wanted = number(deployment, "/spec/replicas");
        let complete = newest.wanted() == wanted
            && newest.available() == wanted
            && sets
                .iter()
                .all(|set| set.name() == newest.name() || set.status("replicas") == 0);
        let limit = deployment.pointer("/spec/revisionHistoryLimit");
        let Some(limit) = limit.and_then(Value::as_u64).filter(|_| complete) else {
            return;
        };
        let mut old = Self::old(sets, newest);
        old.retain(|set| !is_deleted(&set.object));
        old.sort_by_key(Set::revision);
        let surplus = old
            .len()
            .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        for set in old.iter().take(surplus) {
            let settled =
                number(&set.object, "/metadata/generation") <= set.status("observedGeneration");
            if set.wanted() == 0 && set.status("replicas") == 0 && settled {
                let options = DeleteOptions::default();
                let _ = self.api.delete(
                    Kind::ReplicaSet,
                    namespace(deployment),
                    set.name(),
                    &options,
                );
            }
        }
    }
}
