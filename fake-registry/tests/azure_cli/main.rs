//! Every `az` line that the checker prints, carried out to the letter by Azure's own command line
//! against the fake: what it shows, or what is another matter after it than before.
//!
//! The table is complete or the first test fails: a new line in the checker wants a witness here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests, which may panic"
)]

#[path = "../common/mod.rs"]
mod common;
mod lines;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::tenant::{ARM, LOGIN};
use common::witness::{Cloud, prepared};
use common::{Answer, Client, client};
use fake_registry::{
    AcrRegistry, FakeRegistry, ManagedCluster, Principal, Scope, Sku, Tenant, VirtualNetwork,
};
use lines::{Proof, Tale, all};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// The tenant of one line while az works on it.
struct World {
    cloud: Cloud,
    home: PathBuf,
    az: PathBuf,
    values: Vec<(&'static str, String)>,
}

impl World {
    async fn begin(az: &Path, home: &Path, tale: fn(Tale) -> Tale) -> Self {
        let tale = tale(Tale {
            acr: AcrRegistry::new("contoso1", "registries").sku(Sku::Premium),
            cluster: ManagedCluster::new("aks1", "apps").node("node-1"),
            role: Some("AcrPull"),
            image: true,
        });
        let kubelet = Principal::kubelet("aks1");
        let mut tenant = Tenant::new("contoso")
            .service_principal("ops", "s3cret", None)
            .service_principal("web", "fresh", None)
            .service_principal(
                "former",
                "old",
                Some("2020-01-01T00:00:00Z".parse().unwrap()),
            )
            .cluster(tale.cluster)
            .registry(tale.acr)
            .registry(AcrRegistry::new("contoso2", "registries"))
            .virtual_network(
                VirtualNetwork::new("net", "apps", "10.1.0.0/16")
                    .subnet("nodes", "10.1.0.0/24")
                    .peering("hub", "Disconnected"),
            )
            .private_dns_zone(
                "privatelink.azurecr.io",
                "apps",
                &[("contoso1", "10.1.0.4")],
            )
            .assign(
                Principal::service_principal("former"),
                "Reader",
                Scope::resource_group("registries"),
            )
            .assign(
                Principal::service_principal("ops"),
                "Owner",
                Scope::Subscription,
            );
        if let Some(role) = tale.role {
            // One at the registry, and one that is inherited.
            tenant = tenant
                .assign(kubelet.clone(), role, Scope::registry("contoso1"))
                .assign(kubelet.clone(), "Reader", Scope::management_group("corp"))
                .management_group("corp");
        }
        // One seed, so that the tokens of one sign-in are good in every world.
        let busybox = "library/busybox:1.36 1x4KiB";
        let mut builder = FakeRegistry::builder()
            .seed(1)
            .azure(tenant)
            .image(LOGIN, "team/web:v1 1x4KiB")
            .image("docker.io", busybox);
        if tale.image {
            builder = builder.image(LOGIN, busybox);
        }
        let registry = builder.build().unwrap();
        let cloud = Cloud::start(registry, &home.join("ca.pem")).await;
        let azure = cloud.registry.azure();
        let scope = |scope: Scope| azure.scope_id(&scope).unwrap();
        let group = scope(Scope::resource_group("apps"));
        let values = vec![
            ("<object-id>", azure.object_id(&kubelet).unwrap()),
            ("<registry-id>", scope(Scope::registry("contoso1"))),
            (
                "<cluster-id>",
                format!("{group}/providers/Microsoft.ContainerService/managedClusters/aks1"),
            ),
            (
                "<vnet-id>",
                format!("{group}/providers/Microsoft.Network/virtualNetworks/net"),
            ),
            (
                "<zone-id>",
                format!(
                    "{group}/providers/Microsoft.Network/privateDnsZones/privatelink.azurecr.io"
                ),
            ),
            ("<resource-group>", "apps".into()),
            ("<node-resource-group>", "MC_apps_aks1_eastus".into()),
            ("<cluster>", "aks1".into()),
            ("<acr>", "contoso1".into()),
            ("<vnet>", "net".into()),
            ("<address>", "10.0.0.4".into()),
            ("<repository>", "library/busybox".into()),
            ("<tag>", "1.36".into()),
            (
                "<client-id>",
                azure
                    .client_id(&Principal::service_principal("web"))
                    .unwrap(),
            ),
            ("{login}", LOGIN.into()),
            // Where the checker speaks of a service principal: the one whose secret is too old.
            (
                "{id}",
                azure
                    .client_id(&Principal::service_principal("former"))
                    .unwrap(),
            ),
        ];
        Self {
            cloud,
            home: home.to_owned(),
            az: az.to_owned(),
            values,
        }
    }

