//! A command line of `az`: the words that name the command, and its options.

use super::AzError;

/// Options that take no value.
const FLAGS: [&str; 5] = [
    "--include-inherited",
    "--all",
    "--yes",
    "-y",
    "--only-show-errors",
];
/// Switches whose value may be left out.
const SWITCHES: [&str; 3] = [
    "--data-endpoint-enabled",
    "--public-network-enabled",
    "--anonymous-pull-enabled",
];

/// A command line of `az`.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// `role assignment create`.
    pub(super) command: String,
    options: Vec<(String, String)>,
}

impl Words {
    /// Reads the words after `az`.
    pub fn read(words: &[String]) -> Result<Self, AzError> {
        let mut command = Vec::new();
        let mut options = Vec::new();
        let mut rest = words.iter().peekable();
        while let Some(word) = rest.next() {
            if !word.starts_with('-') {
                if !options.is_empty() {
                    return Err(AzError::Usage(format!("unrecognized arguments: {word}")));
                }
                command.push(word.as_str());
                continue;
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None if FLAGS.contains(&word.as_str()) => (word.as_str(), "true".to_owned()),
                None => {
                    let value = rest.next_if(|next| !next.starts_with("--"));
                    match value {
                        Some(value) => (word.as_str(), value.clone()),
                        None if SWITCHES.contains(&word.as_str()) => {
                            (word.as_str(), "true".to_owned())
                        }
                        None => {
                            let text = format!("argument {word}: expected one argument");
                            return Err(AzError::Usage(text));
                        }
                    }
                }
            };
            options.push((name.to_owned(), value));
        }
        let words = Self {
            command: command.join(" "),
            options,
        };
        if let Some((name, _)) = words
            .options
            .iter()
            .find(|(_, value)| value.starts_with('<') && value.ends_with('>'))
        {
            return Err(AzError::Usage(format!(
                "argument {name}: a placeholder is left to fill in"
            )));
        }
        Ok(words)
    }

    /// The value of an option, by any of its names.
    pub fn get(&self, names: &[&str]) -> Option<&str> {
        let found = self
            .options
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn need(&self, names: &[&str]) -> Result<&str, AzError> {
        self.get(names)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                let text = format!("the following arguments are required: {}", names.join("/"));
                AzError::Usage(text)
            })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(&[name]).is_some()
    }

    /// An option that says yes or no.
    pub(super) fn switch(&self, name: &str) -> Result<Option<bool>, AzError> {
        self.get(&[name])
            .map(|value| match value.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(true),
                "false" | "no" | "0" => Ok(false),
                _ => Err(AzError::Usage(format!(
                    "argument {name}: invalid choice: '{value}' (choose from 'false', 'true')"
                ))),
            })
            .transpose()
    }

    /// Refuses options that the command does not know: they would be passed over in silence.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), AzError> {
        let general = [
            "--query",
            "--output",
            "-o",
            "--subscription",
            "--only-show-errors",
        ];
        let odd = self
            .options
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()) && !general.contains(&name.as_str()));
        match odd {
            None => Ok(()),
            Some((name, _)) => Err(AzError::Usage(format!("unrecognized arguments: {name}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let read = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            Words::read(&words)
        };
        let words = read("role assignment list --assignee x --include-inherited -o=tsv").unwrap();
        assert_eq!(words.command, "role assignment list");
        assert_eq!(words.get(&["--assignee"]), Some("x"));
        assert!(words.has("--include-inherited"));
        assert_eq!(words.get(&["--output", "-o"]), Some("tsv"));
        assert!(words.only(&["--assignee"]).is_err());
        let words = read("acr update -n a --data-endpoint-enabled").unwrap();
        assert_eq!(words.switch("--data-endpoint-enabled").unwrap(), Some(true));
        for bad in [
            "acr show --name",
            "acr show --name <acr>",
            "acr show --name a b",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
