//! The kubelet's credential providers, run as the kubelet runs them.
//!
//! Every provider whose `matchImages` fit is run with the image on its standard input (`CredentialProviderRequest`),
//! one minute at most. What it answers becomes keys of one keyring, matched as pull secrets are. An answer is kept
//! for as long and for as much as it says; a failure is not, and the pull goes on without its credential.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::asked::{Asked, failure};
use super::config::Entry;
use super::provider::{self, Provider, ProviderError, go_duration};
use super::{Credential, Index, Lookup, PassedOver, Secret};
use crate::evidence::{CredentialSource, KeyringMiss};
use crate::reference::Reference;
use crate::wire::Excerpt;
use crate::world::{Call, Programs, Ran, RunError};

/// What the kubelet waits for a provider.
const DEADLINE: Duration = Duration::from_mins(1);
const MAX_ENTRIES: usize = 1024;
/// How many answers are kept.
const MAX_KEPT: usize = 256;

/// The credential providers of a kubelet.
#[derive(Debug)]
pub struct Providers {
    folder: PathBuf,
    all: Vec<Provider>,
    kept: Mutex<Vec<Kept>>,
}

/// An answer that may be used again.
#[derive(Debug)]
struct Kept {
    provider: String,
    scope: String,
    until: Instant,
    entries: Vec<Entry>,
}

/// What an answer says beside its credentials.
struct Told {
    entries: Vec<Entry>,
    scope: String,
    lasts: Duration,
}

impl Providers {
    /// Reads configurations, merged in their order, as the kubelet merges the files of a folder; the programs are
    /// in `folder`. A name that stands in two files is refused.
    pub fn parse<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        folder: &Path,
    ) -> Result<Self, ProviderError> {
        let mut providers: Vec<Provider> = Vec::new();
        for text in texts {
            for one in provider::read(text)? {
                if providers.iter().any(|other| other.name == one.name) {
                    return Err(ProviderError {
                        line: 0,
                        column: 0,
                        text: Excerpt::new(&format!("a second file has a provider `{}`", one.name)),
                    });
                }
                providers.push(one);
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            all: providers,
            kept: Mutex::default(),
        })
    }

    /// Asks every provider that is responsible for an image.
    pub async fn ask(&self, programs: &dyn Programs, image: &Reference) -> Asked {
        let name = image.name();
        let mut asked = Asked::default();
        let mut index = Index::default();
        for provider in &self.all {
            let source = CredentialSource::Plugin {
                name: Excerpt::new(&provider.name).as_str().into(),
            };
            let mut pass_over = |why| {
                asked.passed_over.push(PassedOver {
                    source: source.clone(),
                    key: Excerpt::new(&provider.match_images.join(", ")),
                    why,
                });
            };
            if !provider.serves(&name) {
                pass_over(KeyringMiss::NotForImage);
                continue;
            }
            if provider.needs_service_account {
                pass_over(KeyringMiss::NeedsServiceAccount);
                continue;
            }
            match self.entries(provider, programs, &name).await {
                Err(text) => pass_over(KeyringMiss::ProviderFailed { text }),
                Ok(entries) if entries.is_empty() => pass_over(KeyringMiss::ProviderEmpty),
                Ok(entries) => {
                    let unusable = index.add(&source, entries);
                    asked.passed_over.extend(unusable);
                }
            }
        }
        let mut lookup = Lookup::default();
        index.lookup(&name, &mut lookup);
        asked.order = lookup.order;
        asked.passed_over.extend(lookup.passed_over);
        asked
    }

    async fn entries(
        &self,
        provider: &Provider,
        programs: &dyn Programs,
        image: &str,
    ) -> Result<Vec<Entry>, Excerpt> {
        // Held while the program runs: two questions at once are one run, as in the kubelet.
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        kept.retain(|one| one.until > now);
        let scopes = [image, registry_of(image), ""];
        let known = kept
            .iter()
            .find(|one| one.provider == provider.name && scopes.contains(&one.scope.as_str()));
        if let Some(known) = known {
            return Ok(known.entries.clone());
        }
        let call = Call {
            program: self.folder.join(&provider.name),
            arguments: provider.arguments.clone(),
            environment: provider.environment.clone(),
            input: request(provider.protocol, image),
            deadline: DEADLINE,
        };
        let told = read(&programs.run(&call).await, provider, image)?;
        if !told.lasts.is_zero() && kept.len() < MAX_KEPT {
            kept.push(Kept {
                provider: provider.name.clone(),
                scope: told.scope,
                until: now + told.lasts.min(Duration::from_hours(24)),
                entries: told.entries.clone(),
            });
        }
        Ok(told.entries)
    }
}

