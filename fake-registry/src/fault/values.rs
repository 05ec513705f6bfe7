//! Small values of a fault script: spans of time, patterns, counts. Each reads itself from YAML
//! and refuses what it cannot be, so that errors have a line and a column.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::MethodName;
use crate::pattern::glob;
use crate::random::derive;

/// A span of time: `10s`, `250ms`, `1m30s`, `6h`, or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is no span of time (such as `250ms`, `10s`, `1m30s`)");
        let mut rest = text.trim();
        let mut total = Duration::ZERO;
        if rest.is_empty() {
            return Err(refused());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at_checked(digits).ok_or_else(refused)?;
            let number: u64 = number.parse().map_err(|_| refused())?;
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, after) = after.split_at_checked(letters).ok_or_else(refused)?;
            let milliseconds = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err(refused()),
            };
            let part = number
                .checked_mul(milliseconds)
                .map(Duration::from_millis)
                .ok_or_else(refused)?;
            total = total.checked_add(part).ok_or_else(refused)?;
            rest = after;
        }
        Ok(Self(total))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time such as `10s`")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Span, E> {
                Ok(Span(Duration::from_secs(seconds)))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
                u64::try_from(seconds)
                    .map(|seconds| Span(Duration::from_secs(seconds)))
                    .map_err(|_| E::custom("a span of time is not negative"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A text in which `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Whether a text fits.
    pub fn matches(&self, text: &str) -> bool {
        glob(&self.0, text)
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Which of the requests that a rule is meant for: `3`, `[1, 3]`, `2..4`, `3..`, `every 2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nth {
    /// These, counted from 1.
    These(Vec<u64>),
    /// From the first to the last, both included.
    Range(u64, Option<u64>),
    /// Every so many.
    Every(u64),
}

impl Nth {
    pub(crate) fn contains(&self, number: u64) -> bool {
        match self {
            Self::These(list) => list.contains(&number),
            Self::Range(first, last) => number >= *first && last.is_none_or(|last| number <= last),
            Self::Every(step) => *step > 0 && number.is_multiple_of(*step),
        }
    }
}

impl FromStr for Nth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is none of `3`, `[1, 3]`, `2..4`, `3..`, `every 2`");
        let number = |text: &str| {
            text.trim()
                .parse::<u64>()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(refused)
        };
        if let Some(step) = text.strip_prefix("every ") {
            return number(step).map(Self::Every);
        }
        match text.split_once("..") {
            None => number(text).map(|number| Self::These(vec![number])),
            Some((first, "")) => Ok(Self::Range(number(first)?, None)),
            Some((first, last)) => Ok(Self::Range(number(first)?, Some(number(last)?))),
        }
    }
}

impl<'de> Deserialize<'de> for Nth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Nth;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`3`, `[1, 3]`, `2..4`, `3..` or `every 2`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Nth, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Nth, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Nth, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Nth, A::Error> {
                let mut list = Vec::new();
                while let Some(number) = seq.next_element()? {
                    list.push(number);
                }
                Ok(Nth::These(list))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: PartialEq> OneOrMany<T> {
    pub(crate) fn contains(&self, value: &T) -> bool {
        self.0.contains(value)
    }
}

impl<T> OneOrMany<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of values")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(text))
                    .map(|value| OneOrMany(vec![value]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = seq.next_element()? {
                    list.push(value);
                }
                Ok(OneOrMany(list))
            }
        }
        deserializer.deserialize_any(Reader(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for MethodName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        if !known.contains(&text.as_str()) {
            return Err(de::Error::custom(format!(
                "`{text}` is none of the methods {}",
                known.join(", ")
            )));
        }
        Method::from_bytes(text.as_bytes())
            .map(Self)
            .map_err(de::Error::custom)
    }
}

/// A status that an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) StatusCode);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u16::deserialize(deserializer)?;
        // 1xx is no answer.
        let status = StatusCode::from_u16(number)
            .ok()
            .filter(|status| !status.is_informational());
        status.map(Self).ok_or_else(|| {
            de::Error::custom(format!("{number} is no status of an answer (200 to 999)"))
        })
    }
}

/// A probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Chance(pub(crate) f64);

impl<'de> Deserialize<'de> for Chance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let chance = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&chance) {
            return Ok(Self(chance));
        }
        Err(de::Error::custom(format!(
            "{chance} is no probability (0 to 1)"
        )))
    }
}

/// The name of a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(pub(crate) HeaderName);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        HeaderName::from_bytes(text.as_bytes())
            .map(Self)
            .map_err(|_| de::Error::custom(format!("`{text}` is no header name")))
    }
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) HeaderValue);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        HeaderValue::from_str(&text).map(Self).map_err(|_| {
            de::Error::custom("a header value has no line breaks or control characters")
        })
    }
}

/// Stretches of time of one length, of which a share is bad; which ones follows from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flap {
    every: Span,
    share: Chance,
}

impl Flap {
    pub(crate) fn new(every: impl Into<Span>, share: f64) -> Self {
        Self {
            every: every.into(),
            share: Chance(share.clamp(0.0, 1.0)),
        }
    }

    /// Whether the stretch at this time is a bad one.
    pub(crate) fn is_bad(&self, elapsed: Duration, seed: u64) -> bool {
        let stretch = elapsed.as_millis() / self.every.0.as_millis().max(1);
        let lot = derive(seed, &format!("flap {stretch}"));
        ((lot >> 11) as f64 / (1u64 << 53) as f64) < self.share.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        if milliseconds.is_multiple_of(1000) {
            write!(f, "{}s", milliseconds / 1000)
        } else {
            write!(f, "{milliseconds}ms")
        }
    }
}

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::These(list) => write!(f, "{list:?}"),
            Self::Range(first, None) => write!(f, "{first}.."),
            Self::Range(first, Some(last)) => write!(f, "{first}..{last}"),
            Self::Every(step) => write!(f, "every {step}"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Nth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::These(list) => list.serialize(serializer),
            _ => serializer.collect_str(self),
        }
    }
}

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for MethodName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0.as_u16())
    }
}

impl Serialize for Chance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let table = [
            ("10s", Some(10_000)),
            ("250ms", Some(250)),
            ("1m30s", Some(90_000)),
            ("6h", Some(21_600_000)),
            ("", None),
            ("10", None),
            ("s", None),
            ("10x", None),
            ("-1s", None),
            ("99999999999999999999s", None),
        ];
        for (text, want) in table {
            let got = text
                .parse::<Span>()
                .ok()
                .map(|span| span.0.as_millis() as u64);
            assert_eq!(got, want, "for {text:?}");
        }
    }

    #[test]
    fn counts() {
        let table: [(&str, &[u64]); 5] = [
            ("3", &[3]),
            ("2..4", &[2, 3, 4]),
            ("5..", &[5, 6]),
            ("every 3", &[3, 6]),
            ("1..1", &[1]),
        ];
        for (text, want) in table {
            let nth: Nth = text.parse().unwrap();
            let got: Vec<u64> = (1..7).filter(|number| nth.contains(*number)).collect();
            assert_eq!(got, want, "for {text}");
        }
        for text in ["", "0", "a", "..3", "every 0", "-1"] {
            assert!(text.parse::<Nth>().is_err(), "for {text:?}");
        }
    }
}
