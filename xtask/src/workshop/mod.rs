//! `cargo xtask workshop`: someone learns image pulls, on a cluster that is broken on purpose.
//!
//! One scenario, or a course of them. At a terminal it is a conversation; lines from a pipe are the same
//! commands, so that a class can be rehearsed and a test can drive it. Needs no network.
//!
//! Exit codes: 0 everything was named and mended, 1 something was not, 2 usage, 130 interrupted.

mod command;
mod progress;
mod room;
mod session;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
use pull_scenarios::catalogue;
use pull_scenarios::spec::{LoadError, MAX_FILE_BYTES};
use pull_scenarios::workshop::{Course, courses};
use sim_cluster::live::Speed;

use self::progress::{Progress, ProgressError};
use self::room::{Terminal, say};
use self::session::{Ended, Lesson};
use crate::cluster::{End, UpError};

const UNFINISHED: u8 = 1;
const USAGE: u8 = 2;
const INTERRUPTED: u8 = 130;

/// A workshop on a cluster that is broken on purpose.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask workshop                        the course `basics`, from where you were
  cargo xtask workshop missing-role           one scenario
  cargo xtask workshop --course ./mine.yaml   a course of your own
  cargo xtask workshop --list                 the lessons, and what you have of them
  cargo xtask workshop bad-tag < lines.txt    the same commands from a pipe

docs/workshop.md is a guide for trainers.

Exit codes:
  0    everything was named and mended
  1    something was not: left, given up
  2    usage, or a course or scenario that cannot be read
  130  interrupted")]
pub(crate) struct Arguments {
    /// One scenario: an id of the catalogue, or a file
    name: Option<String>,
    /// A course: an id, or a file
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    course: Option<String>,
    /// Whose progress is kept; people on one machine take different names
    #[arg(long, value_name = "NAME", env = "PULLCHECK_LEARNER")]
    learner: Option<String>,
    /// How fast time passes for the cluster
    #[arg(long, default_value = "20x")]
    speed: Speed,
    /// What chance is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Forgets what was done before
    #[arg(long)]
    again: bool,
    /// Lists the lessons and the progress, and starts nothing
    #[arg(long, conflicts_with = "name")]
    list: bool,
}

