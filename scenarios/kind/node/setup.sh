#!/bin/bash
# Runs once in the container that becomes the node image: systemd's units, containerd's
# base specification, the control plane's images. Removes itself.
set -euo pipefail
ln -sf /lib/systemd/systemd /sbin/init
rm -f /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/*
rm -f /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/basic.target.wants/*
rm -f /lib/systemd/system/sockets.target.wants/*{udev,initctl}*
systemctl enable kubelet.service containerd.service undo-mount-hacks.service pod-network.service
systemctl mask systemd-binfmt.service

ctr oci spec |
  jq '.hooks.createContainer[.hooks.createContainer | length] |= . + {"path": "/kind/bin/mount-product-files.sh"}' |
  jq 'del(.process.rlimits)' >/etc/containerd/cri-base.json

containerd >/tmp/containerd.log 2>&1 &
containerd=$!
for _ in $(seq 100); do
  if ctr version >/dev/null 2>&1; then break; fi
  sleep 0.2
done
if ! ctr -n k8s.io images import --no-unpack /kind/preload.tar; then
  tail -n 20 /tmp/containerd.log >&2
  exit 1
fi
kill "$containerd"
wait "$containerd" || true
rm -rf /kind/preload.tar /kind/setup.sh /tmp/containerd.log /run/containerd /var/lib/apt/lists/* /var/cache/apt/*
