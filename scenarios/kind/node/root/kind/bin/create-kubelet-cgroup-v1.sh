#!/bin/bash
# Makes the cgroup /kubelet of every controller on a cgroup v1 host.
set -euo pipefail
for controller in /sys/fs/cgroup/*; do
  if [[ ! -e $controller/cgroup.procs || -e $controller/cgroup.controllers ]]; then continue; fi
  mkdir -p "$controller/kubelet"
  if [[ -e $controller/cpuset.cpus ]]; then # without these no process can be put into it
    cat "$controller/cpuset.cpus" >"$controller/kubelet/cpuset.cpus"
    cat "$controller/cpuset.mems" >"$controller/kubelet/cpuset.mems"
  fi
done
