#!/usr/bin/env bash
# Step `images`: the images that a node must hold before it starts, with the names that
# kubeadm 1.20.2 writes into its manifests. They are put together as files, so that no image
# of the user's Docker can get in the way. Fills $OUT with preload.tar and pause.
set -euo pipefail

version=1.20.2
pause=k8s.gcr.io/pause:3.2
etcd=k8s.gcr.io/etcd:3.4.13-0
dns=k8s.gcr.io/coredns:1.7.0

archive=$WORK/archive
mkdir "$archive"
echo '[]' >"$archive/manifest.json"

# add IMAGE DIRECTORY CONFIG: one image of one layer, of what the directory holds.
add() {
  local image=$1 directory=$2 config=$3 layer digest id
  layer=$WORK/layer.tar
  tar -C "$directory" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$layer" .
  digest=$(sha256sum "$layer" | cut -d' ' -f1)
  mv "$layer" "$archive/$digest.tar"
  jq -nc --arg digest "sha256:$digest" --arg architecture "$ARCHITECTURE" --argjson config "$config" '{
    created: "1970-01-01T00:00:00Z", architecture: $architecture, os: "linux", config: $config,
    rootfs: { type: "layers", diff_ids: [$digest] }, history: [{ created: "1970-01-01T00:00:00Z" }]
  }' >"$WORK/config.json"
  id=$(sha256sum "$WORK/config.json" | cut -d' ' -f1)
  mv "$WORK/config.json" "$archive/$id.json"
  jq -c --arg config "$id.json" --arg tag "$image" --arg layer "$digest.tar" \
    '. + [{ Config: $config, RepoTags: [$tag], Layers: [$layer] }]' "$archive/manifest.json" >"$WORK/manifest.json"
  mv "$WORK/manifest.json" "$archive/manifest.json"
  echo "made $image"
}

for program in kube-apiserver kube-controller-manager kube-scheduler; do
  mkdir -p "$WORK/$program/usr/local/bin"
  cp "$IN_KUBERNETES/bin/$program" "$WORK/$program/usr/local/bin/"
  add "k8s.gcr.io/$program:v$version" "$WORK/$program" '{ "Env": ["PATH=/usr/local/bin"] }'
done

mkdir -p "$WORK/pause" "$WORK/dns/etc"
cp "$IN_KUBERNETES/bin/pause" "$WORK/pause/"
add "$pause" "$WORK/pause" '{ "Entrypoint": ["/pause"], "User": "65535:65535" }'
cp "$IN_KUBERNETES/bin/cluster-dns" "$WORK/dns/"
add "$dns" "$WORK/dns" '{ "Entrypoint": ["/cluster-dns"] }'

small=$WORK/small
mkdir "$small"
tar -C "$small" -xf "$IN_ROOTFS/small.tar"
rm -rf "$small"/{var/lib/apt,var/cache,usr/share/doc,usr/share/man,usr/share/locale}
for directory in bin sbin lib lib64; do # no maintainer script has merged them into /usr
  if [[ ! -e $small/$directory && -d $small/usr/$directory ]]; then ln -s "usr/$directory" "$small/$directory"; fi
done
add "$etcd" "$small" '{ "Env": ["PATH=/usr/bin:/bin"] }'

# kube-proxy calls iptables: use the flavour in which the kubelet has made its chains.
mkdir -p "$small/usr/local/bin"
install -m755 "$(find "$small" -path '*/bin/busybox' -type f)" "$small/usr/local/bin/busybox"
for tool in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
  rm -f "$small/usr/sbin/$tool"
  install -m755 "$KIND_DIR/node/iptables-like-the-kubelet" "$small/usr/sbin/$tool"
done
cp "$IN_KUBERNETES/bin/kube-proxy" "$small/usr/local/bin/"
add "k8s.gcr.io/kube-proxy:v$version" "$small" '{ "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] }'

tar -C "$archive" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$OUT/preload.tar" .
echo "$pause" >"$OUT/pause"
