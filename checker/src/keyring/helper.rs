//! A user's docker configuration, asked in docker's own order.
//!
//! Docker looks under one key: the registry as written, or `https://index.docker.io/v1/` for Docker Hub. The helper
//! of that key in `credHelpers` answers alone, else the one of `credsStore`, else the file itself. A helper is
//! `docker-credential-NAME get`: the key goes to its standard input, JSON comes out, and the user `<token>` means
//! that the secret is an identity token.

use std::time::Duration;

use serde_json::Value;

use super::asked::{Asked, failure};
use super::config::{self, ConfigError, Entry};
use super::{Candidate, Credential, PassedOver, Secret};
use crate::evidence::{CredentialSource, KeyringMiss};
use crate::reference::Reference;
use crate::wire::Excerpt;
use crate::world::{Call, Programs};

/// The key of Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";
/// The user that stands for an identity token.
const TOKEN_USER: &str = "<token>";
/// Helpers may ask a keychain that asks its user.
const DEADLINE: Duration = Duration::from_secs(30);

/// A docker configuration, read and not asked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerConfig {
    path: Box<str>,
    config: config::DockerConfig,
}

impl DockerConfig {
    /// Reads the text of a `config.json`; `path` is its name in answers.
    pub fn parse(path: &str, body: &[u8]) -> Result<Self, ConfigError> {
        let config = config::user_config(body)?;
        Ok(Self {
            path: path.into(),
            config,
        })
    }

    /// The credential that docker would use for an image, and why not the others. Runs one helper at most.
    pub async fn ask(&self, programs: &dyn Programs, image: &Reference) -> Asked {
        let registry = image.registry().to_string();
        let key = if registry == "docker.io" {
            HUB
        } else {
            &registry
        };
        let mut asked = Asked::default();
        match self.helper(key) {
            Some(helper) => {
                self.passed_over_for(helper, key, &mut asked);
                self.ask_helper(programs, helper, key, &mut asked).await;
            }
            None => self.look(key, &mut asked),
        }
        asked
    }

    /// The helper that is responsible for a key.
    fn helper(&self, key: &str) -> Option<&str> {
        let own = self.config.helpers.iter().find(|(host, _)| host == key);
        own.map(|(_, helper)| helper.as_str())
            .filter(|helper| !helper.is_empty())
            .or(self.config.store.as_deref())
    }

    fn source(&self) -> CredentialSource {
        CredentialSource::DockerConfig {
            path: self.path.clone(),
        }
    }

    /// What stands in the file for the same registry, and is not read.
    fn passed_over_for(&self, helper: &str, key: &str, asked: &mut Asked) {
        let fits = |entry: &&Entry| entry.key == key || hostname(&entry.key) == key;
        for entry in self.config.entries.iter().filter(fits) {
            if !entry.credential.is_anonymous() {
                asked.passed_over.push(PassedOver {
                    source: self.source(),
                    key: Excerpt::new(&entry.key),
                    why: KeyringMiss::HelperInstead {
                        helper: Excerpt::new(helper),
                    },
                });
            }
        }
    }

    fn look(&self, key: &str, asked: &mut Asked) {
        let exact = self.config.entries.iter().find(|entry| entry.key == key);
        let found = exact.or_else(|| {
            let mut entries = self.config.entries.iter();
            entries.find(|entry| hostname(&entry.key) == key)
        });
        for entry in &self.config.entries {
            if found.is_some_and(|found| found.key == entry.key) {
                if !entry.credential.is_anonymous() {
                    asked.order.push(Candidate {
                        source: self.source(),
                        key: entry.key.as_str().into(),
                        credential: entry.credential.clone(),
                    });
                }
                continue;
            }
            let hub = key == HUB && is_hub(hostname(&entry.key));
            asked.passed_over.push(PassedOver {
                source: self.source(),
                key: Excerpt::new(&entry.key),
                why: if hub {
                    KeyringMiss::OtherKey {
                        wanted: Excerpt::new(HUB),
                    }
                } else {
                    miss(&entry.key, key)
                },
            });
        }
    }

