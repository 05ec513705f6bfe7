//! A cluster that is served on loopback: its simulation, its doors, and the files that lead to it.
//!
//! Ports are free ones unless told otherwise, and the files lie in a folder of their own, so that
//! several clusters of one machine, or of several people on it, never meet. Dropped, all of it goes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use pull_scenarios::live::Stage;
use pull_scenarios::spec::Scenario;
use sim_cluster::live::{Arrivals, Door, Identity, Speed, carry, door};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::UpError;
use super::files::{self, Files};
use super::simulation::{Plan, Simulation, Told, World};

/// What is to be served.
pub(crate) struct Wanted<'a> {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    pub(crate) stage: Stage,
    pub(crate) speed: Speed,
    /// The host that the gateway stands at.
    pub(crate) from: &'a str,
    /// The ports of the API server and of the gateway; 0 takes a free one.
    pub(crate) ports: (u16, u16),
    pub(crate) kubeconfig: Option<&'a Path>,
}

pub(crate) struct Served {
    pub(crate) simulation: Simulation,
    pub(crate) files: Files,
    pub(crate) world: World,
    gateway: SocketAddr,
    doors: [JoinHandle<()>; 2],
}

impl Served {
    pub(crate) async fn start(wanted: Wanted<'_>) -> Result<Self, UpError> {
        let (api, api_door, api_arrivals) = listen(wanted.ports.0).await?;
        let (gateway, gateway_door, gateway_arrivals) = listen(wanted.ports.1).await?;
        let identity = Identity::generate()?;
        let files = Files::create(wanted.kubeconfig)?;
        let (api_at, gateway_at) = (api.local_addr()?, gateway.local_addr()?);
        let mut simulation = Simulation::start(Plan {
            scenario: wanted.scenario,
            seed: wanted.seed,
            stage: wanted.stage,
            speed: wanted.speed,
            from: wanted.from.to_owned(),
            identity: identity.clone(),
            api: api_arrivals,
            gateway: gateway_arrivals,
        })?;
        let world = match simulation.next().await {
            Some(Told::Ready(world)) => world,
            Some(Told::Failed(error)) => return Err(error),
            Some(Told::View(_)) | None => {
                return Err(UpError::Died("it never began".to_owned()));
            }
        };
        files.write(
            &identity.kubeconfig("pullcheck-lab", api_at),
            gateway_at,
            &world,
        )?;
        let doors = [
            tokio::spawn(carry(api, api_door)),
            tokio::spawn(carry(gateway, gateway_door)),
        ];
        Ok(Self {
            simulation,
            files,
            world,
            gateway: gateway_at,
            doors,
        })
    }

    /// What to export so that other programs see the simulated world.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        self.files.variables(self.gateway, &self.world)
    }

    /// The same as lines for a shell.
    pub(crate) fn exports(&self) -> Vec<String> {
        let variables = self.variables();
        variables
            .iter()
            .map(|(name, value)| files::export(name, value))
            .collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for door in &self.doors {
            door.abort();
        }
        self.simulation.stop();
    }
}

async fn listen(port: u16) -> Result<(TcpListener, Door, Arrivals), UpError> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(at)
        .await
        .map_err(|source| UpError::Listen { at, source })?;
    let (door, arrivals) = door();
    Ok((listener, door, arrivals))
}
