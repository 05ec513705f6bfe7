//! `explain` and `causes`: what they print.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use super::args::Output;
use super::error::CliError;
use super::{exit, pretty};
use crate::cause::Cause;
use crate::explain::{explain, jsonl, render_text};

/// What a message tells, and what to run next.
pub(super) fn explanation(message: &str, output: Output, width: usize) -> String {
    let read = explain(message);
    if output == Output::Text {
        return render_text(&read, width);
    }
    let mut value = json!({ "schema": "pullcheck.explain/1" });
    if let (Some(into), Ok(Value::Object(from))) =
        (value.as_object_mut(), serde_json::to_value(&read))
    {
        into.extend(from);
    }
    pretty(&value)
}

/// The same for JSON lines: each object comes out with what was found added to it. Lines that
/// cannot be read are named on standard error, and the rest goes on.
pub(super) fn explain_lines() -> Result<u8, CliError> {
    let out = std::io::BufWriter::new(std::io::stdout().lock());
    let outcome = match jsonl::run(std::io::stdin().lock(), out) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(exit::PULLABLE),
        outcome => outcome.map_err(|source| CliError::Lines { source })?,
    };
    let mut complaints = std::io::stderr().lock();
    for refused in &outcome.refused {
        let _ = writeln!(complaints, "{refused}: {}", refused.error);
    }
    if outcome.refused_in_all > outcome.refused.len() {
        let _ = writeln!(
            complaints,
            "{} lines in all gave no answer",
            outcome.refused_in_all
        );
    }
    Ok(if outcome.refused_in_all > 0 {
        exit::FAILED
    } else {
        exit::PULLABLE
    })
}

/// The list of causes, or all about one.
pub(super) fn causes(id: Option<&str>, output: Output) -> Result<String, CliError> {
    let Some(id) = id else {
        return Ok(list(output));
    };
    let cause = Cause::from_id(id).ok_or_else(|| CliError::NoCause {
        id: plain(id),
        help: Cause::nearest(id).map_or_else(
            || "`pullcheck causes` lists them".into(),
            |near| format!("did you mean `{near}`?"),
        ),
    })?;
    Ok(match output {
        Output::Json => pretty(&as_json(cause)),
        _ => described(cause),
    })
}

fn list(output: Output) -> String {
    if output == Output::Json {
        let all: Vec<Value> = Cause::ALL.iter().map(|cause| as_json(*cause)).collect();
        return pretty(&json!({ "schema": "pullcheck.causes/1", "causes": all }));
    }
    let wide = Cause::ALL
        .iter()
        .map(|cause| cause.id().len())
        .max()
        .unwrap_or(0);
    let mut page = String::new();
    for cause in Cause::ALL {
        let _ = writeln!(
            page,
            "{:wide$}  {:<9}  {}",
            cause.id(),
            cause.stage().id(),
            cause.meaning()
        );
    }
    page
}

fn as_json(cause: Cause) -> Value {
    let remedies: Vec<Value> = cause
        .remedies()
        .iter()
        .map(|one| json!({ "title": one.title, "commands": one.commands, "note": one.note }))
        .collect();
    let alike: Vec<Value> = cause
        .look_alikes()
        .iter()
        .map(|one| json!({ "cause": one.cause, "question": one.question }))
        .collect();
    json!({
        "id": cause,
        "stage": cause.stage(),
        "meaning": cause.meaning(),
        "detail": cause.detail(),
        "evidence": cause.evidence(),
        "heals_itself": cause.heals_itself(),
        "clues": cause.clues().iter().map(|clue| clue.id()).collect::<Vec<_>>(),
        "look_alikes": alike,
        "remedies": remedies,
    })
}

fn described(cause: Cause) -> String {
    let mut page = String::new();
    let _ = writeln!(
        page,
        "{cause} (at {})\n{}\n\n{}",
        cause.stage(),
        cause.meaning(),
        cause.detail()
    );
    let _ = writeln!(page, "\nProven by\n  {}", cause.evidence());
    if !cause.look_alikes().is_empty() {
        let _ = writeln!(page, "\nLook-alikes");
        for one in cause.look_alikes() {
            let _ = writeln!(page, "  {}\n      {}", one.cause, one.question);
        }
    }
    let _ = writeln!(page, "\nWhat to do");
    for (at, remedy) in cause.remedies().iter().enumerate() {
        let _ = writeln!(page, "  {}. {}", at + 1, remedy.title);
        for command in remedy.commands {
            let _ = writeln!(page, "       {command}");
        }
        if let Some(note) = remedy.note {
            let _ = writeln!(page, "     {note}");
        }
    }
    page
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
