//! Places side by side, as rows for every form of a report.

use serde_json::{Value, json};

use super::facts::{Mark, line};
use crate::verdict::{Comparison, Outcome, PlaceSeen};

/// Places that are shown one by one; those beyond it that saw the same are counted.
const ROWS: usize = 20;

/// One place, or several that passed.
pub(super) struct Row {
    pub(super) place: String,
    pub(super) stage: &'static str,
    pub(super) mark: Mark,
    pub(super) words: String,
}

pub(super) fn rows(comparison: &Comparison) -> Vec<Row> {
    let shown = comparison.places.iter().take(ROWS);
    let mut rows: Vec<Row> = shown.map(row).collect();
    let rest = comparison.places.get(ROWS..).unwrap_or_default();
    for (outcome, what) in [
        (Outcome::Stopped, "stopped"),
        (Outcome::NoProbe, "gave no answer"),
        (Outcome::Passed, "passed"),
    ] {
        let count = rest.iter().filter(|one| one.outcome == outcome).count();
        if count > 0 {
            rows.push(Row {
                place: format!("{count} more"),
                stage: "",
                mark: mark(outcome),
                words: what.to_owned(),
            });
        }
    }
    rows
}

const fn mark(outcome: Outcome) -> Mark {
    match outcome {
        Outcome::Passed => Mark::Ok,
        Outcome::Stopped => Mark::Fail,
        Outcome::NoProbe => Mark::Note,
    }
}

fn row(place: &PlaceSeen) -> Row {
    Row {
        place: place.name(),
        stage: place.stage.map_or("-", |stage| stage.id()),
        mark: mark(place.outcome),
        words: words(place),
    }
}

/// What became of the probe there.
fn words(place: &PlaceSeen) -> String {
    let took = format!("{} ms", place.took.as_millis());
    match place.outcome {
        Outcome::NoProbe => place.why.clone().unwrap_or_default(),
        Outcome::Passed if place.shallow => {
            format!("reaches the registry ({took}); asked no further")
        }
        Outcome::Passed => format!("every stage ({took})"),
        Outcome::Stopped => place
            .stopped_by
            .as_ref()
            .and_then(|fact| Some(line(fact)?.1))
            .unwrap_or_else(|| "stopped here".to_owned()),
    }
}

pub(super) fn json(comparison: &Comparison) -> Value {
    json!({
        "words": comparison.words,
        "differs_at": comparison.differs_at,
        "stands_out": comparison.stands_out,
        "places": comparison.places.iter().map(|place| json!({
            "place": place.place,
            "outcome": place.outcome,
            "stage": place.stage,
            "shallow": place.shallow,
            "took_ms": place.took.as_micros() as f64 / 1000.0,
            "addresses": place.addresses,
            "words": words(place),
        })).collect::<Vec<_>>(),
    })
}
