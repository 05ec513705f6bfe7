//! The other clients in this process.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use oci_distribution::Reference;
use oci_distribution::client::{Client, ClientConfig, ClientProtocol};
use oci_distribution::secrets::RegistryAuth;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::registry::client::MANIFESTS;
use crate::registry::content;

/// Counts what workers do until the time is over; the first error ends it.
async fn all(mut workers: JoinSet<Result<u64, String>>, started: Instant) -> Result<f64, String> {
    let mut sum = 0;
    while let Some(worker) = workers.join_next().await {
        sum += worker.map_err(|error| error.to_string())??;
    }
    Ok(sum as f64 / started.elapsed().as_secs_f64())
}

/// Hyper and nothing else.
pub(super) async fn bare(
    address: SocketAddr,
    in_flight: usize,
    time: Duration,
    kept: bool,
) -> Result<f64, String> {
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..in_flight {
        workers.spawn(async move {
            let mut sender = connect(address).await?;
            let mut count = 0;
            while started.elapsed() < time {
                if !kept {
                    sender = connect(address).await?;
                }
                ask(&mut sender, address).await?;
                count += 1;
            }
            Ok(count)
        });
    }
    all(workers, started).await
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let made = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = made.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // The outcome is seen by whoever waits for the answer.
        let _ = connection.await;
    });
    Ok(sender)
}

async fn ask(sender: &mut SendRequest<Empty<Bytes>>, address: SocketAddr) -> Result<(), String> {
    let target = format!("/v2/{}/manifests/{}", content::REPOSITORY, content::TAG);
    let request = Request::head(target)
        .header("host", address.to_string())
        .header("accept", MANIFESTS)
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    sender.ready().await.map_err(|error| error.to_string())?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    if answer.status() != StatusCode::OK {
        return Err(format!("status {}", answer.status()));
    }
    answer
        .into_body()
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// oci-client, one client for all, as its users have it.
pub(super) async fn oci(name: &str, in_flight: usize, time: Duration) -> Result<f64, String> {
    let image: Reference = name.parse().map_err(|_| "no reference".to_owned())?;
    // It wants a provider also for plain HTTP; a second call finds the first one's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        ..ClientConfig::default()
    });
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..in_flight {
        let (client, image) = (client.clone(), image.clone());
        workers.spawn(async move {
            let mut count = 0;
            while started.elapsed() < time {
                let asked = client
                    .fetch_manifest_digest(&image, &RegistryAuth::Anonymous)
                    .await;
                asked.map_err(|error| error.to_string())?;
                count += 1;
            }
            Ok(count)
        });
    }
    all(workers, started).await
}
