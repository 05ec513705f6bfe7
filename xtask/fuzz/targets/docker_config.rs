//! Any bytes, as a docker configuration, as each kind of pull secret, as a node's credential providers, and looked
//! up in; a password that stands in one is in nothing that can be printed.
#![no_main]

use std::path::Path;

use futures::FutureExt as _;
use libfuzzer_sys::fuzz_target;
use pullcheck::keyring::{DockerConfig, Keyring, Providers};
use pullcheck::reference::Reference;
use pullcheck::world::NoPrograms;
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
    let mut refused = Vec::new();
    match DockerConfig::parse("config.json", data) {
        Ok(config) => {
            let asked = config.ask(&NoPrograms, &image).now_or_never();
            keyring.add_asked(asked.expect("with no program to wait for"));
        }
        Err(error) => refused.push(error.to_string()),
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(error) = Providers::parse([text], Path::new("/bin"))
    {
        refused.push(error.to_string());
    }
    format!("{refused:?} {:?}", keyring.lookup(&image))
}
