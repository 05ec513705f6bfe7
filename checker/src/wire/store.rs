//! A chain beside the store that does not trust it: who is missing, and in which file.
//!
//! Read after a handshake failed for want of a trusted authority. Nothing is decided here: whether a chain is good
//! was up to the verifier. For the platform's store this touches the file system.

use rustls_pki_types::CertificateDer;

use super::{Excerpt, middlebox, x509};
use crate::evidence::{Certificate, Missing, StorePart, TrustComparison};
use crate::world::{Place, Trust};

/// Compares a chain as served with what a place trusts. `file` is where the runtime looks for this host.
pub(crate) fn compare(chain: &[Certificate], place: &Place, file: &str) -> Option<TrustComparison> {
    let top = top(chain)?;
    let (trusted, store) = read(place);
    let (authority, fingerprint) = if top.self_issued() {
        (top.subject.clone(), Some(top.fingerprint.clone()))
    } else {
        (top.issuer.clone(), None)
    };
    let namesake = trusted.iter().find(|one| one.subject == authority);
    let missing = match (&fingerprint, namesake) {
        (Some(served), Some(known)) if *served == known.fingerprint => Missing::Unfit,
        (_, Some(known)) => Missing::OtherKey {
            fingerprint: known.fingerprint.clone(),
        },
        (None, None) if chain.len() == 1 => Missing::Intermediate,
        (_, None) => Missing::Authority,
    };
    Some(TrustComparison {
        authority,
        fingerprint,
        missing,
        store,
        file: Excerpt::new(file).as_str().into(),
        middlebox: middlebox::product(chain).map(Into::into),
    })
}

/// The last certificate on the way up from the server's own, as far as the chain was served.
fn top(chain: &[Certificate]) -> Option<&Certificate> {
    let mut top = chain.first()?;
    for _ in chain {
        let above = chain
            .iter()
            .find(|one| one.subject == top.issuer && one.fingerprint != top.fingerprint);
        match above {
            Some(above) if !top.self_issued() => top = above,
            _ => break,
        }
    }
    Some(top)
}

fn read(place: &Place) -> (Vec<Certificate>, Vec<StorePart>) {
    let mut parts = Vec::new();
    let (own, more): (Vec<CertificateDer<'static>>, &[CertificateDer<'static>]) = match &place.trust
    {
        Trust::Platform { extra } => (of_the_platform(), extra),
        Trust::Roots(roots) => (Vec::new(), roots),
    };
    if matches!(place.trust, Trust::Platform { .. }) {
        parts.push(StorePart {
            from: "the platform's store".into(),
            certificates: (!own.is_empty()).then_some(own.len()),
        });
    }
    if place.trusted_from.is_empty() {
        if !more.is_empty() || parts.is_empty() {
            parts.push(StorePart {
                from: "the authorities of this place".into(),
                certificates: Some(more.len()),
            });
        }
    } else {
        let one = place.trusted_from.len() == 1;
        parts.extend(place.trusted_from.iter().map(|from| StorePart {
            from: from.clone(),
            certificates: one.then_some(more.len()),
        }));
    }
    let all = own.iter().chain(more).map(|der| x509::read(der)).collect();
    (all, parts)
}

fn of_the_platform() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, PKCS_ED25519};

    use super::*;
    use crate::world::Vantage;
    use crate::world::real::SystemNet;

    fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        CertifiedIssuer::self_signed(params, key).unwrap()
    }

    fn leaf(by: &CertifiedIssuer<'static, KeyPair>) -> Certificate {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let params = CertificateParams::new(vec!["r.example".to_owned()]).unwrap();
        x509::read(params.signed_by(&key, by).unwrap().der())
    }

    fn place(roots: &[&CertifiedIssuer<'static, KeyPair>]) -> Place {
        let trust = Trust::roots(roots.iter().map(|one| one.der().to_vec()));
        let place = Place::new(Vantage::Workstation, Arc::new(SystemNet::new(None)), trust);
        place.trusted_from("/etc/ca.pem")
    }

    #[test]
    fn who_is_missing() {
        let (own, other, again) = (authority("Own CA"), authority("Other"), authority("Own CA"));
        let root = x509::read(own.der());
        let compare = |chain: &[Certificate], roots: &[&CertifiedIssuer<'static, KeyPair>]| {
            compare(chain, &place(roots), "/f/ca.crt").unwrap()
        };
        let whole = [leaf(&own), root.clone()];
        let found = compare(&whole, &[&other]);
        assert_eq!(found.missing, Missing::Authority);
        assert!(found.authority.as_str().contains("Own CA"));
        assert_eq!(found.fingerprint, Some(root.fingerprint.clone()));
        assert_eq!(found.store[0].certificates, Some(1));
        assert_eq!(
            compare(&whole[..1], &[&other]).missing,
            Missing::Intermediate
        );
        assert!(matches!(
            compare(&whole, &[&again]).missing,
            Missing::OtherKey { .. }
        ));
        assert_eq!(compare(&whole, &[&own]).missing, Missing::Unfit);
        assert_eq!(super::compare(&[], &place(&[]), ""), None);
    }

    #[test]
    fn a_name_of_a_product_is_a_hint() {
        let proxy = authority("Zscaler Intermediate Root CA (zscaler.example)");
        let found = compare(&[leaf(&proxy)], &place(&[]), "/f").unwrap();
        assert_eq!(found.middlebox.as_deref(), Some("Zscaler"));
        let own = authority("Team CA");
        assert_eq!(
            compare(&[leaf(&own)], &place(&[]), "/f").unwrap().middlebox,
            None
        );
    }
}
