//! The diff id of a layer: the digest of its uncompressed bytes, computed while it streams by.
//!
//! Unpacking is most of what a real pull costs and nothing that anybody looks at here, except that a
//! layer which is not what the config says must be refused. A layer seen once is not uncompressed again.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::{LazyLock, Mutex, PoisonError};

use flate2::write::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::media;
use super::session::Descriptor;

/// Diff ids by layer digest: a function of the content, so that all nodes may share it.
static KNOWN: LazyLock<Mutex<BTreeMap<String, String>>> = LazyLock::new(Mutex::default);
const KNOWN_MOST: usize = 4096;
/// Uncompressed bytes after which a layer is taken as a bomb.
const LARGEST: u64 = 4 << 30;

/// What is to be found out about a layer.
pub(crate) enum DiffId {
    /// Known from before.
    Known(String),
    /// Not decided by the first bytes yet.
    Waiting(Vec<u8>),
    /// gzip.
    Gzip(Box<MultiGzDecoder<Counted>>),
    /// Not compressed.
    Plain(Sha256),
    /// A compression that is not read here (zstd), or content that need not be read.
    Unread,
    /// Broken.
    Failed(String),
}

/// Hashes what is written, up to a limit.
pub(crate) struct Counted {
    hasher: Sha256,
    written: u64,
}

impl io::Write for Counted {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.written += data.len() as u64;
        if self.written > LARGEST {
            return Err(io::Error::other("write: no space left on device"));
        }
        self.hasher.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiffId {
    /// For a layer of an image that is unpacked, or of something that is only kept.
    pub(crate) fn of(layer: &Descriptor, unpacks: bool) -> Self {
        if !unpacks {
            return Self::Unread;
        }
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&layer.digest) {
            Some(id) => Self::Known(id.clone()),
            None if media::is_zstd(&layer.media_type) => Self::Unread,
            None => Self::Waiting(Vec::new()),
        }
    }

    /// The next bytes of the layer.
    pub(crate) fn update(&mut self, data: &[u8]) {
        match self {
            Self::Waiting(head) => {
                head.extend_from_slice(data);
                if head.len() >= 4 {
                    let head = std::mem::take(head);
                    *self = Self::start(&head);
                }
            }
            Self::Gzip(decoder) => {
                if let Err(error) = decoder.write_all(data) {
                    *self = Self::Failed(describe(&error));
                }
            }
            Self::Plain(hasher) => hasher.update(data),
            Self::Known(_) | Self::Unread | Self::Failed(_) => {}
        }
    }

    /// By its first bytes, as containerd does; the media type is not believed.
    fn start(head: &[u8]) -> Self {
        let mut fresh = match head {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip(Box::new(MultiGzDecoder::new(Counted {
                hasher: Sha256::new(),
                written: 0,
            }))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Self::Unread,
            _ => Self::Plain(Sha256::new()),
        };
        fresh.update(head);
        fresh
    }

    /// The diff id; none if it was not read. The layer's digest was verified by then.
    pub(crate) fn finish(self, digest: &str) -> Result<Option<String>, String> {
        let id = match self {
            Self::Known(id) => return Ok(Some(id)),
            Self::Unread => return Ok(None),
            Self::Failed(why) => return Err(why),
            Self::Waiting(head) => {
                let mut hasher = Sha256::new();
                hasher.update(&head);
                media::digest(hasher)
            }
            Self::Plain(hasher) => media::digest(hasher),
            Self::Gzip(decoder) => match decoder.finish() {
                Ok(counted) => media::digest(counted.hasher),
                Err(error) => return Err(describe(&error)),
            },
        };
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MOST {
            known.clear();
        }
        known.insert(digest.to_owned(), id.clone());
        Ok(Some(id))
    }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        io::ErrorKind::Other => error.to_string(),
        _ => "gzip: invalid checksum".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn sum(data: &[u8]) -> String {
        media::digest(Sha256::new_with_prefix(data))
    }

    #[test]
    fn compressed_and_plain() {
        let plain = b"a layer, or something like it".repeat(100);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain).unwrap();
        let zipped = encoder.finish().unwrap();
        let cut = zipped[..zipped.len() - 6].to_vec();
        let table: [(&str, &[u8], Option<String>); 4] = [
            ("zipped", &zipped, Some(sum(&plain))),
            ("plain", &plain, Some(sum(&plain))),
            ("short", b"ab", Some(sum(b"ab"))),
            ("cut", &cut, None),
        ];
        let layer = |digest: &str| Descriptor {
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
            digest: digest.to_owned(),
            size: 0,
        };
        for (digest, data, want) in table {
            let mut id = DiffId::of(&layer(digest), true);
            for piece in data.chunks(3) {
                id.update(piece);
            }
            let got = id.finish(digest);
            match want {
                Some(want) => assert_eq!(got, Ok(Some(want)), "for {digest}"),
                None => assert!(got.is_err(), "for {digest}"),
            }
        }
        assert!(
            matches!(DiffId::of(&layer("zipped"), true), DiffId::Known(_)),
            "seen once, known for ever"
        );
        assert!(matches!(
            DiffId::of(&layer("zipped"), false),
            DiffId::Unread
        ));
    }
}
