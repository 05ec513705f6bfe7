//! Which operation a path asks for.
//!
//! Works from the end of the path, because a repository name may hold any number of slashes.

use serde::{Deserialize, Serialize};

/// The operations, of the registry and of the services around it; fault rules match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Route {
    /// `/v2/`
    Ping,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags,
    /// `/v2/<name>/manifests/<reference>`
    Manifest,
    /// `/v2/<name>/blobs/<digest>`, also where a registry redirects to.
    Blob,
    /// `/v2/<name>/blobs/uploads/`
    UploadStart,
    /// `/v2/<name>/blobs/uploads/<session>`
    Upload,
    /// `/v2/<name>/referrers/<digest>`
    Referrers,
    /// The token endpoint of a registry, `/token` or `/oauth2/token`.
    Token,
    /// `/oauth2/exchange`
    Exchange,
    /// Azure Resource Manager.
    Arm,
    /// The token endpoint of Entra.
    Entra,
    /// The instance metadata service.
    Imds,
    /// Anything else.
    Other,
}

/// A path taken apart. Names are as they stand, not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) route: Route,
    pub(crate) repository: &'a str,
    /// Tag, digest or upload session.
    pub(crate) reference: &'a str,
}

impl<'a> Target<'a> {
    pub(crate) const fn bare(route: Route) -> Self {
        Self {
            route,
            repository: "",
            reference: "",
        }
    }

    /// Reads a decoded path.
    pub(crate) fn parse(path: &'a str) -> Self {
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Self::bare(Route::Other);
        };
        match rest {
            "" => return Self::bare(Route::Ping),
            "_catalog" => return Self::bare(Route::Catalog),
            _ => {}
        }
        let Some((head, reference)) = split_last(rest) else {
            return Self::bare(Route::Other);
        };
        let upload_start = Self {
            route: Route::UploadStart,
            repository: "",
            reference: "",
        };
        if let Some(repository) = head.strip_suffix("/blobs/uploads") {
            return if reference.is_empty() {
                Self {
                    repository,
                    ..upload_start
                }
            } else {
                Self {
                    route: Route::Upload,
                    repository,
                    reference,
                }
            };
        }
        let Some((repository, kind)) = split_last(head) else {
            return Self::bare(Route::Other);
        };
        let route = match (kind, reference) {
            ("manifests", _) => Route::Manifest,
            ("blobs", "uploads") => {
                return Self {
                    repository,
                    ..upload_start
                };
            }
            ("blobs", _) => Route::Blob,
            ("referrers", _) => Route::Referrers,
            ("tags", "list") => Route::Tags,
            _ => return Self::bare(Route::Other),
        };
        Self {
            route,
            repository,
            reference,
        }
    }
}

/// What stands before and after the last slash; references and names are short, so that looking
/// at byte after byte is the quickest way.
fn split_last(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == b'/')?;
    let (before, rest) = text.split_at_checked(at)?;
    Some((before, rest.strip_prefix('/')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let table = [
            ("/v2/", Route::Ping, "", ""),
            ("/v2", Route::Other, "", ""),
            ("/", Route::Other, "", ""),
            ("/v2/_catalog", Route::Catalog, "", ""),
            ("/v2/a/tags/list", Route::Tags, "a", ""),
            ("/v2/a/b/c/manifests/v1", Route::Manifest, "a/b/c", "v1"),
            (
                "/v2/manifests/manifests/manifests",
                Route::Manifest,
                "manifests",
                "manifests",
            ),
            ("/v2/a/blobs/sha256:0", Route::Blob, "a", "sha256:0"),
            ("/v2/a/blobs/uploads/", Route::UploadStart, "a", ""),
            ("/v2/a/blobs/uploads", Route::UploadStart, "a", ""),
            ("/v2/a/blobs/uploads/x-1", Route::Upload, "a", "x-1"),
            (
                "/v2/a/referrers/sha256:0",
                Route::Referrers,
                "a",
                "sha256:0",
            ),
            ("/v2/a/tags/other", Route::Other, "", ""),
            ("/v2/a", Route::Other, "", ""),
            ("/v2/../manifests/v1", Route::Manifest, "..", "v1"),
        ];
        for (path, route, repository, reference) in table {
            let got = Target::parse(path);
            let reference = if route == Route::Tags {
                "list"
            } else {
                reference
            };
            assert_eq!(
                got,
                Target {
                    route,
                    repository,
                    reference
                },
                "for {path}"
            );
        }
    }
}
