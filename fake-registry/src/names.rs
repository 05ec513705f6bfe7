//! The grammar of repository names and tags (distribution-spec 1.1, "Pulling manifests").
//!
//! Scanners over bytes, without allocation: they stand on the way of every request.

/// The longest repository name that is accepted; clients cap host and name at 255 together.
pub(crate) const MAX_REPOSITORY: usize = 255;

/// What came just before, within a repository name.
#[derive(Clone, Copy)]
enum Before {
    /// Nothing, or a slash: a component begins.
    Slash,
    Word,
    Dot,
    Underscore,
    /// Two of them.
    Underscores,
    Dash,
}

/// Whether `name` is a repository name: components joined by `/`, each of them
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
pub(crate) fn is_repository(name: &str) -> bool {
    if name.len() > MAX_REPOSITORY {
        return false;
    }
    let mut before = Before::Slash;
    for byte in name.bytes() {
        before = match (byte, before) {
            (b'a'..=b'z' | b'0'..=b'9', _) => Before::Word,
            (b'/', Before::Word) => Before::Slash,
            (b'.', Before::Word) => Before::Dot,
            (b'_', Before::Word) => Before::Underscore,
            (b'_', Before::Underscore) => Before::Underscores,
            (b'-', Before::Word | Before::Dash) => Before::Dash,
            _ => return false,
        };
    }
    matches!(before, Before::Word)
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(crate) fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        && tag.len() <= 128
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names() {
        let table = [
            ("a", true),
            ("team/web", true),
            ("a.b_c__d-e---f/g0", true),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("a//b", false),
            ("A", false),
            ("a..b", false),
            ("a___b", false),
            ("a._b", false),
            ("-a", false),
            ("a-", false),
            ("a/../b", false),
            ("a b", false),
            ("a:b", false),
            ("ä", false),
        ];
        for (name, want) in table {
            assert_eq!(is_repository(name), want, "for {name:?}");
        }
        assert!(is_repository(&"a".repeat(255)));
        assert!(!is_repository(&"a".repeat(256)));
    }

    #[test]
    fn tags() {
        let table = [
            ("v1", true),
            ("_x", true),
            ("1.2-3_4", true),
            ("", false),
            (".a", false),
            ("-a", false),
            ("a/b", false),
            ("a:b", false),
            ("a b", false),
        ];
        for (tag, want) in table {
            assert_eq!(is_tag(tag), want, "for {tag:?}");
        }
        assert!(is_tag(&"a".repeat(128)));
        assert!(!is_tag(&"a".repeat(129)));
    }
}
