//! What a node is asked, as the arguments of the program there.
//!
//! One codec for both sides: [`Order::arguments`] writes what [`Order::parse`] reads. An order names images, hosts
//! and files, never a credential, since whoever may read pods may read it.

use std::fmt;

use super::load::{LoadOrder, word};
use crate::probe::{Depth, Habits, NodeIdentity};
use crate::reference::Reference;

/// Where pull secrets stand in the container, a folder each.
pub const SECRETS: &str = "/run/pullcheck/secrets";
/// No order asks for more images.
const MAX_IMAGES: usize = 100;

/// What a node is asked.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Order {
    /// The images.
    pub images: Vec<ImageOrder>,
    /// Speak plain HTTP with their registries.
    pub plain_http: bool,
    /// Whose habits; those of the runtime that the node has unless told.
    pub habits: Option<Habits>,
    /// How far to go; to every layer unless told.
    pub depth: Option<Depth>,
    /// What `User-Agent` says.
    pub user_agent: Option<Box<str>>,
    /// Pull secrets that were put into the container: namespace and name.
    pub secrets: Vec<(String, String)>,
    /// The kubelet's configuration of credential providers and the folder of their programs, in the container.
    pub providers: Option<(String, String)>,
    /// Load instead of one question.
    pub load: Option<LoadOrder>,
}

/// One image of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageOrder {
    /// The image.
    pub reference: Reference,
    /// No further than to `/v2/`: what comes after would be refused to somebody without the pod's credentials,
    /// and would say nothing of the pod.
    pub shallow: bool,
    /// Whether the node signs in as itself.
    pub identity: NodeIdentity,
}

impl ImageOrder {
    /// Asks as far as the order goes, as nobody.
    pub const fn new(reference: Reference) -> Self {
        Self {
            reference,
            shallow: false,
            identity: NodeIdentity::Unused,
        }
    }
}

/// Why arguments are no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A word that no order has.
    #[error("`{0}` is no part of an order")]
    Unknown(String),
    /// A word without what belongs to it.
    #[error("`{0}` needs a value")]
    NoValue(String),
    /// A value that does not fit.
    #[error("`{value}` is no value of `{name}`")]
    Value {
        /// The word.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// Nothing is asked for.
    #[error("no image is named")]
    Empty,
    /// More than is ever asked for.
    #[error("more than {MAX_IMAGES} images")]
    TooMany,
}

impl Order {
    /// The order as arguments.
    pub fn arguments(&self) -> Vec<String> {
        let mut out = Arguments::default();
        if self.plain_http {
            out.word("--plain-http");
        }
        if let Some(habits) = self.habits {
            out.pair("--as", habits_word(habits));
        }
        if let Some(depth) = self.depth {
            out.pair("--depth", depth_word(depth));
        }
        if let Some(agent) = &self.user_agent {
            out.pair("--user-agent", agent);
        }
        for (namespace, name) in &self.secrets {
            out.pair("--pull-secret", format_args!("{namespace}/{name}"));
        }
        if let Some((config, programs)) = &self.providers {
            out.pair("--credential-provider-config", config);
            out.pair("--credential-provider-bin-dir", programs);
        }
        for image in &self.images {
            match &image.identity {
                NodeIdentity::Unused => {}
                NodeIdentity::Default => out.pair("--identity", "default"),
                NodeIdentity::ClientId(id) => out.pair("--identity", id),
            }
            let name = if image.shallow { "--reach" } else { "--image" };
            out.pair(name, image.reference.written());
        }
        if let Some(load) = &self.load {
            out.pair("--load", word(load));
        }
        out.0
    }

    /// Reads what [`Self::arguments`] wrote.
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<Self, OrderError> {
        let mut order = Self::default();
        let mut identity = NodeIdentity::Unused;
        let mut config = None;
        let mut words = arguments.iter().map(AsRef::as_ref);
        while let Some(name) = words.next() {
            if name == "--plain-http" {
                order.plain_http = true;
                continue;
            }
            let known = NAMES.iter().copied().find(|known| *known == name);
            let known = known.ok_or_else(|| OrderError::Unknown(name.to_owned()))?;
            let value = words
                .next()
                .ok_or_else(|| OrderError::NoValue(name.to_owned()))?;
            let wrong = || OrderError::Value {
                name: known,
                value: value.to_owned(),
            };
            match known {
                "--as" => order.habits = Some(habits_of(value).ok_or_else(wrong)?),
                "--depth" => order.depth = Some(depth_of(value).ok_or_else(wrong)?),
                "--user-agent" => order.user_agent = Some(value.into()),
                "--pull-secret" => {
                    let (namespace, name) = value.split_once('/').ok_or_else(wrong)?;
                    if !is_name(namespace) || !is_name(name) {
                        return Err(wrong());
                    }
                    order.secrets.push((namespace.to_owned(), name.to_owned()));
                }
                "--credential-provider-config" => config = Some(value.to_owned()),
                "--credential-provider-bin-dir" => {
                    let config = config.take().ok_or_else(wrong)?;
                    order.providers = Some((config, value.to_owned()));
                }
                "--identity" if value == "default" => identity = NodeIdentity::Default,
                "--identity" => identity = NodeIdentity::ClientId(value.into()),
                "--load" => order.load = Some(super::load::parse(value).ok_or_else(wrong)?),
                _ => {
                    if order.images.len() == MAX_IMAGES {
                        return Err(OrderError::TooMany);
                    }
                    order.images.push(ImageOrder {
                        reference: Reference::parse(value).map_err(|_| wrong())?,
                        shallow: known == "--reach",
                        identity: std::mem::replace(&mut identity, NodeIdentity::Unused),
                    });
                }
            }
        }
        if order.images.is_empty() {
            return Err(OrderError::Empty);
        }
        Ok(order)
    }
}

const NAMES: [&str; 10] = [
    "--as",
    "--depth",
    "--user-agent",
    "--pull-secret",
    "--credential-provider-config",
    "--credential-provider-bin-dir",
    "--identity",
    "--image",
    "--reach",
    "--load",
];

#[derive(Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn word(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    fn pair(&mut self, name: &str, value: impl fmt::Display) {
        self.word(name);
        self.0.push(value.to_string());
    }
}

/// Whether a text can name an object of Kubernetes, and so a folder below [`SECRETS`].
pub(crate) fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| letter(byte) || matches!(byte, b'-' | b'.'))
        && text.bytes().next().is_some_and(letter)
        && text.bytes().last().is_some_and(letter)
}

const fn habits_word(habits: Habits) -> &'static str {
    match habits {
        Habits::Containerd => "containerd",
        Habits::Docker => "docker",
        Habits::CriO => "cri-o",
    }
}

fn habits_of(word: &str) -> Option<Habits> {
    let all = [Habits::Containerd, Habits::Docker, Habits::CriO];
    all.into_iter().find(|one| habits_word(*one) == word)
}

const fn depth_word(depth: Depth) -> &'static str {
    match depth {
        Depth::Ping => "ping",
        Depth::Manifest => "manifest",
        Depth::Blobs => "blobs",
        Depth::Full => "full",
    }
}

fn depth_of(word: &str) -> Option<Depth> {
    let all = [Depth::Ping, Depth::Manifest, Depth::Blobs, Depth::Full];
    all.into_iter().find(|one| depth_word(*one) == word)
}
