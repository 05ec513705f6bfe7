//! Bytes on their way into a store and out of it: in memory, or in a file.
//!
//! A draft grows while a client sends; its file goes away with it unless the store has taken it
//! over. Files are written and read where that is asked for, without a thread of their own, since
//! it is the page cache that answers. To sync is another matter, and the store's.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use crate::digest::{Algorithm, Digest, Hasher};
use crate::message::Body;
use crate::positioned;

/// A file goes out in pieces of at most so many bytes.
const PIECE: u64 = 128 << 10;

/// Content that is not stored yet.
pub(crate) enum Draft {
    Memory(BytesMut),
    File(DraftFile),
}

pub(crate) struct DraftFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    length: u64,
}

impl Default for Draft {
    fn default() -> Self {
        Self::Memory(BytesMut::new())
    }
}

impl Draft {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(draft) => draft.length,
        }
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(all) => {
                all.extend_from_slice(bytes);
                Ok(())
            }
            Self::File(draft) => draft.append(bytes),
        }
    }

    /// Takes it back to an earlier length.
    pub(crate) fn truncate(&mut self, length: u64) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX)),
            Self::File(draft) => {
                draft.file.set_len(length)?;
                draft.length = length;
            }
        }
        Ok(())
    }

    /// Reads all of it again for another algorithm than it was hashed with on the way in.
    pub(crate) fn digest(&self, algorithm: Algorithm) -> io::Result<Digest> {
        match self {
            Self::Memory(bytes) => Ok(Digest::of_with(algorithm, bytes)),
            Self::File(draft) => {
                let mut hasher = Hasher::new(algorithm);
                let mut rest = FilePart::new(draft.file.try_clone()?, 0, draft.length);
                while let Some(piece) = rest.next()? {
                    hasher.update(&piece);
                }
                Ok(hasher.finish())
            }
        }
    }
}

impl DraftFile {
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self {
            file,
            path,
            length: 0,
        })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        positioned::write_all_at(&self.file, bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for DraftFile {
    fn drop(&mut self) {
        // Not there any more if the store has renamed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Content that is stored, at hand to be sent.
pub(crate) enum Content {
    Memory(Bytes),
    File { file: File, length: u64 },
}

impl Content {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self::File { file, length })
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// All of it, unless it is more than `limit` bytes.
    pub(crate) fn read(self, limit: u64) -> io::Result<Bytes> {
        if self.len() > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::File { file, length } => {
                let mut all = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
                let mut rest = FilePart::new(file, 0, length);
                while let Some(piece) = rest.next()? {
                    all.extend_from_slice(&piece);
                }
                Ok(all.freeze())
            }
        }
    }

    /// From `first` up to, not including, `end`; both are within the content.
    pub(crate) fn part(self, first: u64, end: u64) -> Body {
        match self {
            Self::Memory(bytes) if first == 0 && end == bytes.len() as u64 => Body::Bytes(bytes),
            Self::Memory(bytes) => Body::Bytes(bytes.slice(first as usize..end as usize)),
            Self::File { file, .. } => Body::File(FilePart::new(file, first, end - first)),
        }
    }
}

/// The rest of a file that is being read.
pub(crate) struct FilePart {
    file: File,
    at: u64,
    left: u64,
}

impl FilePart {
    pub(crate) fn new(file: File, at: u64, left: u64) -> Self {
        Self { file, at, left }
    }

    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Ends it earlier.
    pub(crate) fn shorten(&mut self, left: u64) {
        self.left = self.left.min(left);
    }

    /// The next piece; an error where the file is shorter than it was.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::zeroed(self.left.min(PIECE) as usize);
        let count = positioned::read_at(&self.file, &mut piece, self.at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        piece.truncate(count);
        self.at += count as u64;
        self.left -= count as u64;
        Ok(Some(piece.freeze()))
    }
}