fn request(protocol: &str, image: &str) -> Secret {
    let body = json!({
        "kind": "CredentialProviderRequest",
        "apiVersion": protocol,
        "image": image,
    });
    Secret::new(format!("{body}\n"))
}

/// What stands before the first slash.
fn registry_of(image: &str) -> &str {
    image.split('/').next().unwrap_or_default()
}

fn read(
    outcome: &Result<Ran, RunError>,
    provider: &Provider,
    image: &str,
) -> Result<Told, Excerpt> {
    let ran = match outcome {
        Ok(ran) if ran.code == Some(0) => ran,
        _ => return Err(failure(outcome)),
    };
    let wrong = |text: &str| Excerpt::new(text);
    let value: Value = serde_json::from_str(ran.output.expose()).map_err(|error| {
        // Where, and nothing of what stands there.
        wrong(&format!(
            "its answer is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    let Value::Object(answer) = value else {
        return Err(wrong("its answer is not an object"));
    };
    known_fields(
        &answer,
        &[
            "kind",
            "apiVersion",
            "cacheKeyType",
            "cacheDuration",
            "auth",
        ],
    )?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("kind") != "CredentialProviderResponse" {
        return Err(wrong(
            "the kind of its answer is not CredentialProviderResponse",
        ));
    }
    if text("apiVersion") != provider.protocol {
        return Err(wrong(&format!(
            "its answer has the version `{}`, asked was `{}`",
            text("apiVersion"),
            provider.protocol
        )));
    }
    let scope = match text("cacheKeyType") {
        "Image" => image,
        "Registry" => registry_of(image),
        "Global" => "",
        other => {
            return Err(wrong(&format!(
                "`cacheKeyType` of its answer is `{other}`, neither Image, Registry nor Global"
            )));
        }
    };
    let lasts = match answer.get("cacheDuration") {
        None | Some(Value::Null) => provider.cache,
        Some(value) => value
            .as_str()
            .and_then(go_duration)
            .ok_or_else(|| wrong("`cacheDuration` of its answer is no duration"))?,
    };
    let entries = match answer.get("auth") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(auth)) if auth.len() <= MAX_ENTRIES => auth
            .iter()
            .map(|(key, value)| entry(key, value))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong("`auth` of its answer is no map of credentials")),
    };
    Ok(Told {
        entries,
        scope: scope.to_owned(),
        lasts,
    })
}

fn entry(key: &str, value: &Value) -> Result<Entry, Excerpt> {
    let Value::Object(fields) = value else {
        return Err(Excerpt::new("an entry of `auth` is not an object"));
    };
    known_fields(fields, &["username", "password"])?;
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(Excerpt::new(&format!("`{name}` in `auth` is not a text"))),
    };
    Ok(Entry {
        key: key.to_owned(),
        credential: Credential::basic(text("username")?, text("password")?),
        not_read: None,
    })
}

