//! What a file says of a node, done to a real one: containerd's mirrors, trust, proxy and sandbox image, the
//! kubelet's limits. All of it is undone when the lot is cleared, whatever cut the play off.
//!
//! What somebody who stands on the node notices of it is remembered, for the checker.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pullcheck::mirrors::{HostsFile, Mirrors as CheckerMirrors};
use pullcheck::world::Proxies;

use super::docker::DockerError;
use super::node::Node;
use super::{BUNDLE, CA_FILE};
use crate::backend::StepError;
use crate::spec::{Mirrors, NodeSettings, ProxySettings};

/// The first line of every `hosts.toml` that is ours.
pub(super) const MARK: &str = "# pullcheck-scenario";
const CONTAINERD: &str = "/etc/containerd/config.toml";
const KUBELET: &str = "/var/lib/kubelet/config.yaml";
const PROXY: &str = "/etc/systemd/system/containerd.service.d/pullcheck-proxy.conf";
const PROVIDER: &str = "/etc/pullcheck/bin/acr-credential-provider";
const IDENTITY: &str = "/etc/pullcheck/azure.json";

/// `Err` is why a real node cannot be made like this.
pub(super) fn possible(node: &NodeSettings) -> Result<(), String> {
    let slow = |qps: f64| qps.fract() != 0.0;
    let limits = [
        (node.architecture.is_some(), "another architecture"),
        (!node.labels.is_empty(), "labels of its own"),
        (
            node.registry_qps.is_some_and(slow),
            "less than one pull a second: a kubelet counts whole ones",
        ),
        (
            node.clock.is_some(),
            "a wrong clock: the nodes of kind have the machine's",
        ),
        (node.disk.is_some(), "a disk of a given size"),
    ];
    match limits.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(format!("a node with {what}")),
        None => Ok(()),
    }
}

/// Whether a file asks for nothing at all.
pub(super) fn usual(node: &NodeSettings) -> bool {
    let NodeSettings {
        architecture,
        labels,
        serialize_image_pulls,
        registry_qps,
        registry_burst,
        sandbox_image,
        credential_provider,
        names_identity,
        trusts_registries,
        mirrors,
        clock,
        disk,
        proxy,
    } = node;
    let said = [
        architecture.is_some(),
        !labels.is_empty(),
        serialize_image_pulls.is_some(),
        registry_qps.is_some(),
        registry_burst.is_some(),
        sandbox_image.is_some(),
        credential_provider.is_some(),
        names_identity.is_some(),
        trusts_registries.is_some(),
        !mirrors.is_empty(),
        clock.is_some(),
        disk.is_some(),
        proxy.is_some(),
    ];
    !said.contains(&true)
}

/// Whether a file asks for mirrors at most.
pub(super) fn only_mirrors(node: &NodeSettings) -> bool {
    usual(&NodeSettings {
        mirrors: indexmap::IndexMap::new(),
        ..node.clone()
    })
}

/// What was set, by node.
#[derive(Default)]
pub(super) struct Known {
    by_node: Mutex<BTreeMap<String, OfNode>>,
}

#[derive(Clone, Default)]
struct OfNode {
    untrusting: bool,
    proxy: ProxySettings,
    mirrors: BTreeMap<String, Mirrors>,
}

