//! What one change to a rollout would do: the same plan, with one setting another.

use std::time::Duration;

use crate::engine::run;
use crate::outcome::Storm;
use crate::plan::{Plan, PlanError, SKUS};

/// A plan with one change.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// What is other than in the plan.
    pub change: String,
    /// The changed plan.
    pub plan: Plan,
}

/// The changes that operators think of: how nodes pull, when they start, a mirror, the registry's tier.
pub fn variants(plan: &Plan) -> Vec<Variant> {
    let changed = |change: &str, edit: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        edit(&mut plan);
        let change = change.to_owned();
        Variant { change, plan }
    };
    let mut all = Vec::new();
    if plan.images > 1 {
        let other = if plan.serial {
            "parallel pulls"
        } else {
            "one pull at a time"
        };
        all.push(changed(other, &|plan| plan.serial = !plan.serial));
    }
    for minutes in [5, 30] {
        let spread = Duration::from_mins(minutes);
        if spread > plan.spread && spread <= plan.horizon {
            let change = format!("start spread over {minutes} min");
            all.push(changed(&change, &|plan| plan.spread = spread));
        }
    }
    if plan.mirrors == 0 {
        for mirrors in [1, 4] {
            let change = format!(
                "{mirrors} pull-through mirror{}",
                if mirrors == 1 { "" } else { "s" }
            );
            all.push(changed(&change, &|plan| {
                plan.mirrors = mirrors;
                plan.mirror_bandwidth = plan.mirror_bandwidth.or(plan.registry.bandwidth);
            }));
        }
    }
    if plan.layers > 1 {
        all.push(changed("half as many layers, twice the size", &|plan| {
            plan.layers = plan.layers.div_ceil(2);
            plan.layer_bytes = plan.layer_bytes.saturating_mul(2);
        }));
    }
    for (name, sku) in SKUS {
        let (_, reads) = sku.reads_a_minute();
        if plan.registry.reads_a_minute.is_some_and(|now| now < reads) {
            let plan = Plan {
                auth: plan.auth,
                ..plan.clone().sku(sku)
            };
            let change = format!("{name} registry of Azure, {reads} reads a minute");
            all.push(Variant { change, plan });
        }
    }
    // Basic and Standard count alike.
    all.dedup_by(|a, b| a.plan == b.plan);
    all
}

/// Plays a plan and each of its variants.
pub fn compare(plan: &Plan) -> Result<Vec<(String, Storm)>, PlanError> {
    let mut all = vec![("as planned".to_owned(), run(plan)?)];
    for variant in variants(plan) {
        all.push((variant.change, run(&variant.plan)?));
    }
    Ok(all)
}
