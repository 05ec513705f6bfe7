//! The Azure SDK's requests over a place: its names, its proxies, its authorities, its clock.
//!
//! One request, one answer of at most 256 KiB, no redirect followed, so that nothing of what is sent goes to another
//! host. TLS or loopback, but for the metadata service, which speaks plain HTTP on a link-local address that no
//! proxy may stand before.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method as AzureMethod, Request};
use http::{HeaderName, StatusCode};

use crate::evidence::Method;
use crate::wire::connector::{Connector, OpenDeadlines};
use crate::wire::http::{Connection, HttpDeadlines, Keep, Outgoing, SendError};
use crate::wire::{Url, UrlScheme};
use crate::world::{Place, WallClock};

const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
const BODY: usize = 256 * 1024;
const AGENT: &str = concat!("pullcheck/", env!("CARGO_PKG_VERSION"));
const OPEN: OpenDeadlines = OpenDeadlines {
    resolve: Duration::from_secs(10),
    dial: Duration::from_secs(10),
    handshake: Duration::from_secs(10),
};
const DEADLINES: HttpDeadlines = HttpDeadlines {
    head: Duration::from_secs(20),
    idle: Duration::from_secs(10),
    body: Duration::from_secs(20),
};

/// Sends what the SDK wants sent.
pub(super) struct OverPlace {
    place: Place,
    clock: Arc<dyn WallClock>,
}

impl OverPlace {
    pub(super) fn new(place: &Place, clock: &Arc<dyn WallClock>) -> Self {
        Self {
            place: place.clone(),
            clock: Arc::clone(clock),
        }
    }

    async fn send(&self, request: &Request) -> Result<AsyncRawResponse, Error> {
        let url = Url::parse(request.url().as_str()).ok_or_else(|| {
            failed(format_args!(
                "{} is no URL",
                request.url().host_str().unwrap_or("it")
            ))
        })?;
        let mut outgoing = Outgoing::new(match request.method() {
            AzureMethod::Get => Method::Get,
            AzureMethod::Post => Method::Post,
            other => return Err(failed(format_args!("{other:?} is not sent"))),
        });
        for (name, value) in request.headers().iter() {
            if let Ok(name) = HeaderName::try_from(name.as_str()) {
                outgoing = outgoing.secret_header(name, value.as_str());
            }
        }
        outgoing.body = match request.body() {
            Body::Bytes(bytes) => bytes.clone(),
            Body::SeekableStream(_) => return Err(failed(format_args!("a stream is not sent"))),
        };
        let mut connection = self.connect(&url).await?;
        let host = url.authority().to_string();
        let sent = connection
            .send(
                &host,
                url.target(),
                outgoing,
                Keep::Whole(BODY),
                DEADLINES,
                self.clock.now(),
            )
            .await;
        let answer = sent.map_err(|error| match error {
            SendError::Http(failure) => failed(format_args!("{host}: {failure}")),
            SendError::Tls(failure) => failed(format_args!("{host}: {failure}")),
        })?;
        let mut headers = Headers::new();
        for (name, value) in &answer.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(AsyncRawResponse::from_bytes(
            status(answer.status),
            headers,
            answer.body,
        ))
    }

    async fn connect(&self, url: &Url) -> Result<Connection, Error> {
        let connector = Connector::new(&self.place, self.clock.as_ref());
        if url.scheme() == UrlScheme::Http && url.host().address() == Some(METADATA) {
            let dialled = connector.dial_first(&[METADATA], url.port(), OPEN.dial);
            let stream = dialled
                .await
                .map_err(|error| failed(format_args!("{METADATA}: {error}")))?;
            return Connection::open(stream)
                .await
                .map_err(|failure| failed(format_args!("{METADATA}: {failure}")));
        }
        let opened = connector.open(url, OPEN, AGENT).await;
        opened.map_err(|error| failed(format_args!("{}: {error}", url.host())))
    }
}

fn status(status: StatusCode) -> azure_core::http::StatusCode {
    status.as_u16().into()
}

/// Not of the kind that the SDK tries again: a probe says what it saw at once.
fn failed(why: fmt::Arguments<'_>) -> Error {
    Error::with_message(ErrorKind::Other, why.to_string())
}

impl fmt::Debug for OverPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverPlace").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl HttpClient for OverPlace {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.send(request).await
    }
}
