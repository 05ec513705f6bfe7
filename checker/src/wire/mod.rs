//! The distribution API as a client meets it, and the HTTP, TLS and connections below it.
//!
//! Text and bytes from servers come in, typed values go out, each bounded. Everything runs above the two
//! functions of [`crate::world::Net`]. Nothing here knows what a pull is.

pub mod challenge;
pub(crate) mod claims;
pub(crate) mod connector;
mod excerpt;
pub(crate) mod http;
pub mod manifest;
mod middlebox;
pub(crate) mod page;
pub(crate) mod refusal;
mod shown;
pub(crate) mod store;
pub(crate) mod tls;
pub(crate) mod tunnel;
mod url;
mod watched;
mod x509;

pub(crate) use excerpt::web_tokens;
pub use excerpt::{Excerpt, MAX_EXCERPT};
pub(crate) use tls::Verify;
pub use url::{Url, UrlScheme, encode_query};
