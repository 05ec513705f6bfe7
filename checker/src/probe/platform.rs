//! Which entry of an index a node takes: containerd's matcher (`platforms.Only`), by its order of preference.

use crate::evidence::Platform;
use crate::wire::manifest::Entry;

/// The entry that a node of this platform takes. An entry without a platform fits every node, and comes last.
pub(super) fn choose<'a>(entries: &'a [Entry], wanted: &Platform) -> Option<&'a Entry> {
    let accepted = accepted(wanted);
    let rank = |entry: &Entry| match &entry.platform {
        None => Some(accepted.len()),
        Some(platform) => {
            let platform = normalise(platform);
            accepted.iter().position(|accepted| *accepted == platform)
        }
    };
    // The first of equals, as a stable sort would give.
    entries
        .iter()
        .filter_map(|entry| Some((rank(entry)?, entry)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, entry)| entry)
}

/// Platforms that run on `wanted`, best first.
fn accepted(wanted: &Platform) -> Vec<Platform> {
    let wanted = normalise(wanted);
    let with = |architecture: &str, variant: Option<&str>| Platform {
        os: wanted.os.clone(),
        architecture: architecture.into(),
        variant: variant.map(Into::into),
    };
    let mut accepted = vec![wanted.clone()];
    match &*wanted.architecture {
        "amd64" => {
            let version = wanted.variant.as_deref().and_then(version).unwrap_or(1);
            for lower in (1..version).rev() {
                accepted.push(normalise(&with("amd64", Some(&format!("v{lower}")))));
            }
            accepted.push(with("386", None));
        }
        "arm" => accepted.extend(lower_arm(&wanted).map(|variant| with("arm", Some(&variant)))),
        "arm64" => {
            let v8 = with("arm", Some("v8"));
            accepted.extend(lower_arm(&v8).map(|variant| with("arm", Some(&variant))));
            accepted.insert(1, v8);
        }
        _ => {}
    }
    accepted
}

fn lower_arm(platform: &Platform) -> impl Iterator<Item = String> + use<> {
    let version = platform
        .variant
        .as_deref()
        .and_then(version)
        .unwrap_or(7)
        .min(9);
    (5..version).rev().map(|lower| format!("v{lower}"))
}

fn version(variant: &str) -> Option<u8> {
    variant.strip_prefix('v')?.parse().ok()
}

/// One spelling for each platform, as containerd has it.
fn normalise(platform: &Platform) -> Platform {
    let os = platform.os.to_ascii_lowercase();
    let os = if os == "macos" {
        "darwin".to_owned()
    } else {
        os
    };
    let architecture = platform.architecture.to_ascii_lowercase();
    let variant = platform
        .variant
        .as_deref()
        .map(str::to_ascii_lowercase)
        .filter(|variant| !variant.is_empty());
    let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
        ("i386" | "i486" | "i586" | "i686" | "386", _) => ("386", None),
        ("x86_64" | "x86-64" | "amd64", Some("v1") | None) => ("amd64", None),
        ("x86_64" | "x86-64" | "amd64", _) => ("amd64", variant),
        ("aarch64" | "arm64", Some("8" | "v8") | None) => ("arm64", None),
        ("aarch64" | "arm64", _) => ("arm64", variant),
        ("armel", _) => ("arm", Some("v6".to_owned())),
        ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7".to_owned())),
        ("arm", Some(number @ ("5" | "6" | "8"))) => ("arm", Some(format!("v{number}"))),
        (other, _) => (other, variant),
    };
    Platform {
        os: os.into(),
        architecture: architecture.into(),
        variant: variant.map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Digest;
    use crate::wire::Excerpt;
    use crate::wire::manifest::Descriptor;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/');
        Platform {
            os: parts.next().unwrap().into(),
            architecture: parts.next().unwrap().into(),
            variant: parts.next().map(Into::into),
        }
    }

    fn index(platforms: &[&str]) -> Vec<Entry> {
        platforms
            .iter()
            .enumerate()
            .map(|(number, text)| Entry {
                descriptor: Descriptor {
                    media_type: Excerpt::default(),
                    digest: Digest::sha256(&[number as u8]),
                    size: 1,
                    foreign: false,
                },
                platform: (!text.is_empty()).then(|| platform(text)),
            })
            .collect()
    }

    #[test]
    fn what_a_node_takes() {
        let table: [(&str, &[&str], Option<usize>); 10] = [
            ("linux/amd64", &["linux/arm64", "linux/amd64"], Some(1)),
            ("linux/amd64", &["linux/386", "linux/amd64"], Some(1)),
            ("linux/amd64", &["linux/386"], Some(0)),
            (
                "linux/amd64",
                &["linux/amd64/v3", "linux/amd64/v1"],
                Some(1),
            ),
            ("linux/amd64", &["windows/amd64", "unknown/unknown"], None),
            ("linux/arm64", &["linux/arm64/v8"], Some(0)),
            ("linux/arm64", &["linux/arm/v6", "linux/arm/v7"], Some(1)),
            ("linux/arm/v7", &["linux/arm/v8", "linux/arm/v6"], Some(1)),
            ("linux/amd64", &["", "linux/amd64"], Some(1)),
            ("linux/amd64", &["linux/s390x", ""], Some(1)),
        ];
        for (wanted, platforms, want) in table {
            let entries = index(platforms);
            let got = choose(&entries, &platform(wanted))
                .and_then(|entry| entries.iter().position(|it| it == entry));
            assert_eq!(got, want, "for {wanted} among {platforms:?}");
        }
    }
}