    /// A line with its gaps filled.
    fn filled(&self, text: &str, dots: &str) -> String {
        let mut line = text
            .replacen("{}", "contoso1", 1)
            .replacen("{}", "registries", 1);
        for (name, value) in &self.values {
            line = line.replace(name, value);
        }
        line.replace('…', dots)
    }

    /// Runs a line as a person would: in a shell, at a terminal, saying yes where az asks.
    async fn run(&self, line: &str) -> (bool, String) {
        let mut path = std::ffi::OsString::from(self.az.parent().unwrap());
        path.push(":/usr/bin:/bin");
        let quiet = format!("{line} 2> {}", self.home.join("errors").display());
        let mut child = tokio::process::Command::new("script")
            .args([
                "--quiet",
                "--return",
                "--echo",
                "never",
                "--command",
                &quiet,
            ])
            .arg("/dev/null")
            .current_dir(&self.home)
            .env_clear()
            .env("PATH", path)
            .env("PYTHONWARNINGS", "ignore")
            .env("COLUMNS", "400")
            .envs(self.cloud.settings(&self.home, &self.home.join("ca.pem")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"y\n").await;
        let output = child.wait_with_output().await.unwrap();
        let mut text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        if !output.status.success() {
            text += &std::fs::read_to_string(self.home.join("errors")).unwrap_or_default();
        }
        (output.status.success(), text)
    }

    fn registry(&self) -> &FakeRegistry {
        &self.cloud.registry
    }

    fn object_id(&self, principal: &Principal) -> String {
        self.registry().azure().object_id(principal).unwrap()
    }

    /// Asks Resource Manager, beside az.
    async fn arm(&self, id: &str) -> Answer {
        let client = client(self.registry()).at(ARM);
        let client = client.bearer(
            &self
                .registry()
                .arm_token("11111111-1111-1111-1111-111111111111"),
        );
        client
            .get(&format!("{}?api-version=2024-01-01", self.filled(id, "")))
            .await
    }

    async fn acr(&self) -> serde_json::Value {
        self.arm("<registry-id>").await.json()
    }

    fn node(&self, address: &str) -> Client {
        Client {
            peer: format!("{address}:40000"),
            ..client(self.registry()).named("node-1")
        }
    }

    /// Whether node 1 pulls, with its own identity, when it comes from an address.
    async fn pulls(&self, address: &str) -> bool {
        self.gets("team/web", "v1", address).await
    }

    /// The kubelet's way: metadata service, exchange, token, manifest.
    async fn gets(&self, repository: &str, tag: &str, address: &str) -> bool {
        let node = self.node(address);
        let token = common::tenant::imds(&node, "").await;
        let Some(token) = found(&token, "access_token") else {
            return false;
        };
        let login = node.at(LOGIN);
        let form = format!("grant_type=access_token&service={LOGIN}&access_token={token}");
        let Some(refresh) = found(
            &login.form("/oauth2/exchange", &form).await,
            "refresh_token",
        ) else {
            return false;
        };
        let form = format!(
            "grant_type=refresh_token&service={LOGIN}&scope=repository:{repository}:pull&refresh_token={refresh}"
        );
        let Some(access) = found(&login.form("/oauth2/token", &form).await, "access_token") else {
            return false;
        };
        let path = format!("/v2/{repository}/manifests/{tag}");
        login.bearer(&access).get(&path).await.status == 200
    }

    async fn takes_arm_tokens(&self) -> bool {
        let token = self
            .registry()
            .arm_token_with_roles(&self.object_id(&Principal::kubelet("aks1")));
        let form = format!("grant_type=access_token&service={LOGIN}&access_token={token}");
        let login = self.node("10.0.0.4").at(LOGIN);
        login.form("/oauth2/exchange", &form).await.status == 200
    }

    /// Whether the application signs in with a secret.
    async fn signs_in(&self, secret: &str) -> bool {
        let entra = self.node("10.0.0.4").at("login.microsoftonline.com");
        let form = self.filled(
            &format!("grant_type=client_credentials&client_id=<client-id>&client_secret={secret}&scope=x/.default"),
            "",
        );
        let path = format!(
            "/{}/oauth2/v2.0/token",
            self.registry().azure().tenant_id().unwrap()
        );
        !secret.is_empty() && entra.form(&path, &form).await.status == 200
    }

    async fn token_file_works(&self) -> bool {
        let Ok(token) = std::fs::read_to_string(self.home.join("arm-token")) else {
            return false;
        };
        let arm = self.node("10.0.0.4").at(ARM).bearer(token.trim());
        let path = self.filled("<registry-id>?api-version=2024-01-01", "");
        arm.get(&path).await.status == 200
    }

    async fn blobs_are_elsewhere(&self) -> bool {
        let azure = self.registry().azure();
        azure.set_admin_user("contoso1", true).unwrap();
        let [password, _] = azure.admin_passwords("contoso1").unwrap();
        let login = self.node("10.0.0.4").at(LOGIN).basic("contoso1", &password);
        let manifest = login.get("/v2/team/web/manifests/v1").await.json();
        let layer = manifest["layers"][0]["digest"].as_str().unwrap();
        let blob = login.get(&format!("/v2/team/web/blobs/{layer}")).await;
        let to = blob.header("location").unwrap_or_default();
        to.starts_with("http://contoso1.eastus.data.azurecr.io/")
    }
}

fn found(answer: &Answer, key: &str) -> Option<String> {
    if answer.status != 200 {
        return None;
    }
    answer.json()[key].as_str().map(str::to_owned)
}

/// The literals of the checker that begin with `az `.
fn printed_by_the_checker() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../checker/src");
    let mut lines = BTreeSet::new();
    for room in ["cause", "verdict", "clue"] {
        collect(&source.join(room), &mut lines);
    }
    lines
}

fn collect(folder: &Path, lines: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                collect(&path, lines);
            }
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("\"az ") {
                lines.insert(literal(&text[at + 1..]));
            }
        }
    }
}

