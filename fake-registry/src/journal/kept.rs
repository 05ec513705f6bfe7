//! Requests as the journal keeps them: small, and what repeats only once.
//!
//! Clients ask the same way again and again. What a request has in common with the last one of its
//! connection is shared with it, so that an entry of a busy client is a few words. Credentials do
//! not get this far: of an `Authorization` only the kind is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};

use super::{Authorization, Entry, redact};
use crate::core::bare_host;

/// No more than this is kept of a header, a path or a query.
const MAX_NOTED: usize = 1024;

/// A request as it arrived, borrowed.
pub(crate) struct Heard<'a> {
    pub(crate) method: &'a Method,
    /// As sent, with the port.
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    headers: &'a HeaderMap,
    user_agent: Option<&'a HeaderValue>,
    range: Option<&'a HeaderValue>,
    accept: Option<&'a HeaderValue>,
    accepts: usize,
    authorization: Option<&'a HeaderValue>,
    /// Not kept, but found on the way.
    pub(crate) if_none_match: Option<&'a HeaderValue>,
}

impl<'a> Heard<'a> {
    /// Looks at every header once.
    pub(crate) fn new(method: &'a Method, uri: &'a http::Uri, headers: &'a HeaderMap) -> Self {
        let mut heard = Self {
            method,
            authority: "",
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
            headers,
            user_agent: None,
            range: None,
            accept: None,
            accepts: 0,
            authorization: None,
            if_none_match: None,
        };
        let mut host = None;
        for (name, value) in headers {
            let place = if *name == header::HOST {
                &mut host
            } else if *name == header::ACCEPT {
                heard.accepts += 1;
                &mut heard.accept
            } else if *name == header::USER_AGENT {
                &mut heard.user_agent
            } else if *name == header::RANGE {
                &mut heard.range
            } else if *name == header::AUTHORIZATION {
                &mut heard.authorization
            } else if *name == header::IF_NONE_MATCH {
                &mut heard.if_none_match
            } else {
                continue;
            };
            place.get_or_insert(value);
        }
        heard.authority = match uri.authority() {
            Some(authority) => authority.as_str(),
            None => host
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default(),
        };
        heard
    }
}

/// What is kept of a request, but for when it came and what became of it.
#[derive(Debug)]
pub(crate) struct Noted {
    client: Arc<str>,
    peer: SocketAddr,
    host: Arc<str>,
    /// The host without its port, lower case.
    name: Arc<str>,
    method: Method,
    path: Box<str>,
    query: Option<Box<str>>,
    authorization: Authorization,
    user_agent: Option<Arc<str>>,
    range: Option<Box<str>>,
    accept: Option<Arc<str>>,
}

impl Noted {
    /// Notes a request; gives the last note again where nothing differs. The second value is how
    /// many bytes are new.
    pub(crate) fn of(
        heard: &Heard<'_>,
        client: &Arc<str>,
        peer: SocketAddr,
        last: Option<&Arc<Self>>,
    ) -> (Arc<Self>, u32) {
        if let Some(last) = last
            && last.fits(heard)
        {
            return (last.clone(), 0);
        }
        let mut weight = size_of::<Self>();
        let mut share = |old: Option<&Arc<str>>, text: &str| match old {
            Some(old) if **old == *text => old.clone(),
            _ => {
                weight += text.len();
                Arc::from(text)
            }
        };
        let user_agent = heard.user_agent.and_then(|value| value.to_str().ok());
        let old = last.and_then(|last| last.user_agent.as_ref());
        let user_agent = user_agent.map(|text| share(old, clip(text)));
        let old = last.and_then(|last| last.accept.as_ref());
        let accept = heard.joined_accept().map(|text| share(old, clip(&text)));
        let old = last.map(|last| &last.host);
        let host = share(old, clip(heard.authority));
        let bare = bare_host(clip(heard.authority)).to_ascii_lowercase();
        let name = share(last.map(|last| &last.name), &bare);
        let range = heard.range.and_then(|value| value.to_str().ok());
        let noted = Self {
            client: client.clone(),
            peer,
            host,
            name,
            method: heard.method.clone(),
            path: clip(heard.path).into(),
            query: (!heard.query.is_empty()).then(|| redact(clip(heard.query)).into()),
            authorization: heard
                .authorization
                .map_or(Authorization::None, Authorization::of),
            user_agent,
            range: range.map(|text| clip(text).into()),
            accept,
        };
        let own = [
            Some(&noted.path),
            noted.query.as_ref(),
            noted.range.as_ref(),
        ];
        weight += own
            .into_iter()
            .flatten()
            .map(|text| text.len())
            .sum::<usize>();
        (Arc::new(noted), u32::try_from(weight).unwrap_or(u32::MAX))
    }

