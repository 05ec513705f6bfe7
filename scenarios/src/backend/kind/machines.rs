//! Proxies of a scenario: they run in this process, at the machine's own address on the cluster's network.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::backend::StepError;
use crate::backend::proxy::{self, Way};
use crate::spec::{Doing, Machine, ProxyRules, ServiceState};

/// Where a proxy listens.
const PORT: u16 = 3128;
const PATIENCE: Duration = Duration::from_secs(30);

/// What a proxy can dial.
struct Names(BTreeMap<String, IpAddr>);

impl Way for Names {
    type Stream = TcpStream;

    async fn dial(&self, name: &str, port: u16) -> Option<TcpStream> {
        let to = SocketAddr::new(*self.0.get(name)?, port);
        tokio::time::timeout(PATIENCE, TcpStream::connect(to))
            .await
            .ok()?
            .ok()
    }
}

/// The machine of a scenario that is no registry; there is at most one.
pub(super) struct Machines {
    proxy: Option<Proxy>,
}

struct Proxy {
    name: String,
    at: SocketAddr,
    rules: Arc<ProxyRules>,
    names: Arc<Names>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `Err` is why the machines of a scenario cannot be there on a real network.
pub(super) fn possible(machines: &[Machine]) -> Result<(), String> {
    if machines.len() > 1 {
        return Err("several machines beside the registries".to_owned());
    }
    machines.iter().try_for_each(|machine| match machine.does {
        Doing::Proxy(_) if machine.address.is_none() => Ok(()),
        Doing::Proxy(_) => Err(format!("machine `{}` at a given address", machine.name)),
        Doing::Nothing => Err("a machine that does nothing".to_owned()),
        Doing::Intercept => Err("a machine that takes TLS connections over".to_owned()),
    })
}

impl Machines {
    /// Starts what the file has. `names` is what they can dial.
    pub(super) async fn start(
        machines: &[Machine],
        gateway: IpAddr,
        names: &BTreeMap<String, IpAddr>,
    ) -> Result<Self, StepError> {
        let proxy = machines.iter().find_map(|machine| match &machine.does {
            Doing::Proxy(rules) => Some(Proxy {
                name: machine.name.clone(),
                at: SocketAddr::new(gateway, PORT),
                rules: Arc::new(rules.clone()),
                names: Arc::new(Names(names.clone())),
                running: Mutex::default(),
            }),
            _ => None,
        });
        if let Some(proxy) = &proxy {
            proxy.run().await?;
        }
        Ok(Self { proxy })
    }

    /// The names of the machines, and where they are.
    pub(super) fn names(&self) -> impl Iterator<Item = (String, IpAddr)> {
        let proxy = self.proxy.iter();
        proxy.map(|proxy| (proxy.name.clone(), proxy.at.ip()))
    }

    /// Whether a name is one of theirs.
    pub(super) fn has(&self, name: &str) -> bool {
        self.proxy.as_ref().is_some_and(|proxy| proxy.name == name)
    }

    /// What listens at a machine's port from now on.
    pub(super) async fn service(&self, port: u16, state: ServiceState) -> Result<(), StepError> {
        let proxy = self.proxy.as_ref().filter(|_| port == PORT);
        let Some(proxy) = proxy else {
            return Err(StepError::Failed(format!(
                "nothing ever listened at port {port}"
            )));
        };
        proxy.stop();
        match state {
            ServiceState::Up => proxy.run().await,
            ServiceState::Down => Ok(()),
            ServiceState::Mute => Err(StepError::Unsupported("a mute proxy".to_owned())),
        }
    }
}

impl Proxy {
    fn running(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        if let Some(task) = self.running().take() {
            task.abort();
        }
    }

    async fn run(&self) -> Result<(), StepError> {
        // A listener that has just been dropped may hold the port for a moment.
        let mut listener = TcpListener::bind(self.at).await;
        for _ in 0..20 {
            if listener.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            listener = TcpListener::bind(self.at).await;
        }
        let listener = listener.map_err(|error| {
            StepError::Failed(format!("a proxy cannot listen at {}: {error}", self.at))
        })?;
        let (rules, names) = (Arc::clone(&self.rules), Arc::clone(&self.names));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                while open.try_join_next().is_some() {}
                if let Ok((client, _)) = listener.accept().await {
                    let (rules, names) = (Arc::clone(&rules), Arc::clone(&names));
                    open.spawn(async move { proxy::serve(&*names, &rules, client).await });
                } else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        *self.running() = Some(task);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_machines_can_be_there() {
        let table = [
            ("[]", None),
            ("[{ name: p.example, does: { proxy: {} } }]", None),
            (
                "[{ name: i.example, does: intercept }]",
                Some("a machine that takes TLS connections over"),
            ),
            (
                "[{ name: p.example, address: 10.0.0.9, does: { proxy: {} } }]",
                Some("machine `p.example` at a given address"),
            ),
        ];
        for (text, want) in table {
            let machines: Vec<Machine> = serde_saphyr::from_str(text).unwrap();
            assert_eq!(possible(&machines).err().as_deref(), want, "for {text}");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_goes_and_comes_back() {
        let text = "[{ name: p.example, does: { proxy: {} } }]";
        let machines: Vec<Machine> = serde_saphyr::from_str(text).unwrap();
        // Another loopback address than anybody's, so that the port is free.
        let gateway: IpAddr = "127.83.27.1".parse().unwrap();
        let started = Machines::start(&machines, gateway, &BTreeMap::new()).await;
        let Ok(started) = started else {
            eprintln!("skipped: this machine has one loopback address only");
            return;
        };
        let at = SocketAddr::new(gateway, PORT);
        assert!(started.has("p.example") && !started.has("q.example"));
        assert!(TcpStream::connect(at).await.is_ok());
        started.service(PORT, ServiceState::Down).await.unwrap();
        let gone = async {
            while TcpStream::connect(at).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone)
            .await
            .unwrap();
        started.service(PORT, ServiceState::Up).await.unwrap();
        assert!(TcpStream::connect(at).await.is_ok());
        assert!(started.service(1, ServiceState::Down).await.is_err());
    }
}
