//! The pages of the documentation that come from the catalogue: docs/scenarios.md, and the table of a
//! course in docs/workshop.md. A test holds the files to them.

use std::fmt::Write as _;

use pullcheck::cause::Cause;

use crate::report::{fold, length};
use crate::spec::Scenario;
use crate::workshop::Course;

/// Columns of a page.
const WIDTH: usize = 128;

/// docs/scenarios.md.
pub fn scenarios(catalogue: &[Scenario]) -> String {
    let mut page = format!(
        "# Scenarios\n\n<!-- Made from scenarios/catalogue by `UPDATE_DOCS=1 cargo test -p pull-scenarios --test docs`. -->\n\n\
         {} failures, each played from a healthy cluster to a verified fix: `cargo xtask scenario ID`. The twin of a scenario \
         shows the same\nwords and has another cause; \"kind\" says whether it also plays on a real cluster. The format of a file \
         is\n[schema/scenario.json](schema/scenario.json).\n\n\
         | id | title | cause | stage | twin | kind |\n|---|---|---|---|---|---|\n",
        catalogue.len()
    );
    for one in catalogue {
        let cause = &one.cause.value;
        let stage = stage(one);
        let twin = one
            .twin
            .as_ref()
            .map_or("", |twin| twin.scenario.value.as_str());
        let twin = if twin.is_empty() {
            String::new()
        } else {
            format!("[{twin}](#{twin})")
        };
        let kind = if on_kind(one).is_ok() { "yes" } else { "no" };
        let id = one.id();
        let _ = writeln!(
            page,
            "| [{id}](#{id}) | {} | [{cause}](causes.md#{cause}) | {stage} | {twin} | {kind} |",
            cell(&one.title)
        );
    }
    for one in catalogue {
        section(&mut page, one);
    }
    page
}

fn section(page: &mut String, one: &Scenario) {
    let cause = &one.cause.value;
    let ask = &one.acts.diagnose.ask.value;
    let observe = &one.acts.observe;
    let _ = writeln!(
        page,
        "\n## {}\n\n**{}.**\n",
        one.id(),
        one.title.trim_end_matches('.')
    );
    let _ = writeln!(page, "{}\n", fold(&one.teaches, "", WIDTH));
    let meaning = Cause::from_id(cause).map_or("", Cause::meaning);
    let _ = writeln!(
        page,
        "- Cause: [{cause}](causes.md#{cause}), at stage {}. {meaning}",
        stage(one)
    );
    let _ = writeln!(
        page,
        "- Seen: {} of {ask}, for {}; the checker says {}.",
        observe.expect.waiting,
        length(observe.for_.get()),
        one.acts.diagnose.expect.verdict.id()
    );
    if let Some(twin) = &one.twin {
        let id = &twin.scenario.value;
        let _ = write!(
            page,
            "- Twin: [{id}](#{id}), which also shows `{}`.",
            cell(&twin.words)
        );
        if let Some(because) = &twin.because {
            let _ = write!(page, " {}", because.trim());
        }
        page.push('\n');
    }
    match on_kind(one) {
        Ok(()) => page.push_str("- On kind: yes.\n"),
        Err(why) => {
            let _ = writeln!(page, "- On kind: no; {}.", why.trim().trim_end_matches('.'));
        }
    }
}

fn stage(scenario: &Scenario) -> String {
    let expected = scenario.acts.diagnose.expect.stage.as_ref();
    let of_cause =
        || Cause::from_id(&scenario.cause.value).map(|cause| cause.stage().id().to_owned());
    expected
        .map(|stage| stage.value.clone())
        .or_else(of_cause)
        .unwrap_or_default()
}

/// Whether it plays on a real cluster; else why not.
fn on_kind(scenario: &Scenario) -> Result<(), String> {
    if let Some(why) = scenario.kind.as_ref().and_then(|kind| kind.skip.clone()) {
        return Err(why);
    }
    #[cfg(unix)]
    if let Some(why) = crate::kind::impossible(scenario) {
        return Err(why);
    }
    Ok(())
}

/// Text that may stand in a table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// The lessons of a course, for its trainer.
pub fn lessons(course: &Course, catalogue: &[Scenario]) -> String {
    let mut page = format!(
        "{} {} lessons, {} minutes together.\n\n| | scenario | minutes | cause | hints |\n|---|---|---|---|---|\n",
        cell(&course.about),
        course.lessons.value.len(),
        course.minutes()
    );
    let found = |id: &str| catalogue.iter().find(|one| one.id() == id);
    for (number, lesson) in (1..).zip(&course.lessons.value) {
        let id = &lesson.scenario.value;
        let Some(one) = found(id) else { continue };
        let cause = &one.cause.value;
        let _ = writeln!(
            page,
            "| {number} | [{id}](scenarios.md#{id}): {} | {} | [{cause}](causes.md#{cause}) | {} |",
            cell(&one.title),
            lesson.minutes.value,
            one.hints.len()
        );
    }
    page.push_str("\nWhat to watch for:\n\n");
    for (number, lesson) in (1..).zip(&course.lessons.value) {
        let text = format!(
            "{number}. **{}.** {}",
            lesson.scenario.value,
            cell(&lesson.trainer)
        );
        let _ = writeln!(page, "{}", fold(&text, "", WIDTH).replace('\n', "\n   "));
    }
    page
}
