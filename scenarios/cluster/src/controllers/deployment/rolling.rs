//! From the old template to the new: rolling, recreating, and spreading a new number of replicas.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Bounds, DESIRED, Deployments, MAX, Set, Shares, sum};
use crate::controllers::object::{annotation, is_controlled_by, namespace, text};
use crate::store::Kind;

/// How many replicas the new set should have now, given what it has.
pub(super) fn new_replicas(deployment: &Value, bounds: Bounds, sets: &[Set], has: i64) -> i64 {
    if text(deployment, "/spec/strategy/type") == "Recreate" {
        return bounds.wanted;
    }
    let most = bounds.wanted + bounds.surge;
    let current = sum(sets, Set::wanted);
    if current >= most {
        return has;
    }
    has + (most - current).min(bounds.wanted - has).max(0)
}

impl Deployments {
    /// A round of a rolling update: one step, then the status.
    pub(super) fn roll(&mut self, deployment: &Arc<Value>, sets: Vec<Set>) -> Option<Duration> {
        let Some((deployment, newest)) = self.new_set(deployment, &sets) else {
            return self.report(deployment, &sets, None, true);
        };
        let sets = Self::with(sets, &newest);
        let bounds = Bounds::of(&deployment);
        let wanted = match newest.wanted() {
            same if same == bounds.wanted => same,
            more if more > bounds.wanted => bounds.wanted,
            fewer => new_replicas(&deployment, bounds, &sets, fewer),
        };
        if wanted != newest.wanted() {
            let newest = self.scale(&deployment, &newest, wanted);
            let sets = Self::with(sets, &newest);
            return self.report(&deployment, &sets, Some(&newest), true);
        }
        let sets = self.shrink_old(&deployment, bounds, sets, &newest);
        let next = self.report(&deployment, &sets, Some(&newest), true);
        self.forget_old(&deployment, &sets, &newest);
        next
    }

    /// Takes old pods away as far as the new ones allow it: the unhealthy first.
    fn shrink_old(
        &mut self,
        deployment: &Value,
        bounds: Bounds,
        mut sets: Vec<Set>,
        newest: &Set,
    ) -> Vec<Set> {
        let mut old = Self::old(&sets, newest);
        if sum(&old, Set::wanted) == 0 {
            return sets;
        }
        let least = bounds.wanted - bounds.unavailable;
        let missing = newest.wanted() - newest.available();
        let may_go = sum(&sets, Set::wanted) - least - missing;
        if may_go <= 0 {
            return sets;
        }
        let mut cleaned = 0;
        for set in &mut old {
            let unhealthy = set.wanted() - set.available();
            let go = (may_go - cleaned).min(unhealthy);
            if set.wanted() == 0 || go <= 0 {
                continue;
            }
            cleaned += go;
            *set = self.scale(deployment, set, set.wanted() - go);
            sets = Self::with(sets, set);
        }
        let surplus = sum(&sets, Set::available) - least;
        let mut gone = 0;
        for set in &mut old {
            let go = set.wanted().min(surplus - gone);
            if set.wanted() == 0 || go <= 0 {
                continue;
            }
            gone += go;
            *set = self.scale(deployment, set, set.wanted() - go);
            sets = Self::with(sets, set);
        }
        sets
    }

    /// A round of recreating: the old pods end before the first new one starts.
    pub(super) fn recreate(&mut self, deployment: &Arc<Value>, sets: Vec<Set>) -> Option<Duration> {
        let newest = Self::newest(deployment, &sets);
        let old: Vec<Set> = sets
            .iter()
            .filter(|set| newest.as_ref().is_none_or(|new| new.name() != set.name()))
            .cloned()
            .collect();
        let mut sets = sets;
        let mut shrunk = false;
        for set in old.iter().filter(|set| set.wanted() > 0) {
            let set = self.scale(deployment, set, 0);
            sets = Self::with(sets, &set);
            shrunk = true;
        }
        if shrunk || self.runs_any(deployment, &old) {
            return self.report(deployment, &sets, newest.as_ref(), true);
        }
        let Some((deployment, newest)) = self.new_set(deployment, &sets) else {
            return self.report(deployment, &sets, None, true);
        };
        let mut newest = newest;
        let wanted = Bounds::of(&deployment).wanted;
        if newest.wanted() != wanted {
            newest = self.scale(&deployment, &newest, wanted);
        }
        let sets = Self::with(sets, &newest);
        let next = self.report(&deployment, &sets, Some(&newest), true);
        self.forget_old(&deployment, &sets, &newest);
        next
    }

