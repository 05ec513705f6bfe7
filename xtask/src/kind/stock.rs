//! Node images of kind's own, such as `kindest/node:v1.31.4`: pulled by Docker, and made into a cluster by the
//! `kind` and `kubectl` that are installed, or by those that a built image came with.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::build::NodeImage;
use super::command::Call;
use super::command::Stop;
use super::error::KindError;
use super::place::Place;
use super::progress::Progress;
use super::step::{self, Suite};

/// Some hundred MiB over a slow line.
const SLOWEST_PULL: Duration = Duration::from_mins(20);

/// What a cluster's nodes are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// The image that `build-node` makes.
    Built(Suite),
    /// Somebody else's.
    Stock(StockImage),
}

impl Nodes {
    /// Whether the image brings kind's own pod network and no settings of ours.
    pub(crate) const fn are_stock(&self) -> bool {
        matches!(self, Self::Stock(_))
    }
}

/// The name of an image, as Docker takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StockImage(Box<str>);

impl StockImage {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// kind's image of a release: `1.31.4`.
    pub(crate) fn of_release(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix('v').unwrap_or(text);
        let parts: Vec<&str> = number.split('.').collect();
        let digits = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if parts.len() != 3 || !parts.iter().all(digits) {
            return Err(format!(
                "`{text}` is no whole version: on a real cluster --kubernetes means kind's image of it, and those \
                 have three numbers, such as 1.31.4"
            ));
        }
        format!("kindest/node:v{number}").parse()
    }
}

impl FromStr for StockImage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_alphanumeric() || "./:@_-".contains(c);
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins && text.len() <= 400 && text.chars().all(good) {
            Ok(Self(text.into()))
        } else {
            Err(format!(
                "`{text}` is no image's name such as kindest/node:v1.31.4"
            ))
        }
    }
}

/// The image, pulled where Docker does not have it, and the programs for it.
pub(crate) async fn find(
    place: &Place,
    image: &StockImage,
    progress: &Progress,
    stop: &Stop,
) -> Result<NodeImage, KindError> {
    let (kind, kubectl) = (program(place, "kind")?, program(place, "kubectl")?);
    let name = image.0.to_string();
    let id = if let Some(id) = id_of(&name, stop).await? {
        id
    } else {
        pull(&name, progress, stop).await?
    };
    Ok(NodeImage {
        name,
        id,
        kind,
        kubectl,
    })
}

async fn pull(name: &str, progress: &Progress, stop: &Stop) -> Result<String, KindError> {
    let task = progress.task(format!("pulling {name}"));
    let pulled = Call::new("docker")
        .arguments(["pull", "--quiet", name])
        .within(SLOWEST_PULL)
        .said(stop)
        .await?;
    let refused = || KindError::NodeImageMissing {
        image: name.to_owned(),
        text: pulled.err.lines().last().unwrap_or_default().to_owned(),
    };
    if !pulled.status.success() {
        return Err(refused());
    }
    task.done();
    id_of(name, stop).await?.ok_or_else(refused)
}

async fn id_of(name: &str, stop: &Stop) -> Result<Option<String>, KindError> {
    let said = Call::new("docker")
        .arguments(["image", "inspect", "--format", "{{.Id}}", name])
        .said(stop)
        .await?;
    Ok(said
        .status
        .success()
        .then(|| said.out.trim().to_owned())
        .filter(|id| !id.is_empty()))
}

/// What is installed, or what came with a built image.
fn program(place: &Place, name: &'static str) -> Result<PathBuf, KindError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join(name));
    let plan = step::plan(place.scripts(), Suite::default())?;
    let built = plan
        .last()
        .map(|last| place.entry(last).join("bin").join(name));
    let mut found = installed.chain(built).filter(|file| file.is_file());
    found
        .next()
        .ok_or(KindError::StockProgram { program: name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        let digest = format!("kindest/node:v1.31.4@sha256:{}", "a".repeat(64));
        for text in ["kindest/node:v1.31.4", "localhost:5000/node", &digest] {
            assert!(text.parse::<StockImage>().is_ok(), "for {text}");
        }
        for text in ["", "--privileged", "a b", "node;rm"] {
            assert!(text.parse::<StockImage>().is_err(), "for {text}");
        }
        let of = |text| StockImage::of_release(text).map(|image| image.0.to_string());
        assert_eq!(of("1.31.4").as_deref(), Ok("kindest/node:v1.31.4"));
        assert_eq!(of("v1.31.4").as_deref(), Ok("kindest/node:v1.31.4"));
        for text in ["1.31", "1", "", "1.31.x", "1.31.4.5"] {
            assert!(of(text).is_err(), "for {text}");
        }
    }
}
