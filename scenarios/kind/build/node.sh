#!/usr/bin/env bash
# Step `node`: the node image: root file system, Kubernetes, kind's base files and ours, with
# the control plane's images already in containerd's store. Fills $OUT with image.tar.zst,
# which holds the image $IMAGE, and with the kind and kubectl that belong to it. Needs Docker;
# leaves that one image in it.
set -euo pipefail

version=1.20.2
pause=$(cat "$IN_IMAGES/pause")
rootfs=pullcheck-rootfs:$KEY
node=pullcheck-build-$KEY
cleanup() {
  docker rm --force --volumes "$node" >/dev/null 2>&1 || true
  docker rmi --no-prune "$rootfs" >/dev/null 2>&1 || true
}
trap cleanup EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
cleanup

root=$WORK/root
mkdir -p "$root"/{kind/manifests,usr/bin,usr/local/bin,usr/local/sbin,etc/cni/net.d,etc/kubernetes/manifests,opt/cni,etc/containerd/certs.d}
cp -r "$IN_KIND/base/etc" "$IN_KIND/base/kind" "$root/"
install -m755 "$IN_KIND/base/usr/local/bin/entrypoint" "$root/usr/local/bin/entrypoint"
cp -r "$KIND_DIR/node/root/." "$root/"
install -m755 "$KIND_DIR/node/setup.sh" "$root/kind/setup.sh"
install -m755 "$KIND_DIR/bounded-runc" "$root/usr/local/sbin/bounded-runc"
cp "$IN_KUBERNETES"/bin/{kubelet,kubeadm,kubectl} "$root/usr/bin/"
rm "$root/etc/systemd/system/containerd-fuse-overlayfs.service"
ln -s /usr/lib/cni "$root/opt/cni/bin"
for program in containerd ctr; do ln -s "/usr/bin/$program" "$root/usr/local/bin/$program"; done
printf 'v%s' "$version" >"$root/kind/version"
chmod 755 "$root"/kind/bin/*

# What kind's entrypoint does and a node here must not; each edit is checked to have hit.
edit() { # edit PATTERN SED-COMMAND
  if ! grep -q "$1" "$root/usr/local/bin/entrypoint"; then
    echo "kind's entrypoint is not the one that this was written for: no $1" >&2
    exit 1
  fi
  sed -i "/$1/$2" "$root/usr/local/bin/entrypoint"
}
# On cgroup v1 it bind-mounts each /kubelet cgroup onto itself. When the host has few
# controllers, kubelet 1.20 takes such a mount for the controller's own ("cgroup-root
# [\"kubelet\"] doesn't exist"); 12-cgroup-v1.conf makes the cgroups before the kubelet instead.
# shellcheck disable=SC2016 # the entrypoint's own text
edit '^  mount --bind "${subsystem}' d
# It asks for a name that only Docker Desktop knows. Behind the fence nobody answers, and
# that takes five seconds; the default gateway is what it falls back to.
edit "docker_host_ip=.*getent ahostsv4 'host.docker.internal'" "s/=.*/=''/"

configuration=$root/etc/containerd/config.toml
sed -i -e 's|SystemdCgroup = true|SystemdCgroup = false\n    BinaryName = "/usr/local/sbin/bounded-runc"|' \
  -e "s|sandbox_image = .*|sandbox_image = \"$pause\"|" \
  -e 's|restrict_oom_score_adj = false|restrict_oom_score_adj = true|' \
  -e '/^\[proxy_plugins/,/^$/d' "$configuration"
cat >>"$configuration" <<'TOML'

# One directory a registry: /etc/containerd/certs.d/<host>:<port>/hosts.toml
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
TOML

echo 'importing the root file system'
docker import "$IN_ROOTFS/node.tar" "$rootfs" >/dev/null
docker create --name "$node" --stop-signal SIGRTMIN+3 --privileged --network none "$rootfs" /kind/setup.sh >/dev/null
tar -C "$root" --owner=0 --group=0 -c . | docker cp - "$node:/"
docker cp "$IN_IMAGES/preload.tar" "$node:/kind/preload.tar" >/dev/null
echo 'setting the node up'
docker start --attach "$node"

# systemd 256 and later start on cgroup v1 only when told so.
init='"/sbin/init"'
if [[ $SUITE != bookworm ]]; then init+=', "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"'; fi
# One of the same key, made when the cache was another one, would stay without a name.
docker image rm "$IMAGE" >/dev/null 2>&1 || true
docker commit -c 'ENV container=docker' -c 'CMD []' -c "LABEL pullcheck.kind.key=$KEY" \
  -c "ENTRYPOINT [\"/usr/local/bin/entrypoint\", $init]" "$node" "$IMAGE" >/dev/null
echo 'saving the image'
docker save "$IMAGE" | zstd -q -3 -T0 -o "$OUT/image.tar.zst"

mkdir "$OUT/bin"
cp "$IN_KIND/bin/kind" "$IN_KUBERNETES/bin/kubectl" "$OUT/bin/"
