//! Phrases by their beginning: which is the longest that stands at a place of a text.
//!
//! A phrase stands where a word begins, so five of six places of a text are never looked at, and most
//! words part from every phrase at their second or third letter. A node holds all letters up to the
//! next fork: the nodes on the way of a phrase are few and lie close together.

/// A set of phrases, matched without regard to ASCII case.
#[derive(Debug)]
pub(super) struct Trie {
    /// The nodes that follow one another in a text; those of one parent side by side.
    nodes: Vec<Node>,
    /// The letters of all nodes, in lower case.
    labels: Vec<u8>,
    /// The node under the root for each first byte, or [`NONE`].
    roots: [u16; 256],
    /// Which beginnings of three bytes any phrase has, by their [`head`]: a bit each.
    heads: [u64; HEADS / 64],
}

/// How many beginnings are told apart.
const HEADS: usize = 4096;

/// No node, no phrase.
const NONE: u16 = u16::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    first: u8,
    /// How many nodes follow at `children`.
    forks: u8,
    /// The phrase that ends here.
    phrase: u16,
    children: u16,
    /// The letters behind the first: how many, and where they are.
    length: u16,
    label: u32,
}

/// A phrase that stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Longest {
    /// Its number, in the order in which the phrases were given.
    pub(super) phrase: usize,
    /// How many bytes of the text it takes.
    pub(super) length: usize,
}

impl Trie {
    /// The trie of some phrases; nothing where they are too many or too long for it, or one is
    /// shorter than three bytes.
    pub(super) fn build<'p>(phrases: impl Iterator<Item = &'p str>) -> Option<Self> {
        let mut sorted: Vec<(Vec<u8>, u16)> = Vec::new();
        for (number, text) in phrases.enumerate() {
            let number = u16::try_from(number)
                .ok()
                .filter(|number| *number != NONE)?;
            sorted.push((text.to_ascii_lowercase().into_bytes(), number));
        }
        sorted.sort();
        let mut heads = [0; HEADS / 64];
        for (text, _) in &sorted {
            let head = head(text)?;
            *heads.get_mut(head / 64)? |= 1 << (head % 64);
        }
        let mut trie = Self {
            nodes: Vec::new(),
            labels: Vec::new(),
            roots: [NONE; 256],
            heads,
        };
        let (from, count) = trie.grow(&sorted, 0)?;
        for at in from..from + u16::from(count) {
            let first = trie.nodes.get(usize::from(at))?.first;
            for byte in [first, first.to_ascii_uppercase()] {
                *trie.roots.get_mut(usize::from(byte))? = at;
            }
        }
        Some(trie)
    }

    /// Adds the nodes for what stands behind the first `depth` bytes, which `phrases` share.
    fn grow(&mut self, phrases: &[(Vec<u8>, u16)], depth: usize) -> Option<(u16, u8)> {
        let groups: Vec<&[(Vec<u8>, u16)]> = phrases
            .chunk_by(|(one, _), (other, _)| one.get(depth) == other.get(depth))
            .filter(|group| group.first().is_some_and(|(text, _)| text.len() > depth))
            .collect();
        let from = self.nodes.len();
        // Side by side, before any of their own children.
        for group in &groups {
            let (text, _) = group.first()?;
            let (last, _) = group.last()?;
            let shared = text.iter().zip(last).take_while(|(a, b)| a == b).count();
            let label = text.get(depth + 1..shared)?;
            let whole = group.iter().find(|(text, _)| text.len() == shared);
            self.nodes.push(Node {
                first: *text.get(depth)?,
                forks: 0,
                phrase: whole.map_or(NONE, |(_, number)| *number),
                children: 0,
                length: u16::try_from(label.len()).ok()?,
                label: u32::try_from(self.labels.len()).ok()?,
            });
            self.labels.extend_from_slice(label);
        }
        for (at, group) in (from..).zip(&groups) {
            let deeper = depth + 1 + usize::from(self.nodes.get(at)?.length);
            let (children, forks) = self.grow(group, deeper)?;
            let node = self.nodes.get_mut(at)?;
            (node.children, node.forks) = (children, forks);
        }
        Some((u16::try_from(from).ok()?, u8::try_from(groups.len()).ok()?))
    }

    /// Whether any phrase begins with this byte.
    pub(super) fn begins(&self, byte: u8) -> bool {
        self.roots
            .get(usize::from(byte))
            .is_some_and(|root| *root != NONE)
    }

    /// The longest phrase at the beginning of a text, and how many bytes were looked at.
    pub(super) fn longest(&self, text: &[u8]) -> (Option<Longest>, usize) {
        let begins = head(text).is_some_and(|head| {
            self.heads
                .get(head / 64)
                .is_some_and(|bits| bits >> (head % 64) & 1 == 1)
        });
        if !begins {
            return (None, 0);
        }
        let mut best = None;
        let mut depth = 0;
        let mut next = text
            .first()
            .and_then(|byte| self.roots.get(usize::from(*byte)))
            .and_then(|root| self.nodes.get(usize::from(*root)));
        while let Some(node) = next {
            let label = usize::try_from(node.label).unwrap_or(usize::MAX);
            let end = depth + 1 + usize::from(node.length);
            let (Some(here), Some(label)) = (
                text.get(depth + 1..end),
                self.labels.get(label..label + usize::from(node.length)),
            ) else {
                break;
            };
            // Most texts are in lower case already.
            if here != label && !here.eq_ignore_ascii_case(label) {
                break;
            }
            depth = end;
            if node.phrase != NONE {
                best = Some(Longest {
                    phrase: usize::from(node.phrase),
                    length: depth,
                });
            }
            let children = usize::from(node.children);
            next = text.get(depth).and_then(|byte| {
                let byte = byte.to_ascii_lowercase();
                self.nodes
                    .get(children..children + usize::from(node.forks))?
                    .iter()
                    .find(|child| child.first == byte)
            });
        }
        (best, depth)
    }
}

