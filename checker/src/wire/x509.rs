//! Just enough of X.509 to print a certificate: names, issuer, dates.
//!
//! Reads DER with bounds and never decides anything: whether a chain is good is up to the verifier. What
//! cannot be read is left empty.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::evidence::Certificate;
use crate::reference::Digest;
use crate::wire::Excerpt;

const MAX_NAMES: usize = 64;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERAL_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Reads a certificate.
pub(crate) fn read(der: &[u8]) -> Certificate {
    let mut certificate = Certificate {
        subject: Excerpt::default(),
        issuer: Excerpt::default(),
        names: Vec::new(),
        not_before: None,
        not_after: None,
        fingerprint: Digest::sha256(der).hex().into(),
    };
    let _ = fill(der, &mut certificate);
    certificate
}

fn fill(der: &[u8], certificate: &mut Certificate) -> Option<()> {
    let mut outer = Reader(Reader(der).expect(SEQUENCE)?);
    let mut body = Reader(outer.expect(SEQUENCE)?);
    let (tag, _) = body.next()?;
    if tag == VERSION {
        body.next()?; // The serial number, which comes first where there is no version.
    }
    body.expect(SEQUENCE)?; // The signature's algorithm.
    certificate.issuer = name(body.expect(SEQUENCE)?);
    let mut validity = Reader(body.expect(SEQUENCE)?);
    certificate.not_before = validity.next().and_then(|(tag, text)| time(tag, text));
    certificate.not_after = validity.next().and_then(|(tag, text)| time(tag, text));
    certificate.subject = name(body.expect(SEQUENCE)?);
    body.expect(SEQUENCE)?; // The key.
    while let Some((tag, content)) = body.next() {
        if tag == EXTENSIONS {
            let mut list = Reader(Reader(content).expect(SEQUENCE)?);
            while let Some((SEQUENCE, extension)) = list.next() {
                let mut extension = Reader(extension);
                if extension.expect(OBJECT)? == SUBJECT_ALT_NAME {
                    let (tag, mut content) = extension.next()?;
                    if tag != OCTETS {
                        content = extension.expect(OCTETS)?; // `critical` stood in between.
                    }
                    certificate.names = alternative_names(content);
                }
            }
        }
    }
    Some(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (
                    digits
                        .iter()
                        .fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit)),
                    rest,
                )
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(tag, _)| *tag == wanted)
            .map(|(_, content)| content)
    }
}

fn name(content: &[u8]) -> Excerpt {
    let mut parts: Vec<String> = Vec::new();
    let mut list = Reader(content);
    while let Some((SET, set)) = list.next() {
        let Some(pair) = Reader(set).expect(SEQUENCE) else {
            continue;
        };
        let mut pair = Reader(pair);
        let (Some(kind), Some((_, value))) = (pair.expect(OBJECT), pair.next()) else {
            continue;
        };
        let kind = match kind {
            [0x55, 0x04, 0x03] => "CN",
            [0x55, 0x04, 0x06] => "C",
            [0x55, 0x04, 0x07] => "L",
            [0x55, 0x04, 0x08] => "ST",
            [0x55, 0x04, 0x0a] => "O",
            [0x55, 0x04, 0x0b] => "OU",
            _ => continue,
        };
        if parts.len() < MAX_NAMES {
            parts.push(format!(
                "{kind}={}",
                String::from_utf8_lossy(value.get(..256).unwrap_or(value))
            ));
        }
    }
    // The most telling part first, as people read it.
    parts.reverse();
    Excerpt::new(&parts.join(", "))
}

fn alternative_names(content: &[u8]) -> Vec<Excerpt> {
    let mut names = Vec::new();
    let Some(content) = Reader(content).expect(SEQUENCE) else {
        return names;
    };
    let mut list = Reader(content);
    while let Some((tag, value)) = list.next() {
        let text = match tag {
            0x82 => String::from_utf8_lossy(value.get(..256).unwrap_or(value)).into_owned(),
            0x87 => match (<[u8; 4]>::try_from(value), <[u8; 16]>::try_from(value)) {
                (Ok(v4), _) => Ipv4Addr::from(v4).to_string(),
                (_, Ok(v6)) => Ipv6Addr::from(v6).to_string(),
                _ => continue,
            },
            _ => continue,
        };
        if names.len() < MAX_NAMES {
            names.push(Excerpt::new(&text));
        }
    }
    names
}

fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        UTC_TIME => {
            let year: u32 = text.get(..2)?.parse().ok()?;
            format!("{}{text}", if year < 50 { "20" } else { "19" })
        }
        GENERAL_TIME => text.to_owned(),
        _ => return None,
    };
    let civil = DateTime::strptime("%Y%m%d%H%M%S", &text).ok()?;
    civil
        .to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_certificate_is_read() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut params =
            rcgen::CertificateParams::new(vec!["r.example".into(), "10.0.0.1".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "Example");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "r.example");
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2051, 3, 4);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let certificate = read(&der);
        assert_eq!(certificate.subject.as_str(), "CN=r.example, O=Example");
        assert!(certificate.self_issued());
        assert_eq!(
            certificate
                .names
                .iter()
                .map(Excerpt::as_str)
                .collect::<Vec<_>>(),
            ["r.example", "10.0.0.1"]
        );
        assert_eq!(
            certificate.not_before.unwrap().to_string(),
            "2026-01-02T00:00:00Z"
        );
        assert_eq!(
            certificate.not_after.unwrap().to_string(),
            "2051-03-04T00:00:00Z"
        );
        for cut in 0..der.len() {
            let _ = read(&der[..cut]);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }
    }
}
