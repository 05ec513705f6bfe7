//! Disruption budgets: how many pods of a selection may go now. Evictions ask; this only counts.

use std::time::Duration;

use serde_json::json;

use super::object::{is_active, is_ready, key, name, namespace, number, scaled};
use super::work::{Controller, Key};
use crate::api::{Api, LabelSelector};
use crate::store::{Change, Kind};

#[derive(Debug)]
pub(super) struct Budgets {
    api: Api,
}

impl Budgets {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }
}

impl Controller for Budgets {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::PodDisruptionBudget, Kind::Pod]
    }

    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key> {
        if kind == Kind::PodDisruptionBudget {
            return vec![key(&change.object)];
        }
        let within = Some(namespace(&change.object));
        let (budgets, _) = self
            .api
            .store()
            .list_shared(Kind::PodDisruptionBudget, within);
        budgets.iter().map(|budget| key(budget)).collect()
    }

    fn everything(&mut self) -> Vec<Key> {
        let (budgets, _) = self
            .api
            .store()
            .list_shared(Kind::PodDisruptionBudget, None);
        budgets.iter().map(|budget| key(budget)).collect()
    }

    fn sync(&mut self, place: &Key) -> Option<Duration> {
        let store = self.api.store();
        let budget = store.get_shared(Kind::PodDisruptionBudget, &place.0, &place.1)?;
        let selector = LabelSelector::from_object(budget.pointer("/spec/selector"))?;
        let (pods, _) = store.list_shared(Kind::Pod, Some(&place.0));
        let pods = pods
            .iter()
            .filter(|pod| is_active(pod) && selector.matches(pod));
        let (mut expected, mut healthy) = (0_i64, 0_i64);
        for pod in pods {
            expected += 1;
            healthy += i64::from(is_ready(pod));
        }
        let least = budget
            .pointer("/spec/minAvailable")
            .filter(|value| !value.is_null());
        let most = budget
            .pointer("/spec/maxUnavailable")
            .filter(|value| !value.is_null());
        let desired = match (least, most) {
            (Some(least), _) => scaled(Some(least), expected, true),
            (None, Some(most)) => (expected - scaled(Some(most), expected, true)).max(0),
            (None, None) => 0,
        };
        let allowed = if expected == 0 {
            0
        } else {
            (healthy - desired).max(0)
        };
        let status = json!({
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "observedGeneration": number(&budget, "/metadata/generation")
        });
        if budget.get("status") != Some(&status) {
            let _ = self.api.set_status(
                Kind::PodDisruptionBudget,
                namespace(&budget),
                name(&budget),
                status,
            );
        }
        None
    }
}
