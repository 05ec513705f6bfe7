//! A pull-through mirror: asks the registry once for what it does not have, and each time for a tag.
//!
//! As the registry of the distribution project does it: content by digest is fetched once and kept, a
//! tag is looked up upstream at every request, and where that fails, what is there is served.

use crate::engine::Transfer;
use crate::events::{Ask, Event};
use crate::link::Link;

/// One mirror.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) link: Link<Transfer>,
    objects: Vec<Object>,
    layers: usize,
}

/// A manifest, config or layer.
#[derive(Debug, Default)]
enum Object {
    #[default]
    Absent,
    /// On its way, and who waits for it.
    Coming(Vec<Event>),
    There,
}

/// What a mirror does about a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// It has it.
    Now,
    /// It has to ask the registry.
    Upstream,
    /// It has asked already; the request waits.
    Waits,
}

impl Mirror {
    pub(crate) fn new(bandwidth: Option<u64>, images: u32, layers: u32) -> Self {
        let layers = layers as usize;
        let mut objects = Vec::new();
        objects.resize_with(images as usize * (layers + 3), Object::default);
        Self {
            link: Link::new(bandwidth),
            objects,
            layers,
        }
    }

    fn object(&mut self, image: u32, ask: Ask) -> Option<&mut Object> {
        let number = match ask {
            Ask::Tag | Ask::Top => 0,
            Ask::Manifest => 1,
            Ask::Config => 2,
            Ask::Layer(n) => 3 + n as usize,
        };
        self.objects
            .get_mut(image as usize * (self.layers + 3) + number)
    }

    /// Whether it could serve an object by itself.
    pub(crate) fn has(&mut self, image: u32, ask: Ask) -> bool {
        matches!(self.object(image, ask), Some(Object::There))
    }

    /// Someone asks for an object of an image.
    pub(crate) fn ask(&mut self, image: u32, ask: Ask, event: Event) -> Served {
        match self.object(image, ask) {
            Some(Object::There) if ask != Ask::Tag => Served::Now,
            Some(Object::Coming(waiting)) if ask != Ask::Tag => {
                waiting.push(event);
                Served::Waits
            }
            _ => Served::Upstream,
        }
    }

    /// The registry has let the mirror have an object, which is on its way.
    pub(crate) fn comes(&mut self, image: u32, ask: Ask, event: Event) {
        if let Some(object) = self.object(image, ask) {
            *object = Object::Coming(vec![event]);
        }
    }

    /// It is there; those who waited.
    pub(crate) fn came(&mut self, image: u32, ask: Ask) -> Vec<Event> {
        match self
            .object(image, ask)
            .map(|o| std::mem::replace(o, Object::There))
        {
            Some(Object::Coming(waiting)) => waiting,
            _ => Vec::new(),
        }
    }
}