/// A string literal up to its end, without its escapes.
fn literal(text: &str) -> String {
    let mut characters = text.chars();
    let mut line = String::new();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => line.extend(characters.next()),
            other => line.push(other),
        }
    }
    line
}

#[test]
fn every_line_of_az_has_a_witness() {
    let printed = printed_by_the_checker();
    let witnessed: BTreeSet<String> = all().iter().map(|one| one.line.to_owned()).collect();
    let without: Vec<_> = printed.difference(&witnessed).collect();
    assert!(
        without.is_empty(),
        "the checker prints, and nobody has tried: {without:#?}"
    );
    let stale: Vec<_> = witnessed.difference(&printed).collect();
    assert!(stale.is_empty(), "tried, but no longer printed: {stale:#?}");
    assert!(printed.len() > 30, "the search finds what is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn az_carries_out_what_the_checker_prints() {
    let Some(az) = prepared("az") else {
        return;
    };
    let home = TempDir::new().unwrap();
    let mut signed_in = false;
    let mut faults = Vec::new();
    for witness in all() {
        let world = World::begin(&az, home.path(), witness.tale).await;
        if !signed_in {
            let azure = world.registry().azure();
            let client_id = azure
                .client_id(&Principal::service_principal("ops"))
                .unwrap();
            let tenant = azure.tenant_id().unwrap();
            let line = format!(
                "az login --service-principal --username {client_id} --password s3cret --tenant {tenant}"
            );
            let (success, text) = world.run(&line).await;
            assert!(success, "{text}");
            signed_in = true;
        }
        for line in witness.first {
            let (success, text) = world.run(&world.filled(line, witness.dots)).await;
            if !success {
                faults.push(format!("{line}\n{text}"));
            }
        }
        let line = world.filled(witness.line, witness.dots);
        if let Proof::Changes(probe) = witness.proof
            && probe(&world, "").await
        {
            faults.push(format!("{line}\nwas so before"));
        }
        let (success, text) = world.run(&line).await;
        let fault = match witness.proof {
            _ if !success => Some("fails".to_owned()),
            Proof::Shows(words) => words
                .iter()
                .map(|word| world.filled(word, ""))
                .find(|word| !text.contains(word))
                .map(|word| format!("shows no {word}")),
            Proof::Changes(probe) => {
                (!probe(&world, &text).await).then(|| "changes nothing".to_owned())
            }
        };
        faults.extend(fault.map(|fault| format!("{line}\n{fault}:\n{text}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
