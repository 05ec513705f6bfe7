//! The servers that run at the moment: started one by one, given content, stopped together.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::client::{Connection, head};
use super::content::{self, Image};
use super::peer::{Peer, Programs};
use super::process::Process;
use super::{BenchError, work};

/// A server that has not answered by then is given up.
const START: Duration = Duration::from_secs(20);
/// Between two looks at a server that does not listen yet.
const PAUSE: Duration = Duration::from_micros(500);
/// Until the memory of a server that has just started is read.
const SETTLE: Duration = Duration::from_millis(300);

/// Everything that was started and not yet stopped.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    running: Vec<Member>,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) peer: Peer,
    pub(crate) process: Process,
    /// One for each kind of content, where the server does not tell them apart by path.
    addresses: Vec<SocketAddr>,
}

/// What is seen of a start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// From the start of the program to its first answer.
    pub(crate) cold: Duration,
    /// Resident bytes with nothing stored.
    pub(crate) resident: u64,
}

/// What can be read, in the order of the bare server's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Manifest,
    Small,
    Large,
}

impl Member {
    pub(crate) fn address(&self, content: Content) -> SocketAddr {
        let own = self.addresses.get(content as usize);
        *own.unwrap_or(&self.process.address)
    }
}

impl Fleet {
    /// Starts a server, instead of the one of that kind that runs.
    pub(crate) async fn start(
        &mut self,
        peer: Peer,
        programs: &Programs,
        image: &Image,
    ) -> Result<Start, BenchError> {
        self.stop_one(peer).await;
        let program = peer.find(programs).ok_or(BenchError::Missing(peer))?;
        let failed = |source| BenchError::Start { peer, source };
        let folder = tempfile::Builder::new()
            .prefix("pullcheck-bench-")
            .tempdir()
            .map_err(failed)?;
        let count = if peer.has_paths() { 1 } else { 3 };
        let addresses = free_addresses(count).map_err(failed)?;
        let address = *addresses.first().ok_or(BenchError::Missing(peer))?;
        let arguments = peer
            .prepare(folder.path(), &addresses, image)
            .map_err(failed)?;
        let before = Instant::now();
        let process = Process::spawn(&program, &arguments, address, folder).map_err(failed)?;
        // From here on it is stopped with the others, whatever happens.
        self.running.push(Member {
            peer,
            process,
            addresses,
        });
        let member = self.member(peer)?;
        first_answer(member, before + START).await?;
        let cold = before.elapsed();
        tokio::time::sleep(SETTLE).await;
        let resident = member.process.resident().map_err(failed)?;
        Ok(Start { cold, resident })
    }

    pub(crate) fn member(&mut self, peer: Peer) -> Result<&mut Member, BenchError> {
        let found = self.running.iter_mut().find(|member| member.peer == peer);
        found.ok_or(BenchError::Missing(peer))
    }

    /// Pushes the image where that is needed, then reads it back and checks every byte.
    pub(crate) async fn load(&mut self, peer: Peer, image: &Image) -> Result<(), BenchError> {
        let member = self.member(peer)?;
        let address = member.process.address;
        let failed = |source| BenchError::Client { peer, source };
        if peer.takes_pushes() {
            let mut connection = Connection::open(address).await.map_err(failed)?;
            work::push(&mut connection, address, image)
                .await
                .map_err(|why| why.of(peer))?;
        }
        let wanted = work::readable(image);
        for (content, target, digest) in wanted {
            let address = member.address(content);
            let mut connection = Connection::open(address).await.map_err(failed)?;
            work::check(&mut connection, address, &target, &digest)
                .await
                .map_err(|why| why.of(peer))?;
        }
        Ok(())
    }

    async fn stop_one(&mut self, peer: Peer) {
        while let Some(position) = self.running.iter().position(|member| member.peer == peer) {
            self.running.swap_remove(position).process.stop().await;
        }
    }

    /// Stops all of them; does nothing the second time.
    pub(crate) async fn stop(&mut self) {
        for member in self.running.drain(..) {
            member.process.stop().await;
        }
    }
}

async fn first_answer(member: &mut Member, until: Instant) -> Result<(), BenchError> {
    let (peer, address) = (member.peer, member.process.address);
    let target = match peer {
        // Static files have nothing at `/v2/`.
        Peer::Nginx | Peer::NginxCached => {
            format!("/v2/{}/manifests/{}", content::REPOSITORY, content::TAG)
        }
        _ => "/v2/".to_owned(),
    };
    let request = head("GET", &target, address, "");
    loop {
        let answer = async {
            let mut connection = Connection::open(address).await?;
            connection.exchange(&request, b"", |_| {}).await
        };
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(answer)) if answer.status == 200 => return Ok(()),
            Ok(Ok(answer)) => {
                return Err(BenchError::Answer {
                    peer,
                    request: target,
                    status: answer.status,
                });
            }
            Ok(Err(_)) => {}
            Err(_) => return Err(BenchError::Silent { peer }),
        }
        if let Some(said) = member.process.ended() {
            return Err(BenchError::Ended { peer, said });
        }
        if Instant::now() > until {
            return Err(BenchError::Silent { peer });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Loopback ports that are free now; all are held until the last is found.
pub(crate) fn free_addresses(count: usize) -> std::io::Result<Vec<SocketAddr>> {
    let held = (0..count)
        .map(|_| std::net::TcpListener::bind(("127.0.0.1", 0)))
        .collect::<Result<Vec<_>, _>>()?;
    held.iter().map(std::net::TcpListener::local_addr).collect()
}
