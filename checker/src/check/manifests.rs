//! Kubernetes manifests, read for the images that they ask for.
//!
//! In: YAML or JSON text, one or many documents, of any kind: wherever an object holds a list of
//! `containers` it counts as a pod. Out: images with the pull secrets, service account and platform
//! that go with them. The text is hostile: it is bounded, and errors name the place.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::evidence::Platform;
use crate::symptom::{SecretBody, SecretState};

/// The largest text of one file.
pub const MAX_FILE: usize = 16 * 1024 * 1024;
/// The most images that are kept.
const MAX_IMAGES: usize = 1000;
/// How deep pods are looked for.
const DEPTH: usize = 32;
/// Places that are kept of one image.
const PLACES: usize = 5;

/// Why a text is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no YAML.
    #[error("{text}")]
    Yaml {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        text: String,
    },
    /// It is too large.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// It asks for too many images.
    #[error("more than {limit} different images")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

/// What an image is pulled with; two pods that agree in it are one question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The image as it is written.
    pub image: String,
    /// The namespace of the pod.
    pub namespace: String,
    /// Its `imagePullSecrets`.
    pub secrets: Vec<String>,
    /// Its service account.
    pub account: String,
    /// `os/arch` as its node selector demands.
    pub platform: Option<String>,
}

/// Where an image is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedBy {
    /// Lower-case kind and name of the object.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The container.
    pub container: String,
    /// `file:line`.
    pub at: String,
}

/// All that was read.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// Images, each with the places that ask for it.
    pub wanted: BTreeMap<Wanted, Vec<AskedBy>>,
    /// Images that are never pulled (`imagePullPolicy: Never`).
    pub never: BTreeSet<String>,
    /// Secrets among the objects, by namespace and name.
    pub secrets: BTreeMap<(String, String), SecretState>,
    /// Service accounts among the objects, with their pull secrets.
    pub accounts: BTreeMap<(String, String), Vec<String>>,
    /// Objects that were read.
    pub objects: usize,
}

