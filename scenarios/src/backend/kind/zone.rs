//! The names of the stage: what the cluster's name server answers, as a file in its container.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;

/// The server looks at its file ten times a second.
const TAKES_EFFECT: Duration = Duration::from_millis(300);

/// What a name is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Addresses(Vec<IpAddr>),
    Word(Word),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Word {
    NxDomain,
    ServFail,
    Silent,
}

#[derive(Debug, Default, Serialize)]
struct Names {
    names: BTreeMap<String, Answer>,
    clients: BTreeMap<IpAddr, BTreeMap<String, Answer>>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Zone {
    folder: PathBuf,
    names: Mutex<Names>,
}

impl Zone {
    /// In a folder that the server's container sees.
    pub(super) fn in_folder(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let zone = Self {
            folder,
            names: Mutex::default(),
        };
        zone.write(&Names::default())?;
        Ok(zone)
    }

    /// Sets or removes the answer to a name, for everybody or for one that asks; it holds on return.
    pub(super) async fn set(
        &self,
        client: Option<IpAddr>,
        name: &str,
        answer: Option<Answer>,
    ) -> std::io::Result<()> {
        self.change(|names| {
            let list = match client {
                Some(client) => names.clients.entry(client).or_default(),
                None => &mut names.names,
            };
            match answer {
                Some(answer) => drop(list.insert(name.to_owned(), answer)),
                None => drop(list.remove(name)),
            }
        })
        .await
    }

    /// Adds names of everybody.
    pub(super) async fn add(
        &self,
        more: impl IntoIterator<Item = (String, IpAddr)>,
    ) -> std::io::Result<()> {
        self.change(|names| {
            let more = more.into_iter();
            names
                .names
                .extend(more.map(|(name, address)| (name, Answer::Addresses(vec![address]))));
        })
        .await
    }

    /// Removes names, whoever asks.
    pub(super) async fn forget(&self, gone: &[String]) -> std::io::Result<()> {
        self.change(|names| {
            names.names.retain(|name, _| !gone.contains(name));
            for list in names.clients.values_mut() {
                list.retain(|name, _| !gone.contains(name));
            }
        })
        .await
    }

    async fn change(&self, make: impl FnOnce(&mut Names)) -> std::io::Result<()> {
        let mut names = self.names.lock().await;
        make(&mut names);
        self.write(&names)?;
        drop(names);
        tokio::time::sleep(TAKES_EFFECT).await;
        Ok(())
    }

    /// Whole or not at all: the server may look at any moment.
    fn write(&self, names: &Names) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(names)?;
        let new = self.folder.join("new");
        std::fs::write(&new, text)?;
        std::fs::rename(new, self.folder.join("zone.yaml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_file_says_what_was_set() {
        let folder = std::env::temp_dir().join(format!("pullcheck-zone-{}", std::process::id()));
        let zone = Zone::in_folder(folder.clone()).unwrap();
        let (node, at): (IpAddr, IpAddr) = ([10, 0, 0, 3].into(), [10, 0, 0, 5].into());
        zone.add([("r.example".to_owned(), at)]).await.unwrap();
        let gone = Some(Answer::Word(Word::NxDomain));
        zone.set(Some(node), "r.example", gone).await.unwrap();
        let text = std::fs::read_to_string(folder.join("zone.yaml")).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
          "names": {
            "r.example": [
              "10.0.0.5"
            ]
          },
          "clients": {
            "10.0.0.3": {
              "r.example": "nx-domain"
            }
          }
        }
        "#);
        zone.forget(&["r.example".to_owned()]).await.unwrap();
        let text = std::fs::read_to_string(folder.join("zone.yaml")).unwrap();
        assert!(!text.contains("r.example"), "{text}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