/// The kubelet reads answers strictly.
fn known_fields(object: &Map<String, Value>, known: &[&str]) -> Result<(), Excerpt> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        // Its name could be anything, a secret in the wrong place included.
        Some(name) if name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            Err(Excerpt::new(&format!(
                "its answer has an unknown field `{name}`"
            )))
        }
        Some(_) => Err(Excerpt::new("its answer has an unknown field")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use futures::future::BoxFuture;

    use super::*;

    struct Plugin {
        answers: StdMutex<Vec<Result<Ran, RunError>>>,
        calls: StdMutex<Vec<Call>>,
    }

    impl Plugin {
        /// Answers in order; the last one again and again.
        fn new(answers: Vec<Result<Ran, RunError>>) -> Self {
            Self {
                answers: StdMutex::new(answers),
                calls: StdMutex::default(),
            }
        }

        fn runs(&self) -> usize {
            self.calls.lock().unwrap().len()
        }
    }

    impl Programs for Plugin {
        fn run<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Ran, RunError>> {
            self.calls.lock().unwrap().push(call.clone());
            let mut answers = self.answers.lock().unwrap();
            let answer = if answers.len() > 1 {
                answers.remove(0)
            } else {
                answers[0].clone()
            };
            Box::pin(async move { answer })
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the other outcomes of a run are errors"
    )]
    fn says(output: impl Into<String>) -> Result<Ran, RunError> {
        Ok(Ran {
            code: Some(0),
            output: Secret::new(output.into()),
            errors: "".into(),
        })
    }

    fn answer(kind: &str, lasts: &str, auth: &str) -> String {
        format!(
            r#"{{"kind":"CredentialProviderResponse","apiVersion":"credentialprovider.kubelet.k8s.io/v1","cacheKeyType":"{kind}","cacheDuration":"{lasts}","auth":{auth}}}"#
        )
    }

    fn providers(patterns: &str) -> Providers {
        let text = format!(
            "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n- name: p\n  matchImages: {patterns}\n  defaultCacheDuration: 1m\n  apiVersion: credentialprovider.kubelet.k8s.io/v1\n  args: [a]\n  env: [{{name: N, value: v}}]\n"
        );
        Providers::parse([text.as_str()], Path::new("/bin/plugins")).unwrap()
    }

    async fn ask(providers: &Providers, plugin: &Plugin, image: &str) -> Asked {
        providers.ask(plugin, &image.parse().unwrap()).await
    }

    const ACR: &str = r#"{"a.azurecr.io":{"username":"00000000-0000-0000-0000-000000000000","password":"hunter2"},"*.azurecr.*":{"username":"","password":""}}"#;

    #[tokio::test(start_paused = true)]
    async fn the_protocol_as_the_kubelet_speaks_it() {
        let plugin = Plugin::new(vec![says(answer("Registry", "0s", ACR))]);
        let providers = providers("['*.azurecr.io']");
        let asked = ask(&providers, &plugin, "a.azurecr.io/team/web:v1").await;
        let call = plugin.calls.lock().unwrap()[0].clone();
        assert_eq!(call.program, Path::new("/bin/plugins/p"));
        assert_eq!(call.arguments, ["a"]);
        assert_eq!(call.environment, [("N".to_owned(), "v".into())]);
        assert_eq!(
            call.input.expose(),
            "{\"kind\":\"CredentialProviderRequest\",\"apiVersion\":\"credentialprovider.kubelet.k8s.io/v1\",\"image\":\"a.azurecr.io/team/web\"}\n"
        );
        // The real credential first, then the anonymous one of the wildcard.
        let who: Vec<String> = asked
            .order
            .iter()
            .map(|one| one.identity().to_string())
            .collect();
        assert_eq!(
            who,
            ["credential provider p (key a.azurecr.io)", "anonymous"]
        );
        assert!(!format!("{asked:?} {call:?} {providers:?}").contains("hunter2"));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_kept_for_as_much_as_they_say() {
        let one = r#"{"r.io":{"username":"u","password":"p"}}"#;
        let table = [
            (
                "Image",
                "10m",
                [("r.io/a", 1), ("r.io/a", 1), ("r.io/b", 2), ("s.io/a", 3)],
            ),
            (
                "Registry",
                "10m",
                [("r.io/a", 1), ("r.io/b", 1), ("s.io/a", 2), ("r.io/c", 2)],
            ),
            (
                "Global",
                "10m",
                [("r.io/a", 1), ("s.io/b", 1), ("r.io/a", 1), ("s.io/a", 1)],
            ),
            (
                "Image",
                "0s",
                [("r.io/a", 1), ("r.io/a", 2), ("r.io/a", 3), ("r.io/b", 4)],
            ),
        ];
        for (kind, lasts, questions) in table {
            let plugin = Plugin::new(vec![says(answer(kind, lasts, one))]);
            let providers = providers("[r.io, s.io]");
            for (image, runs) in questions {
                ask(&providers, &plugin, image).await;
                assert_eq!(plugin.runs(), runs, "for {kind} {lasts} {image}");
            }
            tokio::time::advance(Duration::from_secs(601)).await;
            ask(&providers, &plugin, "r.io/a").await;
            assert!(plugin.runs() > questions[0].1, "for {kind}");
        }
        // A failure is not kept.
        let failed = Err(RunError::NotFound);
        let plugin = Plugin::new(vec![failed, says(answer("Image", "1m", one))]);
        let providers = providers("[r.io]");
        assert!(ask(&providers, &plugin, "r.io/a").await.order.is_empty());
        assert_eq!(ask(&providers, &plugin, "r.io/a").await.order.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_gives_no_credential_and_why() {
        let ended = |errors: &str| {
            Ok(Ran {
                code: Some(1),
                output: "hunter2".into(),
                errors: errors.into(),
            })
        };
        let table = [
            (
                ended("token=hunter2 refused"),
                "failed: exit code 1: token=[hidden] refused",
            ),
            (
                Err(RunError::TimedOut { deadline: DEADLINE }),
                "failed: it did not end within 60 s",
            ),
            (
                says("hunter2"),
                "failed: its answer is not JSON (line 1, column 1)",
            ),
            (says("[]"), "failed: its answer is not an object"),
            (
                says(answer("Forever", "1m", "{}")),
                "failed: `cacheKeyType` of its answer is `Forever`, neither Image, Registry nor Global",
            ),
            (
                says(answer("Image", "1d", "{}")),
                "failed: `cacheDuration` of its answer is no duration",
            ),
            (
                says(answer("Image", "1m", "[]")),
                "failed: `auth` of its answer is no map of credentials",
            ),
            (
                says(answer("Image", "1m", r#"{"r.io":{"password":5}}"#)),
                "failed: `password` in `auth` is not a text",
            ),
            (
                says(answer("Image", "1m", r#"{"r.io":{"token":"hunter2"}}"#)),
                "failed: its answer has an unknown field `token`",
            ),
            (
                says(answer("Image", "1m", "{}").replace("Response", "Request")),
                "failed: the kind of its answer is not CredentialProviderResponse",
            ),
            (
                says(answer("Image", "1m", "{}").replace("/v1", "/v1beta1")),
                "failed: its answer has the version `credentialprovider.kubelet.k8s.io/v1beta1`, asked was `credentialprovider.kubelet.k8s.io/v1`",
            ),
            (says(answer("Image", "1m", "{}")), "it gave no credential"),
            (
                says(answer(
                    "Image",
                    "1m",
                    r#"{"s.io":{"username":"u","password":"hunter2"}}"#,
                )),
                "another host",
            ),
        ];
        for (outcome, want) in table {
            let plugin = Plugin::new(vec![outcome]);
            let asked = ask(&providers("[r.io]"), &plugin, "r.io/a").await;
            assert!(asked.order.is_empty(), "for {want}");
            assert_eq!(asked.passed_over[0].why.to_string(), want);
            assert!(!format!("{asked:?}").contains("hunter2"), "for {want}");
        }
        let plugin = Plugin::new(vec![says("")]);
        let asked = ask(&providers("[s.io]"), &plugin, "r.io/a").await;
        assert_eq!(asked.passed_over[0].why, KeyringMiss::NotForImage);
        assert_eq!(plugin.runs(), 0);
    }
}