impl Manifests {
    /// Reads one file. `namespace` is that of objects that name none.
    pub fn add(&mut self, file: &str, text: &str, namespace: &str) -> Result<(), ManifestError> {
        if text.len() > MAX_FILE {
            return Err(ManifestError::TooLarge { limit: MAX_FILE });
        }
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
            let error = error.without_snippet();
            let (line, column) = error
                .location()
                .map_or((1, 1), |at| (at.line(), at.column()));
            let said = error.to_string();
            ManifestError::Yaml {
                line: usize::try_from(line).unwrap_or(1),
                column: usize::try_from(column).unwrap_or(1),
                text: said
                    .lines()
                    .next()
                    .unwrap_or("unreadable")
                    .chars()
                    .take(300)
                    .collect(),
            }
        })?;
        let source = Source { file, text };
        for document in &documents {
            self.object(document, &source, namespace, DEPTH)?;
        }
        Ok(())
    }

    fn object(
        &mut self,
        object: &Value,
        source: &Source<'_>,
        namespace: &str,
        depth: usize,
    ) -> Result<(), ManifestError> {
        let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let kind = word("/kind").unwrap_or("object");
        if let Some(items) = object.get("items").and_then(Value::as_array)
            && depth > 0
            && kind.ends_with("List")
        {
            for item in items {
                self.object(item, source, namespace, depth - 1)?;
            }
            return Ok(());
        }
        if !object.is_object() {
            return Ok(());
        }
        self.objects += 1;
        let name = word("/metadata/name")
            .or_else(|| word("/metadata/generateName"))
            .unwrap_or("without-a-name");
        let namespace = word("/metadata/namespace").unwrap_or(namespace);
        let key = || (namespace.to_owned(), name.to_owned());
        match kind {
            "Secret" => {
                self.secrets.insert(key(), secret(object));
            }
            "ServiceAccount" => {
                self.accounts
                    .insert(key(), names(object.get("imagePullSecrets")));
            }
            _ => {}
        }
        let owner = Owner {
            kind: &kind.to_ascii_lowercase(),
            name,
            namespace,
        };
        self.pods(object, source, &owner, DEPTH)
    }

    /// Finds pods wherever they stand: custom resources hold them under names of their own.
    fn pods(
        &mut self,
        value: &Value,
        source: &Source<'_>,
        owner: &Owner<'_>,
        depth: usize,
    ) -> Result<(), ManifestError> {
        if depth == 0 {
            return Ok(());
        }
        match value {
            Value::Object(map) => {
                let is_pod = map
                    .get("containers")
                    .and_then(Value::as_array)
                    .is_some_and(|list| {
                        list.iter()
                            .any(|one| one.get("image").is_some_and(Value::is_string))
                    });
                if is_pod {
                    return self.pod(value, source, owner);
                }
                for inner in map.values() {
                    self.pods(inner, source, owner, depth - 1)?;
                }
                Ok(())
            }
            Value::Array(list) => list
                .iter()
                .try_for_each(|inner| self.pods(inner, source, owner, depth - 1)),
            _ => Ok(()),
        }
    }

    fn pod(
        &mut self,
        pod: &Value,
        source: &Source<'_>,
        owner: &Owner<'_>,
    ) -> Result<(), ManifestError> {
        let selector = |label: &str| pod.get("nodeSelector")?.get(label)?.as_str();
        let platform = selector("kubernetes.io/arch").map(|architecture| {
            let os = selector("kubernetes.io/os").unwrap_or("linux");
            format!("{os}/{architecture}")
        });
        let secrets = names(pod.get("imagePullSecrets"));
        let account = pod
            .get("serviceAccountName")
            .or_else(|| pod.get("serviceAccount"))
            .and_then(Value::as_str)
            .unwrap_or("default");
        let mut images: Vec<(String, String, bool)> = Vec::new();
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            for one in pod
                .get(list)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let text = |key: &str| one.get(key).and_then(Value::as_str);
                let Some(image) = text("image") else { continue };
                let never = text("imagePullPolicy") == Some("Never");
                images.push((image.into(), text("name").unwrap_or_default().into(), never));
            }
        }
        for volume in pod
            .get("volumes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |pointer: &str| volume.pointer(pointer).and_then(Value::as_str);
            if let Some(image) = text("/image/reference") {
                let never = text("/image/pullPolicy") == Some("Never");
                let name = format!("volume {}", text("/name").unwrap_or_default());
                images.push((image.into(), name, never));
            }
        }
        for (image, container, never) in images {
            if never {
                self.never.insert(image);
                continue;
            }
            let wanted = Wanted {
                namespace: owner.namespace.into(),
                secrets: secrets.clone(),
                account: account.into(),
                platform: platform.clone(),
                image,
            };
            if self.wanted.len() >= MAX_IMAGES && !self.wanted.contains_key(&wanted) {
                return Err(ManifestError::TooMany { limit: MAX_IMAGES });
            }
            let at = source.place_of(&wanted.image);
            let places = self.wanted.entry(wanted).or_default();
            if places.len() < PLACES {
                places.push(AskedBy {
                    kind: owner.kind.into(),
                    name: owner.name.into(),
                    container,
                    at,
                });
            }
        }
        Ok(())
    }

    /// The pull secrets that a pod gets: its own, else those of its service account.
    pub fn secrets_of(
        &self,
        wanted: &Wanted,
        in_cluster: &BTreeMap<(String, String), Vec<String>>,
    ) -> Vec<String> {
        if !wanted.secrets.is_empty() {
            return wanted.secrets.clone();
        }
        let key = (wanted.namespace.clone(), wanted.account.clone());
        let account = self.accounts.get(&key).or_else(|| in_cluster.get(&key));
        account.cloned().unwrap_or_default()
    }
}

/// Platforms as texts to values; what is not `os/arch` is left out.
pub(super) fn platform(text: &str) -> Option<Platform> {
    let (os, architecture) = text.split_once('/')?;
    (!os.is_empty() && !architecture.is_empty()).then(|| Platform::new(os, architecture))
}

struct Owner<'a> {
    kind: &'a str,
    name: &'a str,
    namespace: &'a str,
}

struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    /// The first line that holds the image.
    fn place_of(&self, image: &str) -> String {
        let before = self.text.split_once(image).map(|(before, _)| before);
        match before {
            Some(before) => {
                let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
                format!("{}:{line}", self.file)
            }
            None => self.file.to_owned(),
        }
    }
}

fn names(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|one| one.get("name")?.as_str())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .take(64)
        .collect()
}

