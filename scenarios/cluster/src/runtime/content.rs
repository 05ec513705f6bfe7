//! What a node has: content by digest, and the images that names stand for.
//!
//! Content that no image needs is kept only while a pull holds on to it, so a failed pull leaves nothing
//! behind and the next one starts from the beginning, as was observed. Layers are remembered, not kept:
//! nobody reads them again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

/// An image that the runtime knows under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digest of the config: the image's id.
    pub id: String,
    /// Digest that the name resolved to (an index, for images of several platforms).
    pub target: String,
    /// Manifests, config and layers together.
    pub size: u64,
    /// What the config says it runs on; empty if it says nothing.
    pub architecture: String,
    /// What it starts; empty for something that is no container image.
    pub command: Vec<String>,
    /// Whether it has a file system at all.
    pub runnable: bool,
    /// Digests of everything it needs.
    pub(crate) content: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Entry {
    size: u64,
    bytes: Option<Bytes>,
    pins: u32,
}

/// The content store and the image list of one node.
#[derive(Debug, Default)]
pub(crate) struct Content {
    entries: BTreeMap<String, Entry>,
    images: BTreeMap<String, Image>,
    /// Content that stays although no usable image came of it: the transfer service keeps what it pulled
    /// of an index that has nothing for the node.
    kept: BTreeSet<String>,
    /// One writer at a time for each digest; others wait and then find it there.
    writers: BTreeMap<String, Arc<Mutex<()>>>,
}

impl Content {
    /// The lock of a digest's writer.
    pub(crate) fn writer(&mut self, digest: &str) -> Arc<Mutex<()>> {
        self.writers.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(self.writers.entry(digest.to_owned()).or_default())
    }

    /// Holds on to content that is there already.
    pub(crate) fn pin(&mut self, digest: &str) -> Option<(u64, Option<Bytes>)> {
        let entry = self.entries.get_mut(digest)?;
        entry.pins += 1;
        Some((entry.size, entry.bytes.clone()))
    }

    /// Adds content, held by the pull that brought it.
    pub(crate) fn add(&mut self, digest: &str, size: u64, bytes: Option<Bytes>) {
        let entry = self.entries.entry(digest.to_owned()).or_insert(Entry {
            size,
            bytes,
            pins: 0,
        });
        entry.pins += 1;
    }

    /// Lets go, once for each time content was pinned or added; what nobody needs is gone.
    pub(crate) fn release(&mut self, digests: &[String]) {
        for digest in digests {
            if let Some(entry) = self.entries.get_mut(digest) {
                entry.pins = entry.pins.saturating_sub(1);
            }
        }
        self.collect();
    }

    /// Keeps content although no image needs it.
    pub(crate) fn keep(&mut self, digest: &str) {
        self.kept.insert(digest.to_owned());
    }

    /// Makes a name stand for an image.
    pub(crate) fn name(&mut self, name: &str, image: Image) {
        self.images.insert(name.to_owned(), image);
    }

    /// Takes a name away, and what only it needed.
    pub(crate) fn forget(&mut self, name: &str) -> Option<Image> {
        let image = self.images.remove(name);
        self.collect();
        image
    }

    pub(crate) fn image(&self, name: &str) -> Option<&Image> {
        self.images.get(name)
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = (&String, &Image)> {
        self.images.iter()
    }

    /// Bytes of all content.
    pub(crate) fn stored(&self) -> u64 {
        self.entries.values().map(|entry| entry.size).sum()
    }

    fn collect(&mut self) {
        let needed: BTreeSet<&String> = self
            .images
            .values()
            .flat_map(|image| &image.content)
            .chain(&self.kept)
            .collect();
        self.entries
            .retain(|digest, entry| entry.pins > 0 || needed.contains(digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_lives_as_long_as_somebody_needs_it() {
        let mut content = Content::default();
        content.add("a", 1, None);
        content.add("b", 1, None);
        assert!(content.pin("a").is_some());
        content.release(&["a".into(), "b".into()]);
        assert!(content.pin("b").is_none(), "nobody held b");
        content.keep("a");
        content.release(&["a".into()]);
        assert!(content.pin("a").is_some());
        content.release(&["a".into()]);
        let image = Image {
            id: "i".into(),
            target: "t".into(),
            size: 1,
            architecture: String::new(),
            command: Vec::new(),
            runnable: true,
            content: BTreeSet::from(["c".to_owned()]),
        };
        content.add("c", 1, None);
        content.name("n", image);
        content.release(&["c".into()]);
        assert!(content.pin("c").is_some());
        content.release(&["c".into()]);
        content.forget("n");
        assert!(content.pin("c").is_none());
    }
}
