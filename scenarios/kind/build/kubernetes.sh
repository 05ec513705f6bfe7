#!/usr/bin/env bash
# Step `kubernetes`: compiles the programs of Kubernetes 1.20.2, the newest whose whole
# source Debian ships, and the cluster's DNS server. Fills $OUT with bin/.
set -euo pipefail
. "$KIND_DIR/build/apt.sh"

version=1.20.2
source_version=1.20.5+really1.20.2
go=/usr/lib/go-1.19/bin

private_apt_sources bookworm
cd "$WORK"
private_apt source --download-only kubernetes/bookworm
private_apt download golang-github-modern-go-reflect2-dev/bookworm
if ! compgen -G "kubernetes_$source_version*.dsc" >/dev/null; then
  echo "the archive has $(echo kubernetes_*.dsc); this was made for kubernetes_$source_version" >&2
  exit 1
fi
mkdir -p gopath/src/k8s.io
dpkg-source --no-check -x kubernetes_*.dsc gopath/src/k8s.io/kubernetes >/dev/null
dpkg -x golang-github-modern-go-reflect2-dev_*.deb reflect2

export GOPATH=$WORK/gopath GOCACHE=$SHARED/go GO111MODULE=off GOFLAGS='' GOTOOLCHAIN=local CGO_ENABLED=0
export PATH=$go:$PATH
cd gopath/src/k8s.io/kubernetes

# The vendored reflect2 1.0.1 crashes when compiled with Go 1.18 or later.
rm -rf vendor/github.com/modern-go/reflect2
cp -r "$WORK/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2" vendor/github.com/modern-go/

# Dates come from the source, so that the same source gives the same programs.
date=$(date -u -d "@$(stat -c %Y go.mod)" +%Y-%m-%dT%H:%M:%SZ)
ld='-s -w'
for package in component-base/version client-go/pkg/version; do
  package=k8s.io/kubernetes/vendor/k8s.io/$package
  ld+=" -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=20"
  ld+=" -X $package.gitTreeState=archive -X $package.gitCommit=debian -X $package.buildDate=$date"
done
build() { go build -p "$JOBS" -trimpath -ldflags "$ld" -o "$OUT/bin/" "$@"; }
mkdir -p "$OUT/bin"

# The source package lacks one generated file that kube-apiserver needs.
if [[ ! -e pkg/generated/openapi/zz_generated.openapi.go ]]; then
  echo 'generating the OpenAPI definitions'
  go build -p "$JOBS" -o "$WORK/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  inputs=$(grep -rl --include='*.go' '+k8s:openapi-gen=' \
    vendor/k8s.io/{api,apimachinery,apiserver,apiextensions-apiserver,kube-aggregator,client-go,component-base}/ \
    vendor/k8s.io/{cloud-provider,controller-manager,kube-controller-manager,kube-proxy,kube-scheduler,kubelet,metrics}/ \
    pkg cmd | grep -v -e _test.go -e zz_generated | xargs -n1 dirname | LC_ALL=C sort -u |
    sed 's,^,k8s.io/kubernetes/,' | paste -sd,)
  "$WORK/openapi-gen" --logtostderr -i "$inputs" -p k8s.io/kubernetes/pkg/generated/openapi \
    -O zz_generated.openapi -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r /dev/null
fi

mkdir -p cmd/cluster-dns
cp "$KIND_DIR/cluster-dns.go" cmd/cluster-dns/main.go
build -v ./cmd/{kubelet,kubeadm,kubectl,kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy,cluster-dns}
gcc -Os -static -DVERSION="$version" -o "$OUT/bin/pause" build/pause/linux/pause.c
strip "$OUT/bin/pause"