impl Known {
    fn by_node(&self) -> MutexGuard<'_, BTreeMap<String, OfNode>> {
        self.by_node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, node: &str) -> OfNode {
        self.by_node().get(node).cloned().unwrap_or_default()
    }

    fn remember(&self, node: &str, to: &NodeSettings) {
        let mut by_node = self.by_node();
        let known = by_node.entry(node.to_owned()).or_default();
        if let Some(trusts) = to.trusts_registries {
            known.untrusting = !trusts;
        }
        if let Some(proxy) = &to.proxy {
            known.proxy.clone_from(proxy);
        }
        for (registry, mirrors) in &to.mirrors {
            if hosts_file(registry, mirrors).is_some() {
                known.mirrors.insert(registry.clone(), mirrors.clone());
            } else {
                known.mirrors.remove(registry);
            }
        }
    }

    /// Whether a node trusts the registries.
    pub(super) fn trusts(&self, node: &str) -> bool {
        !self.of(node).untrusting
    }

    /// The proxies in the environment of a node's runtime.
    pub(super) fn proxies(&self, node: &str) -> Proxies {
        let proxy = self.of(node).proxy;
        let no_proxy = proxy.no_proxy.join(",");
        Proxies::new(proxy.https.as_deref(), None, Some(&no_proxy))
    }

    /// The `certs.d` of a node, as its files say it.
    pub(super) fn mirrors(&self, node: &str) -> CheckerMirrors {
        let known = self.of(node);
        let files = known.mirrors.iter().filter_map(|(registry, mirrors)| {
            let file = HostsFile::parse(&hosts_file(registry, mirrors)?).ok()?;
            Some((registry.clone(), file))
        });
        files.fold(CheckerMirrors::default(), |all, (registry, file)| {
            all.with_folder(&registry, file)
        })
    }

    /// Makes a node what the file says of it.
    pub(super) async fn configure(&self, node: &Node, to: &NodeSettings) -> Result<(), StepError> {
        possible(to).map_err(StepError::Unsupported)?;
        let failed = |error: DockerError| StepError::failed(&error);
        let mut restart = BTreeSet::new();
        for (registry, mirrors) in &to.mirrors {
            let folder = format!("/etc/containerd/certs.d/{registry}");
            // It is read at every pull.
            if let Some(file) = hosts_file(registry, mirrors) {
                let path = format!("{folder}/hosts.toml");
                node.write(&path, file.as_bytes()).await.map_err(failed)?;
            } else {
                let gone = node.script(&format!("rm -rf '{folder}'"), &[]).await;
                gone.map_err(failed)?;
            }
        }
        let mut lines = Vec::new();
        if let Some(trusts) = to.trusts_registries {
            let own = if trusts { CA_FILE } else { "" };
            lines.push(format!("cat {BUNDLE}.pullcheck {own} >{BUNDLE}"));
            restart.insert("containerd");
        }
        if let Some(proxy) = &to.proxy {
            lines.push(proxy_line(proxy));
            lines.push("systemctl daemon-reload".to_owned());
            restart.insert("containerd");
        }
        if let Some(image) = &to.sandbox_image {
            lines.push(sandbox_line(image));
            restart.insert("containerd");
        }
        let limits = kubelet_lines(to);
        if !limits.is_empty() {
            lines.extend(limits);
            restart.insert("kubelet");
        }
        if to.credential_provider == Some(false) {
            lines.push(format!("printf '#!/bin/sh\\nexit 1\\n' >{PROVIDER}"));
        }
        if to.names_identity == Some(false) {
            lines.push(format!(
                "jq 'del(.userAssignedIdentityID)' {IDENTITY} >{IDENTITY}.new && mv {IDENTITY}.new {IDENTITY}"
            ));
        }
        if !restart.is_empty() {
            let services: Vec<&str> = restart.into_iter().collect();
            lines.push(format!("systemctl restart {}", services.join(" ")));
        }
        if !lines.is_empty() {
            let script = format!("set -e\n{}", lines.join("\n"));
            node.script(&script, &[]).await.map_err(failed)?;
        }
        self.remember(node.name(), to);
        Ok(())
    }
}