    fn runs_any(&self, deployment: &Value, old: &[Set]) -> bool {
        let (pods, _) = self
            .api
            .store()
            .list_shared(Kind::Pod, Some(namespace(deployment)));
        pods.iter().any(|pod| {
            !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
                && old.iter().any(|set| is_controlled_by(pod, &set.object))
        })
    }

    /// Whether the number of replicas was changed since the sets were last sized.
    pub(super) fn was_rescaled(deployment: &Value, sets: &[Set]) -> bool {
        let wanted = Bounds::of(deployment).wanted;
        sets.iter().filter(|set| set.wanted() > 0).any(|set| {
            annotation(&set.object, DESIRED)
                .and_then(|desired| desired.parse::<i64>().ok())
                .is_some_and(|desired| desired != wanted)
        })
    }

    /// Spreads the number of replicas over the sets: all to the only active one, else in proportion.
    pub(super) fn rescale(&mut self, deployment: &Value, mut sets: Vec<Set>) -> Vec<Set> {
        let bounds = Bounds::of(deployment);
        let active: Vec<Set> = sets
            .iter()
            .filter(|set| set.wanted() > 0)
            .cloned()
            .collect();
        let newest = Self::newest(deployment, &sets);
        let only = match active.as_slice() {
            [] => newest.clone(),
            [one] => Some(one.clone()),
            _ => None,
        };
        if let Some(only) = only {
            let set = self.scale(deployment, &only, bounds.wanted);
            return Self::with(sets, &set);
        }
        if text(deployment, "/spec/strategy/type") == "Recreate" {
            // Nothing to spread: only the number the sets were sized for is noted.
            for set in active {
                let set = self.scale(deployment, &set, set.wanted());
                sets = Self::with(sets, &set);
            }
            return sets;
        }
        // A new set that is complete takes the number; the old ones are on their way out.
        if let Some(newest) =
            newest.filter(|new| new.wanted() == bounds.wanted && new.available() == bounds.wanted)
        {
            let newest = self.scale(deployment, &newest, bounds.wanted);
            sets = Self::with(sets, &newest);
            for set in Self::old(&sets, &newest) {
                if set.wanted() > 0 {
                    let set = self.scale(deployment, &set, 0);
                    sets = Self::with(sets, &set);
                }
            }
            return sets;
        }
        let shares = shares(bounds, &active);
        for set in active {
            let replicas = shares.get(set.name()).copied().unwrap_or(set.wanted());
            let set = self.scale(deployment, &set, replicas);
            sets = Self::with(sets, &set);
        }
        sets
    }
}

/// Each set's share of a changed total, rounded, the rest to the largest.
fn shares(bounds: Bounds, active: &[Set]) -> Shares {
    let most = if bounds.wanted > 0 {
        bounds.wanted + bounds.surge
    } else {
        0
    };
    let total = sum(active, Set::wanted);
    let add = most - total;
    let mut order: Vec<&Set> = active.iter().collect();
    // The largest first; of equals the newest when there is more to give, else the oldest.
    order.sort_by_key(|set| std::cmp::Reverse(set.wanted()));
    if add > 0 {
        let mut newest_first: Vec<&Set> = active.iter().rev().collect();
        newest_first.sort_by_key(|set| std::cmp::Reverse(set.wanted()));
        order = newest_first;
    }
    let mut given = 0;
    let mut shares = Shares::new();
    for set in &order {
        let mut share = set.wanted();
        if add != 0 {
            let before = annotation(&set.object, MAX)
                .and_then(|max| max.parse::<i64>().ok())
                .filter(|max| *max > 0)
                .unwrap_or(total.max(1));
            let fair = (set.wanted() as f64 * most as f64 / before as f64).round() as i64;
            let fraction = fair - set.wanted();
            let left = add - given;
            let fraction = if add > 0 {
                fraction.clamp(0, left.max(0))
            } else {
                fraction.clamp(left.min(0), 0)
            };
            share += fraction;
            given += fraction;
        }
        shares.insert(set.name().to_owned(), share);
    }
    if let Some(first) = order.first()
        && let Some(share) = shares.get_mut(first.name())
    {
        *share = (*share + add - given).max(0);
    }
    shares
}
