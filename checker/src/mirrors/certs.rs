//! docker's and CRI-O's `certs.d`: certificates for one host, in a folder of its name.
//!
//! `*.crt` are authorities, `*.cert` client certificates, each with a `*.key` beside it (docker's
//! `registry.ReadCertsDirectory`, containers-certs.d(5)). A certificate without its key is refused, as they refuse it.

use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;

use super::MirrorFileError;
use crate::world::ClientCertificate;
use crate::world::real::{ClientFileError, read_ca_file, read_client_certificate};

/// No folder holds more files.
const MAX_FILES: usize = 64;

/// What one folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCertificates {
    /// Authorities that are trusted for the host (DER).
    pub authorities: Vec<CertificateDer<'static>>,
    /// The files they were read from.
    pub files: Vec<Box<str>>,
    /// The certificate that is shown to it.
    pub client: Option<ClientCertificate>,
}

impl HostCertificates {
    /// Reads a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, MirrorFileError> {
        let unreadable = |source| MirrorFileError::Unreadable {
            path: folder.to_owned(),
            source,
        };
        let entries = std::fs::read_dir(folder).map_err(unreadable)?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        files.sort();
        files.truncate(MAX_FILES);
        let mut found = Self::default();
        for file in &files {
            match file.extension().and_then(|end| end.to_str()) {
                Some("crt") => {
                    let authorities = read_ca_file(file);
                    let authorities = authorities.map_err(|source| MirrorFileError::Authority {
                        path: folder.to_owned(),
                        source,
                    })?;
                    found.authorities.extend(authorities);
                    found.files.push(file.display().to_string().into());
                }
                Some("cert") if found.client.is_none() => {
                    let client = read_client_certificate(file, &file.with_extension("key"));
                    found.client = Some(client.map_err(|source| refused(folder, source))?);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

fn refused(folder: &Path, source: ClientFileError) -> MirrorFileError {
    MirrorFileError::Client {
        path: folder.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use crate::mirrors::{Mirrors, certs_folder};

    use super::*;

    #[test]
    fn a_folder_a_host() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("r.example:5000");
        std::fs::create_dir(&host).unwrap();
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["ca".into()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        std::fs::write(host.join("ca.crt"), certificate.pem()).unwrap();
        std::fs::write(host.join("client.cert"), certificate.pem()).unwrap();
        let read = || certs_folder(Mirrors::default(), folder.path());
        let error = read().unwrap_err();
        assert!(matches!(error, MirrorFileError::Client { .. }), "{error}");
        std::fs::write(host.join("client.key"), key.serialize_pem()).unwrap();
        let mirrors = read().unwrap();
        let route = mirrors
            .route(&"r.example:5000/a:1".parse().unwrap())
            .unwrap();
        let registry = route.registry.unwrap();
        assert_eq!((registry.trust.len(), registry.trusted_from.len()), (1, 1));
        assert!(registry.client.is_some() && registry.verify);
        assert_eq!(mirrors.route(&"r.example/a:1".parse().unwrap()), None);
    }
}
