#!/usr/bin/env bash
# Step `rootfs`: the node's root file system, and a small one for the images of the control
# plane, both of the Debian suite $SUITE. Fills $OUT with node.tar and small.tar.
set -euo pipefail
. "$KIND_DIR/build/apt.sh"

node=systemd,containerd,runc,containernetworking-plugins,conntrack,iptables,nftables,iproute2,ethtool
node+=,socat,util-linux,mount,kmod,bash,ca-certificates,curl,jq,procps,netbase
small=libc6,iptables,conntrack,etcd-server,busybox-static

from=$(archive)
: "${SUITE:?}"
make() { # make TAR VARIANT PACKAGES
  mmdebstrap --quiet --mode=auto --format=tar --variant="$2" --include="$3" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    "$SUITE" "$1" "deb $from $SUITE main"
}
export TMPDIR=$WORK
echo "installing the node's packages ($SUITE)"
make "$OUT/node.tar" minbase "$node"
echo "unpacking the control plane's packages ($SUITE)"
make "$OUT/small.tar" extract "$small"
