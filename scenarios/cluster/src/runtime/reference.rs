//! Image names as Docker writes them: the grammar of `distribution/reference`, which kubelet and
//! containerd share, with its error texts.
//!
//! In goes what stands in `containers[].image`; out comes a full name (`docker.io/library/nginx`), a tag,
//! a digest. What a registry makes of the name is not decided here.

use std::fmt;

use super::go;
use crate::profile::Profile;

/// A parsed and normalised image name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is no image name, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Does not match the grammar.
    #[error("invalid reference format")]
    Format,
    /// Upper case in the repository.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UpperCase(String),
    /// Longer than 255 characters.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// 64 hexadecimal digits look like an id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    /// The digest is too short or too long for its algorithm.
    #[error("invalid checksum digest length")]
    DigestLength,
    /// The digest's algorithm is unknown.
    #[error("unsupported digest algorithm")]
    DigestAlgorithm,
    /// The digest has no `algorithm:hex` form.
    #[error("invalid checksum digest format")]
    DigestFormat,
}

impl Named {
    /// `reference.ParseNormalizedNamed`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let (domain, rest) = split_domain(text);
        let repository = rest.split(':').next().unwrap_or_default();
        let bare = repository.split('@').next().unwrap_or_default();
        if repository.to_lowercase() != repository {
            return Err(ReferenceError::UpperCase(repository.to_owned()));
        }
        let after = rest.strip_prefix(bare).unwrap_or_default();
        let (tag, digest) = match after.split_once('@') {
            Some((before, digest)) => (before, Some(digest)),
            None => (after, None),
        };
        let tag = match tag.strip_prefix(':') {
            Some(tag) => Some(tag),
            None if tag.is_empty() => None,
            None => return Err(ReferenceError::Format),
        };
        let valid = is_domain(&domain)
            && is_path(bare)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(looks_like_digest);
        if !valid {
            return Err(ReferenceError::Format);
        }
        if domain.len() + 1 + bare.len() > 255 {
            return Err(ReferenceError::TooLong);
        }
        if let Some(digest) = digest {
            check_digest(digest)?;
        }
        Ok(Self {
            domain,
            path: bare.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Host and port as written; `docker.io` for short names.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository without the host.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and repository: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The digest, if the name has one.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Neither tag nor digest.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// The tag or the digest that a registry is asked for; a digest wins, `latest` is the last resort.
    pub fn object(&self) -> &str {
        self.digest
            .as_deref()
            .or(self.tag.as_deref())
            .unwrap_or("latest")
    }
}

/// The name as containerd uses it (`ParseDockerRef`): full, with a tag or a digest, never both.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.digest.is_some() { '@' } else { ':' };
        write!(
            f,
            "{}/{}{separator}{}",
            self.domain,
            self.path,
            self.object()
        )
    }
}

/// What the kubelet makes of a name without tag and digest: `:latest` at the end of the text as written.
/// The error is the kubelet's whole sentence.
pub fn with_default_tag(image: &str, profile: &Profile) -> Result<String, String> {
    let error = match Named::parse(image) {
        Ok(named) if named.is_name_only() => return Ok(format!("{image}:latest")),
        Ok(_) => return Ok(image.to_owned()),
        Err(error) => error,
    };
    let quoted = go::quote(image);
    let (what, error) = match error {
        // The library of old kubelets did not name the repository.
        ReferenceError::UpperCase(_) if !profile.names_bad_repository() => (
            "image reference",
            "invalid reference format: repository name must be lowercase".to_owned(),
        ),
        error if profile.names_bad_repository() => ("image name", error.to_string()),
        error => ("image reference", error.to_string()),
    };
    Err(format!(
        "Failed to apply default image tag {quoted}: couldn't parse {what} {quoted}: {error}"
    ))
}

/// `digest.Digest.Validate`.
pub(crate) fn check_digest(text: &str) -> Result<(), ReferenceError> {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return Err(ReferenceError::DigestFormat);
    };
    if !looks_like_digest(text) && (algorithm.is_empty() || hex.is_empty()) {
        return Err(ReferenceError::DigestFormat);
    }
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ReferenceError::DigestAlgorithm),
    };
    if hex.len() != length {
        return Err(ReferenceError::DigestLength);
    }
    if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(ReferenceError::DigestFormat);
    }
    Ok(())
}

