//! Tables, and properties against a second reading of the grammar.

use proptest::prelude::*;

use super::*;

const HEX: &str = "7cc4b5aefd1d0cadf8d97d4350462ba51c694ebca145b08d7d41b41acc8db5aa";

#[test]
fn names_are_made_long() {
    let digested = format!("web@sha256:{HEX}");
    let long_digested = format!("docker.io/library/web@sha256:{HEX}");
    let both = format!("r.io/a:1@sha256:{HEX}");
    let table = [
        ("nginx", "docker.io/library/nginx:latest"),
        ("team/web", "docker.io/team/web:latest"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("index.docker.io/team/web:1", "docker.io/team/web:1"),
        ("localhost/web", "localhost/web:latest"),
        ("localhost:5000/web", "localhost:5000/web:latest"),
        (
            "registry.example/team/web:v1",
            "registry.example/team/web:v1",
        ),
        ("[::1]:5000/web:v1", "[::1]:5000/web:v1"),
        ("Foo/bar", "Foo/bar:latest"),
        (
            "registry:5000/a__b/c---d/e.f:T_1.x-y",
            "registry:5000/a__b/c---d/e.f:T_1.x-y",
        ),
        (digested.as_str(), long_digested.as_str()),
        (both.as_str(), both.as_str()),
    ];
    for (text, want) in table {
        let got: Reference = text.parse().unwrap();
        assert_eq!(got.to_string(), want, "for {text:?}");
        assert_eq!(got.written(), text);
    }
}

#[test]
fn hub_is_asked_at_another_host() {
    let hub: Reference = "nginx".parse().unwrap();
    assert_eq!(hub.registry().to_string(), "docker.io");
    assert_eq!(hub.endpoint().to_string(), "registry-1.docker.io");
    assert_eq!(hub.name(), "docker.io/library/nginx");
    let other: Reference = "r.io:5000/a/b".parse().unwrap();
    assert_eq!(other.endpoint().to_string(), "r.io:5000");
}

#[test]
fn a_digest_outranks_the_tag() {
    let both: Reference = format!("r.io/a:1@sha256:{HEX}").parse().unwrap();
    assert_eq!(both.target().to_string(), format!("sha256:{HEX}"));
    assert_eq!(both.tag(), Some("1"));
}

#[test]
fn what_is_refused_and_what_is_offered() {
    let long_name = format!("r.io/{}", "a".repeat(256));
    let long_text = "a".repeat(1025);
    let long_tag = format!("a:{}", "t".repeat(129));
    let upper_digest = format!("a@sha256:{}", HEX.to_uppercase());
    let lower_digest = format!("a@sha256:{HEX}");
    let table: Vec<(&str, Rule, usize, Option<&str>)> = vec![
        ("", Rule::Empty, 0, None),
        ("Foo/Bar", Rule::UpperCase, 4, Some("foo/bar")),
        (
            "registry.example/Team/web:V1",
            Rule::UpperCase,
            17,
            Some("registry.example/team/web:V1"),
        ),
        ("a b", Rule::Blank, 1, None),
        ("web:1 ", Rule::Blank, 5, Some("web:1")),
        ("web\u{7}", Rule::ControlCharacter, 3, Some("web")),
        ("wéb", Rule::NotAscii, 1, None),
        ("https://r.io/a:1", Rule::Scheme, 5, Some("r.io/a:1")),
        (HEX, Rule::BareId, 0, None),
        ("r.io/", Rule::RepositoryEmpty, 5, Some("r.io")),
        ("r.io//a", Rule::EmptyComponent, 5, Some("r.io/a")),
        ("r.io/a/", Rule::EmptyComponent, 7, Some("r.io/a")),
        ("r.io/a..b", Rule::Separator, 7, None),
        ("r.io/a___b", Rule::Separator, 8, None),
        ("r.io/a-", Rule::Separator, 6, None),
        ("r.io/-a", Rule::Separator, 5, None),
        ("r.io/a$b", Rule::RepositoryCharacter, 6, None),
        ("a:", Rule::TagEmpty, 2, Some("a")),
        ("a:.b", Rule::TagStart, 2, None),
        ("a:b+c", Rule::TagCharacter, 3, None),
        (&long_tag, Rule::TagTooLong, 130, None),
        (&long_name, Rule::RepositoryTooLong, 260, None),
        (&long_text, Rule::TextTooLong, 0, None),
        ("a_b.c/d", Rule::HostUnderscore, 1, None),
        (
            "r.io:99999/a",
            Rule::Host(HostError::Port { at: 5 }),
            5,
            None,
        ),
        (
            "r..io/a",
            Rule::Host(HostError::EmptyLabel { at: 2 }),
            2,
            None,
        ),
        ("::1/a", Rule::Host(HostError::Ipv6), 0, None),
        (
            "a@sha256:00",
            Rule::Digest(DigestError::Length { got: 2, want: 64 }),
            11,
            None,
        ),
        (
            "a@md5:00",
            Rule::Digest(DigestError::Unsupported("md5".into())),
            2,
            None,
        ),
        (
            &upper_digest,
            Rule::Digest(DigestError::NotHex { at: 1 }),
            10,
            Some(&lower_digest),
        ),
        ("a@", Rule::Digest(DigestError::NoAlgorithm), 2, Some("a")),
    ];
    for (text, rule, at, correction) in table {
        let error = Reference::parse(text).unwrap_err();
        assert_eq!(error.rule(), &rule, "for {text:?}");
        assert_eq!(error.offset(), at, "for {text:?}");
        assert_eq!(error.correction(), correction, "for {text:?}");
        assert!(
            !error.to_string().chars().any(char::is_control),
            "for {text:?}"
        );
    }
}

#[test]
fn an_error_names_rule_character_and_place() {
    let error = Reference::parse("Foo/Bar").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a repository name must be lower case: `B` at position 5"
    );
    let error = Reference::parse("a@sha256:00").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the digest is not valid: the digest has 2 hexadecimal digits, 64 belong there: the text ends at position 12"
    );
}

