//! Go's `http.Client` around one request: redirects are followed, `Authorization` stays with its host, and a
//! failure names the URL it happened at.
//!
//! CRI-O's client asks everything this way, containerd its token services; its resolver follows redirects
//! itself ([`super::session`]), because it authorizes each of them anew.

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, REFERER};

use super::auth::{is_redirect, keeps_authorization};
use super::error::{TransportError, UrlError};
use super::go;
use super::transport::{Client, Response};
use super::url::Url;

/// An answer and the URL that gave it in the end.
pub(crate) struct Got {
    pub(crate) response: Response,
    pub(crate) url: Url,
}

/// How Go writes a method in the text of a failed request.
fn operation(method: &Method) -> &'static str {
    match *method {
        Method::HEAD => "Head",
        Method::POST => "Post",
        _ => "Get",
    }
}

/// Sends a request and follows where it leads, ten times at most.
pub(crate) async fn send(
    client: &Client,
    agent: &str,
    method: &Method,
    url: &Url,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Got, UrlError> {
    let operation = operation(method);
    let fail = |url: String, error| UrlError {
        operation,
        url,
        error,
    };
    let (mut method, mut url, mut headers) = (method.clone(), url.clone(), headers.clone());
    for _ in 0..10 {
        let response = client
            .send(&method, &url, agent, &headers, body.clone())
            .await
            .map_err(|error| fail(url.to_string(), error))?;
        let location = response.header(LOCATION.as_str()).map(str::to_owned);
        let Some(location) = location.filter(|_| is_redirect(response.status)) else {
            return Ok(Got { response, url });
        };
        if response.status <= 303 && method != Method::HEAD {
            method = Method::GET;
        }
        response.body.discard(client).await;
        let Some(next) = url.join(&location) else {
            let why = format!(
                "failed to parse Location header {}: invalid URL",
                go::quote(&location)
            );
            return Err(fail(url.to_string(), TransportError::Other(why)));
        };
        if !keeps_authorization(&url, &next) {
            headers.remove(AUTHORIZATION);
        }
        if let Ok(referer) = HeaderValue::from_str(&url.to_string()) {
            headers.insert(REFERER, referer);
        }
        url = next;
    }
    Err(fail(url.to_string(), TransportError::TooManyRedirects))
}
