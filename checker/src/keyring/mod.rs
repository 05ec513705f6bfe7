//! Credentials: which ones a kubelet would try for an image, in which order, and why not the others.
//!
//! Pull secrets and docker configurations come in, a [`Lookup`] goes out. The rules are those of the
//! kubelet (`pkg/credentialprovider`), since a pull secret that looks right and is not used is a frequent cause.
//! Nothing here prints a value. Helpers and providers run through [`crate::world::Programs`], before a lookup.

mod asked;
mod config;
mod exec;
mod helper;
mod matching;
mod provider;
pub mod read;
mod secret;

use std::fmt;

use crate::evidence::{CredentialSource, Identity, KeyringMiss};
use crate::reference::Reference;
use crate::wire::Excerpt;

pub use asked::Asked;
pub use config::ConfigError;
use config::Entry;
pub use exec::Providers;
pub use helper::DockerConfig;
use matching::{HUB_KEY, Key, is_hub};
pub use provider::ProviderError;
pub use secret::Secret;

/// User and password, or an identity token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user; empty for an identity token.
    pub username: Box<str>,
    /// The password.
    pub password: Secret,
    /// A refresh token that stands for the user. Only docker clients have it; a kubelet does not read it.
    pub identity_token: Option<Secret>,
}

impl Credential {
    /// User and password.
    pub fn basic(username: &str, password: impl Into<Secret>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
            identity_token: None,
        }
    }

    /// True if there is nothing to sign in with: the attempt is anonymous.
    pub fn is_anonymous(&self) -> bool {
        self.username.is_empty() && self.password.is_empty() && self.identity_token.is_none()
    }
}

impl fmt::Debug for Credential {
    /// The user is not shown either: some registries put keys there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// A credential that would be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it comes from.
    pub source: CredentialSource,
    /// The key under which it stands, as written.
    pub key: Box<str>,
    /// The credential.
    pub credential: Credential,
}

impl Candidate {
    /// As whom a pull with it is made.
    pub fn identity(&self) -> Identity {
        if self.credential.is_anonymous() {
            return Identity::Anonymous;
        }
        Identity::Credential {
            source: self.source.clone(),
            key: Excerpt::new(&self.key).as_str().into(),
        }
    }
}

/// A credential that would not be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Where it is.
    pub source: CredentialSource,
    /// The key under which it stands, or nothing if there is none.
    pub key: Excerpt,
    /// Why it is not used.
    pub why: KeyringMiss,
}

/// What the keyring holds for one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// Every credential that is tried, in order, until one works; none means one anonymous attempt.
    pub order: Vec<Candidate>,
    /// Every other one.
    pub passed_over: Vec<PassedOver>,
    /// True if a pull secret is malformed: the kubelet then pulls nothing at all.
    pub malformed: bool,
}

/// All credentials that a pull could use.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    secrets: Index,
    given: Vec<Candidate>,
    asked: Asked,
    broken: Vec<PassedOver>,
    malformed: bool,
}

/// Keys with their credentials in the order in which they were added.
#[derive(Clone, Debug, Default)]
struct Index(Vec<Keyed>);

#[derive(Clone, Debug)]
struct Keyed {
    key: Key,
    candidate: Candidate,
    not_read: Option<&'static str>,
}

impl Keyring {
    /// A keyring without credentials.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if nothing was added, not even something broken.
    pub fn is_empty(&self) -> bool {
        self.secrets.0.is_empty()
            && self.given.is_empty()
            && self.asked == Asked::default()
            && self.broken.is_empty()
    }

    /// Adds an image pull secret of the pod, in the order of the pod. `kind` is its type, `body` what stands under
    /// the key that belongs to this type.
    pub fn add_pull_secret(
        &mut self,
        namespace: &str,
        name: &str,
        kind: &str,
        body: Option<&[u8]>,
    ) {
        let source = CredentialSource::PullSecret {
            namespace: namespace.into(),
            name: name.into(),
        };
        let read = match (kind, body) {
            ("kubernetes.io/dockerconfigjson", Some(body)) if !body.is_empty() => {
                config::docker_config_json(body)
            }
            ("kubernetes.io/dockercfg", Some(body)) if !body.is_empty() => {
                config::dockercfg(body).map(|entries| (entries, Vec::new()))
            }
            _ => {
                self.pass_over(
                    source,
                    "",
                    KeyringMiss::WrongType {
                        kind: Excerpt::new(kind),
                    },
                );
                return;
            }
        };
        match read {
            Ok((entries, ignored)) => {
                if let Some(form) = config::other_form(kind, &entries, body.unwrap_or_default()) {
                    let form = Excerpt::new(form);
                    self.pass_over(source.clone(), "", KeyringMiss::OtherForm { form });
                }
                for field in ignored {
                    self.pass_over(
                        source.clone(),
                        "",
                        KeyringMiss::NotRead {
                            field: Excerpt::new(field),
                        },
                    );
                }
                let unusable = self.secrets.add(&source, entries);
                self.broken.extend(unusable);
            }
            Err(error) => {
                self.malformed = true;
                self.pass_over(
                    source,
                    "",
                    KeyringMiss::Malformed {
                        text: Excerpt::new(&error.to_string()),
                    },
                );
            }
        }
    }

