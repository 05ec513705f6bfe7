#!/usr/bin/env bash
# Step `kind`: the kind program, and from its source the files that make an image a
# kind node. Fills $OUT with bin/kind and base/.
set -euo pipefail
. "$KIND_DIR/build/apt.sh"

# The release whose base files the step `node` was written against.
want=0.27.

private_apt_sources trixie
cd "$WORK"
private_apt download kind/trixie
private_apt source --download-only --tar-only kind/trixie
dpkg -x kind_*.deb deb
mkdir source
tar -xf kind_*.orig.tar.* -C source --strip-components=1

have=$(dpkg-deb -f kind_*.deb Version)
if [[ $have != "$want"* ]]; then
  echo "the archive has kind $have; this was made for ${want}x" >&2
  exit 1
fi
install -D -m755 deb/usr/bin/kind "$OUT/bin/kind"
cp -r source/images/base/files "$OUT/base"
