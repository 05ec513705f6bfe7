# shellcheck shell=bash
# An apt of its own beside the machine's. It uses the archive that the machine's apt is
# configured with, sees the source packages and the suites that this project takes
# packages from, and changes nothing on the machine. To be sourced; needs $SHARED.

# The archive of the machine's own apt configuration.
archive() {
  local uri
  # shellcheck disable=SC2016 # apt's own placeholders
  uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(SITE)' \
    'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
    awk '$2 !~ /-/ && $3 == "main" { print $1; exit }')
  if [[ -z $uri ]]; then
    echo 'apt has no index of a Debian archive: run apt-get update, and see that its sources name one' >&2
    return 1
  fi
  echo "$uri"
}

# Runs an apt-get command in it: private_apt update|source|download ...
private_apt() {
  local command=$1
  shift
  apt-get "$command" -qq \
    -oDir::State::Lists="$SHARED/apt/lists" \
    -oDir::Cache="$SHARED/apt/cache" \
    -oDir::Etc::SourceList="$SHARED/apt/sources.list" \
    -oDir::Etc::SourceParts=/dev/null \
    -oAPT::Sandbox::User="$(id -un)" \
    -oAcquire::Languages=none \
    -oAcquire::Retries=3 \
    "$@"
}

# private_apt_sources SUITE...: lists binary and source packages of these suites afresh.
private_apt_sources() {
  local from suite
  from=$(archive)
  mkdir -p "$SHARED"/apt/lists/partial "$SHARED"/apt/cache/archives/partial
  for suite in "$@"; do
    echo "deb $from $suite main"
    echo "deb-src $from $suite main"
  done >"$SHARED/apt/sources.list"
  private_apt update
}