fn secret(object: &Value) -> SecretState {
    let kind = object
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("Opaque")
        .to_owned();
    let part = match kind.as_str() {
        "kubernetes.io/dockerconfigjson" => Some(".dockerconfigjson"),
        "kubernetes.io/dockercfg" => Some(".dockercfg"),
        _ => None,
    };
    let field = |of: &str, key: &str| object.get(of)?.get(key)?.as_str().map(str::to_owned);
    let keys = ["data", "stringData"]
        .iter()
        .filter_map(|of| object.get(*of)?.as_object())
        .flat_map(|map| map.keys().cloned())
        .take(64)
        .collect();
    // What is written plain wins over what is encoded, as at the API server.
    let body = part.and_then(|key| {
        field("stringData", key)
            .map(String::into_bytes)
            .or_else(|| STANDARD.decode(field("data", key)?.trim()).ok())
    });
    SecretState::Found {
        kind,
        keys,
        body: body
            .filter(|bytes| bytes.len() <= SecretBody::LIMIT)
            .map(SecretBody::new),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHART: &str = r#"# Source: shop/templates
apiVersion: v1
kind: Secret
metadata: { name: pull, namespace: shop }
type: kubernetes.io/dockerconfigjson
stringData: { .dockerconfigjson: '{"auths":{"r.test":{"auth":"dTpw"}}}' }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: api, namespace: shop }
imagePullSecrets: [{ name: pull }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  template:
    spec:
      serviceAccountName: api
      nodeSelector: { kubernetes.io/arch: arm64 }
      initContainers: [{ name: wait, image: "r.test/wait:1" }]
      containers:
        - name: web
          image: r.test/web:1
        - { name: local, image: "local:1", imagePullPolicy: Never }
      volumes:
        - { name: model, image: { reference: "r.test/model:1" } }
---
apiVersion: v1
kind: List
items:
  - apiVersion: batch/v1
    kind: CronJob
    metadata: { name: nightly }
    spec: { jobTemplate: { spec: { template: { spec: { containers: [{ name: job, image: "r.test/web:1" }] } } } } }
  - apiVersion: argoproj.io/v1alpha1
    kind: Rollout
    metadata: { name: canary, namespace: shop }
    spec: { template: { spec: { containers: [{ name: c, image: "r.test/canary:1" }] } } }
"#;

    #[test]
    fn images_of_a_rendered_chart() {
        let mut all = Manifests::default();
        all.add("chart.yaml", CHART, "default").expect("it is read");
        let seen: Vec<String> = all
            .wanted
            .iter()
            .map(|(wanted, places)| {
                let place = &places[0];
                format!(
                    "{} in {} for {}/{} {} at {}, {:?}, {:?}",
                    wanted.image,
                    wanted.namespace,
                    place.kind,
                    place.name,
                    place.container,
                    place.at,
                    wanted.platform,
                    all.secrets_of(wanted, &BTreeMap::new())
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                "r.test/canary:1 in shop for rollout/canary c at chart.yaml:39, None, []",
                "r.test/model:1 in shop for deployment/web volume model at chart.yaml:27, Some(\"linux/arm64\"), [\"pull\"]",
                "r.test/wait:1 in shop for deployment/web wait at chart.yaml:21, Some(\"linux/arm64\"), [\"pull\"]",
                "r.test/web:1 in default for cronjob/nightly job at chart.yaml:24, None, []",
                "r.test/web:1 in shop for deployment/web web at chart.yaml:24, Some(\"linux/arm64\"), [\"pull\"]",
            ]
        );
        assert!(all.never.contains("local:1"));
        let pull = all.secrets.get(&("shop".into(), "pull".into()));
        assert!(matches!(
            pull,
            Some(SecretState::Found { body: Some(_), .. })
        ));
        assert!(!format!("{all:?}").contains("dTpw"));
    }

    #[test]
    fn what_is_no_yaml_is_located() {
        let mut all = Manifests::default();
        let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers: [{{ .Values.x }]\n";
        let error = all.add("a.yaml", text, "default").expect_err("a template");
        assert!(
            matches!(error, ManifestError::Yaml { line: 4.., .. }),
            "{error:?}"
        );
        // Aliases that grow without bound are refused, not followed.
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for at in 1..12 {
            let one = format!("*a{},", at - 1).repeat(9);
            bomb += &[
                "a",
                &at.to_string(),
                ": &a",
                &at.to_string(),
                " [",
                &one,
                "]\n",
            ]
            .concat();
        }
        assert!(all.add("bomb.yaml", &bomb, "default").is_err());
        let deep = "[".repeat(100_000);
        assert!(all.add("deep.yaml", &deep, "default").is_err());
        for harmless in ["", "---\n---\n", "- 1\n- 2\n", "just words"] {
            assert_eq!(
                all.add("h.yaml", harmless, "default"),
                Ok(()),
                "for {harmless:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z:{}\\[\\]\\- \n&*\"']{0,120}") {
            let _ = Manifests::default().add("x.yaml", &text, "default");
        }
    }
}