    async fn ask_helper(
        &self,
        programs: &dyn Programs,
        helper: &str,
        key: &str,
        asked: &mut Asked,
    ) {
        let outcome = run(programs, helper, key).await;
        let name = Excerpt::new(helper);
        let why = match outcome {
            Ok(Some(credential)) => {
                asked.order.push(Candidate {
                    source: CredentialSource::Helper {
                        name: name.as_str().into(),
                        path: self.path.clone(),
                    },
                    key: key.into(),
                    credential,
                });
                return;
            }
            Ok(None) => KeyringMiss::HelperEmpty { helper: name },
            Err(text) => KeyringMiss::HelperFailed { helper: name, text },
        };
        asked.passed_over.push(PassedOver {
            source: self.source(),
            key: Excerpt::new(key),
            why,
        });
    }
}

/// What a helper gives for a key; `None` if it knows nothing of it.
async fn run(
    programs: &dyn Programs,
    helper: &str,
    key: &str,
) -> Result<Option<Credential>, Excerpt> {
    // The name becomes part of a program's: no path may come in that way.
    let plain = |found: char| found.is_ascii_alphanumeric() || "-_.+".contains(found);
    if helper.is_empty() || helper.len() > 128 || !helper.chars().all(plain) {
        return Err(Excerpt::new("its name is not the name of a program"));
    }
    let call = Call {
        program: format!("docker-credential-{helper}").into(),
        arguments: vec!["get".into()],
        environment: Vec::new(),
        input: key.into(),
        deadline: DEADLINE,
    };
    let outcome = programs.run(&call).await;
    match &outcome {
        Ok(ran) if ran.code == Some(0) => read(&ran.output).map(Some),
        // Helpers say so on standard output, in these words.
        Ok(ran) if is_not_found(&ran.output) => Ok(None),
        _ => Err(failure(&outcome)),
    }
}

fn is_not_found(output: &Secret) -> bool {
    output
        .expose()
        .to_ascii_lowercase()
        .contains("credentials not found in native keychain")
}

fn read(output: &Secret) -> Result<Credential, Excerpt> {
    let value: Value = serde_json::from_str(output.expose())
        .map_err(|_| Excerpt::new("its answer is not JSON"))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (user, secret) = (text("Username"), text("Secret"));
    if user.is_empty() || secret.is_empty() {
        return Err(Excerpt::new(
            "its answer holds no `Username` or no `Secret`",
        ));
    }
    if user == TOKEN_USER {
        return Ok(Credential {
            username: "".into(),
            password: "".into(),
            identity_token: Some(Secret::new(secret)),
        });
    }
    Ok(Credential::basic(user, secret))
}

/// A key as docker compares it where none is equal: without scheme and path.
fn hostname(key: &str) -> &str {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    rest.split('/').next().unwrap_or_default()
}

fn is_hub(host: &str) -> bool {
    matches!(
        host,
        "docker.io" | "index.docker.io" | "registry-1.docker.io"
    )
}

