//! What runtimes say of a sandbox or a container that does not start, each in its own words.
//!
//! Only the sentences: when they are said is the pod worker's affair. Texts about pulls are made by the
//! runtime itself.

use serde_json::Value;

use super::pod;
use crate::profile::{Profile, Runtime};
use crate::runtime::error::{Code, Status};

/// CRI-O's name of a pod's sandbox.
pub(super) fn sandbox_name(pod: &Value) -> String {
    let (name, namespace, uid) = (pod::name(pod), pod::namespace(pod), pod::uid(pod));
    format!("k8s_{name}_{namespace}_{uid}_0")
}

/// What the runtime says of a sandbox whose image, already quoted, cannot be pulled: containerd 1 and 2
/// (`sandbox_run.go`) and CRI-O (`server/sandbox_run_linux.go`).
pub(super) fn sandbox_error(
    profile: &Profile,
    id: &str,
    pause: &str,
    name: &str,
    status: &Status,
) -> String {
    let wrapped = || {
        format!(
            "failed to get sandbox image {pause}: failed to pull image {pause}: {}",
            status.message
        )
    };
    let (code, said) = match profile.runtime {
        Runtime::Containerd { .. } if profile.names_sandbox() => (
            status.code,
            format!("failed to start sandbox \"{id}\": {}", wrapped()),
        ),
        Runtime::Containerd { .. } => (Code::Unknown, wrapped()),
        Runtime::CriO { .. } => {
            let error = if profile.shouts_errors() {
                "error "
            } else {
                ""
            };
            (
                Code::Unknown,
                format!(
                    "{error}creating pod sandbox with name \"{name}\": {}",
                    status.message
                ),
            )
        }
    };
    format!("rpc error: code = {code} desc = {said}")
}

/// The complaint about a program that is not in the image: runc's, behind containerd's words or
/// CRI-O's, which calls runc itself.
pub(super) fn not_found(profile: &Profile, command: &str) -> String {
    let why = if command.starts_with('/') {
        format!("exec: \"{command}\": stat {command}: no such file or directory")
    } else {
        format!("exec: \"{command}\": executable file not found in $PATH")
    };
    let init = format!("unable to start container process: error during container init: {why}");
    match profile.runtime {
        Runtime::Containerd { .. } => format!(
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: \
             runc create failed: {init}"
        ),
        Runtime::CriO { .. } => format!("container create failed: {init}"),
    }
}