/// Undoes everything of `configure` on a node, known or not.
pub(super) async fn put_back(node: &Node) -> Result<(), DockerError> {
    let script = format!(
        "set -e
         containerd= kubelet=
         for file in /etc/containerd/certs.d/*/hosts.toml; do
           if [ -f \"$file\" ] && head -n 1 \"$file\" | grep -q '^{MARK}'; then rm -rf \"$(dirname \"$file\")\"; fi
         done
         if [ -f {BUNDLE}.pullcheck ] && [ -f {CA_FILE} ] &&
            ! cat {BUNDLE}.pullcheck {CA_FILE} | cmp -s - {BUNDLE}; then
           cat {BUNDLE}.pullcheck {CA_FILE} >{BUNDLE}
           containerd=1
         fi
         if [ -f {PROXY} ]; then rm {PROXY}; systemctl daemon-reload; containerd=1; fi
         rmdir \"$(dirname {PROXY})\" 2>/dev/null || true
         if [ -f {CONTAINERD}.pullcheck ]; then
           cat {CONTAINERD}.pullcheck >{CONTAINERD}; rm {CONTAINERD}.pullcheck; containerd=1
         fi
         if [ -f {KUBELET}.pullcheck ]; then
           cat {KUBELET}.pullcheck >{KUBELET}; rm {KUBELET}.pullcheck; kubelet=1
         fi
         if [ $containerd ]; then systemctl restart containerd; fi
         if [ $kubelet ]; then systemctl restart kubelet; fi"
    );
    node.script(&script, &[]).await.map(drop)
}

/// The `hosts.toml` of a registry; `None` where there is to be none.
fn hosts_file(registry: &str, mirrors: &Mirrors) -> Option<String> {
    if mirrors.hosts.is_empty() && mirrors.server.is_none() {
        return None;
    }
    let server = mirrors.server.clone();
    let server = server.unwrap_or_else(|| format!("https://{registry}"));
    let mut file = format!("{MARK}\nserver = \"{server}\"\n");
    for host in &mirrors.hosts {
        let _ = write!(
            file,
            "\n[host.\"{host}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        );
    }
    if mirrors.hosts.is_empty() {
        // Without the table containerd 1.6 ignores the file.
        file.push_str("\n[host]\n");
    }
    Some(file)
}

/// What may stand between quotes in a script and in what it writes.
fn plain(text: &str) -> String {
    let good = |c: &char| c.is_ascii_alphanumeric() || ".-_:/@,*[]".contains(*c);
    text.chars().filter(good).collect()
}

fn proxy_line(proxy: &ProxySettings) -> String {
    let Some(https) = &proxy.https else {
        return format!("rm -f {PROXY}");
    };
    let (https, none) = (plain(https), plain(&proxy.no_proxy.join(",")));
    format!(
        "mkdir -p \"$(dirname {PROXY})\"
         printf '[Service]\\nEnvironment=\"HTTPS_PROXY={https}\" \"NO_PROXY={none}\"\\n' >{PROXY}"
    )
}

/// The key is `sandbox_image` up to containerd 1.7, `sandbox` after it.
fn sandbox_line(image: &str) -> String {
    let image = plain(image);
    let key = "^([[:space:]]*sandbox(_image)?[[:space:]]*=).*";
    format!(
        "if [ ! -f {CONTAINERD}.pullcheck ]; then cp -p {CONTAINERD} {CONTAINERD}.pullcheck; fi
         grep -qE '{key}' {CONTAINERD} || {{ echo 'no sandbox image in {CONTAINERD}' >&2; exit 1; }}
         sed -E 's#{key}#\\1 \"{image}\"#' {CONTAINERD}.pullcheck >{CONTAINERD}"
    )
}

fn kubelet_lines(to: &NodeSettings) -> Vec<String> {
    let keys = [
        (
            "serializeImagePulls",
            to.serialize_image_pulls.map(|yes| yes.to_string()),
        ),
        (
            "registryPullQPS",
            to.registry_qps.map(|qps| format!("{qps:.0}")),
        ),
        (
            "registryBurst",
            to.registry_burst.map(|burst| burst.to_string()),
        ),
    ];
    let mut lines = Vec::new();
    for (key, value) in keys {
        let Some(value) = value else { continue };
        if lines.is_empty() {
            lines.push(format!(
                "if [ ! -f {KUBELET}.pullcheck ]; then cp -p {KUBELET} {KUBELET}.pullcheck; fi"
            ));
        }
        lines.push(format!(
            "sed -i '/^{key}:/d' {KUBELET} && echo '{key}: {value}' >>{KUBELET}"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> NodeSettings {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn what_a_real_node_cannot_be() {
        let table = [
            ("{}", None),
            ("{ trusts-registries: false }", None),
            ("{ registry-qps: 1 }", None),
            (
                "{ registry-qps: 0.05 }",
                Some("a node with less than one pull a second: a kubelet counts whole ones"),
            ),
            (
                "{ disk: 40MiB }",
                Some("a node with a disk of a given size"),
            ),
        ];
        for (text, want) in table {
            let node = settings(text);
            assert_eq!(possible(&node).err().as_deref(), want, "for {text}");
            assert_eq!(usual(&node), text == "{}", "for {text}");
        }
    }

    #[test]
    fn what_is_written_is_what_the_checker_is_told() {
        let known = Known::default();
        known.remember(
            "n",
            &settings("{ mirrors: { r.example: { hosts: ['https://m.example'] } }, trusts-registries: false }"),
        );
        assert!(!known.trusts("n") && known.trusts("other"));
        assert!(format!("{:?}", known.mirrors("n")).contains("m.example"));
        known.remember("n", &settings("{ mirrors: { r.example: {} } }"));
        assert!(!format!("{:?}", known.mirrors("n")).contains("m.example"));
        let mirrors = Mirrors {
            hosts: vec!["https://m.example".to_owned()],
            server: None,
        };
        insta::assert_snapshot!(hosts_file("r.example", &mirrors).unwrap(), @r#"
        # pullcheck-scenario
        server = "https://r.example"

        [host."https://m.example"]
          capabilities = ["pull", "resolve"]
        "#);
    }

    #[test]
    fn scripts_are_ones_that_a_shell_can_read() {
        let all = [
            proxy_line(
                &settings("{ proxy: { https: 'http://p.example:3128', no-proxy: [a, b] } }")
                    .proxy
                    .unwrap(),
            ),
            sandbox_line("registry.k8s.io/pause:3.10"),
            kubelet_lines(&settings(
                "{ serialize-image-pulls: true, registry-qps: 2, registry-burst: 3 }",
            ))
            .join("\n"),
            super::super::node::remove_rules("x"),
        ];
        for script in all {
            let read = std::process::Command::new("bash")
                .args(["-n", "-c", &script])
                .status();
            match read {
                Ok(status) => assert!(status.success(), "{script}"),
                Err(_) => eprintln!("skipped: no bash on this machine"),
            }
        }
        assert_eq!(plain("a'b\"c\\n.example:1"), "abcn.example:1");
    }
}
