//! The controllers: what turns a Deployment into pods on nodes, and cleans up after them.
//!
//! Each is a synchronous `sync` of one object, run by one loop: changes of the watched kinds mark
//! objects, marked objects are synced in order, and a sync may ask to be called again later. Nothing
//! polls: while nothing changes and nothing is due, no controller runs.

mod daemonset;
mod deployment;
mod disruption;
mod expiry;
mod feed;
mod garbage;
mod job;
mod namespace;
mod object;
mod recorder;
mod replicaset;
mod scheduler;
mod statefulset;
#[cfg(test)]
mod tests;
mod work;

use tokio::task::JoinSet;

use crate::api::Api;
use crate::clock::Seed;

/// Gives a namespace its service account at once, without waiting for the controller.
pub(crate) fn furnish(api: &Api, namespace: &str) {
    namespace::Namespaces::new(api.clone()).furnish(namespace);
}

/// Starts every controller on the current runtime; they end when the set is dropped.
pub fn start(api: &Api, seed: Seed) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let start = &mut tasks;
    run(
        start,
        api,
        "namespace",
        namespace::Namespaces::new(api.clone()),
    );
    run(
        start,
        api,
        "deployment",
        deployment::Deployments::new(api.clone()),
    );
    run(
        start,
        api,
        "replicaset",
        replicaset::ReplicaSets::new(api.clone()),
    );
    run(
        start,
        api,
        "daemonset",
        daemonset::DaemonSets::new(api.clone()),
    );
    run(
        start,
        api,
        "statefulset",
        statefulset::StatefulSets::new(api.clone()),
    );
    run(start, api, "job", job::Jobs::new(api.clone()));
    run(
        start,
        api,
        "disruption",
        disruption::Budgets::new(api.clone()),
    );
    run(
        start,
        api,
        "scheduler",
        scheduler::Scheduler::new(api.clone(), seed),
    );
    run(start, api, "garbage", garbage::Garbage::new(api.clone()));
    let expiry = expiry::run(api.clone());
    let expiry = api.store().failures().watch("the expiry of events", expiry);
    tasks.spawn(async move {
        expiry.await;
    });
    tasks
}

fn run(tasks: &mut JoinSet<()>, api: &Api, name: &str, controller: impl work::Controller) {
    let store = api.store().clone();
    let failures = store.failures().clone();
    let work = failures.watch(
        &format!("the {name} controller"),
        work::run(store, controller),
    );
    tasks.spawn(async move {
        work.await;
    });
}
