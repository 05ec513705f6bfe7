//! Any bytes, as a manifest of any media type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcheck::wire::manifest::{Config, Manifest, kind_of, media_type};

fuzz_target!(|data: &[u8]| {
    for header in [
        None,
        Some("application/vnd.oci.image.index.v1+json"),
        Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
        Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ] {
        let kind = media_type(header);
        let _ = kind_of(&kind);
        let _ = Manifest::read(&kind, data);
    }
    let _ = Config::read(data);
});
