//! The pages that are generated from the code: docs/causes.md, docs/cli.md, the JSON Schemas, manual
//! pages. A test holds the checked-in ones to what this writes.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;

use crate::cause::Cause;
use crate::report;
use crate::stage::Stage;

/// Writes the documentation into a folder; gives the files.
pub(super) fn write(folder: &Path, command: &Command) -> io::Result<Vec<PathBuf>> {
    let pretty = |value: &serde_json::Value| format!("{value:#}\n");
    let files = [
        ("causes.md", causes()),
        ("cli.md", commands(command)),
        (
            "schema/pullcheck.report-1.json",
            pretty(&report::report_schema()),
        ),
        (
            "schema/pullcheck.explain-jsonl.json",
            pretty(&report::explain_schema()),
        ),
    ];
    let mut written = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        written.push(path);
    }
    Ok(written)
}

/// Writes one manual page a command into a folder.
pub(super) fn manual(folder: &Path, command: Command) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}

fn causes() -> String {
    let mut page = String::from(
        "# Causes\n\n<!-- Generated from checker/src/cause; see CONTRIBUTING.md, \"Generated pages\". -->\n\n\
         What the evidence together can prove, by the step of the pull at which it stops. `pullcheck causes ID`\n\
         prints the same in a terminal. A verdict is *blocked* with one of these only where its look-alikes are\n\
         ruled out, otherwise *undetermined* with those that remain.\n",
    );
    for stage in Stage::ALL {
        let mut of = Cause::ALL.iter().filter(|cause| cause.stage() == *stage);
        let links: Vec<String> = of
            .by_ref()
            .map(|cause| format!("[{cause}](#{cause})"))
            .collect();
        if !links.is_empty() {
            let _ = writeln!(page, "\n- **{stage}**: {}", links.join(", "));
        }
    }
    for cause in Cause::ALL {
        let _ = writeln!(
            page,
            "\n## {cause}\n\n*Stops at {}.* {}\n\n{}\n",
            cause.stage(),
            cause.meaning(),
            cause.detail()
        );
        let _ = writeln!(page, "**Proven by:** {}", cause.evidence());
        if cause.heals_itself() {
            let _ = writeln!(page, "\nIt heals by itself.");
        }
        let alike = cause.look_alikes();
        if !alike.is_empty() {
            let _ = writeln!(page, "\n**Looks like:**\n");
            for other in alike {
                let _ = writeln!(page, "- [{0}](#{0}): {1}", other.cause, other.question);
            }
        }
        let _ = writeln!(page, "\n**What to do:**");
        for (at, remedy) in cause.remedies().iter().enumerate() {
            let _ = writeln!(page, "\n{}. {}", at + 1, remedy.title);
            if !remedy.commands.is_empty() {
                let _ = writeln!(page, "\n   ```console");
                for command in remedy.commands {
                    let _ = writeln!(page, "   {command}");
                }
                let _ = writeln!(page, "   ```");
            }
            if let Some(note) = remedy.note {
                let _ = writeln!(page, "\n   {note}");
            }
        }
    }
    page
}

fn commands(command: &Command) -> String {
    let mut page = String::from(
        "# Command line\n\n<!-- Generated from checker/src/cli; see CONTRIBUTING.md, \"Generated pages\". -->\n\n\
         `pullcheck` and, as a plugin of kubectl, `kubectl pullcheck`: the same program.\n\n\
         | exit code | all commands |\n|---|---|\n\
         | 0 | pullable: every stage a pull needs was seen to succeed; of `explain`, `causes` and others: done |\n\
         | 1 | blocked: one cause, proven |\n\
         | 2 | the command line is wrong, or pullcheck could not run |\n\
         | 3 | undetermined: several causes remain, or there was nothing to check |\n\
         | 130 | interrupted |\n\n\
         Options can be set by environment variables, named beside each. Results go to standard output, progress\n\
         and errors to standard error. Passwords and tokens come from files, standard input or the cluster.\n",
    );
    let mut command = command
        .clone()
        .term_width(100)
        .disable_help_subcommand(true);
    command.build();
    section(&mut page, &mut command);
    let names: Vec<String> = command
        .get_subcommands()
        .filter(|one| !one.is_hide_set())
        .map(|one| one.get_name().to_owned())
        .collect();
    for name in names {
        if let Some(one) = command.find_subcommand_mut(&name) {
            section(&mut page, one);
        }
    }
    page
}

fn section(page: &mut String, command: &mut Command) {
    let title = command
        .get_bin_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = writeln!(
        page,
        "\n## {title}\n\n```text\n{}\n```",
        lines.join("\n").trim_end()
    );
}
