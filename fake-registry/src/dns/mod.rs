//! A name server that misbehaves on command: addresses from a file, NXDOMAIN, SERVFAIL or silence, name
//! by name and, where the file says so, client by client.
//!
//! The file is the only way in, and is read again when it changes: whoever can write it decides. A file
//! that cannot be read leaves what was there before. Names that the file does not have do not exist;
//! nothing is ever forwarded. Hickory reads and writes the messages.

mod zone;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use zone::{Answer, Word, Zone};

/// Short, so that a changed answer is soon seen by those who keep answers.
const TTL: u32 = 1;
/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(100);
const MAX_STREAMS: usize = 64;
/// A connection, whatever it does, lives no longer.
const MAX_LIFE: Duration = Duration::from_secs(30);

/// Why a name server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something else.
    #[error("`{}`: {text}", path.display())]
    Zone {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        text: String,
    },
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {at}")]
    Listen {
        /// The address.
        at: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A running name server; gone when dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl NameServer {
    /// Answers over UDP and TCP at an address, from a file.
    pub async fn start(at: SocketAddr, zone: &Path) -> Result<Self, DnsError> {
        let names = Names {
            path: zone.to_owned(),
            zone: Arc::new(Mutex::new(zone::read(zone)?)),
        };
        let failed = |source| DnsError::Listen { at, source };
        let socket = UdpSocket::bind(at).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let task = tokio::spawn(async move {
            tokio::join!(
                datagrams(&socket, &names),
                streams(&listener, &names),
                names.follow()
            );
        });
        Ok(Self { address, task })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Names {
    path: PathBuf,
    zone: Arc<Mutex<Zone>>,
}

impl Names {
    /// Reads the file again and again.
    async fn follow(&self) {
        let mut complaint = String::new();
        loop {
            tokio::time::sleep(LOOK).await;
            match zone::read(&self.path) {
                Ok(new) => {
                    complaint.clear();
                    *self.zone.lock().unwrap_or_else(PoisonError::into_inner) = new;
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != complaint {
                        tracing::warn!(%error, "the names stay as they were");
                        complaint = text;
                    }
                }
            }
        }
    }

    /// The reply to a message; `None` for silence.
    fn reply(&self, question: &[u8], client: IpAddr) -> Option<Vec<u8>> {
        let asked = Message::from_vec(question).ok()?;
        let mut reply = Message::response(asked.metadata.id, asked.metadata.op_code);
        reply.metadata.recursion_desired = asked.metadata.recursion_desired;
        reply.metadata.recursion_available = true;
        reply.metadata.response_code = ResponseCode::NoError;
        let query = match (asked.metadata.op_code, asked.queries.as_slice()) {
            (OpCode::Query, [query]) => query,
            (OpCode::Query, _) => {
                reply.metadata.response_code = ResponseCode::FormErr;
                return reply.to_vec().ok();
            }
            _ => {
                reply.metadata.response_code = ResponseCode::NotImp;
                return reply.to_vec().ok();
            }
        };
        reply.add_query(query.clone());
        let name = query.name().to_ascii();
        let zone = self.zone.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = zone.answer(name.trim_end_matches('.'), client);
        tracing::info!(%client, name, kind = %query.query_type(), ?answer, "name");
        match answer {
            None | Some(Answer::Word(Word::NxDomain)) => {
                reply.metadata.response_code = ResponseCode::NXDomain;
            }
            Some(Answer::Word(Word::ServFail)) => {
                reply.metadata.response_code = ResponseCode::ServFail;
            }
            Some(Answer::Word(Word::Silent)) => return None,
            Some(Answer::Addresses(addresses)) => {
                for address in addresses {
                    let data = match (query.query_type(), address) {
                        (RecordType::A, IpAddr::V4(address)) => RData::A(A(*address)),
                        (RecordType::AAAA, IpAddr::V6(address)) => RData::AAAA(AAAA(*address)),
                        _ => continue,
                    };
                    reply.add_answer(Record::from_rdata(query.name().clone(), TTL, data));
                }
            }
        }
        reply.to_vec().ok()
    }
}

async fn datagrams(socket: &UdpSocket, names: &Names) {
    // No question is longer, with every extension that there is.
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let question = buffer.get(..length).unwrap_or_default();
        if let Some(reply) = names.reply(question, client.ip()) {
            // Whoever asked may be gone.
            let _ = socket.send_to(&reply, client).await;
        }
    }
}

async fn streams(listener: &TcpListener, names: &Names) {
    let places = Arc::new(Semaphore::new(MAX_STREAMS));
    let mut open = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while open.try_join_next().is_some() {}
        if let Ok((stream, client)) = listener.accept().await {
            let names = names.clone();
            open.spawn(async move {
                let _place = place;
                let _ = tokio::time::timeout(MAX_LIFE, converse(stream, client.ip(), &names)).await;
            });
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Each message with its length before it; ends with the connection.
async fn converse(mut stream: TcpStream, client: IpAddr, names: &Names) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        if let Some(reply) = names.reply(&question, client) {
            stream
                .write_u16(u16::try_from(reply.len()).unwrap_or(u16::MAX))
                .await?;
            stream.write_all(&reply).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;

    use super::*;

    const FILE: &str = "
names:
  registry.example: [192.0.2.10, '2001:db8::10']
  gone.example: nx-domain
  broken.example: serv-fail
  lost.example: silent
clients:
  127.0.0.9:
    registry.example: nx-domain
";

    fn question(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    /// What a question is answered with, in a few words.
    fn ask(names: &Names, name: &str, kind: RecordType, client: &str) -> String {
        let reply = names.reply(&question(name, kind), client.parse().unwrap());
        let Some(reply) = reply else {
            return "nothing".to_owned();
        };
        let reply = Message::from_vec(&reply).unwrap();
        let answers: Vec<String> = reply
            .answers
            .iter()
            .map(|record| record.data.to_string())
            .collect();
        match reply.metadata.response_code {
            ResponseCode::NoError => answers.join(" "),
            code => format!("{code:?}"),
        }
    }

    #[test]
    fn each_name_has_its_answer_and_each_client_its_own() {
        let names = Names {
            path: PathBuf::new(),
            zone: Arc::new(Mutex::new(zone::parse(FILE).unwrap())),
        };
        let table = [
            (
                "registry.example.",
                RecordType::A,
                "127.0.0.1",
                "192.0.2.10",
            ),
            (
                "Registry.Example.",
                RecordType::A,
                "127.0.0.1",
                "192.0.2.10",
            ),
            (
                "registry.example.",
                RecordType::AAAA,
                "127.0.0.1",
                "2001:db8::10",
            ),
            ("registry.example.", RecordType::MX, "127.0.0.1", ""),
            ("registry.example.", RecordType::A, "127.0.0.9", "NXDomain"),
            ("gone.example.", RecordType::A, "127.0.0.1", "NXDomain"),
            ("broken.example.", RecordType::A, "127.0.0.1", "ServFail"),
            ("lost.example.", RecordType::A, "127.0.0.1", "nothing"),
            ("other.example.", RecordType::A, "127.0.0.1", "NXDomain"),
        ];
        for (name, kind, client, want) in table {
            assert_eq!(
                ask(&names, name, kind, client),
                want,
                "{name} {kind} {client}"
            );
        }
        for noise in [&b""[..], b"x", &[0xff; 600]] {
            let _ = names.reply(noise, "127.0.0.1".parse().unwrap());
        }
    }

    #[tokio::test]
    async fn a_changed_file_changes_the_answers_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zone.yaml");
        std::fs::write(&path, FILE).unwrap();
        let server = NameServer::start("127.0.0.1:0".parse().unwrap(), &path)
            .await
            .unwrap();
        let code = async || {
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            let question = question("registry.example.", RecordType::A);
            stream.write_u16(question.len() as u16).await.unwrap();
            stream.write_all(&question).await.unwrap();
            let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut reply).await.unwrap();
            Message::from_vec(&reply).unwrap().metadata.response_code
        };
        assert_eq!(code().await, ResponseCode::NoError);
        std::fs::write(&path, "names: { registry.example: serv-fail }").unwrap();
        let changed = async {
            while code().await != ResponseCode::ServFail {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let changed = tokio::time::timeout(Duration::from_secs(10), changed).await;
        assert!(changed.is_ok(), "the file is read again");
        std::fs::write(&path, "names: [").unwrap();
        tokio::time::sleep(3 * LOOK).await;
        assert_eq!(code().await, ResponseCode::ServFail);
    }
}
