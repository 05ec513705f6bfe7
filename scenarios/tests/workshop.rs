//! Every scenario can be learnt: the check before the repair names the cause, nothing that is broken
//! passes for mended, the file's own repair does, and what breaks something else does not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use pull_scenarios::live::{Lab, Stage};
use pull_scenarios::spec::{ExpectedVerdict, Scenario};
use pull_scenarios::workshop::{Flaw, Told, debrief, favour};
use pullcheck::verdict::Verdict;
use serde_json::json;

/// Runs something in the broken world of a scenario.
fn broken<T>(scenario: &Scenario, work: impl AsyncFnOnce(&Lab) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let now: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    runtime.block_on(async {
        let lab = Lab::start(scenario, 1, Stage::Broken, now).await;
        work(&lab.unwrap_or_else(|error| panic!("{}: {error}", scenario.id()))).await
    })
}

fn learnt(scenario: &Scenario) -> Result<(), String> {
    broken(scenario, async |lab| {
        let report = lab.check().await;
        let named = match report.verdict() {
            Verdict::Blocked { cause, .. } => Some(*cause),
            Verdict::Undetermined { candidates, .. } => candidates.first().copied(),
            Verdict::Pullable => None,
        };
        let expected = &scenario.acts.diagnose.expect;
        if expected.verdict != ExpectedVerdict::Pullable
            && named.map(pullcheck::cause::Cause::id) != Some(&scenario.cause.value)
        {
            return Err(format!("the evidence says {named:?}"));
        }
        let before = lab.before();
        if lab.flaws(&before).is_empty() {
            return Err("nothing was broken".to_owned());
        }
        lab.mend(&report).await.map_err(|error| error.to_string())?;
        let flaws = lab.judge(&before).await;
        if let Some(flaw) = flaws.first() {
            return Err(format!("mended by its own file, and yet: {flaw}"));
        }
        let (attempts, changes) = (lab.attempts(), lab.changes(&before));
        let text = debrief(
            &Told {
                scenario,
                twin: None,
                report: &report,
                attempts: &attempts,
                repaired: Some(lab.elapsed()),
                changes: &changes,
                speed: 20.0,
                wall: std::time::Duration::from_secs(90),
            },
            80,
        );
        let missing = [
            scenario.cause.value.as_str(),
            "The evidence",
            "How time passed",
            "What it teaches",
        ];
        match missing.iter().find(|part| !text.contains(**part)) {
            Some(part) => Err(format!("the debrief lacks `{part}`")),
            None => Ok(()),
        }
    })
}

#[test]
fn every_scenario_can_be_learnt_and_mended() {
    let scenarios = pull_scenarios::catalogue::all().unwrap();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = learnt(scenario) {
                wrong.push(format!("{}: {why}", scenario.id()));
            }
        }
        wrong
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Others can be asked for what mends, and for what breaks: a tag that is gone afterwards is no repair.
#[test]
fn a_repair_that_breaks_something_else_is_none() {
    let scenario = common::scenario("firewall-block");
    let ask = |text: &str| favour(&scenario, text).unwrap();
    broken(&scenario, async |lab| {
        let before = lab.before();
        lab.favour(&ask(
            "firewall: { node: node-2, to: registry.example, action: open }",
        ))
        .await
        .unwrap();
        lab.favour(&ask(
            "untag: { host: registry.example, image: \"team/web:v1\" }",
        ))
        .await
        .unwrap();
        let flaws = lab.judge(&before).await;
        assert!(
            matches!(flaws.first(), Some(Flaw::TagGone(tag)) if tag == "registry.example/team/web:v1"),
            "{flaws:?}"
        );
    });
    broken(&scenario, async |lab| {
        let before = lab.before();
        lab.favour(&ask(
            "firewall: { node: node-2, to: registry.example, action: open }",
        ))
        .await
        .unwrap();
        let from = lab.elapsed();
        assert_eq!(lab.judge(&before).await, []);
        let waited = lab.elapsed().0 - from.0;
        assert!(
            waited < 320_000,
            "a back-off is five minutes at most; it took {waited} ms"
        );
    });
}

/// The pods of now run without it, since the image is there already; those of tomorrow do not.
#[test]
fn a_secret_that_is_gone_and_a_node_that_is_tainted_are_seen() {
    broken(&common::scenario("right-missing"), async |lab| {
        let before = lab.before();
        let client = || lab.world_of_workstation().cluster.unwrap();
        let secrets = Api::<Secret>::namespaced(client(), "default");
        secrets
            .delete("pull", &DeleteParams::default())
            .await
            .unwrap();
        let nodes = Api::<Node>::all(client());
        let taints = json!([{ "key": "maintenance", "effect": "NoSchedule" }]);
        let taint = Patch::Merge(json!({ "spec": { "taints": taints } }));
        nodes
            .patch("node-1", &PatchParams::default(), &taint)
            .await
            .unwrap();
        let flaws = lab.flaws(&before);
        assert!(
            flaws.contains(&Flaw::SecretGone("secret/pull".to_owned())),
            "{flaws:?}"
        );
        assert!(
            flaws.contains(&Flaw::Cordoned("node-1".to_owned())),
            "{flaws:?}"
        );
    });
}
