//! What people and machines read of a storm; a plan and a seed give the same words each time.

use std::time::Duration;

use pull_storm::{Plan, PlanError, compare, report, run};

fn plan() -> Plan {
    let mut plan = Plan::new(300);
    plan.images = 2;
    plan.registry.reads_a_minute = Some(2_000);
    plan.registry.bandwidth = Some(1 << 30);
    plan
}

#[test]
fn the_answer_first_and_then_what_a_change_would_do() {
    let plan = plan();
    let storms = compare(&plan).unwrap_or_default();
    let (_, storm) = &storms[0];
    let text = report::text(&plan, storm) + "\n" + &report::comparison(&storms);
    insta::assert_snapshot!(text);
    let same = run(&plan).ok();
    assert_eq!(same.as_ref(), Some(storm), "the same plan, the same storm");
}

#[test]
fn the_json_adds_up() {
    let plan = plan();
    let storms = vec![("as planned".to_owned(), run(&plan).unwrap())];
    let json = report::json(&plan, &storms);
    let course = json["storms"][0]["course"].as_array().unwrap();
    let sum = |field: &str| -> u64 { course.iter().filter_map(|step| step[field].as_u64()).sum() };
    let (_, storm) = &storms[0];
    assert_eq!(sum("answered") + sum("refused"), storm.requests);
    assert_eq!(sum("refused"), storm.refused);
    assert_eq!(json["storms"][0]["running"], 300);
}

#[test]
fn a_horizon_ends_it_and_nonsense_is_refused() {
    let mut short = plan();
    short.horizon = Duration::from_secs(90);
    let storm = run(&short).unwrap();
    assert!(storm.running() < 300 && storm.after(1.0).is_none());
    let mut none = plan();
    none.nodes = 0;
    assert!(matches!(run(&none), Err(PlanError::Range { .. })));
    let mut rate = plan();
    rate.qps = f64::NAN;
    assert!(matches!(run(&rate), Err(PlanError::Rate(_))));
}
