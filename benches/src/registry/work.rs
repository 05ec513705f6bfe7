//! The work that is given to a server: reads that go on for a while, and pushes of images.
//!
//! Work is bounded twice, by a count and by a time; what was begun is finished and counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::BenchError;
use super::client::{Answer, ClientError, Connection, head};
use super::content::{self, Blob, Image};
use super::fleet::{Content, Member};
use super::peer::Peer;

/// Past the time that was asked for, the rest of the requests under way.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[non_exhaustive]
pub enum Case {
    /// GET of a manifest by tag.
    ManifestGet,
    /// HEAD of a manifest by tag.
    ManifestHead,
    /// GET of a blob of 1 MiB.
    Blob1,
    /// GET of a blob of 64 MiB.
    Blob64,
    /// Push of small images.
    Push,
    /// Push of 1 GiB in large blobs, to a store that is not memory.
    Stored,
}

/// Bounds of one measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) connections: usize,
    pub(crate) count: usize,
    pub(crate) time: Duration,
}

/// What came of one measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// Requests, or images.
    pub(crate) count: usize,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// Why a piece of work was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("`{request}` was answered {status}")]
    Answer { request: String, status: u16 },
    #[error("`{request}` gave other bytes")]
    Content { request: String },
}

impl Failure {
    pub(crate) fn of(self, peer: Peer) -> BenchError {
        match self {
            Self::Client(source) => BenchError::Client { peer, source },
            Self::Answer { request, status } => BenchError::Answer {
                peer,
                request,
                status,
            },
            Self::Content { request } => BenchError::Content { peer, request },
        }
    }
}

impl Case {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ManifestGet => "manifest GET",
            Self::ManifestHead => "manifest HEAD",
            Self::Blob1 => "1 MiB blob GET",
            Self::Blob64 => "64 MiB blob GET",
            Self::Push => "push of small images",
            Self::Stored => "push of 1 GiB",
        }
    }

    /// For the machine-readable table.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::ManifestGet => "manifest-get",
            Self::ManifestHead => "manifest-head",
            Self::Blob1 => "blob-1-mib-get",
            Self::Blob64 => "blob-64-mib-get",
            Self::Push => "push",
            Self::Stored => "stored-1-gib",
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Push => "images",
            Self::Stored => "MiB",
            _ => "requests",
        }
    }

    pub(crate) fn is_blob(self) -> bool {
        matches!(self, Self::Blob1 | Self::Blob64)
    }

    pub(crate) fn suits(self, peer: Peer) -> bool {
        match self {
            Self::Push => peer.takes_pushes(),
            Self::Stored => peer == Peer::FakeRegistryDirectory,
            _ => true,
        }
    }

    fn content(self) -> Content {
        match self {
            Self::Blob1 => Content::Small,
            Self::Blob64 => Content::Large,
            _ => Content::Manifest,
        }
    }
}

/// What of an image is read: kind, path and digest.
pub(crate) fn readable(image: &Image) -> Vec<(Content, String, String)> {
    let repository = &image.repository;
    let manifest = format!("/v2/{repository}/manifests/{}", content::TAG);
    let mut all = vec![(Content::Manifest, manifest, image.manifest.digest.clone())];
    let layers = image.blobs.iter().skip(1);
    for (content, blob) in [Content::Small, Content::Large].into_iter().zip(layers) {
        let path = format!("/v2/{repository}/blobs/{}", blob.digest);
        all.push((content, path, blob.digest.clone()));
    }
    all
}

/// Reads a path once and compares every byte by digest.
pub(crate) async fn check(
    connection: &mut Connection,
    address: SocketAddr,
    target: &str,
    digest: &str,
) -> Result<(), Failure> {
    let mut hash = Sha256::new();
    let request = head("GET", target, address, "");
    let answer = connection
        .exchange(&request, b"", |piece| hash.update(piece))
        .await?;
    expect(&answer, 200, target)?;
    if content::finish(hash) == digest {
        Ok(())
    } else {
        Err(Failure::Content {
            request: target.to_owned(),
        })
    }
}