    /// Adds what helpers and providers answered for the image that is looked up.
    pub fn add_asked(&mut self, asked: Asked) {
        self.asked.append(asked);
    }

    /// Adds a credential for one registry that the caller has from elsewhere.
    pub fn add_given(&mut self, registry: &str, credential: Credential) {
        let candidate = Candidate {
            source: CredentialSource::Given,
            key: registry.into(),
            credential,
        };
        self.given.push(candidate);
    }

    /// Which credentials a pull of `image` tries, in order, and why not the others.
    pub fn lookup(&self, image: &Reference) -> Lookup {
        let name = image.name();
        let mut lookup = Lookup {
            malformed: self.malformed,
            passed_over: self.broken.clone(),
            ..Lookup::default()
        };
        self.secrets.lookup(&name, &mut lookup);
        let host = image.registry().to_string();
        for candidate in &self.given {
            if same_host(&candidate.key, &host) {
                lookup.order.push(candidate.clone());
            } else {
                lookup.passed_over.push(PassedOver {
                    source: candidate.source.clone(),
                    key: Excerpt::new(&candidate.key),
                    why: KeyringMiss::Host,
                });
            }
        }
        lookup.order.extend(self.asked.order.iter().cloned());
        lookup
            .passed_over
            .extend(self.asked.passed_over.iter().cloned());
        lookup
    }

    fn pass_over(&mut self, source: CredentialSource, key: &str, why: KeyringMiss) {
        self.broken.push(PassedOver {
            source,
            key: Excerpt::new(key),
            why,
        });
    }
}

impl Index {
    /// Adds entries; gives back those whose key is no URL, which the kubelet ignores.
    fn add(&mut self, source: &CredentialSource, entries: Vec<Entry>) -> Vec<PassedOver> {
        let mut unusable = Vec::new();
        for Entry {
            key: written,
            mut credential,
            not_read,
        } in entries
        {
            // The kubelet knows no identity tokens.
            credential.identity_token = None;
            match Key::new(&written) {
                Some(key) => {
                    let candidate = Candidate {
                        source: source.clone(),
                        key: written.into(),
                        credential,
                    };
                    self.0.push(Keyed {
                        key,
                        candidate,
                        not_read,
                    });
                }
                None => unusable.push(PassedOver {
                    source: source.clone(),
                    key: Excerpt::new(&written),
                    why: KeyringMiss::BadPattern,
                }),
            }
        }
        // Descending by key; what stands under the same key keeps the order in which it was added.
        self.0.sort_by(|a, b| b.key.cmp(&a.key));
        unusable
    }

    fn lookup(&self, name: &str, lookup: &mut Lookup) {
        let fits: Vec<Result<(), KeyringMiss>> =
            self.0.iter().map(|keyed| keyed.key.fits(name)).collect();
        let by_default = fits.iter().all(Result::is_err) && is_hub(name);
        for (keyed, fits) in self.0.iter().zip(fits) {
            let fits = if by_default && keyed.key.as_str() == HUB_KEY {
                Ok(())
            } else {
                fits
            };
            let why = match fits {
                Ok(()) => {
                    lookup.order.push(keyed.candidate.clone());
                    // It is tried all the same, as nobody; the field is why it is of no use.
                    let Some(field) = keyed
                        .not_read
                        .filter(|_| keyed.candidate.credential.password.is_empty())
                    else {
                        continue;
                    };
                    KeyringMiss::NotRead {
                        field: Excerpt::new(field),
                    }
                }
                Err(why) => why,
            };
            lookup.passed_over.push(PassedOver {
                source: keyed.candidate.source.clone(),
                key: Excerpt::new(&keyed.candidate.key),
                why,
            });
        }
    }
}

