//! The checker's own program in containers of the simulated cluster: `--from nodes` works there as anywhere.
//!
//! It is known by what any kubelet sees, the image's name and the words that are started, and then carries its order
//! out where the node stands: on its network, with its trust, its proxy, its mirrors and its clock.

use std::sync::Arc;

use pullcheck::evidence::Platform;
use pullcheck::keyring::Secret;
use pullcheck::nodes::{Order, SECRETS, Standing, carry_out};
use pullcheck::reference::Reference;
use pullcheck::world::NoPrograms;
use sim_cluster::clock::Clock;
use sim_cluster::program::{Ended, Programs, Running, Start};

use super::nodes::Settings;
use super::place::Date;

/// The word that starts it.
const WORD: &str = "node-probe";

pub(super) struct Checker {
    pub(super) settings: Arc<Settings>,
    pub(super) authority: Vec<u8>,
    pub(super) clock: Clock,
    pub(super) architecture: String,
}

impl Programs for Checker {
    fn start(&self, start: &Start) -> Option<Running> {
        let image = start.image.parse::<Reference>().ok()?;
        let repository = image.repository().rsplit('/').next()?;
        let [first, words @ ..] = start.words.as_slice() else {
            return None;
        };
        let words = match words {
            [word, order @ ..] if word == WORD => order,
            _ => return None,
        };
        if repository != "pullcheck" || first.rsplit('/').next() != Some("pullcheck") {
            return None;
        }
        let order = match Order::parse(words) {
            Ok(order) => order,
            Err(error) => {
                let output = format!("{error}\n");
                return Some(Box::pin(async { Ended { output, code: 2 } }));
            }
        };
        let place = self.settings.place(
            &start.node,
            start.host.clone(),
            self.authority.clone(),
            self.clock,
        );
        let mut standing = Standing::new(place);
        standing.mirrors = self.settings.mirrors_of(&start.node);
        standing.platform = Platform::linux(&self.architecture);
        for (_, name) in &order.secrets {
            let kinds = [
                (".dockerconfigjson", "kubernetes.io/dockerconfigjson"),
                (".dockercfg", "kubernetes.io/dockercfg"),
            ];
            for (file, kind) in kinds {
                let body = start.files.get(&format!("{SECRETS}/{name}/{file}"));
                if let Some(body) = body.and_then(|body| std::str::from_utf8(body).ok()) {
                    let body = (kind, Secret::new(body));
                    standing.secrets.insert(name.clone(), body);
                }
            }
        }
        let date = Date(self.clock);
        Some(Box::pin(async move {
            let mut output = String::new();
            carry_out(&order, &standing, &NoPrograms, &date, |line| {
                output.push_str(line);
                output.push('\n');
            })
            .await;
            Ended { output, code: 0 }
        }))
    }
}