/// A second, slow reading of the grammar, by trying every way to cut the text.
#[expect(
    clippy::string_slice,
    reason = "cuts lie at ASCII characters that were found there"
)]
mod naive {
    pub(super) fn accepts(text: &str) -> bool {
        if text.len() == 64
            && text
                .chars()
                .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        {
            return false;
        }
        let (domain, rest) = match text.find('/') {
            Some(slash) => {
                let first = &text[..slash];
                let is_domain = first == "localhost"
                    || first.contains('.')
                    || first.contains(':')
                    || first.to_lowercase() != first;
                if is_domain {
                    (first.to_owned(), text[slash + 1..].to_owned())
                } else {
                    (String::new(), text.to_owned())
                }
            }
            None => (String::new(), text.to_owned()),
        };
        (domain.is_empty() || host_and_port(&domain))
            && cuts(&rest, domain.is_empty() || domain == "docker.io")
    }

    fn cuts(rest: &str, hub: bool) -> bool {
        let cut = |at: &str| -> Vec<(String, Option<String>)> {
            let mut ways = vec![(rest.to_owned(), None)];
            for (place, found) in rest.match_indices(at) {
                ways.push((
                    rest[..place].to_owned(),
                    Some(rest[place + found.len()..].to_owned()),
                ));
            }
            ways
        };
        cut("@").into_iter().any(|(named, digest)| {
            let digest_fits = digest.as_deref().is_none_or(|text| {
                ["sha256:", "sha384:", "sha512:"]
                    .iter()
                    .zip([64, 96, 128])
                    .any(|(prefix, length)| {
                        text.strip_prefix(prefix).is_some_and(|hex| {
                            hex.len() == length
                                && hex.chars().all(|c| "0123456789abcdef".contains(c))
                        })
                    })
            });
            let mut ways = vec![(named.clone(), None)];
            for (place, _) in named.match_indices(':') {
                ways.push((
                    named[..place].to_owned(),
                    Some(named[place + 1..].to_owned()),
                ));
            }
            digest_fits
                && ways.into_iter().any(|(path, tag)| {
                    let limit = if hub && !path.contains('/') {
                        255 - "library/".len()
                    } else {
                        255
                    };
                    path.len() <= limit
                        && path.split('/').all(component)
                        && tag.as_deref().is_none_or(|tag| {
                            (1..=128).contains(&tag.len())
                                && !tag.starts_with(['.', '-'])
                                && tag
                                    .chars()
                                    .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
                        })
                })
        })
    }

    fn component(text: &str) -> bool {
        let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let Some(first) = text.chars().next() else {
            return false;
        };
        let Some(last) = text.chars().last() else {
            return false;
        };
        alnum(first)
            && alnum(last)
            && text.split(alnum).all(|gap| {
                gap.is_empty()
                    || gap == "."
                    || gap == "_"
                    || gap == "__"
                    || gap.chars().all(|c| c == '-')
            })
    }

    fn host_and_port(text: &str) -> bool {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port_fits = port.is_none_or(|port| {
            !port.is_empty()
                && port.chars().all(|c| c.is_ascii_digit())
                && port
                    .parse::<u64>()
                    .is_ok_and(|port| (1..65536).contains(&port))
        });
        let host_fits = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                host.len() <= 253
                    && host.split('.').all(|label| {
                        (1..=63).contains(&label.len())
                            && !label.starts_with('-')
                            && !label.ends_with('-')
                            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                    })
            }
        };
        port_fits && host_fits
    }
}

fn likely_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a"),
        Just("b9"),
        Just("."),
        Just("-"),
        Just("--"),
        Just("_"),
        Just("__"),
        Just("/"),
        Just(":"),
        Just("@"),
        Just("localhost"),
        Just("docker.io"),
        Just("r.io:5000"),
        Just("[::1]"),
        Just("B"),
        Just("5"),
        Just("sha256:"),
        Just(HEX),
        Just("latest"),
        Just("library"),
        Just("$"),
        Just("index.docker.io"),
    ];
    prop::collection::vec(piece, 1..9).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn parser_and_naive_grammar_agree(text in likely_text()) {
        prop_assert_eq!(Reference::parse(&text).is_ok(), naive::accepts(&text), "for {:?}", text);
    }

    #[test]
    fn printing_and_parsing_agree(text in likely_text()) {
        if let Ok(reference) = Reference::parse(&text) {
            let again = Reference::parse(&reference.to_string());
            prop_assert_eq!(again.as_ref(), Ok(&reference));
            prop_assert_eq!(again.unwrap().to_string(), reference.to_string());
        }
    }

    #[test]
    fn a_correction_is_a_reference(text in likely_text()) {
        if let Err(error) = Reference::parse(&text) {
            if let Some(correction) = error.correction() {
                prop_assert!(Reference::parse(correction).is_ok());
            }
            prop_assert!(error.offset() <= text.len());
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics_the_parser(text in any::<String>()) {
        if let Err(error) = Reference::parse(&text) {
            let _ = (error.to_string(), error.position(), error.found());
        }
    }
}
