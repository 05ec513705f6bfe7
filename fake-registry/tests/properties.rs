//! Properties over many inputs: an upload in any chunks is the blob, a range is its slice, and
//! nothing that a client sends brings the registry down.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use common::{Client, HOST, client, sha256};
use fake_registry::{FakeRegistry, HostSpec, Script};
use proptest::prelude::*;

fn open() -> Client {
    client(
        &FakeRegistry::builder()
            .host(HostSpec::new(HOST))
            .seed(1)
            .build()
            .unwrap(),
    )
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// One step of an upload: how a chunk is announced, and how long it is.
#[derive(Clone, Debug)]
enum Step {
    Chunk(usize),
    Stream(usize),
    /// Announced at the wrong place.
    Gap(usize),
    Status,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..200_usize).prop_map(Step::Chunk),
        (0..200_usize).prop_map(Step::Stream),
        (1..200_usize).prop_map(Step::Gap),
        Just(Step::Status),
    ];
    prop::collection::vec(step, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_upload_in_any_steps_is_what_was_sent_in_order(steps in steps(), seed in any::<u8>(), on_disk in any::<bool>()) {
        run(async {
            let home = tempfile::TempDir::new().unwrap();
            let spec = HostSpec::new(HOST);
            let spec = if on_disk { spec.directory(home.path()) } else { spec };
            let client = client(&FakeRegistry::builder().host(spec).seed(1).build().unwrap());
            let place = client.ask("POST", "/v2/a/blobs/uploads/", b"").await.header("location").unwrap().to_owned();
            let mut model: Vec<u8> = Vec::new();
            for (number, step) in steps.iter().enumerate() {
                let bytes = |length: usize| vec![seed.wrapping_add(number as u8); length];
                let at = model.len();
                let (answer, want) = match step {
                    Step::Chunk(length) => {
                        let chunk = bytes(*length);
                        let range = format!("{at}-{}", at + length - 1);
                        model.extend(&chunk);
                        (client.with("Content-Range", &range).ask("PATCH", &place, &chunk).await, 202)
                    }
                    Step::Stream(length) => {
                        let chunk = bytes(*length);
                        model.extend(&chunk);
                        (client.ask("PATCH", &place, &chunk).await, 202)
                    }
                    Step::Gap(length) => {
                        let range = format!("{}-{}", at + 1, at + length);
                        (client.with("Content-Range", &range).ask("PATCH", &place, &bytes(*length)).await, 416)
                    }
                    Step::Status => (client.get(&place).await, 204),
                };
                prop_assert_eq!(answer.status, want);
                let end = format!("0-{}", model.len().saturating_sub(1));
                prop_assert_eq!(answer.header("range"), Some(end.as_str()));
            }
            let digest = sha256(&model);
            prop_assert_eq!(client.ask("PUT", &format!("{place}?digest={digest}"), b"").await.status, 201);
            prop_assert_eq!(client.get(&format!("/v2/a/blobs/{digest}")).await.body, model);
            Ok(())
        })?;
    }

    #[test]
    fn a_range_is_a_slice(first in 0..40_usize, last in 0..40_usize) {
        run(async {
            let client = open();
            let bytes: Vec<u8> = (0..30).collect();
            let digest = sha256(&bytes);
            client.ask("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &bytes).await;
            let answer = client.with("Range", &format!("bytes={first}-{last}")).get(&format!("/v2/a/blobs/{digest}")).await;
            if first > last || first >= bytes.len() {
                prop_assert_eq!(answer.status, 416);
            } else {
                prop_assert_eq!(answer.status, 206);
                prop_assert_eq!(&answer.body, &bytes[first..=last.min(bytes.len() - 1)]);
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_request_brings_it_down(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        run(async {
            let client = open();
            // Lines that end, so that the registry does not wait for more.
            client.raw(&[&bytes[..], b"\r\n\r\n"].concat()).await;
            prop_assert_eq!(client.get("/v2/").await.status, 200);
            Ok(())
        })?;
    }

    #[test]
    fn no_path_and_no_header_is_answered_with_a_server_error(
        method in prop::sample::select(vec!["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"]),
        path in "/v2/[a-zA-Z0-9/%._:-]{0,60}",
        query in "[a-z0-9=&%+:$-]{0,40}",
        header in "[ -~]{0,40}",
    ) {
        run(async {
            let client = open().with("Range", &header).with("Content-Range", &header).with("Authorization", &header).with("Content-Type", &header);
            let answer = client.ask(method, &format!("{path}?{query}"), b"body").await;
            prop_assert!(answer.status < 500, "{} for {method} {path}?{query}", answer.status);
            Ok(())
        })?;
    }

    #[test]
    fn no_text_panics_the_script(text in "[a-z:{} \\n-]{0,80}") {
        let _ = Script::from_yaml(&text);
    }
}