fn split_domain(text: &str) -> (String, String) {
    let first = text.split_once('/');
    let (domain, rest) = match first {
        Some((host, rest))
            if host.contains(['.', ':']) || host == "localhost" || host.to_lowercase() != host =>
        {
            (host, rest)
        }
        _ => ("docker.io", text),
    };
    let domain = if domain == "index.docker.io" {
        "docker.io"
    } else {
        domain
    };
    let rest = if domain == "docker.io" && !rest.contains('/') {
        format!("library/{rest}")
    } else {
        rest.to_owned()
    };
    (domain.to_owned(), rest)
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            let inside =
                !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            return inside && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_component)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric);
    if !ends {
        return false;
    }
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators
        .filter(|s| !s.is_empty())
        .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= 128
        && bytes.first().copied().is_some_and(word)
        && bytes.iter().all(|b| word(*b) || matches!(b, b'.' | b'-'))
}

fn looks_like_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let parts = algorithm.split(['-', '_', '+', '.']);
    let named = parts.into_iter().all(|part| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    named && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_in_full() {
        let digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
        let table = [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("team/web:v1", "docker.io/team/web:v1".to_owned()),
            (
                "index.docker.io/nginx",
                "docker.io/library/nginx:latest".to_owned(),
            ),
            ("localhost/x", "localhost/x:latest".to_owned()),
            (
                "r.example:5000/a/b_c--d:1.0",
                "r.example:5000/a/b_c--d:1.0".to_owned(),
            ),
            (
                &format!("r.example/a:1@{digest}"),
                format!("r.example/a@{digest}"),
            ),
        ];
        for (text, want) in table {
            assert_eq!(
                Named::parse(text).map(|n| n.to_string()),
                Ok(want),
                "for {text:?}"
            );
        }
    }

    #[test]
    fn names_that_are_refused() {
        use ReferenceError as E;
        let table = [
            ("", E::Format),
            ("Foo/bar", E::Format),
            ("library/Foo", E::UpperCase("library/Foo".into())),
            ("Foo", E::UpperCase("library/Foo".into())),
            ("https://r.example/a:1", E::Format),
            ("r.example/a:bad tag", E::Format),
            ("r.example/a@sha256:1234", E::Format),
            (
                &format!("r.example/a@sha256:{}", "0".repeat(40)),
                E::DigestLength,
            ),
            (
                &format!("r.example/a@md5:{}", "0".repeat(40)),
                E::DigestAlgorithm,
            ),
            (&"0".repeat(64), E::Identifier("0".repeat(64))),
            (&format!("r.example/{}", "a".repeat(250)), E::TooLong),
            ("r.example/a..b", E::Format),
            ("r.example/a___b", E::Format),
        ];
        for (text, want) in table {
            let got = Named::parse(text);
            // A capital in the first part makes it a host, and "Foo" is a fine host name.
            if text == "Foo/bar" {
                assert_eq!(got.map(|n| n.to_string()), Ok("Foo/bar:latest".to_owned()));
                continue;
            }
            assert_eq!(got, Err(want), "for {text:?}");
        }
    }

    #[test]
    fn the_kubelets_sentence() {
        let text = "registry.pk.test:5000/team/app:bad tag";
        let want = format!(
            "Failed to apply default image tag \"{text}\": couldn't parse image name \"{text}\": invalid reference format"
        );
        assert_eq!(with_default_tag(text, &Profile::default()), Err(want));
        assert_eq!(
            with_default_tag("a/b", &Profile::default()),
            Ok("a/b:latest".into())
        );
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(
            host in "[a-z]{1,8}(\\.[a-z]{1,5}){1,2}(:[0-9]{1,5})?",
            path in "[a-z0-9]{1,6}(/[a-z0-9]{1,4}([._-][a-z0-9]{1,4})?){0,2}",
            tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,8}",
        ) {
            let text = format!("{host}/{path}:{tag}");
            let named = Named::parse(&text).unwrap();
            prop_assert_eq!(named.to_string(), text);
        }

        #[test]
        fn no_text_panics_the_parser(text in any::<String>()) {
            let _ = Named::parse(&text);
        }
    }
}