fn miss(written: &str, key: &str) -> KeyringMiss {
    let name = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    let host = hostname(written);
    if name(host) == name(key) && host != key {
        KeyringMiss::Port
    } else {
        KeyringMiss::Host
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::BoxFuture;

    use super::*;
    use crate::world::{NoPrograms, Ran, RunError};

    /// Helpers that answer by a function, and keep what they were asked.
    struct Helpers<F>(F, Mutex<Vec<String>>);

    impl<F: Fn(&str, &str) -> Result<Ran, RunError> + Send + Sync> Programs for Helpers<F> {
        fn run<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Ran, RunError>> {
            let program = call.program.display().to_string();
            let line = format!(
                "{program} {} <{}",
                call.arguments.join(" "),
                call.input.expose()
            );
            self.1.lock().unwrap().push(line);
            let outcome = (self.0)(&program, call.input.expose());
            Box::pin(async move { outcome })
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the other outcomes of a run are errors"
    )]
    fn says(code: i32, output: &str, errors: &str) -> Result<Ran, RunError> {
        Ok(Ran {
            code: Some(code),
            output: output.into(),
            errors: errors.into(),
        })
    }

    async fn ask(
        body: &str,
        image: &str,
        answer: impl Fn(&str, &str) -> Result<Ran, RunError> + Send + Sync,
    ) -> (Asked, Vec<String>) {
        let helpers = Helpers(answer, Mutex::default());
        let config = DockerConfig::parse("config.json", body.as_bytes()).unwrap();
        let asked = config.ask(&helpers, &image.parse().unwrap()).await;
        let lines = helpers.1.lock().unwrap().clone();
        (asked, lines)
    }

    const BOTH: &str = r#"{"auths":{"r.io":{"auth":"ZmlsZTpwdw=="}},
        "credHelpers":{"ecr.io":"ecr-login"},"credsStore":"desktop"}"#;

    #[tokio::test]
    async fn the_helper_of_a_registry_goes_before_the_store_and_the_file() {
        let answer = |program: &str, _: &str| {
            says(
                0,
                &format!(r#"{{"Username":"{program}","Secret":"s"}}"#),
                "",
            )
        };
        let (asked, lines) = ask(BOTH, "ecr.io/a", answer).await;
        assert_eq!(lines, ["docker-credential-ecr-login get <ecr.io"]);
        assert_eq!(
            &*asked.order[0].credential.username,
            "docker-credential-ecr-login"
        );
        assert_eq!(
            asked.order[0].identity().to_string(),
            "the helper ecr-login of config.json (key ecr.io)"
        );
        let (asked, lines) = ask(BOTH, "r.io/a", answer).await;
        assert_eq!(lines, ["docker-credential-desktop get <r.io"]);
        assert_eq!(
            asked.passed_over[0].why.to_string(),
            "the helper desktop is asked in its place"
        );
        let (_, lines) = ask(BOTH, "nginx", answer).await;
        assert_eq!(
            lines,
            ["docker-credential-desktop get <https://index.docker.io/v1/"]
        );
    }

    #[tokio::test]
    async fn a_token_user_means_an_identity_token() {
        let answer = |_: &str, _: &str| says(0, r#"{"Username":"<token>","Secret":"idt"}"#, "");
        let (asked, _) = ask(BOTH, "ecr.io/a", answer).await;
        let credential = &asked.order[0].credential;
        assert!(credential.password.is_empty() && credential.username.is_empty());
        assert_eq!(credential.identity_token.as_ref().unwrap().expose(), "idt");
    }

    #[tokio::test]
    async fn helpers_that_give_nothing() {
        let table: [(Result<Ran, RunError>, &str); 7] = [
            (
                says(1, "credentials not found in native keychain\n", ""),
                "the helper ecr-login knows no credential for it",
            ),
            (
                says(1, "", "password=hunter2 refused\n"),
                "the helper ecr-login failed: exit code 1: password=[hidden] refused",
            ),
            (
                says(0, "hunter2", ""),
                "the helper ecr-login failed: its answer is not JSON",
            ),
            (
                says(0, r#"{"Username":"u"}"#, ""),
                "the helper ecr-login failed: its answer holds no `Username` or no `Secret`",
            ),
            (
                Err(RunError::NotFound),
                "the helper ecr-login failed: there is no such program",
            ),
            (
                Err(RunError::TimedOut { deadline: DEADLINE }),
                "the helper ecr-login failed: it did not end within 30 s",
            ),
            (
                Err(RunError::TooMuch),
                "the helper ecr-login failed: it printed more than 1 MiB",
            ),
        ];
        for (outcome, want) in table {
            let (asked, _) = ask(BOTH, "ecr.io/a", move |_, _| outcome.clone()).await;
            assert!(asked.order.is_empty());
            assert_eq!(asked.passed_over[0].why.to_string(), want);
            let text = format!("{asked:?}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let path = r#"{"credsStore":"../../tmp/x"}"#;
        let (asked, lines) = ask(path, "r.io/a", |_, _| says(0, "", "")).await;
        assert!(lines.is_empty());
        assert!(matches!(
            asked.passed_over[0].why,
            KeyringMiss::HelperFailed { .. }
        ));
    }

    #[tokio::test]
    async fn the_file_where_no_helper_is_named() {
        let auth = r#"{"auth":"ZmlsZTpwdw=="}"#;
        let table = [
            ("r.io:5000", "r.io:5000/a", true),
            ("https://r.io/v1/", "r.io/a", true),
            ("r.io:443", "r.io/a", false),
            ("s.io", "r.io/a", false),
            ("https://index.docker.io/v1/", "nginx", true),
            ("docker.io", "nginx", false),
        ];
        for (key, image, fits) in table {
            let body = format!(r#"{{"auths":{{"{key}":{auth}}}}}"#);
            let config = DockerConfig::parse("c", body.as_bytes()).unwrap();
            let asked = config.ask(&NoPrograms, &image.parse().unwrap()).await;
            assert_eq!(
                asked.order.len(),
                usize::from(fits),
                "for {key} and {image}"
            );
            assert_eq!(asked.passed_over.len(), usize::from(!fits), "for {key}");
        }
    }
}
