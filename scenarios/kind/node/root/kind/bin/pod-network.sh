#!/bin/bash
# The pod network. Follows the cluster's nodes with the kubelet's own credentials: the
# node's own pod range becomes the configuration of a bridge, the range of every other node a
# route by that node's address. What leaves the pod network is given the node's address.
set -euo pipefail
name=$(hostname)
credentials=/etc/kubernetes/kubelet.conf
configuration=/etc/cni/net.d/10-pod-network.conflist

until [[ -s $credentials && -s /kind/kubeadm.conf ]]; do sleep 0.5; done
whole=$(sed -n 's/^ *podSubnet: *"\{0,1\}\([0-9./]*\).*/\1/p' /kind/kubeadm.conf | head -n 1)

own() { # own RANGE
  local rule=(POSTROUTING -s "$1" ! -d "$whole" -m comment --comment "pod network" -j MASQUERADE)
  iptables -w -t nat -C "${rule[@]}" 2>/dev/null || iptables -w -t nat -A "${rule[@]}"
  jq -n --arg range "$1" '{
    cniVersion: "0.3.1",
    name: "pods",
    plugins: [
      {
        type: "bridge", bridge: "cni0", isGateway: true, hairpinMode: true,
        ipam: { type: "host-local", ranges: [[{ subnet: $range }]], routes: [{ dst: "0.0.0.0/0" }] }
      },
      { type: "portmap", capabilities: { portMappings: true } }
    ]
  }' >"$configuration.new"
  if cmp -s "$configuration.new" "$configuration"; then
    rm "$configuration.new"
  else
    mv "$configuration.new" "$configuration"
    echo "pods of this node: $1"
  fi
}

while true; do
  kubectl --kubeconfig "$credentials" get nodes --watch --output-watch-events --output jsonpath='{.type}|{.object.metadata.name}|{.object.spec.podCIDR}|{.object.status.addresses[?(@.type=="InternalIP")].address}{"\n"}' |
    while IFS='|' read -r change node range address; do
      if [[ -z $range || -z $address ]]; then
        continue # the controller has not given it a range yet
      elif [[ $node == "$name" ]]; then
        own "$range"
      elif [[ $change == DELETED ]]; then
        ip route del "$range" via "$address" || true
        echo "no route to the pods of $node any more"
      else
        ip route replace "$range" via "$address"
        echo "pods of $node: $range via $address"
      fi
    done || true
  sleep 1 # the API server ends a watch now and then, or is not there yet
done
