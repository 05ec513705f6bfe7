//! Properties over many inputs: an upload in any chunks is the blob, a range is its slice, names and
//! digests are those of the grammar, and nothing that a client sends brings the registry down.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use common::{Client, HOST, client, sha256};
use fake_registry::{FakeRegistry, HostSpec};
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

/// `a-b`, `a-` and `-n`, around the ends of thirty bytes.
fn ranges() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0..40_usize, 0..40_usize).prop_map(|(first, last)| format!("{first}-{last}")),
        1 => (0..40_usize).prop_map(|first| format!("{first}-")),
        1 => (0..40_usize).prop_map(|suffix| format!("-{suffix}")),
    ]
}

/// Good ones, and others that differ little.
fn names() -> impl Strategy<Value = String> {
    let good = "[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}){0,3}";
    prop_oneof![
        2 => good,
        1 => (good, any::<prop::sample::Index>(), "[a-zA-Z0-9._/-]{0,3}").prop_map(|(mut name, at, other)| {
            let at = at.index(name.len());
            name.replace_range(at..=at, &other);
            name
        }),
        1 => "[a-zA-Z0-9._/-]{1,20}",
        1 => (250..260_usize).prop_map(|length| "a".repeat(length)),
    ]
    // These are names of the API itself.
    .prop_filter("no name", |name| !name.is_empty() && !name.ends_with("/blobs/uploads"))
}

/// The grammar of the specification, written another way: components of words, and between two words one of
/// the separators that there are.
fn is_name(name: &str) -> bool {
    let in_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let component = |part: &str| {
        let mut rest = part;
        loop {
            let end = rest.len() - rest.trim_start_matches(in_word).len();
            let (word, after) = rest.split_at(end);
            if word.is_empty() || after.is_empty() {
                return !word.is_empty();
            }
            let (separator, after) = after.split_at(after.find(in_word).unwrap_or(after.len()));
            if !matches!(separator, "." | "_" | "__") && separator.contains(|c| c != '-') {
                return false;
            }
            rest = after;
        }
    };
    name.len() <= 255 && name.split('/').all(component)
}

/// Digests, and what differs from one by a sign or two.
fn digests() -> impl Strategy<Value = String> {
    let algorithm = prop::sample::select(vec![
        "sha256",
        "sha256",
        "sha512",
        "sha384",
        "md5",
        "SHA256",
        "sha256+b64",
        "",
    ]);
    let hex = prop_oneof![
        2 => "[0-9a-f]{64}", 2 => "[0-9a-f]{128}", 1 => "[0-9a-f]{0,70}", 1 => "[0-9a-fA-Fg-z]{64}", 1 => "[0-9a-f]{63}:",
    ];
    (algorithm, hex).prop_map(|(algorithm, hex)| format!("{algorithm}:{hex}"))
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
    fn a_range_is_a_slice(range in ranges()) {
        run(async {
            let client = open();
            let bytes: Vec<u8> = (0..30).collect();
            let digest = sha256(&bytes);
            client.ask("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &bytes).await;
            let answer = client.with("Range", &format!("bytes={range}")).get(&format!("/v2/a/blobs/{digest}")).await;
            let total = bytes.len();
            let want = match range.split_once('-').unwrap() {
                ("", last) => last.parse::<usize>().unwrap().checked_sub(1).map(|n| total.saturating_sub(n + 1)..total),
                (first, "") => Some(first.parse().unwrap()..total),
                (first, last) => Some(first.parse().unwrap()..(last.parse::<usize>().unwrap() + 1).min(total)),
            };
            match want.filter(|want| want.start < want.end) {
                None => {
                    prop_assert_eq!(answer.status, 416);
                    prop_assert_eq!(answer.header("content-range"), Some("bytes */30"));
                }
                Some(want) => {
                    prop_assert_eq!(answer.status, 206);
                    let said = format!("bytes {}-{}/30", want.start, want.end - 1);
                    prop_assert_eq!(answer.header("content-range"), Some(said.as_str()));
                    prop_assert_eq!(&answer.body, &bytes[want]);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn names_are_those_of_the_grammar(name in names()) {
        run(async {
            let client = open();
            let answer = client.get(&format!("/v2/{name}/tags/list")).await;
            let (status, code) = if is_name(&name) { (404, "NAME_UNKNOWN") } else { (400, "NAME_INVALID") };
            prop_assert_eq!((answer.status, answer.code()), (status, code.to_owned()), "{}", name);
            // What may be asked for may be pushed to, and nothing else.
            let pushed = client.ask("POST", &format!("/v2/{name}/blobs/uploads/"), b"").await;
            prop_assert_eq!(pushed.status == 202, is_name(&name), "{}", name);
            Ok(())
        })?;
    }

    #[test]
    fn digests_are_those_of_the_grammar(text in digests()) {
        run(async {
            let client = open();
            client.ask("POST", &format!("/v2/a/blobs/uploads/?digest={}", sha256(b"x")), b"x").await;
            let hex = |text: &str, length: usize| text.len() == length && !text.contains(|c: char| !matches!(c, '0'..='9' | 'a'..='f'));
            let good = match text.split_once(':') {
                Some(("sha256", rest)) => hex(rest, 64),
                Some(("sha512", rest)) => hex(rest, 128),
                _ => false,
            };
            let (status, code) = if good { (404, "BLOB_UNKNOWN") } else { (400, "DIGEST_INVALID") };
            let answer = client.get(&format!("/v2/a/blobs/{text}")).await;
            prop_assert_eq!((answer.status, answer.code()), (status, code.to_owned()), "{}", text);
            // Pushed under a digest that is not its own, or none at all: refused, and not there.
            let pushed = client.ask("POST", &format!("/v2/a/blobs/uploads/?digest={text}"), b"y").await;
            prop_assert_eq!((pushed.status, pushed.code()), (400, "DIGEST_INVALID".to_owned()), "{}", text);
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
}
