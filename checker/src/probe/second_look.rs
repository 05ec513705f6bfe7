//! After a handshake with the registry failed: what tells its causes apart.
//!
//! A certificate out of its dates: the date by the server's own clock, since a wrong clock here looks the same. A
//! connection that is cut: which TLS version alone is taken. The certificate is not verified for this, so nothing
//! but a bare `GET /v2/` is sent, and nothing but `Date` is believed.

use std::net::IpAddr;

use http::header::USER_AGENT;
use jiff::Timestamp;
use tokio::time::Instant;

use super::session::Session;
use crate::evidence::{Certificate, Endpoint, Method, Seen, TlsFailure};
use crate::stage::Stage;
use crate::wire::http::{Connection, HttpDeadlines, Keep, Outgoing};
use crate::wire::tls::{Handshake, How, Offer};
use crate::wire::{Url, Verify, refusal, store};

impl Session<'_> {
    pub(super) async fn second_look(
        &mut self,
        url: &Url,
        endpoint: &Endpoint,
        addresses: &[IpAddr],
        reason: &TlsFailure,
        chain: &[Certificate],
    ) {
        let started = Instant::now();
        let seen = match reason {
            TlsFailure::Expired { .. } | TlsFailure::NotYetValid { .. } => {
                match self.server_date(url, addresses).await {
                    Some(date) => Seen::ServerDate {
                        date,
                        valid_then: chain.iter().all(|one| is_within(one, date)),
                    },
                    None => return,
                }
            }
            TlsFailure::UnknownIssuer => match self.compared(url, chain) {
                Some(seen) => seen,
                None => return,
            },
            TlsFailure::NoProtocol => Seen::ProtocolTaken {
                protocol: self
                    .unverified(url, addresses, Offer::Http2)
                    .await
                    .and_then(|handshake| handshake.alpn),
            },
            TlsFailure::VersionRefused
            | TlsFailure::Alert { .. }
            | TlsFailure::Reset { .. }
            | TlsFailure::Closed { .. } => {
                let mut taken = Vec::new();
                for offer in [Offer::Only12, Offer::Only13] {
                    if let Some(handshake) = self.unverified(url, addresses, offer).await {
                        taken.push(handshake.version.into());
                    }
                }
                Seen::TlsVersions { taken }
            }
            _ => return,
        };
        let took = started.elapsed();
        self.note_about(Stage::Tls, Some(endpoint.clone()), took, seen);
    }

    /// The chain beside the store, and the file where this runtime looks for authorities of the host.
    pub(super) fn compared(&self, url: &Url, chain: &[Certificate]) -> Option<Seen> {
        let file = self.options.habits.authority_file(url.authority());
        store::compare(chain, self.connector.place, &file).map(Seen::TrustCompared)
    }

    async fn unverified(&self, url: &Url, addresses: &[IpAddr], offer: Offer) -> Option<Handshake> {
        let (streams, _) = self.dial_quietly(url.port(), addresses).await;
        let (_, stream) = streams.into_iter().next()?;
        let how = How {
            offer,
            ..How::verified(Verify::NotAtAll)
        };
        let deadline = self.options.deadlines.tls;
        self.connector
            .handshake_as(stream, url.host(), how, deadline)
            .await
            .ok()
    }

    async fn server_date(&self, url: &Url, addresses: &[IpAddr]) -> Option<Timestamp> {
        let handshake = self.unverified(url, addresses, Offer::Both).await?;
        let mut connection = Connection::open(handshake.stream).await.ok()?;
        let deadlines = HttpDeadlines {
            head: self.options.deadlines.head,
            idle: self.options.deadlines.idle,
            body: self.options.deadlines.idle,
        };
        let outgoing = Outgoing::new(Method::Get).header(USER_AGENT, &self.options.user_agent);
        let host = url.authority().to_string();
        let answer = connection
            .send(
                &host,
                "/v2/",
                outgoing,
                Keep::First(0),
                deadlines,
                self.now(),
            )
            .await
            .ok()?;
        refusal::date(&answer.headers)
    }
}

fn is_within(certificate: &Certificate, date: Timestamp) -> bool {
    certificate.not_before.is_none_or(|begin| begin <= date)
        && certificate.not_after.is_none_or(|end| date <= end)
}
