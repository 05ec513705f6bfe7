//! Instructions that a server needs for one manifest GET, counted by valgrind and free of noise.
//!
//! Each program runs twice, with few and with many requests over one connection; the difference,
//! divided by that of the requests, is what one costs in user space, without start and end. What
//! else the machine does makes no difference to it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use tempfile::TempDir;

use super::client::{Connection, head};
use super::content::{self, Image};
use super::fleet::{self, Content};
use super::peer::{Peer, Programs, on_path};
use super::process::Process;
use super::{BenchError, work};

const FEW: usize = 500;
const MANY: usize = 2500;
/// Valgrind is some fifty times slower than the machine, and writes its figures at the end.
const PATIENCE: Duration = Duration::from_mins(2);
const OUTPUT: &str = "callgrind";

/// What is counted: who answers, and a fault rule that does not match.
const RUNS: [(&str, Peer, Option<&str>); 4] = [
    ("bare hyper", Peer::Bare, None),
    ("fake-registry", Peer::FakeRegistry, None),
    (
        "with a rule for another route",
        Peer::FakeRegistry,
        Some("{ route: blob }"),
    ),
    (
        "with a rule for another repository",
        Peer::FakeRegistry,
        Some("{ repository: 'other/*' }"),
    ),
];

/// A row of the count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted {
    /// Who answered, and how.
    pub what: &'static str,
    /// Instructions in user space for one request.
    pub instructions: f64,
}

/// Counts; `say` is told what is being done.
pub async fn count(
    programs: &Programs,
    mut say: impl FnMut(&str),
) -> Result<Vec<Counted>, BenchError> {
    let mut images = content::pushed_images(0);
    let image = images.pop().ok_or(BenchError::NoValgrind)?;
    let valgrind = on_path("valgrind").ok_or(BenchError::NoValgrind)?;
    let mut rows = Vec::new();
    for (what, peer, rule) in RUNS {
        let mut totals = Vec::new();
        for requests in [FEW, MANY] {
            say(&format!("{what}: {requests} requests under valgrind"));
            totals.push(run(&valgrind, programs, peer, rule, &image, requests).await?);
        }
        let [few, many] = totals.as_slice() else {
            continue;
        };
        rows.push(Counted {
            what,
            instructions: many.saturating_sub(*few) as f64 / (MANY - FEW) as f64,
        });
    }
    Ok(rows)
}

/// All instructions of one run with so many requests.
async fn run(
    valgrind: &Path,
    programs: &Programs,
    peer: Peer,
    rule: Option<&str>,
    image: &Image,
    requests: usize,
) -> Result<u64, BenchError> {
    let failed = |source| BenchError::Start { peer, source };
    let program = peer.find(programs).ok_or(BenchError::Missing(peer))?;
    // The server's own folder goes with it, before this one is read.
    let (figures, folder) = (fresh().map_err(failed)?, fresh().map_err(failed)?);
    let addresses = fleet::free_addresses(1).map_err(failed)?;
    let address = *addresses.first().ok_or(BenchError::Missing(peer))?;
    let output = figures.path().join(OUTPUT);
    let mut arguments = vec![
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", output.display()),
        program.display().to_string(),
    ];
    arguments.extend(
        peer.prepare(folder.path(), &addresses, image)
            .map_err(failed)?,
    );
    if peer == Peer::FakeRegistry {
        arguments.extend(["--threads".to_owned(), "1".to_owned()]);
    }
    if let Some(rule) = rule {
        let file = folder.path().join("faults.yaml");
        let script = format!("rules: [{{ match: {rule}, action: {{ status: 503 }} }}]\n");
        fs::write(&file, script).map_err(failed)?;
        arguments.extend(["--faults".to_owned(), file.display().to_string()]);
    }
    let mut process = Process::spawn(valgrind, &arguments, address, folder).map_err(failed)?;
    let asked = tokio::time::timeout(PATIENCE, ask(peer, &mut process, image, requests)).await;
    process.stop_within(PATIENCE).await;
    asked.map_err(|_| BenchError::Silent { peer })??;
    let text = fs::read_to_string(&output).map_err(failed)?;
    total(&text).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))
}

/// Pushes the image where that is needed and reads its manifest so often.
async fn ask(
    peer: Peer,
    process: &mut Process,
    image: &Image,
    requests: usize,
) -> Result<(), BenchError> {
    let address = process.address;
    let mut connection = loop {
        match Connection::open(address).await {
            Ok(connection) => break connection,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        if let Some(said) = process.ended() {
            return Err(BenchError::Ended { peer, said });
        }
    };
    if peer.takes_pushes() {
        work::push(&mut connection, address, image)
            .await
            .map_err(|why| why.of(peer))?;
    }
    let wanted = work::readable(image);
    let manifest = wanted.iter().find(|(kind, ..)| *kind == Content::Manifest);
    let (_, target, digest) = manifest.ok_or(BenchError::Missing(peer))?;
    work::check(&mut connection, address, target, digest)
        .await
        .map_err(|why| why.of(peer))?;
    let request = head("GET", target, address, "");
    for _ in 0..requests {
        let answer = connection.exchange(&request, b"", |_| {}).await;
        let answer = answer.map_err(|source| BenchError::Client { peer, source })?;
        if answer.status != 200 {
            return Err(BenchError::Answer {
                peer,
                request: target.clone(),
                status: answer.status,
            });
        }
    }
    Ok(())
}

fn fresh() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("pullcheck-count-").tempdir()
}

/// The sum in callgrind's file.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}

/// The rows as text, each beside those that it is to be compared with.
pub fn table(rows: &[Counted]) -> String {
    let find = |what: &str| {
        let row = rows.iter().find(|row| row.what == what);
        row.map(|row| row.instructions)
    };
    let (bare, plain) = (find("bare hyper"), find("fake-registry"));
    let mut text = format!(
        "{:<36}{:>14}{:>12}{:>18}\n",
        "manifest GET", "instructions", "of bare", "beside no rule"
    );
    for row in rows {
        let of_bare = bare.map_or(f64::NAN, |bare| row.instructions / bare);
        let beside = match plain {
            Some(plain) if row.what.starts_with("with") => {
                format!("{:+.1} %", (row.instructions / plain - 1.0) * 100.0)
            }
            _ => String::new(),
        };
        let line = format!(
            "{:<36}{:>14.0}{of_bare:>12.2}{beside:>18}",
            row.what, row.instructions
        );
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found() {
        let text = "events: Ir\nfn=(1) main\n0 12\n\ntotals: 98765\n";
        assert_eq!(total(text), Some(98765));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn a_rule_is_shown_beside_none() {
        let row = |what, instructions| Counted { what, instructions };
        let rows = [
            row("bare hyper", 8000.0),
            row("fake-registry", 10000.0),
            row("with a rule for another route", 10100.0),
        ];
        insta::assert_snapshot!(table(&rows), @r"
        manifest GET                          instructions     of bare    beside no rule
        bare hyper                                    8000        1.00
        fake-registry                                10000        1.25
        with a rule for another route                10100        1.26            +1.0 %
        ");
    }
}
