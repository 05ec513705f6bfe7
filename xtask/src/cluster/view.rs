//! The live picture on a terminal: pods, nodes, the last events. Nothing in a pipe.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use console::{Term, truncate_str};
use pull_scenarios::live::View;

pub(super) struct Screen {
    term: Option<Term>,
    shown: usize,
    last: String,
}

impl Screen {
    pub(super) fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = std::io::stderr().is_terminal() && !dumb;
        Self {
            term: terminal.then(Term::stderr),
            shown: 0,
            last: String::new(),
        }
    }

    /// Shows a picture where the last one was.
    pub(super) fn show(&mut self, view: &View) {
        let Some(term) = &self.term else {
            return;
        };
        let (rows, columns) = term.size();
        let text = picture(view, usize::from(rows), usize::from(columns));
        if text == self.last {
            return;
        }
        let _ = term.clear_last_lines(self.shown);
        let _ = term.write_line(text.trim_end());
        self.shown = text.lines().count();
        self.last = text;
    }

    /// Takes the picture away.
    pub(super) fn clear(&mut self) {
        if let Some(term) = &self.term {
            let _ = term.clear_last_lines(self.shown);
            self.shown = 0;
        }
    }
}

/// The picture as text, for so many rows and columns.
pub(crate) fn picture(view: &View, rows: usize, columns: usize) -> String {
    let mut text = format!("── {} ──\n", view.time);
    // The last line of a terminal is the cursor's; the head, the gaps and what is left out take five.
    let room = rows.saturating_sub(6).max(6);
    let events = view.events.len().min(room / 3);
    let pods = room - events - view.nodes.len().min(room / 4);
    table(&mut text, &view.pods, pods, columns);
    text.push('\n');
    table(&mut text, &view.nodes, room / 4, columns);
    if events > 0 {
        text.push('\n');
        let newest = view.events.len() - events;
        for event in view.events.iter().skip(newest) {
            let _ = writeln!(text, "{}", truncate_str(event, columns, "…"));
        }
    }
    text
}

fn table(text: &mut String, rows: &[Vec<String>], most: usize, columns: usize) {
    let cells = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..cells)
        .map(|at| {
            let lengths = rows.iter().filter_map(|row| row.get(at));
            lengths.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in rows.iter().take(most) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}   ");
        }
        let _ = writeln!(text, "{}", truncate_str(line.trim_end(), columns, "…"));
    }
    if rows.len() > most {
        let _ = writeln!(text, "… and {} more", rows.len() - most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fits_the_terminal() {
        let row = |cells: &[&str]| {
            cells
                .iter()
                .map(|cell| (*cell).to_owned())
                .collect::<Vec<_>>()
        };
        let mut pods = vec![row(&["NAME", "READY", "STATUS"])];
        pods.extend((0..50).map(|at| row(&[&format!("web-{at}"), "0/1", "ImagePullBackOff"])));
        let view = View {
            time: "09:00:00".to_owned(),
            pods,
            nodes: vec![row(&["NAME", "STATUS"]), row(&["node-1", "Ready"])],
            events: vec!["Warning Failed pod/web-1 a very long line of an event".to_owned(); 9],
            token: None,
        };
        let text = picture(&view, 24, 40);
        assert!(text.lines().count() < 24, "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 40),
            "{text}"
        );
        assert!(text.contains("… and "), "{text}");
        assert!(text.contains("web-0    0/1     ImagePullBackOff"), "{text}");
    }
}
