//! What a project's own tests look like: a scenario of its own and some of the catalogue, played with seeds
//! of choice, and a JUnit file for the CI server. docs/ci.md shows this file.

use std::path::Path;

use pull_scenarios::{catalogue, play, report, spec};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Our own failure, three times with other chances.
#[tokio::test]
async fn a_release_with_a_wrong_tag_is_diagnosed() -> TestResult {
    let file = Path::new("examples/release-tag.yaml");
    let text = std::fs::read_to_string(file)?;
    let scenario = spec::parse(&file.display().to_string(), &text)?;

    let mut plays = Vec::new();
    for seed in 1..=3 {
        plays.push(play(&scenario, seed).await);
    }

    let junit = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pull-failures.xml");
    std::fs::write(junit, report::junit(&plays)?)?;
    for play in &plays {
        assert!(
            play.passed(),
            "{}",
            report::text(play, 100, report::Paint::Plain)
        );
    }
    Ok(())
}

/// One of the catalogue, as far as our on-call people must know it.
#[tokio::test]
async fn the_checker_names_a_missing_role() -> TestResult {
    let scenario = catalogue::find("missing-role")?.ok_or("no such scenario")?;
    let play = play(&scenario, 1).await;
    let cause = play
        .report
        .as_ref()
        .and_then(|report| report.verdict().cause());
    assert_eq!(
        cause.map(pullcheck::cause::Cause::id),
        Some("acr-role-missing")
    );
    assert!(
        play.attempts
            .iter()
            .filter(|attempt| !attempt.pulled)
            .count()
            >= 5
    );
    Ok(())
}
