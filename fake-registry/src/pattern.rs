//! Patterns in which `*` stands for any characters.

/// Whether a text fits a pattern.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    // Most texts differ from most patterns at once, and every request is held against every rule.
    for (wanted, byte) in pattern.bytes().zip(text.bytes()) {
        if wanted == b'*' {
            break;
        }
        if wanted != byte {
            return false;
        }
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}