/// The docker client compares host names, whatever scheme and path the key has.
fn same_host(key: &str, host: &str) -> bool {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let key = key.split('/').next().unwrap_or_default();
    key == host
        || (host == "docker.io" && matches!(key, "index.docker.io" | "registry-1.docker.io"))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const JSON: &str = "kubernetes.io/dockerconfigjson";

    fn secret(entries: &[(&str, &str)]) -> Vec<u8> {
        let entries: Vec<String> = entries
            .iter()
            .map(|(key, user)| {
                format!(
                    r#""{key}":{{"auth":"{}"}}"#,
                    STANDARD.encode(format!("{user}:pw"))
                )
            })
            .collect();
        format!(r#"{{"auths":{{{}}}}}"#, entries.join(",")).into_bytes()
    }

    fn users(keyring: &Keyring, image: &str) -> Vec<String> {
        let lookup = keyring.lookup(&image.parse().unwrap());
        lookup
            .order
            .iter()
            .map(|candidate| candidate.credential.username.to_string())
            .collect()
    }

    #[test]
    fn the_index_decides_the_order_not_the_list() {
        let mut keyring = Keyring::new();
        keyring.add_pull_secret(
            "ns",
            "first",
            JSON,
            Some(&secret(&[("*.io", "wild"), ("r.io", "host")])),
        );
        keyring.add_pull_secret(
            "ns",
            "second",
            JSON,
            Some(&secret(&[("r.io/team", "path"), ("https://r.io", "again")])),
        );
        assert_eq!(
            users(&keyring, "r.io/team/web:1"),
            ["path", "host", "again", "wild"]
        );
        assert_eq!(users(&keyring, "r.io/other"), ["host", "again", "wild"]);
    }

    #[test]
    fn docker_hub_has_a_key_of_last_resort() {
        let mut keyring = Keyring::new();
        keyring.add_pull_secret(
            "ns",
            "s",
            JSON,
            Some(&secret(&[("https://index.docker.io/v1/", "hub")])),
        );
        assert_eq!(users(&keyring, "nginx"), ["hub"]);
        keyring.add_pull_secret("ns", "t", JSON, Some(&secret(&[("docker.io", "plain")])));
        assert_eq!(users(&keyring, "nginx"), ["plain"]);
        assert_eq!(users(&keyring, "r.io/x"), Vec::<String>::new());
    }

    #[test]
    fn a_reason_is_given_for_every_other_one() {
        let mut keyring = Keyring::new();
        keyring.add_pull_secret("ns", "port", JSON, Some(&secret(&[("r.io:443", "u")])));
        keyring.add_pull_secret("ns", "opaque", "Opaque", Some(b"{}"));
        keyring.add_pull_secret("ns", "empty", JSON, None);
        keyring.add_pull_secret(
            "ns",
            "token",
            JSON,
            Some(br#"{"auths":{"r.io":{"identitytoken":"t"}},"credsStore":"d"}"#),
        );
        let lookup = keyring.lookup(&"r.io/x".parse().unwrap());
        let reasons: Vec<KeyringMiss> =
            lookup.passed_over.iter().map(|it| it.why.clone()).collect();
        assert_eq!(
            reasons,
            [
                KeyringMiss::WrongType {
                    kind: Excerpt::new("Opaque")
                },
                KeyringMiss::WrongType {
                    kind: Excerpt::new(JSON)
                },
                KeyringMiss::NotRead {
                    field: Excerpt::new("credsStore")
                },
                KeyringMiss::Port,
                KeyringMiss::NotRead {
                    field: Excerpt::new("identitytoken")
                },
            ]
        );
        assert_eq!(lookup.order.len(), 1);
        assert_eq!(lookup.order[0].identity(), Identity::Anonymous);
        assert!(!lookup.malformed);
    }

    #[test]
    fn one_malformed_secret_spoils_the_pull() {
        let mut keyring = Keyring::new();
        keyring.add_pull_secret("ns", "good", JSON, Some(&secret(&[("r.io", "u")])));
        keyring.add_pull_secret(
            "ns",
            "bad",
            JSON,
            Some(br#"{"auths":{"x.io":{"auth":"%"}}}"#),
        );
        assert!(keyring.lookup(&"r.io/x".parse().unwrap()).malformed);
    }

    #[test]
    fn nothing_prints_a_value() {
        let mut keyring = Keyring::new();
        keyring.add_pull_secret("ns", "s", JSON, Some(&secret(&[("r.io", "someone")])));
        let lookup = keyring.lookup(&"r.io/x".parse().unwrap());
        let text = format!("{keyring:?} {lookup:?}");
        assert!(!text.contains("pw\"") && !text.contains("someone"));
    }

    proptest::proptest! {
        /// The order of a whole lookup, by a second reading of the rule: every key that fits, descending.
        #[test]
        fn the_order_is_that_of_a_naive_keyring(
            keys in proptest::collection::btree_set("([ab*]\\.){0,1}[ab*]{1,2}(:5)?(/[ab]{1,2}){0,1}", 1..6),
            image in "([ab]\\.){1,1}[ab]{1,2}(:5)?/[ab]{1,2}",
        ) {
            let entries: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), key.as_str())).collect();
            let mut keyring = Keyring::new();
            keyring.add_pull_secret("ns", "s", JSON, Some(&secret(&entries)));
            let Ok(image) = image.parse::<Reference>() else {
                return Ok(());
            };
            let mut wanted: Vec<&String> = keys
                .iter()
                .filter(|key| matching::naive::fits(key, &image.name()))
                .collect();
            wanted.sort();
            wanted.reverse();
            let got: Vec<String> = keyring
                .lookup(&image)
                .order
                .iter()
                .map(|candidate| candidate.key.to_string())
                .collect();
            proptest::prop_assert_eq!(got.iter().collect::<Vec<_>>(), wanted);
        }
    }
}