fn expect(answer: &Answer, status: u16, request: &str) -> Result<(), Failure> {
    if answer.status == status {
        return Ok(());
    }
    Err(Failure::Answer {
        request: request.to_owned(),
        status: answer.status,
    })
}

/// Reads one thing again and again over all connections.
pub(crate) async fn read(
    member: &Member,
    case: Case,
    image: &Image,
    bounds: Bounds,
) -> Result<Done, BenchError> {
    let peer = member.peer;
    let content = case.content();
    let address = member.address(content);
    let wanted = readable(image)
        .into_iter()
        .find(|(kind, ..)| *kind == content);
    let (_, target, _) = wanted.ok_or(BenchError::Missing(peer))?;
    let method = if case == Case::ManifestHead {
        "HEAD"
    } else {
        "GET"
    };
    let request: Arc<[u8]> = head(method, &target, address, "").into();

    // Connected and warm before anything is counted.
    let mut connections = Vec::new();
    for _ in 0..bounds.connections {
        let mut connection = Connection::open(address)
            .await
            .map_err(|source| BenchError::Client { peer, source })?;
        let answer = connection.exchange(&request, b"", |_| {}).await;
        let answer = answer.map_err(|source| BenchError::Client { peer, source })?;
        expect(&answer, 200, &target).map_err(|why| why.of(peer))?;
        connections.push((connection, answer.length));
    }

    let turn = Arc::new(AtomicUsize::new(0));
    let clocks = Clocks::start(member)?;
    let until = clocks.wall + bounds.time;
    let mut working = JoinSet::new();
    for (mut connection, length) in connections {
        let (request, target, turn) = (request.clone(), target.clone(), turn.clone());
        working.spawn(async move {
            let mut count = 0;
            while Instant::now() < until && turn.fetch_add(1, Ordering::Relaxed) < bounds.count {
                let answer = connection.exchange(&request, b"", |_| {}).await?;
                expect(&answer, 200, &target)?;
                if answer.length != length {
                    return Err(Failure::Content { request: target });
                }
                count += 1;
            }
            Ok(count)
        });
    }
    let count = finish(working, until, peer).await?;
    clocks.stop(member, count)
}

/// Pushes batches of images over all connections.
pub(crate) async fn push_all(
    member: &Member,
    batches: &[Arc<[Image]>],
    bounds: Bounds,
) -> Result<Done, BenchError> {
    let peer = member.peer;
    let address = member.process.address;
    let clocks = Clocks::start(member)?;
    let until = clocks.wall + bounds.time;
    let mut count = 0;
    for batch in batches {
        let turn = Arc::new(AtomicUsize::new(0));
        let mut working = JoinSet::new();
        for _ in 0..bounds.connections {
            let (batch, turn) = (batch.clone(), turn.clone());
            working.spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut count = 0;
                while let Some(image) = batch.get(turn.fetch_add(1, Ordering::Relaxed)) {
                    push(&mut connection, address, image).await?;
                    count += 1;
                }
                Ok(count)
            });
        }
        count += finish(working, until, peer).await?;
        if Instant::now() >= until || count >= bounds.count {
            break;
        }
    }
    clocks.stop(member, count)
}

async fn finish(
    mut working: JoinSet<Result<usize, Failure>>,
    until: Instant,
    peer: Peer,
) -> Result<usize, BenchError> {
    let mut count = 0;
    let all = async {
        while let Some(joined) = working.join_next().await {
            // A worker does not panic, and nobody else can cancel it.
            if let Ok(outcome) = joined {
                count += outcome.map_err(|why| why.of(peer))?;
            }
        }
        Ok(())
    };
    match tokio::time::timeout_at(until + PATIENCE, all).await {
        Ok(outcome) => outcome.map(|()| count),
        Err(_) => Err(BenchError::Silent { peer }),
    }
}