    /// The host that the request is for: without a port, lower case.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether noting the request would give the same; a request that was clipped never does.
    fn fits(&self, heard: &Heard<'_>) -> bool {
        let same = |kept: Option<&str>, value: Option<&HeaderValue>| match (kept, value) {
            (None, None) => true,
            (Some(kept), Some(value)) => kept.as_bytes() == value.as_bytes(),
            _ => false,
        };
        self.method == *heard.method
            && *self.path == *heard.path
            && self.query.as_deref().unwrap_or_default() == heard.query
            && *self.host == *heard.authority
            && same(self.range.as_deref(), heard.range)
            && same(self.user_agent.as_deref(), heard.user_agent)
            && heard.accepts <= 1
            && same(self.accept.as_deref(), heard.accept)
            && self.authorization
                == heard
                    .authorization
                    .map_or(Authorization::None, Authorization::of)
    }
}

impl Heard<'_> {
    fn joined_accept(&self) -> Option<String> {
        let values = self.headers.get_all(header::ACCEPT).iter();
        let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_NOTED);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// An entry as it is kept.
#[derive(Clone)]
pub(super) struct Kept {
    noted: Arc<Noted>,
    pub(super) at: Duration,
    pub(super) bytes: u64,
    pub(super) fault: Option<Arc<str>>,
    /// Bytes that were new with it.
    pub(super) weight: u32,
    /// 0: no answer.
    pub(super) status: u16,
}

impl Kept {
    pub(super) fn new(noted: Arc<Noted>, weight: u32, at: Duration) -> Self {
        Self {
            noted,
            at,
            bytes: 0,
            fault: None,
            weight: weight.saturating_add(size_of::<Self>() as u32),
            status: 0,
        }
    }

    pub(super) fn entry(&self, number: u64) -> Entry {
        let noted = &self.noted;
        let text = |text: Option<&str>| text.map(str::to_owned);
        Entry {
            number,
            at: self.at,
            client: noted.client.clone(),
            peer: noted.peer,
            host: noted.host.to_string(),
            method: noted.method.clone(),
            path: noted.path.to_string(),
            query: text(noted.query.as_deref()),
            authorization: noted.authorization,
            user_agent: text(noted.user_agent.as_deref()),
            range: text(noted.range.as_deref()),
            accept: text(noted.accept.as_deref()),
            status: (self.status > 0).then_some(self.status),
            bytes: self.bytes,
            fault: text(self.fault.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(request: &http::Request<()>, last: Option<&Arc<Noted>>) -> (Arc<Noted>, u32) {
        let heard = Heard::new(request.method(), request.uri(), request.headers());
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        Noted::of(&heard, &"node".into(), peer, last)
    }

    fn request() -> http::request::Builder {
        http::Request::builder()
            .uri("/v2/a?n=1&password=x")
            .header("host", "h")
            .header("accept", "a/b")
    }

    #[test]
    fn only_what_is_the_same_is_shared() {
        let first = request().body(()).unwrap();
        let (noted, weight) = note(&first, None);
        assert!(weight > 0);
        assert_eq!(noted.query.as_deref(), Some("n=1&password=***"));
        let plain = http::Request::builder().uri("/v2/").body(()).unwrap();
        let (kept, _) = note(&plain, None);
        let (again, weight) = note(&plain, Some(&kept));
        assert!(Arc::ptr_eq(&kept, &again) && weight == 0);
        let others = [
            request().method("HEAD").body(()).unwrap(),
            request().uri("/v2/b").body(()).unwrap(),
            request().uri("/v2/a?n=2").body(()).unwrap(),
            request().header("range", "bytes=0-1").body(()).unwrap(),
            request().header("accept", "c/d").body(()).unwrap(),
            request().header("user-agent", "x").body(()).unwrap(),
            request()
                .header("authorization", "Basic eA==")
                .body(())
                .unwrap(),
        ];
        for other in others {
            let (different, _) = note(&other, Some(&noted));
            assert!(!Arc::ptr_eq(&noted, &different), "{other:?}");
            assert!(Arc::ptr_eq(&noted.host, &different.host));
        }
    }

    #[test]
    fn a_note_has_bounds() {
        let long = "a".repeat(5000);
        let request = http::Request::builder()
            .uri(format!("/{long}?{long}"))
            .header("accept", &long)
            .body(())
            .unwrap();
        let (noted, weight) = note(&request, None);
        assert!(weight < 4 * 1024 + 512, "{weight}");
        let (again, _) = note(&request, Some(&noted));
        assert_eq!(again.path, noted.path);
    }
}
