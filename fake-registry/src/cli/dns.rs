//! `dns`: names from a file, until told to stop.

use fake_registry::NameServer;

use super::args::Dns;
use super::stop::Stop;
use super::{Failure, print};

pub(super) async fn run(dns: Dns) -> Result<(), Failure> {
    let mut stop = Stop::new();
    let server = NameServer::start(dns.listen, &dns.zone).await?;
    // Whoever started us may not want to know.
    let _ = print(format!("answering names on {}\n", server.address()).as_bytes());
    stop.asked().await;
    Ok(())
}
