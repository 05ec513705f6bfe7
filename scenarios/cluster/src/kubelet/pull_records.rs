//! Who may use an image that is on the node already (feature `KubeletEnsureSecretPulledImages`, on by
//! default from Kubernetes 1.35).
//!
//! Each successful pull leaves a record under the image's id: by repository, with which secret, or that
//! it needed none. An image without any record was there before the kubelet and is open to every pod.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::keyring::{Candidate, Source};

#[derive(Debug, Clone, Default)]
struct Access {
    every_pod: bool,
    secrets: BTreeSet<Source>,
    hashes: BTreeSet<[u8; 32]>,
}

/// The records of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct PullRecords {
    by_image: BTreeMap<String, BTreeMap<String, Access>>,
}

impl PullRecords {
    /// An image was pulled from a repository; `with` is the credential that worked, if any.
    pub(crate) fn pulled(&mut self, image: &str, repository: &str, with: Option<&Candidate>) {
        let access = self
            .by_image
            .entry(image.to_owned())
            .or_default()
            .entry(repository.to_owned())
            .or_default();
        match with {
            Some(
                candidate @ Candidate {
                    source: Source::Secret { .. },
                    ..
                },
            ) => {
                access.secrets.insert(candidate.source.clone());
                access.hashes.insert(hash(candidate));
            }
            _ => access.every_pod = true,
        }
    }

    /// Whether a pod with these candidates has to prove itself by a pull.
    pub(crate) fn must_pull(
        &self,
        image: &str,
        repository: &str,
        candidates: &[Candidate],
    ) -> bool {
        let Some(repositories) = self.by_image.get(image) else {
            return false;
        };
        // Pulled under another name only: this name is no longer taken as preloaded.
        let Some(access) = repositories.get(repository) else {
            return true;
        };
        let known =
            |c: &Candidate| access.secrets.contains(&c.source) || access.hashes.contains(&hash(c));
        !access.every_pod && !candidates.iter().any(known)
    }
}

fn hash(candidate: &Candidate) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update((candidate.credential.username.len() as u64).to_be_bytes());
    hasher.update(&candidate.credential.username);
    hasher.update(&candidate.credential.secret);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Credential;

    fn candidate(name: &str, user: &str) -> Candidate {
        let source = Source::Secret {
            uid: format!("uid-{name}"),
            namespace: "ns".into(),
            name: name.into(),
        };
        Candidate {
            credential: Credential {
                username: user.into(),
                secret: "p".into(),
            },
            source,
        }
    }

    #[test]
    fn who_has_to_pull() {
        let mut records = PullRecords::default();
        assert!(
            !records.must_pull("id", "r/a", &[]),
            "preloaded images are open"
        );
        records.pulled("id", "r/a", Some(&candidate("one", "u")));
        assert!(records.must_pull("id", "r/a", &[]), "no secret");
        assert!(
            records.must_pull("id", "r/a", &[candidate("two", "v")]),
            "another secret"
        );
        assert!(
            !records.must_pull("id", "r/a", &[candidate("one", "changed")]),
            "the same secret"
        );
        assert!(
            !records.must_pull("id", "r/a", &[candidate("two", "u")]),
            "the same user and password"
        );
        assert!(
            records.must_pull("id", "r/b", &[]),
            "the same id under another name"
        );
        records.pulled("id", "r/a", None);
        assert!(
            !records.must_pull("id", "r/a", &[]),
            "once pulled by anybody, open to everybody"
        );
    }
}
