//! `GET /v2/`: is this a registry, and what does it want?
//!
//! containerd never asks this, other clients and the credential provider of AKS do. So only a failure to
//! connect ends the pull here; a status is kept as a fact.

use http::header::{CONTENT_TYPE, HeaderName, SERVER, WWW_AUTHENTICATE};

use super::session::{Ask, Session, Step};
use crate::evidence::{Method, Seen};
use crate::stage::Stage;
use crate::wire::challenge::Challenge;
use crate::wire::http::{Answer, Keep, MAX_ERROR_BODY};
use crate::wire::{Excerpt, refusal};

/// What the registry answered.
pub(super) struct Ping {
    pub(super) status: u16,
    pub(super) challenge: Option<Challenge>,
}

impl Session<'_> {
    pub(super) async fn ping(&mut self) -> Step<Ping> {
        let ask = Ask {
            stage: Stage::Ping,
            method: Method::Get,
            target: "/v2/".to_owned(),
            accept: &["*/*".to_owned()],
            range: None,
            keep: Keep::First(MAX_ERROR_BODY),
        };
        let reply = self.ask(ask).await?;
        let answer = reply.answer;
        let status = answer.status.as_u16();
        let text = |name: HeaderName| refusal::text(&answer.headers, &name).map(Excerpt::new);
        let seen = Seen::Pinged {
            status,
            api_version: text(HeaderName::from_static("docker-distribution-api-version")),
            server: text(SERVER),
            date: refusal::date(&answer.headers),
            unlike_a_registry: unlike_a_registry(&answer),
            refusal: (!matches!(status, 200 | 401)).then(|| self.refusal(&answer)),
        };
        self.note(Stage::Ping, reply.took, seen);
        let challenge = if status == 401 {
            challenge(&answer)
        } else {
            None
        };
        Ok(Ping { status, challenge })
    }
}

/// The challenge of a 401.
pub(super) fn challenge(answer: &Answer) -> Option<Challenge> {
    let lines = answer.headers.get_all(WWW_AUTHENTICATE);
    Challenge::choose(lines.iter().filter_map(|line| line.to_str().ok()))
}

/// A page where a registry would send JSON or next to nothing.
fn unlike_a_registry(answer: &Answer) -> Option<Excerpt> {
    let kind = refusal::text(&answer.headers, &CONTENT_TYPE).unwrap_or_default();
    let html = kind.starts_with("text/html") || answer.body.trim_ascii_start().starts_with(b"<");
    html.then(|| {
        let begin = answer.body.get(..120).unwrap_or(&answer.body);
        Excerpt::new(&format!("{kind}: {}", String::from_utf8_lossy(begin)))
    })
}
