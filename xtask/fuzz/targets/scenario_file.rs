//! Any text, as a scenario file: a scenario, or an error that says where.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = pull_scenarios::spec::parse("fuzzed.yaml", text) {
        assert!(!error.to_string().is_empty());
    }
});
