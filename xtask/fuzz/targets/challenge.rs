//! Any header, as a challenge.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcheck::wire::challenge::Challenge;

fuzz_target!(|text: &str| {
    let _ = Challenge::parse(text);
    if let Some(one) = Challenge::choose(text.lines()) {
        for name in ["realm", "service", "scope", "error"] {
            let _ = (one.get(name), one.excerpt(name));
        }
    }
});
