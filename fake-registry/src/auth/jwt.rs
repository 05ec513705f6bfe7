//! JSON Web Tokens, HS256 with the key of the run.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::keys::Keys;

/// Longer ones are not ours.
const MAX_LENGTH: usize = 16 << 10;

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unaccepted {
    Malformed,
    Signature,
    Expired,
    NotYet,
    /// For somebody else, or of another kind.
    Purpose,
}

pub(crate) fn sign(keys: &Keys, claims: &Value) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": "run"});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&header), encode(claims));
    let signature = keys.sign_token(&text);
    format!("{text}.{signature}")
}

/// The claims of a token that is ours and valid now (seconds since the epoch).
pub(crate) fn verify(keys: &Keys, token: &str, now: i64) -> Result<Value, Unaccepted> {
    if token.len() > MAX_LENGTH {
        return Err(Unaccepted::Malformed);
    }
    let (text, signature) = token.rsplit_once('.').ok_or(Unaccepted::Malformed)?;
    let (_, claims) = text.split_once('.').ok_or(Unaccepted::Malformed)?;
    if !keys.token_is_signed(text, signature) {
        return Err(Unaccepted::Signature);
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(claims)
        .map_err(|_| Unaccepted::Malformed)?;
    let claims: Value = serde_json::from_slice(&bytes).map_err(|_| Unaccepted::Malformed)?;
    let time = |key: &str| claims.get(key).and_then(Value::as_i64);
    if time("exp").is_none_or(|until| now >= until) {
        return Err(Unaccepted::Expired);
    }
    if time("nbf").is_some_and(|from| now < from) {
        return Err(Unaccepted::NotYet);
    }
    Ok(claims)
}

/// A text claim.
pub(crate) fn claim<'a>(claims: &'a Value, key: &str) -> &'a str {
    claims.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_are_accepted_and_not() {
        let keys = Keys::new(Some(1));
        let token = sign(&keys, &json!({"exp": 100, "nbf": 50, "sub": "x"}));
        assert_eq!(claim(&verify(&keys, &token, 60).unwrap(), "sub"), "x");
        assert_eq!(verify(&keys, &token, 100), Err(Unaccepted::Expired));
        assert_eq!(verify(&keys, &token, 49), Err(Unaccepted::NotYet));
        assert_eq!(
            verify(&Keys::new(Some(2)), &token, 60),
            Err(Unaccepted::Signature)
        );
        // The algorithm is ours to choose, not the token's.
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let claims = token.split('.').nth(1).unwrap();
        assert_eq!(
            verify(&keys, &format!("{none}.{claims}."), 60),
            Err(Unaccepted::Signature)
        );
        for text in ["", ".", "..", "a.b.c", "a.b", &"x".repeat(20_000)] {
            assert!(verify(&keys, text, 60).is_err(), "for {text:?}");
        }
        let eternal = sign(&keys, &json!({"sub": "x"}));
        assert_eq!(verify(&keys, &eternal, 60), Err(Unaccepted::Expired));
    }
}
