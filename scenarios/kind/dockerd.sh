#!/usr/bin/env bash
# Starts dockerd where no service manager does, with an OCI runtime that can run a node's
# privileged container on a machine that lacks some capability.
#
#   dockerd.sh start    does nothing when a daemon answers that can run nodes
#   dockerd.sh stop     stops the daemon that `start` started, and no other; takes away what
#                       that daemon put into the packet filter
#
# PULLCHECK_KIND_CACHE   where the log, the pid and the runtime are kept
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=${PULLCHECK_KIND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullcheck/kind}/dockerd

fail() {
  echo "error: $*" >&2
  exit 2
}

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Whether this process has every capability that the kernel knows.
all_capabilities() {
  local last bound
  last=$(cat /proc/sys/kernel/cap_last_cap)
  bound=$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)
  (((16#$bound & ((1 << (last + 1)) - 1)) == (1 << (last + 1)) - 1))
}

# Whether the process in the pid file is still the daemon that was started.
ours() { [[ -s $state/pid && $(cat "/proc/$(cat "$state/pid")/comm" 2>/dev/null) == dockerd ]]; }

start() {
  local program
  if answers; then
    all_capabilities || [[ $(docker info --format '{{.DefaultRuntime}}') == bounded-runc ]] ||
      fail "the running Docker daemon cannot start a node on this machine, which lacks a capability: stop it, then run this again"
    exit 0
  fi
  for program in docker dockerd containerd runc jq iptables; do
    command -v "$program" >/dev/null ||
      fail "$program is not installed: apt-get install -y --no-install-recommends docker.io containerd runc iptables jq"
  done
  [[ $(id -u) == 0 ]] || fail 'dockerd must be started by root'

  mkdir -p "$state"
  install -m755 "$here/bounded-runc" "$state/bounded-runc"
  iptables -S FORWARD | head -n 1 >"$state/forward-policy"
  cat /proc/sys/net/ipv4/ip_forward >"$state/ip-forward"
  ip link show docker0 >/dev/null 2>&1 || touch "$state/no-docker0"
  setsid nohup dockerd --add-runtime "bounded-runc=$state/bounded-runc" --default-runtime bounded-runc \
    >"$state/log" 2>&1 </dev/null &
  echo $! >"$state/pid"
  for _ in $(seq 120); do
    if answers; then exit 0; fi
    if ! ours; then break; fi
    sleep 0.5
  done
  echo "error: dockerd did not start; the end of $state/log:" >&2
  tail -n 5 "$state/log" >&2
  exit 1
}

# Removes the chains of Docker, and the rules that lead to them or concern its own bridge.
clear_filter() {
  local table line
  for table in filter nat; do
    iptables -w -t "$table" -S | grep -E -- '^-A (FORWARD|PREROUTING|OUTPUT|POSTROUTING) .*(-j DOCKER|docker0|172\.17\.0\.0/16)' |
      while read -r line; do
        # shellcheck disable=SC2086 # a rule is words
        iptables -w -t "$table" -D ${line#-A } || true
      done || true
    iptables -w -t "$table" -S | awk '$1 == "-N" && $2 ~ /^DOCKER/ { print $2 }' |
      while read -r line; do iptables -w -t "$table" -F "$line"; done || true
    iptables -w -t "$table" -S | awk '$1 == "-N" && $2 ~ /^DOCKER/ { print $2 }' |
      while read -r line; do iptables -w -t "$table" -X "$line"; done || true
  done
}

stop() {
  local pid
  if ! ours; then
    if answers; then fail 'the Docker daemon that runs is not one that this script started'; fi
    exit 0
  fi
  pid=$(cat "$state/pid")
  kill -TERM "$pid"
  for _ in $(seq 60); do
    if ! ours; then break; fi
    sleep 0.5
  done
  if ours; then fail "dockerd (process $pid) does not stop"; fi
  if [[ -e $state/no-docker0 ]]; then
    clear_filter
    ip link delete docker0 2>/dev/null || true
    # shellcheck disable=SC2046 # `-P FORWARD ACCEPT`
    iptables -w $(cat "$state/forward-policy")
    cat "$state/ip-forward" >/proc/sys/net/ipv4/ip_forward
  fi
  rm -f "$state"/{pid,no-docker0,forward-policy,ip-forward}
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  *) fail "usage: ${0##*/} start|stop" ;;
esac
