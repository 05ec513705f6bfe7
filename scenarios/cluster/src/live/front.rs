//! The API over TLS, for whoever has the token of the kubeconfig.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::bridge::Arrivals;
use super::identity::Identity;
use super::shift::shifted;
use crate::api::{self, Access};
use crate::cluster::Cluster;

/// The API server's front: TLS, the bearer token, and users that an administrator speaks as.
#[derive(Clone)]
pub struct ApiFront {
    cluster: Cluster,
    tls: TlsAcceptor,
    token: Arc<str>,
    /// The machine's date, where dates are to be as it has them.
    machine: Option<fn() -> Timestamp>,
}

impl ApiFront {
    /// A front for a cluster, with the certificate and the token of an identity.
    pub fn new(cluster: &Cluster, identity: &Identity) -> Self {
        Self {
            cluster: cluster.clone(),
            tls: TlsAcceptor::from(identity.server_config()),
            token: identity.token().into(),
            machine: None,
        }
    }

    /// Dates in answers are as old by this clock as they are by the cluster's.
    #[must_use]
    pub fn with_dates_by(mut self, machine: fn() -> Timestamp) -> Self {
        self.machine = Some(machine);
        self
    }

    /// Answers every connection that arrives, until no more can.
    pub async fn serve(self, mut arrivals: Arrivals) {
        while let Some(arrival) = arrivals.next().await {
            let front = self.clone();
            let failures = self.cluster.failures().clone();
            let task = failures.watch("a connection to the API server", async move {
                front.connection(arrival.stream).await;
            });
            tokio::spawn(task);
        }
    }

    /// Answers one connection.
    pub async fn connection(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        // Who does not speak TLS, or does not trust the certificate, says so on its own side.
        let Ok(stream) = self.tls.accept(stream).await else {
            return;
        };
        let service = service_fn(move |request: Request<Incoming>| {
            let front = self.clone();
            async move { front.answer(request.map(Body::new)).await }
        });
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response, std::convert::Infallible> {
        if !self.knows(request.headers()) {
            return Ok(api::unauthorized());
        }
        let answer = self.router(request.headers()).oneshot(request).await?;
        let Some(machine) = self.machine else {
            return Ok(answer);
        };
        let clock = self.cluster.clock();
        Ok(shifted(answer, move || {
            machine().duration_since(clock.now())
        }))
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        given.and_then(|text| text.strip_prefix("Bearer ")) == Some(&*self.token)
    }

    /// As whom the request is made: the administrator, or the user that `--as` names.
    fn router(&self, headers: &HeaderMap) -> Router {
        let user = headers.get("impersonate-user");
        match user.and_then(|value| value.to_str().ok()) {
            Some(user) => self.cluster.service_for(Access::of_user(user)),
            None => self.cluster.service(),
        }
    }
}

impl std::fmt::Debug for ApiFront {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiFront")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}
