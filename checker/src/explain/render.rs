//! An explanation as text for a terminal: the answer first, then who said what, then what to do.

use super::layer::{Explanation, Role};
use std::fmt::Write;

/// The explanation in lines of at most `width` columns (40 to 200; long words stay whole).
///
/// The first line is the answer. Then the attempts and the layers, the causes that fit with the
/// question that splits them, and what to run next. Plain text, no colour.
pub fn render_text(told: &Explanation, width: usize) -> String {
    let width = width.clamp(40, 200);
    let mut out = String::new();
    let sure = if told.certain { "certain" } else { "likely" };
    wrap(
        &mut out,
        &format!("{} ({sure}): {}", told.clue, told.clue.meaning()),
        "",
        "  ",
        width,
    );
    let mut place = format!("at the {} step", told.stage);
    if let Some(host) = &told.host {
        let _ = write!(place, ", host {host}");
    }
    if let Some(status) = told.status {
        let _ = write!(place, ", HTTP {status}");
    }
    wrap(&mut out, &place, "  ", "  ", width);
    if !told.also.is_empty() {
        let also: Vec<_> = told.also.iter().map(|clue| clue.id()).collect();
        wrap(
            &mut out,
            &format!("could also be: {}", also.join(", ")),
            "  ",
            "    ",
            width,
        );
    }

    if !told.attempts.is_empty() {
        out.push_str("\nAttempts\n");
        for (at, attempt) in told.attempts.iter().enumerate() {
            let role = match attempt.role {
                Role::Credential => "with a credential",
                Role::Anonymous => "without credentials",
                Role::Mirror => "mirror",
                Role::Primary => "the registry itself",
                Role::Search => "searched registry",
                Role::Protocol => "protocol",
                Role::Line => "line",
            };
            let host = attempt
                .host
                .as_deref()
                .map(|host| format!(" {host}"))
                .unwrap_or_default();
            let mark = if attempt.decides {
                " <- this one decides"
            } else {
                ""
            };
            wrap(
                &mut out,
                &format!("{}. {role}{host}: {}{mark}", at + 1, attempt.clue),
                "  ",
                "     ",
                width,
            );
        }
    }

    out.push_str("\nWho said what\n");
    for layer in &told.layers {
        let attempt = layer
            .attempt
            .map(|at| format!("[{}] ", at + 1))
            .unwrap_or_default();
        let text = layer.text.replace('\n', " ");
        wrap(
            &mut out,
            &format!("{attempt}{}: {text}", layer.who.name()),
            "  ",
            "      ",
            width,
        );
    }

    if !told.causes.is_empty() {
        out.push_str("\nCauses that fit\n");
        let first = told.causes.first().copied();
        for cause in told.causes.iter().take(6) {
            wrap(
                &mut out,
                &format!("{cause}: {}", cause.meaning()),
                "  ",
                "      ",
                width,
            );
            let question = first.filter(|first| first != cause).and_then(|first| {
                cause
                    .look_alikes()
                    .iter()
                    .find(|other| other.cause == first)
            });
            if let Some(other) = question {
                wrap(
                    &mut out,
                    &format!("(or {}? {})", other.cause, other.question),
                    "      ",
                    "      ",
                    width,
                );
            }
        }
        if told.causes.len() > 6 {
            let rest: Vec<_> = told.causes.iter().skip(6).map(|cause| cause.id()).collect();
            wrap(
                &mut out,
                &format!("and: {}", rest.join(", ")),
                "  ",
                "      ",
                width,
            );
        }
    }

    out.push_str("\nRun next\n");
    for command in next_commands(told) {
        let _ = writeln!(out, "  {command}");
    }
    out
}

/// The commands that settle the cause, with what the message tells filled in.
fn next_commands(told: &Explanation) -> Vec<String> {
    let reference = told.reference.as_deref();
    let host = told.host.as_deref();
    let mut values: Vec<(&str, &str)> = Vec::new();
    if let Some(reference) = reference.filter(|text| is_plain(text)) {
        values.push(("image", reference));
    }
    if let Some(host) = host.filter(|text| is_plain(text)) {
        values.push(("host", super::url::split_port(host).0));
        values.push(("registry", host));
        if let Some((name, _)) = host.split_once(".azurecr.") {
            values.push(("acr", name));
        }
    }
    told.clue
        .next()
        .iter()
        .map(|command| crate::cause::fill_template(command, &values))
        .collect()
}

/// Safe to paste into a shell: letters, digits and what names are made of.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 300
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b))
}

/// Writes words into lines of at most `width` characters.
fn wrap(out: &mut String, words: &str, first: &str, rest: &str, width: usize) {
    let mut line = String::from(first);
    let mut empty = true;
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let word: String = word.chars().filter(|c| !c.is_control()).collect();
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            out.push_str(line.trim_end());
            out.push('\n');
            line = String::from(rest);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(&word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}
