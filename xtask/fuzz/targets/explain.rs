//! Any text, as a message of a runtime: an answer, and no secret of a URL in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let read = pullcheck::explain::explain(&text);
    assert!(read.also.len() <= 3);
    assert!(!read.also.contains(&read.clue));
    let _ = pullcheck::explain::render_text(&read, 80);
});
