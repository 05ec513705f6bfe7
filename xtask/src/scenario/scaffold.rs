//! `cargo xtask scenario new ID`: a file that loads and plays, to be changed from there, and beside it
//! the JSON Schema of the format, so that an editor knows the keys.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pull_scenarios::spec;

use super::{USAGE, refuse};

/// Writes a scenario file that loads, to begin with.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The id of the scenario, and the file's name
    id: String,
    /// The folder that it is written to
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    into: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let name = format!("{}.yaml", arguments.id);
    let text = text(&arguments.id);
    // What is handed out must load.
    if let Err(error) = spec::parse(&name, &text) {
        return refuse(error);
    }
    let path = arguments.into.join(&name);
    let written = write(&path, &text).and_then(|()| schema(&arguments.into));
    match written {
        Ok(()) => {
            eprintln!("wrote {}", path.display());
            eprintln!("play it:  cargo xtask scenario {}", shown(&path));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: cannot write {}: {error}", path.display());
            ExitCode::from(USAGE)
        }
    }
}

/// A path that is not taken for an id.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains('/') {
        text
    } else {
        format!("./{text}")
    }
}

/// Writes the schema beside the file, where there is none.
fn schema(folder: &Path) -> std::io::Result<()> {
    let text = format!("{:#}\n", pull_scenarios::schema::schema());
    match write(&folder.join(SCHEMA), &text) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Never over a file that is there.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

pub(super) fn text(id: &str) -> String {
    TEMPLATE.replace("SCHEMA", SCHEMA).replace("ID", id)
}

/// The name that the first line of the file has.
const SCHEMA: &str = "scenario.schema.json";

const TEMPLATE: &str = r#"# yaml-language-server: $schema=./SCHEMA
id: ID
title: One line that does not give the cause away
teaches: >-
  What someone knows who has seen it. This one is a tag that does not exist: change what breaks, what is
  seen, what the checker must say, and how it is mended.
# What the checker must find; `pullcheck causes` lists them. The checker never sees this file.
cause: tag-not-found

registries:
  - host: registry.example
    access: anonymous-token
    images:
      - team/web:v1 linux/amd64 2x64KiB

cluster:
  nodes: 1
  manifests: |
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
      labels: { app: web }
    spec:
      replicas: 1
      selector: { matchLabels: { app: web } }
      template:
        metadata: { labels: { app: web } }
        spec:
          containers:
            - name: web
              image: registry.example/team/web:v1

acts:
  healthy:
    expect: { deployment/web: rolled-out }
  break:
    - set-image: { deployment/web: "registry.example/team/web:v2" }
  observe:
    for: 12m
    expect:
      waiting: ImagePullBackOff
      events: ["v2: not found"]
      attempts: 4
      still-waiting: 1
  diagnose:
    ask: deployment/web
    expect: { verdict: blocked, stage: manifest }
  fix:
    # A command that the checker's remedy has, carried out as it stands there.
    - apply-remedy: kubectl set image
  verify:
    expect: { deployment/web: rolled-out }

hints:
  - Vague.
  - Plainer.
  - Plain.
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_loads_and_plays() {
        let scenario = spec::parse("my-failure.yaml", &text("my-failure")).unwrap();
        assert_eq!(scenario.id(), "my-failure");
        assert!(pull_scenarios::play_embedded(&scenario, 1).passed());
    }

    #[test]
    fn an_editor_finds_the_schema() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = Arguments {
            id: "my-failure".to_owned(),
            into: folder.path().to_owned(),
        };
        let _ = run(&arguments);
        let text = std::fs::read_to_string(folder.path().join("my-failure.yaml")).unwrap();
        let line = text.lines().next().unwrap();
        let name = line
            .strip_prefix("# yaml-language-server: $schema=./")
            .unwrap();
        let schema = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        assert!(schema["properties"]["acts"].is_object());
    }

    #[test]
    fn a_file_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        write(&path, "mine").unwrap();
        assert!(write(&path, "other").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
