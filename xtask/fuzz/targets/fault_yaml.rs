//! Any text, as a fault script.
#![no_main]

use fake_registry::{Rule, Script};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for error in [
        Script::from_yaml(text).err().map(|error| error.to_string()),
        Rule::from_yaml(text).err().map(|error| error.to_string()),
    ] {
        assert!(error.is_none_or(|words| !words.is_empty()));
    }
});