/// Why a workshop ended before its end.
#[derive(Debug, thiserror::Error)]
enum WorkshopError {
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Progress(#[from] ProgressError),
    #[error(transparent)]
    Up(#[from] UpError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let wanted = match choose(arguments) {
        Ok(wanted) => wanted,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let outcome = runtime.block_on(until_interrupted(learn(arguments, &wanted)));
    // A thread may still wait for a line that never comes.
    runtime.shutdown_background();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(UNFINISHED),
        Err(WorkshopError::Interrupted) => {
            // There may be no terminal any more to say it on.
            let _ = writeln!(io::stderr(), "\ninterrupted; what you have is kept");
            ExitCode::from(INTERRUPTED)
        }
        // Someone closed the pipe, as `head` does. Of a session that ended so nothing more is known.
        Err(WorkshopError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            if arguments.list {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(UNFINISHED)
            }
        }
        Err(WorkshopError::Up(error)) => {
            eprintln!("error: {}", error.page());
            ExitCode::from(error.exit_code())
        }
        Err(error) => {
            let source = std::error::Error::source(&error);
            let source = source.map_or_else(String::new, |source| format!(": {source}"));
            eprintln!("error: {error}{source}");
            ExitCode::from(USAGE)
        }
    }
}

/// What is to be learnt.
enum Chosen {
    One(Box<pull_scenarios::spec::Scenario>),
    Course(Course),
}

fn choose(arguments: &Arguments) -> Result<Chosen, ExitCode> {
    match &arguments.name {
        Some(name) => crate::scenario::one(name).map(|one| Chosen::One(Box::new(one))),
        None => course(arguments.course.as_deref().unwrap_or("basics")).map(Chosen::Course),
    }
}

fn course(name: &str) -> Result<Course, ExitCode> {
    if name.contains(['/', '\\', '.']) {
        let text = crate::scenario::read_bounded(name, MAX_FILE_BYTES).map_err(|error| {
            eprintln!("error: cannot read `{}`: {error}", name.escape_debug());
            ExitCode::from(USAGE)
        })?;
        return courses::parse(name, &text).map_err(refuse);
    }
    if let Some(course) = courses::find(name).map_err(refuse)? {
        return Ok(course);
    }
    eprintln!("error: there is no course `{}`", name.escape_debug());
    eprintln!("       there are: {}", courses::ids().join(", "));
    Err(ExitCode::from(USAGE))
}

fn refuse(error: Box<LoadError>) -> ExitCode {
    eprintln!("{:?}", miette::Report::new_boxed(error));
    ExitCode::from(USAGE)
}

/// Ends with the first signal that is meant for the session: what is dropped takes its cluster with it.
async fn until_interrupted<T>(
    session: impl Future<Output = Result<T, WorkshopError>>,
) -> Result<T, WorkshopError> {
    tokio::pin!(session);
    loop {
        tokio::select! {
            biased;
            from = crate::cluster::end() => {
                if from == End::Asked || !room::is_for_a_program() {
                    return Err(WorkshopError::Interrupted);
                }
            }
            () = hung_up() => return Err(WorkshopError::Interrupted),
            outcome = &mut session => return outcome,
        }
    }
}

/// The terminal is gone, and whoever sat at it.
async fn hung_up() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut gone) = signal(SignalKind::hangup()) {
            gone.recv().await;
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Whether everything was named and mended.
async fn learn(arguments: &Arguments, wanted: &Chosen) -> Result<bool, WorkshopError> {
    let learner = learner(arguments);
    if let (true, Chosen::Course(course)) = (arguments.list, wanted) {
        say(&table(course, &Progress::look(&learner)?))?;
        return Ok(true);
    }
    let mut progress = Progress::open(&learner)?;
    match wanted {
        Chosen::One(scenario) => {
            if arguments.again {
                progress.forget(scenario.id())?;
            }
            let lesson = Lesson {
                scenario: (**scenario).clone(),
                place: None,
                speed: arguments.speed,
                seed: arguments.seed,
            };
            let mut terminal = Terminal::open()?;
            let ended = session::run(&lesson, &mut terminal, &mut progress).await?;
            Ok(ended == Ended::Done)
        }
        Chosen::Course(course) => take(arguments, course, &mut progress).await,
    }
}

async fn take(
    arguments: &Arguments,
    course: &Course,
    progress: &mut Progress,
) -> Result<bool, WorkshopError> {
    let lessons = &course.lessons.value;
    if arguments.again {
        for lesson in lessons {
            progress.forget(&lesson.scenario.value)?;
        }
    }
    let mut terminal = Terminal::open()?;
    say(&folded(
        &format!(
            "{}: {} lessons, some {} minutes. {}",
            course.title,
            lessons.len(),
            course.minutes(),
            course.about
        ),
        terminal.width,
    ))?;
    let mut all = true;
    for (number, entry) in (1..).zip(lessons) {
        let id = &entry.scenario.value;
        if let Some(marks) = progress
            .marks(id)
            .filter(pull_scenarios::workshop::Marks::finished)
        {
            all &= !marks.skipped;
            continue;
        }
        // A course's scenarios were checked to be there.
        let Some(scenario) = catalogue::find(id).ok().flatten() else {
            continue;
        };
        let lesson = Lesson {
            scenario,
            place: Some(format!("{number} of {}", lessons.len())),
            speed: arguments.speed,
            seed: arguments.seed,
        };
        match session::run(&lesson, &mut terminal, progress).await? {
            Ended::Done => {}
            Ended::Skipped => all = false,
            Ended::Left => return Ok(false),
        }
    }
    say(&format!(
        "\nThat was the course.\n\n{}",
        table(course, progress)
    ))?;
    Ok(all)
}

/// The lessons of a course and what there is of them. The id of a scenario gives its cause away, so that
/// only those that are over have it.
fn table(course: &Course, progress: &Progress) -> String {
    let mut lines = vec![format!("{}: {}", course.id(), course.title)];
    let mut points = 0;
    for (number, lesson) in (1..).zip(&course.lessons.value) {
        let id = &lesson.scenario.value;
        let marks = progress.marks(id).unwrap_or_default();
        points += marks.points();
        let title = catalogue::find(id)
            .ok()
            .flatten()
            .map_or_else(String::new, |one| one.title);
        let minutes = lesson.minutes.value;
        let state = if marks.finished() {
            format!("{id}: {}", marks.line())
        } else if marks == pull_scenarios::workshop::Marks::default() {
            "open".to_owned()
        } else {
            "begun".to_owned()
        };
        lines.push(format!("  {number:>2}  {title} ({minutes} min): {state}"));
    }
    lines.push(format!(
        "{points} of {} points",
        course.lessons.value.len() * 100
    ));
    lines.join("\n")
}

/// The name that was given, or the one that the system knows, where it can be one here.
fn learner(arguments: &Arguments) -> String {
    let known = || {
        ["USER", "USERNAME", "LOGNAME"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|name| progress::is_name(name))
    };
    arguments
        .learner
        .clone()
        .or_else(known)
        .unwrap_or_else(|| "learner".to_owned())
}

/// Folds each line at the width, with its own indent.
fn folded(text: &str, width: usize) -> String {
    let lines = text.lines().map(|line| {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        pull_scenarios::report::fold(line.trim_start(), &indent, width)
    });
    lines.collect::<Vec<_>>().join("\n")
}