/// Pushes 1 GiB in blobs of 64 MiB; counts its MiB.
pub(crate) async fn fill(member: &Member) -> Result<Done, BenchError> {
    let (peer, address) = (member.peer, member.process.address);
    let failed = |source| BenchError::Client { peer, source };
    let mut connection = Connection::open(address).await.map_err(failed)?;
    let clocks = Clocks::start(member)?;
    let mut count = 0;
    for number in 0..16 {
        let blob = content::stored_blob(number);
        push_blob(&mut connection, address, "stored/blobs", &blob)
            .await
            .map_err(|why| why.of(peer))?;
        count += blob.bytes.len() >> 20;
    }
    clocks.stop(member, count)
}

/// Pushes a blob as a session of POST and PUT.
async fn push_blob(
    connection: &mut Connection,
    address: SocketAddr,
    repository: &str,
    blob: &Blob,
) -> Result<(), Failure> {
    let target = format!("/v2/{repository}/blobs/uploads/");
    let request = head("POST", &target, address, "Content-Length: 0\r\n");
    let answer = connection.exchange(&request, b"", |_| {}).await?;
    expect(&answer, 202, &target)?;
    let location = answer.location.unwrap_or_default();
    let place = path_of(&location);
    let mark = if place.contains('?') { '&' } else { '?' };
    let target = format!("{place}{mark}digest={}", blob.digest);
    let more = format!(
        "Content-Type: application/octet-stream\r\nContent-Length: {}\r\n",
        blob.bytes.len()
    );
    let request = head("PUT", &target, address, &more);
    let answer = connection.exchange(&request, &blob.bytes, |_| {}).await?;
    expect(&answer, 201, &target)
}

/// Pushes an image: each blob as a session of POST and PUT, then the manifest by tag.
pub(crate) async fn push(
    connection: &mut Connection,
    address: SocketAddr,
    image: &Image,
) -> Result<(), Failure> {
    for blob in &image.blobs {
        push_blob(connection, address, &image.repository, blob).await?;
    }
    let target = format!("/v2/{}/manifests/{}", image.repository, content::TAG);
    let more = format!(
        "Content-Type: {}\r\nContent-Length: {}\r\n",
        content::MANIFEST_TYPE,
        image.manifest.bytes.len()
    );
    let request = head("PUT", &target, address, &more);
    let answer = connection
        .exchange(&request, &image.manifest.bytes, |_| {})
        .await?;
    expect(&answer, 201, &target)
}

/// The path and query of a location that may be absolute.
fn path_of(location: &str) -> &str {
    let Some((_, rest)) = location.split_once("://") else {
        return location;
    };
    let start = rest.find('/').unwrap_or(rest.len());
    rest.get(start..).unwrap_or_default()
}

struct Clocks {
    wall: Instant,
    cpu: Duration,
}

impl Clocks {
    fn start(member: &Member) -> Result<Self, BenchError> {
        Ok(Self {
            cpu: cpu(member)?,
            wall: Instant::now(),
        })
    }

    fn stop(&self, member: &Member, count: usize) -> Result<Done, BenchError> {
        let wall = self.wall.elapsed();
        let cpu = cpu(member)?.saturating_sub(self.cpu);
        Ok(Done { count, wall, cpu })
    }
}

fn cpu(member: &Member) -> Result<Duration, BenchError> {
    let peer = member.peer;
    let time = member.process.cpu();
    time.map_err(|source| BenchError::Start { peer, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_with_and_without_a_host() {
        let table = [
            ("/v2/a/blobs/uploads/1?s=2", "/v2/a/blobs/uploads/1?s=2"),
            ("http://127.0.0.1:1/v2/a?s=2", "/v2/a?s=2"),
            ("http://127.0.0.1:1", ""),
            ("", ""),
        ];
        for (location, want) in table {
            assert_eq!(path_of(location), want, "for {location}");
        }
    }
}
