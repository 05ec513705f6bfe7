//! Any bytes, as a docker configuration, as each kind of pull secret, and looked up in; a password that stands
//! in one is in nothing that can be printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcheck::keyring::Keyring;
use pullcheck::reference::Reference;
use serde_json::{Value, json};

const PASSWORD: &str = "s3cr3t-of-the-fuzzer";
/// `u:` and the password.
const AUTH: &str = "dTpzM2NyM3Qtb2YtdGhlLWZ1enplcg==";

fuzz_target!(|data: &[u8]| {
    look_up(data);
    let Ok(mut file) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let text = file.to_string();
    if text.contains(PASSWORD) || text.contains(AUTH) {
        return;
    }
    for put in [
        json!({ "username": "u", "password": PASSWORD }),
        json!({ "auth": AUTH }),
    ] {
        // As a `config.json`, and as the older kind, which is what stands in `auths`.
        let entries = match file.get_mut("auths") {
            Some(auths) => auths.as_object_mut(),
            None => file.as_object_mut(),
        };
        for entry in entries.into_iter().flat_map(|map| map.values_mut()) {
            *entry = put.clone();
        }
        let printed = look_up(file.to_string().as_bytes());
        assert!(!printed.contains(PASSWORD) && !printed.contains(AUTH));
    }
});

fn look_up(data: &[u8]) -> String {
    let image = Reference::parse("registry.example:5000/team/web:v1").expect("a reference");
    let mut keyring = Keyring::new();
    for kind in ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"] {
        keyring.add_pull_secret("shop", "pull", kind, Some(data));
    }
    let refused = keyring.add_docker_config("config.json", data).err();
    keyring.add_node_file("/var/lib/kubelet/config.json", data);
    format!("{refused:?} {:?}", keyring.lookup(&image))
}
