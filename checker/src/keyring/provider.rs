//! `CredentialProviderConfig`: which providers a kubelet has, and for which images (`pkg/credentialprovider/plugin`).
//!
//! YAML or JSON of `kubelet.config.k8s.io`, read as strictly as the kubelet reads it: it does not start with a file
//! that it refuses, so what it would refuse is told with its place. `matchImages` are matched by the rule for keys.

use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Secret;
use super::matching::Key;
use crate::wire::Excerpt;

/// The versions of the exec protocol.
const PROTOCOLS: [&str; 3] = [
    "credentialprovider.kubelet.k8s.io/v1",
    "credentialprovider.kubelet.k8s.io/v1beta1",
    "credentialprovider.kubelet.k8s.io/v1alpha1",
];
const FORMS: [&str; 3] = [
    "kubelet.config.k8s.io/v1",
    "kubelet.config.k8s.io/v1beta1",
    "kubelet.config.k8s.io/v1alpha1",
];
/// No configuration is larger.
pub(super) const MAX_FILE: usize = 1024 * 1024;
const MAX_PROVIDERS: usize = 64;

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {text}")]
pub struct ProviderError {
    /// The line, from 1; 0 if the whole file is meant.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong.
    pub text: Excerpt,
}

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) match_images: Vec<String>,
    pub(super) cache: Duration,
    pub(super) protocol: &'static str,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, Secret)>,
    pub(super) needs_service_account: bool,
}

