//! Makes the node image: runs the steps that the cache lacks, in order, and none twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::{Call, Stop, tail};
use super::docker;
use super::error::KindError;
use super::place::{self, Place};
use super::progress::Progress;
use super::step::{self, Built, Suite};

/// A compile on a busy machine of one core stays below this.
const SLOWEST_STEP: Duration = Duration::from_hours(2);
/// What the largest step, the compilation, takes at its peak.
const NEEDED_MIB: u64 = 6 * 1024;

/// A node image that Docker has, and the programs that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeImage {
    pub(crate) name: String,
    /// Identifier, `sha256:…`.
    pub(crate) id: String,
    pub(crate) kind: PathBuf,
    pub(crate) kubectl: PathBuf,
}

/// Builds what is missing and gives the image's name.
pub(crate) async fn run(
    place: &Place,
    suite: Suite,
    jobs: usize,
    progress: &Progress,
    stop: &Stop,
) -> Result<String, KindError> {
    let _lock = place.lock("the node image")?;
    docker::runs_nodes(stop).await?;
    let plan = step::plan(place.scripts(), suite)?;
    let missing = missing(&plan, |built| place.entry(built).is_dir());
    if !missing.is_empty() {
        needs_programs(&missing)?;
        needs_room(place.cache(), stop).await?;
    }
    let nothing_to_do = missing.is_empty();
    for built in missing {
        make(place, &plan, built, suite, jobs, progress, stop).await?;
    }
    let image = image(place, suite, progress, stop)
        .await?
        .ok_or(KindError::NoImage {
            suite: suite.as_str(),
        })?;
    if !nothing_to_do {
        docker::forget_others(&image.name, &step::image_name(suite, ""), stop).await?;
    }
    Ok(image.name)
}

/// The image, loaded from the cache if Docker does not have it; `None` if it was never built.
pub(crate) async fn image(
    place: &Place,
    suite: Suite,
    progress: &Progress,
    stop: &Stop,
) -> Result<Option<NodeImage>, KindError> {
    let plan = step::plan(place.scripts(), suite)?;
    let Some(last) = plan.last() else {
        return Ok(None);
    };
    let entry = place.entry(last);
    if !entry.is_dir() {
        return Ok(None);
    }
    let name = step::image_name(suite, &last.key);
    let mut id = docker::image(&name, stop).await?;
    if id.is_none() {
        let task = progress.task("loading the node image");
        docker::load(&entry.join("image.tar.zst"), stop).await?;
        id = docker::image(&name, stop).await?;
        task.done();
    }
    Ok(id.map(|id| NodeImage {
        name,
        id,
        kind: entry.join("bin/kind"),
        kubectl: entry.join("bin/kubectl"),
    }))
}

/// The steps to run: the last one if its output is missing, and what a missing step needs.
fn missing(plan: &[Built], there: impl Fn(&Built) -> bool) -> Vec<&Built> {
    let mut wanted: Vec<&str> = plan
        .last()
        .map(|built| built.step.name)
        .into_iter()
        .collect();
    let mut missing = Vec::new();
    for built in plan.iter().rev() {
        if wanted.contains(&built.step.name) && !there(built) {
            wanted.extend(built.step.needs);
            missing.push(built);
        }
    }
    missing.reverse();
    missing
}

async fn make(
    place: &Place,
    plan: &[Built],
    built: &Built,
    suite: Suite,
    jobs: usize,
    progress: &Progress,
    stop: &Stop,
) -> Result<(), KindError> {
    let name = built.step.name;
    let (out, work) = (place.unfinished(built), place.work(built));
    let log = place.log(&format!("build-{name}"))?;
    for folder in [&out, &work] {
        place::remove(folder)?;
        place::create(folder)?;
    }
    place::create(&place.shared())?;

    let mut call = Call::new("bash")
        .arguments([place.scripts().join("build").join(format!("{name}.sh"))])
        .variable("KIND_DIR", place.scripts())
        .variable("OUT", &out)
        .variable("WORK", &work)
        .variable("SHARED", place.shared())
        .variable("SUITE", suite.as_str())
        .variable("ARCHITECTURE", step::architecture())
        .variable("JOBS", jobs.to_string())
        .variable("KEY", &built.key)
        .variable("IMAGE", step::image_name(suite, &built.key))
        .within(SLOWEST_STEP);
    for need in plan
        .iter()
        .filter(|other| built.step.needs.contains(&other.step.name))
    {
        call = call.variable(
            format!("IN_{}", need.step.name.to_uppercase()),
            place.entry(need),
        );
    }

    let task = progress.task(format!("step {name}"));
    let ended = call.logged(&log, &task, stop).await;
    place::remove(&work)?;
    match ended {
        Ok(status) if status.success() => {
            let entry = place.entry(built);
            fs::rename(&out, &entry).map_err(|source| KindError::File {
                doing: "name",
                path: entry,
                source,
            })?;
            task.done();
            Ok(())
        }
        Ok(status) => {
            place::remove(&out)?;
            Err(KindError::Step {
                step: name,
                status: status.to_string(),
                tail: tail(&log, 15),
                log,
            })
        }
        Err(error) => {
            place::remove(&out)?;
            Err(error)
        }
    }
}

fn needs_programs(missing: &[&Built]) -> Result<(), KindError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let mut absent: Vec<&str> = missing
        .iter()
        .flat_map(|built| built.step.programs)
        .copied()
        .filter(|program| !found(program))
        .collect();
    absent.sort_unstable();
    absent.dedup();
    if absent.is_empty() {
        return Ok(());
    }
    Err(KindError::ProgramsMissing {
        programs: absent.join(", "),
    })
}

async fn needs_room(folder: &Path, stop: &Stop) -> Result<(), KindError> {
    let call = Call::new("df")
        .arguments(["--output=avail", "--block-size=1M"])
        .arguments([folder]);
    let out = call.text(stop).await?;
    let free = out
        .lines()
        .last()
        .and_then(|line| line.trim().parse::<u64>().ok());
    match free {
        None => Err(KindError::Answer {
            command: call.line(),
            text: out,
        }),
        Some(free_mib) if free_mib < NEEDED_MIB => Err(KindError::DiskFull {
            folder: folder.to_owned(),
            free_mib,
            needed_mib: NEEDED_MIB,
        }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_run(there: &[&str]) -> Vec<&'static str> {
        let plan: Vec<Built> = step::STEPS
            .iter()
            .map(|step| Built {
                step,
                key: String::new(),
            })
            .collect();
        missing(&plan, |built| there.contains(&built.step.name))
            .iter()
            .map(|built| built.step.name)
            .collect()
    }

    #[test]
    fn only_what_is_missing_and_needed_is_run() {
        assert_eq!(
            to_run(&[]),
            ["kind", "kubernetes", "rootfs", "images", "node"]
        );
        assert_eq!(
            to_run(&["kind", "kubernetes", "rootfs", "images"]),
            ["node"]
        );
        assert_eq!(
            to_run(&["kubernetes"]),
            ["kind", "rootfs", "images", "node"]
        );
        assert_eq!(
            to_run(&["kind", "rootfs", "images"]),
            ["kubernetes", "node"]
        );
        // The image is all that is needed: what it was made of may have been deleted.
        assert_eq!(to_run(&["node"]), [""; 0]);
    }
}