/// Three bytes as a number below [`HEADS`], the same in either case.
fn head(text: &[u8]) -> Option<usize> {
    let [first, second, third, ..] = *text else {
        return None;
    };
    let all = u32::from_be_bytes([0, first, second, third]) | 0x0020_2020;
    usize::try_from(all.wrapping_mul(0x9e37_79b1) >> 20).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, by looking at every phrase.
    fn naive(phrases: &[String], text: &str) -> Option<Longest> {
        phrases
            .iter()
            .enumerate()
            .filter(|(_, phrase)| {
                text.get(..phrase.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(phrase))
            })
            .max_by_key(|(_, phrase)| phrase.len())
            .map(|(number, phrase)| Longest {
                phrase: number,
                length: phrase.len(),
            })
    }

    #[test]
    fn the_longest_phrase_is_found() {
        let phrases = ["not such", "not", "No route to host", "not found", "EOF"];
        let trie = Trie::build(phrases.into_iter()).expect("five phrases fit");
        let table = [
            ("not such: x", Some((0, 8))),
            ("NOT SUC", Some((1, 3))),
            ("no route to host", Some((2, 16))),
            ("not foun", Some((1, 3))),
            ("no", None),
            ("eof", Some((4, 3))),
            ("n", None),
            ("", None),
            ("x", None),
        ];
        for (text, want) in table {
            let got = trie.longest(text.as_bytes()).0;
            let want = want.map(|(phrase, length)| Longest { phrase, length });
            assert_eq!(got, want, "for {text:?}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_looking_at_every_phrase(
            phrases in proptest::collection::btree_set("[a-c ]{3,7}", 0..40),
            text in "[a-cA-C ]{0,12}",
        ) {
            let phrases: Vec<String> = phrases.into_iter().collect();
            let trie = Trie::build(phrases.iter().map(String::as_str)).expect("they fit");
            prop_assert_eq!(trie.longest(text.as_bytes()).0, naive(&phrases, &text));
        }
    }
}
