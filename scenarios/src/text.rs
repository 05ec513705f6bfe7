//! Text for people: lengths of time in words, folded paragraphs.

use std::time::Duration;

/// Folds text at a width, every line with the indent. Breaks at spaces only: an image name that is cut in
/// two cannot be copied.
pub fn fold(text: &str, indent: &str, width: usize) -> String {
    let options = textwrap::Options::new(width)
        .initial_indent(indent)
        .subsequent_indent(indent)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    let lines = textwrap::wrap(text.trim(), options);
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n")
}

/// `45s`, `12m`, `1h 5m`, `2m 30s`.
pub fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds % 3600 / 60, "m"),
        (seconds % 60, "s"),
    ];
    let words: Vec<_> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    if words.is_empty() {
        "0s".to_owned()
    } else {
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let table = [
            (0, "0s"),
            (45, "45s"),
            (720, "12m"),
            (3900, "1h 5m"),
            (150, "2m 30s"),
        ];
        for (seconds, want) in table {
            assert_eq!(length(Duration::from_secs(seconds)), want);
        }
    }
}
