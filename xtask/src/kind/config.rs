//! What kind is told about a cluster: its configuration file, as a pure function.

use super::name::ClusterName;

/// A machine has room for no more.
pub(crate) const MAX_NODES: u8 = 4;

/// The cluster that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterSpec {
    pub(crate) name: ClusterName,
    /// Nodes, the control plane's included; at least 1.
    pub(crate) nodes: u8,
    /// Whether the nodes' image is kind's own, which brings a pod network.
    pub(crate) stock: bool,
}

/// Images of kind's own look into that folder only from some version on.
const MIRRORS: &str = "\
containerdConfigPatches:
  - |-
    [plugins.\"io.containerd.grpc.v1.cri\".registry]
      config_path = \"/etc/containerd/certs.d\"
";

/// Kubelet settings without which scenarios on one node disturb each other: a hanging pull
/// would hold up every other one, more than ten pulls at once would fail with "pull QPS
/// exceeded", and with dozens of pods their status would be up to a minute late.
const KUBELET: &str = "\
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    apiVersion: kubelet.config.k8s.io/v1beta1
    serializeImagePulls: false
    registryPullQPS: 0
    eventRecordQPS: 100
    eventBurst: 200
    kubeAPIQPS: 100
    kubeAPIBurst: 200
";

impl ClusterSpec {
    /// The configuration file for `kind create cluster`.
    pub(crate) fn render(&self) -> String {
        let workers = "  - role: worker\n".repeat(usize::from(self.nodes.saturating_sub(1)));
        // kind's own pod network is a container image that a built node does not have; that one
        // brings another.
        let mirrors = if self.stock { MIRRORS } else { "" };
        format!(
            "kind: Cluster\n\
             apiVersion: kind.x-k8s.io/v1alpha4\n\
             name: {name}\n\
             networking:\n  \
               ipFamily: ipv4\n  \
               apiServerAddress: 127.0.0.1\n  \
               disableDefaultCNI: {own_network}\n  \
               podSubnet: 10.244.0.0/16\n  \
               serviceSubnet: 10.96.0.0/16\n\
             nodes:\n  - role: control-plane\n{workers}{KUBELET}{mirrors}",
            name = self.name,
            own_network = !self.stock,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node() {
        let spec = ClusterSpec {
            name: ClusterName::default(),
            nodes: 1,
            stock: false,
        };
        insta::assert_snapshot!(spec.render(), @r"
        kind: Cluster
        apiVersion: kind.x-k8s.io/v1alpha4
        name: pullcheck
        networking:
          ipFamily: ipv4
          apiServerAddress: 127.0.0.1
          disableDefaultCNI: true
          podSubnet: 10.244.0.0/16
          serviceSubnet: 10.96.0.0/16
        nodes:
          - role: control-plane
        kubeadmConfigPatches:
          - |
            kind: KubeletConfiguration
            apiVersion: kubelet.config.k8s.io/v1beta1
            serializeImagePulls: false
            registryPullQPS: 0
            eventRecordQPS: 100
            eventBurst: 200
            kubeAPIQPS: 100
            kubeAPIBurst: 200
        ");
    }

    #[test]
    fn more_nodes_are_workers() {
        let spec = ClusterSpec {
            name: "shop".parse().unwrap(),
            nodes: 3,
            stock: true,
        };
        let rendered = spec.render();
        let nodes: Vec<&str> = rendered
            .lines()
            .filter(|line| line.contains("role:"))
            .collect();
        insta::assert_snapshot!(nodes.join("\n"), @r"
          - role: control-plane
          - role: worker
          - role: worker
        ");
        assert!(rendered.contains("\nname: shop\n"));
        // Kind's own image has kind's own pod network.
        assert!(rendered.contains("disableDefaultCNI: false\n"));
        assert!(rendered.contains("config_path = \"/etc/containerd/certs.d\"\n"));
    }
}
