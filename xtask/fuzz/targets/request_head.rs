//! Any bytes on a connection of the fake registry: it answers or closes, and ends.
#![no_main]

use std::time::Duration;

use fake_registry::{Conn, FakeRegistry, Scheme};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // One of its own for each input, so that an input replayed does what it did.
        let registry = FakeRegistry::builder()
            .seed(1)
            .journal_limit(16)
            .image("registry.example", "team/web:v1 linux/amd64 1x1KiB")
            .build()
            .expect("a registry");
        let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
        let conn = Conn {
            peer: "192.0.2.1:40000".parse().expect("an address"),
            client: "fuzzer".into(),
            scheme: Scheme::Http,
        };
        let served = tokio::spawn(registry.serve(theirs, conn));
        let _ = ours.write_all(data).await;
        let _ = ours.shutdown().await;
        let mut answer = vec![0; 64 * 1024];
        while let Ok(Ok(1..)) =
            tokio::time::timeout(Duration::from_secs(300), ours.read(&mut answer)).await
        {}
        drop(ours);
        let ended = tokio::time::timeout(Duration::from_secs(3600), served).await;
        ended.expect("the connection ends").expect("no panic");
    });
});