impl Provider {
    /// Whether it is responsible for an image (registry and repository).
    pub(super) fn serves(&self, image: &str) -> bool {
        self.match_images
            .iter()
            .filter_map(|pattern| Key::as_written(pattern))
            .any(|key| key.fits(image).is_ok())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    api_version: Spanned<String>,
    kind: Spanned<String>,
    #[serde(default)]
    providers: Vec<WrittenProvider>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenProvider {
    name: Spanned<String>,
    #[serde(default)]
    match_images: Vec<Spanned<String>>,
    default_cache_duration: Option<Spanned<String>>,
    api_version: Option<Spanned<String>>,
    args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
    token_attributes: Option<Spanned<TokenAttributes>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenAttributes {
    service_account_token_audience: Option<String>,
    require_service_account: Option<bool>,
    cache_type: Option<String>,
    #[serde(default, rename = "requiredServiceAccountAnnotationKeys")]
    required_keys: Option<Vec<String>>,
    #[serde(default, rename = "optionalServiceAccountAnnotationKeys")]
    _optional_keys: Option<Vec<String>>,
}

/// Reads a configuration.
pub(super) fn read(text: &str) -> Result<Vec<Provider>, ProviderError> {
    if text.len() > MAX_FILE {
        return Err(whole("more than 1 MiB"));
    }
    let written: Written = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        let at = |read: fn(&serde_saphyr::Location) -> u64| place.as_ref().map_or(0, read);
        // The library's text may quote a value: an environment variable may hold a key.
        let text = error.to_string();
        let text = text.lines().next().unwrap_or_default();
        ProviderError {
            line: at(serde_saphyr::Location::line),
            column: at(serde_saphyr::Location::column),
            text: Excerpt::new(&super::asked::without_secrets(text)),
        }
    })?;
    if written.kind.value != "CredentialProviderConfig" {
        return Err(wrong(
            &written.kind,
            "the kind is not CredentialProviderConfig",
        ));
    }
    if !FORMS.contains(&written.api_version.value.as_str()) {
        return Err(wrong(
            &written.api_version,
            "not a version of kubelet.config.k8s.io that kubelets read",
        ));
    }
    if written.providers.is_empty() {
        return Err(whole("there is no provider in it"));
    }
    if written.providers.len() > MAX_PROVIDERS {
        return Err(whole(&format!("more than {MAX_PROVIDERS} providers")));
    }
    let mut providers: Vec<Provider> = Vec::new();
    for one in written.providers {
        let name = one.name.clone();
        let provider = provider(one)?;
        if providers.iter().any(|other| other.name == provider.name) {
            return Err(wrong(&name, "a second provider of this name"));
        }
        providers.push(provider);
    }
    Ok(providers)
}

fn provider(written: WrittenProvider) -> Result<Provider, ProviderError> {
    let name = &written.name;
    let text = name.value.as_str();
    if text.is_empty() || text == "." || text == ".." || text.contains(['/', '\\', ' ', '\0']) {
        return Err(wrong(name, "the name is not the name of a program"));
    }
    let Some(protocol) = &written.api_version else {
        return Err(wrong(name, "`apiVersion` of the provider is missing"));
    };
    let Some(protocol) = PROTOCOLS.iter().find(|known| **known == protocol.value) else {
        return Err(wrong(
            protocol,
            "not a version of credentialprovider.kubelet.k8s.io that kubelets speak",
        ));
    };
    if written.match_images.is_empty() {
        return Err(wrong(name, "`matchImages` is empty"));
    }
    for pattern in &written.match_images {
        if Key::as_written(&pattern.value).is_none() {
            return Err(wrong(pattern, "no host, or no pattern of one"));
        }
    }
    let Some(cache) = &written.default_cache_duration else {
        return Err(wrong(name, "`defaultCacheDuration` is missing"));
    };
    let Some(duration) = go_duration(&cache.value) else {
        return Err(wrong(cache, "not a duration as 10m or 1h30m"));
    };
    let mut needs_service_account = false;
    if let Some(attributes) = &written.token_attributes {
        let told = &attributes.value;
        if told
            .service_account_token_audience
            .as_deref()
            .unwrap_or_default()
            .is_empty()
        {
            return Err(wrong(
                attributes,
                "`serviceAccountTokenAudience` is missing",
            ));
        }
        let Some(required) = told.require_service_account else {
            return Err(wrong(attributes, "`requireServiceAccount` is missing"));
        };
        if *protocol != PROTOCOLS[0] {
            return Err(wrong(
                attributes,
                "`tokenAttributes` needs credentialprovider.kubelet.k8s.io/v1",
            ));
        }
        if !required
            && told
                .required_keys
                .as_ref()
                .is_some_and(|keys| !keys.is_empty())
        {
            return Err(wrong(
                attributes,
                "annotations are required of a service account that is not",
            ));
        }
        if let Some(kind) = &told.cache_type
            && !matches!(kind.as_str(), "ServiceAccount" | "Token")
        {
            return Err(wrong(
                attributes,
                "`cacheType` is neither ServiceAccount nor Token",
            ));
        }
        needs_service_account = required;
    }
    Ok(Provider {
        name: written.name.value,
        match_images: written
            .match_images
            .into_iter()
            .map(|one| one.value)
            .collect(),
        cache: duration,
        protocol,
        arguments: written.args.unwrap_or_default(),
        environment: written
            .env
            .unwrap_or_default()
            .into_iter()
            .map(|one| (one.name, Secret::new(one.value)))
            .collect(),
        needs_service_account,
    })
}

fn whole(text: &str) -> ProviderError {
    ProviderError {
        line: 0,
        column: 0,
        text: Excerpt::new(text),
    }
}

fn wrong<T>(at: &Spanned<T>, text: &str) -> ProviderError {
    ProviderError {
        line: at.referenced.line(),
        column: at.referenced.column(),
        text: Excerpt::new(text),
    }
}

/// A duration as Go prints and reads it: `10m`, `1h30m`, `1.5s`, `0`. Negative ones are none here.
pub(super) fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|found: char| !(found.is_ascii_digit() || found == '.'))?;
        let (number, after) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let end = after
            .find(|found: char| found.is_ascii_digit() || found == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        sum += number
            * match unit {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = after;
    }
    // Go's longest is 292 years.
    Duration::try_from_secs_f64(sum)
        .ok()
        .filter(|sum| sum.as_secs() < 9_223_372_036)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "\
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: acr-credential-provider
  matchImages: ['*.azurecr.io', 'r.example:5000/team']
  defaultCacheDuration: 10m
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  args: [/etc/kubernetes/azure.json]
  env:
  - name: KEY
    value: hunter2
";

    #[test]
    fn a_configuration_of_a_node() {
        let providers = read(GOOD).unwrap();
        let one = &providers[0];
        assert_eq!(one.name, "acr-credential-provider");
        assert_eq!(one.cache, Duration::from_mins(10));
        assert!(one.serves("a.azurecr.io/x") && one.serves("r.example:5000/team/x"));
        assert!(!one.serves("a.b.azurecr.io/x") && !one.serves("r.example/team/x"));
        assert!(!format!("{one:?}").contains("hunter2"));
        let json = r#"{"apiVersion":"kubelet.config.k8s.io/v1beta1","kind":"CredentialProviderConfig","providers":[{"name":"p","matchImages":["r.io"],"defaultCacheDuration":"0s","apiVersion":"credentialprovider.kubelet.k8s.io/v1beta1"}]}"#;
        assert_eq!(read(json).unwrap()[0].protocol, PROTOCOLS[1]);
    }

    #[test]
    fn what_a_kubelet_refuses_is_told_with_its_place() {
        let change = |from: &str, to: &str| GOOD.replace(from, to);
        let table = [
            (
                change("kind: Cred", "kind: Dead"),
                "line 2, column 7: the kind is not CredentialProviderConfig",
            ),
            (
                change("io/v1\nkind", "io/v9\nkind"),
                "line 1, column 13: not a version of kubelet.config.k8s.io that kubelets read",
            ),
            (
                change("name: acr-credential-provider", "name: ../x"),
                "line 4, column 9: the name is not the name of a program",
            ),
            (
                change("['*.azurecr.io', 'r.example:5000/team']", "[]"),
                "line 4, column 9: `matchImages` is empty",
            ),
            (
                change("'*.azurecr.io'", "'r io'"),
                "line 5, column 17: no host, or no pattern of one",
            ),
            (
                change("10m", "soon"),
                "line 6, column 25: not a duration as 10m or 1h30m",
            ),
            (
                change("  defaultCacheDuration: 10m\n", ""),
                "line 4, column 9: `defaultCacheDuration` is missing",
            ),
            (
                change("io/v1\n  args", "io/v3\n  args"),
                "line 7, column 15: not a version of credentialprovider.kubelet.k8s.io that kubelets speak",
            ),
        ];
        for (text, want) in table {
            assert_eq!(read(&text).unwrap_err().to_string(), want);
        }
        let error = read(&change("  args", "  arg")).unwrap_err();
        assert_eq!(error.line, 8, "{error}");
        assert!(read("providers: {").is_err() && read("").is_err());
    }

    #[test]
    fn durations_of_go() {
        let table = [
            ("10m", Some(600.0)),
            ("1h30m0s", Some(5400.0)),
            ("1.5s", Some(1.5)),
            ("0", Some(0.0)),
            ("250ms", Some(0.25)),
            ("", None),
            ("10", None),
            ("-1s", None),
            ("m", None),
            ("1d", None),
        ];
        for (text, want) in table {
            assert_eq!(
                go_duration(text),
                want.map(Duration::from_secs_f64),
                "for {text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (read(&text), go_duration(&text));
        }
    }
}
