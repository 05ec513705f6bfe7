//! One scenario from the story to the debrief.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use pull_scenarios::catalogue;
use pull_scenarios::live::{Lab, Stage};
use pull_scenarios::spec::{Scenario, Span};
use pull_scenarios::workshop::{self, Before, Favour, Flaw, Graded, Marks, Meant, Repair, Told};
use pull_scenarios::{Command as Remedy, Seconds};
use pullcheck::cause::Cause;
use pullcheck::report::Report;
use sim_cluster::live::Speed;
use tokio::time::Instant;

use super::command::{Command, HELP};
use super::progress::Progress;
use super::room::{Heard, Terminal, say, shell, work};
use super::{WorkshopError, folded};
use crate::cluster::{Served, Wanted};

/// Causes that are listed without being asked for by a word.
const ALL_CAUSES: &str = "";

/// What is to be learnt, and how.
pub(super) struct Lesson {
    pub(super) scenario: Scenario,
    /// `2 of 8`, in a course.
    pub(super) place: Option<String>,
    pub(super) speed: Speed,
    pub(super) seed: u64,
}

/// How a lesson ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Named and mended.
    Done,
    /// Given up.
    Skipped,
    /// The learner goes; what there is is kept.
    Left,
}

struct Session<'a> {
    lesson: &'a Lesson,
    terminal: &'a mut Terminal,
    progress: &'a mut Progress,
    served: Served,
    marks: Marks,
    report: Arc<Report>,
    before: Arc<Before>,
    favours: Vec<Favour>,
    /// When something was last done about it, since the cluster began.
    touched: Option<Seconds>,
    /// Whether a line of the remedy was run.
    followed: bool,
    begun: Instant,
}

pub(super) async fn run(
    lesson: &Lesson,
    terminal: &mut Terminal,
    progress: &mut Progress,
) -> Result<Ended, WorkshopError> {
    let id = lesson.scenario.id();
    let mut served = Served::start(Wanted {
        scenario: lesson.scenario.clone(),
        seed: lesson.seed,
        stage: Stage::Broken,
        speed: lesson.speed,
        from: "workstation",
        ports: (0, 0),
        kubeconfig: None,
    })
    .await?;
    let looked = work(&mut served, |lab| Box::pin(looked(lab)));
    let (report, before) = looked.await?;
    let mut marks = progress.marks(id).unwrap_or_default();
    // The cluster is broken anew.
    marks.repair = None;
    marks.skipped = false;
    let mut session = Session {
        favours: workshop::favours(&lesson.scenario),
        lesson,
        terminal,
        progress,
        served,
        marks,
        report: Arc::new(report),
        before: Arc::new(before),
        touched: None,
        followed: false,
        begun: Instant::now(),
    };
    session.begin()?;
    session.talk().await
}

/// The evidence, before anyone touches anything.
async fn looked(lab: &Lab) -> (Report, Before) {
    (lab.check().await, lab.before())
}

impl Session<'_> {
    fn scenario(&self) -> &Scenario {
        &self.lesson.scenario
    }

    fn say(&self, text: &str) -> Result<(), WorkshopError> {
        Ok(say(&folded(text, self.terminal.width))?)
    }

    fn begin(&self) -> Result<(), WorkshopError> {
        if let Some(place) = &self.lesson.place {
            say(&format!("\n── Lesson {place} ──\n"))?;
        }
        self.say(&workshop::story(self.scenario()))?;
        say("")?;
        self.setup()?;
        self.say(
            "\nFind out why, name the cause (answer …), mend it, and say `check`. `help` lists what else there is. \
             kubectl and az can be typed right here as well.",
        )
    }

    fn setup(&self) -> Result<(), WorkshopError> {
        let env = self.served.files.env();
        say(&format!("In another terminal:\n\n  . {}\n", env.display()))?;
        let speed = self.lesson.speed;
        if speed == Speed::REAL {
            return Ok(());
        }
        let real = Duration::from_mins(5).div_f64(speed.factor());
        self.say(&format!(
            "\nTime in the cluster passes at {speed}: a back-off of 5m is over after {:.0}s. What is printed are the real figures.",
            real.as_secs_f64()
        ))
    }

    async fn talk(&mut self) -> Result<Ended, WorkshopError> {
        loop {
            let line = match self.terminal.hear(&mut self.served, "workshop> ").await? {
                Heard::Line(line) => line,
                Heard::End => return self.left(),
            };
            match Command::read(&line) {
                Command::Quit => return self.left(),
                Command::Skip => {
                    self.marks.skipped = true;
                    self.keep()?;
                    self.debrief().await?;
                    return Ok(Ended::Skipped);
                }
                command => self.does(command).await?,
            }
            if self.marks.finished() {
                self.debrief().await?;
                return Ok(Ended::Done);
            }
        }
    }

    fn left(&self) -> Result<Ended, WorkshopError> {
        say(&format!("What you have is kept: {}.", self.marks.line()))?;
        Ok(Ended::Left)
    }

    fn keep(&mut self) -> Result<(), WorkshopError> {
        let at = pull_scenarios::live::now().to_string();
        Ok(self
            .progress
            .keep(self.lesson.scenario.id(), &self.marks, &at)?)
    }

    async fn does(&mut self, command: Command) -> Result<(), WorkshopError> {
        match command {
            Command::Help => Ok(say(HELP)?),
            Command::Story => self.say(&workshop::story(self.scenario())),
            Command::Setup => self.setup(),
            Command::Status => self.status().await,
            Command::Hint => self.hint(),
            Command::Answer(text) => self.answer(&text),
            Command::Causes(words) => self.causes(&words),
            Command::Others => self.others(),
            Command::Ask(what) => self.ask(&what).await,
            Command::Accounts => self.accounts(),
            Command::Wait(length) => self.wait(&length).await,
            Command::Check => self.check().await,
            Command::Mend => self.mend().await,
            Command::Shell(line) => self.shell(&line).await,
            Command::Unknown(line) => {
                let line: String = line.chars().take(60).collect();
                self.say(&format!("`{}` is nothing that is known here; `help` lists what is, and `! LINE` is for the shell.", line.escape_debug()))
            }
            Command::Nothing | Command::Skip | Command::Quit => Ok(()),
        }
    }

    async fn status(&mut self) -> Result<(), WorkshopError> {
        let view = work(&mut self.served, |lab| Box::pin(lab.view())).await?;
        say(&crate::cluster::picture(&view, 40, self.terminal.width))?;
        say(&format!("So far: {}.", self.marks.line()))?;
        Ok(())
    }

    fn hint(&mut self) -> Result<(), WorkshopError> {
        let hints = self.scenario().hints.clone();
        match hints.get(self.marks.hints) {
            Some(hint) => {
                self.marks.hints += 1;
                self.say(&format!(
                    "Hint {} of {}: {hint}",
                    self.marks.hints,
                    hints.len()
                ))?;
            }
            None if hints.is_empty() => self.say("There are no hints for this one.")?,
            None => {
                let all: Vec<String> = hints.iter().map(|hint| format!("  {hint}")).collect();
                self.say(&format!("These are all hints:\n{}", all.join("\n")))?;
            }
        }
        self.keep()
    }

    fn answer(&mut self, text: &str) -> Result<(), WorkshopError> {
        let cause = match workshop::meant(text) {
            Meant::Cause(cause) => cause,
            Meant::Nothing => {
                return self.say("No cause has these words. `causes` lists all of them, `causes WORDS` those that are near.");
            }
            Meant::OneOf(near) => {
                let near: Vec<String> = near.into_iter().map(listed).collect();
                return self.say(&format!(
                    "Which one do you mean? An id is an answer; this was none yet.\n{}",
                    near.join("\n")
                ));
            }
        };
        let graded = self.marks.answer(&self.lesson.scenario, cause);
        self.keep()?;
        match graded {
            Graded::Right => {
                let next = if self.marks.repair.is_some() {
                    String::new()
                } else {
                    " Now mend it, and say `check`.".to_owned()
                };
                self.say(&format!("Right: {cause}. {}{next}", cause.meaning()))
            }
            Graded::Beside => self.say(&format!(
                "{cause} is true of another image here. What is it with the first one?"
            )),
            Graded::Wrong(question) => {
                let mut text = format!("No. {cause} would mean: {}", cause.meaning());
                if let Some(question) = question {
                    let _ = write!(text, " What it is looks alike; ask: {question}");
                }
                self.say(&text)
            }
        }
    }

    fn causes(&self, words: &str) -> Result<(), WorkshopError> {
        let causes = match workshop::meant(words) {
            _ if words == ALL_CAUSES => Cause::ALL.to_vec(),
            Meant::Cause(cause) => vec![cause],
            Meant::OneOf(near) => near,
            Meant::Nothing => Vec::new(),
        };
        if causes.is_empty() {
            return self.say("No cause has these words.");
        }
        let lines: Vec<String> = causes.into_iter().map(listed).collect();
        self.say(&lines.join("\n"))
    }

    fn others(&self) -> Result<(), WorkshopError> {
        let lines = self
            .favours
            .iter()
            .zip(1..)
            .map(|(favour, n)| format!("  {n:>2}  {}", favour.what));
        self.say(&lines.collect::<Vec<_>>().join("\n"))
    }

    async fn ask(&mut self, what: &str) -> Result<(), WorkshopError> {
        let favour = match what.parse::<usize>() {
            Ok(number) => match number.checked_sub(1).and_then(|at| self.favours.get(at)) {
                Some(favour) => favour.clone(),
                None => {
                    return self.say(&format!(
                        "There is no number {number}; `others` lists them."
                    ));
                }
            },
            Err(_) if what.is_empty() => return self.others(),
            Err(_) => match workshop::favour(self.scenario(), what) {
                Ok(favour) => favour,
                Err(error) => return self.say(&format!("Nobody does that: {error}.")),
            },
        };
        let said = favour.what.clone();
        let done = work(&mut self.served, move |lab| {
            Box::pin(async move {
                let done = lab.favour(&favour).await;
                (done, lab.elapsed())
            })
        });
        let (done, at) = done.await?;
        match done {
            Ok(()) => {
                self.touched = Some(at);
                self.say(&format!("Done: {said}."))
            }
            Err(error) => self.say(&format!("It was tried: {error}.")),
        }
    }

    fn accounts(&self) -> Result<(), WorkshopError> {
        let accounts = workshop::accounts(self.scenario());
        if accounts.is_empty() {
            return self.say("No registry here has accounts of its own.");
        }
        let lines: Vec<String> = accounts
            .iter()
            .map(|(host, user, password)| format!("  {host}  user {user}  password {password}"))
            .collect();
        Ok(say(&lines.join("\n"))?)
    }

    async fn wait(&mut self, text: &str) -> Result<(), WorkshopError> {
        let Some(length) = Span::read(text) else {
            return self.say("How long? `wait 30s`, `wait 5m`, at most a day.");
        };
        let from = Instant::now();
        work(&mut self.served, move |lab| {
            Box::pin(lab.wait(length.get()))
        })
        .await?;
        self.say(&format!(
            "{text} have passed in the cluster, {:.1}s here.",
            from.elapsed().as_secs_f64()
        ))
    }

    async fn check(&mut self) -> Result<(), WorkshopError> {
        let before = Arc::clone(&self.before);
        let judged = work(&mut self.served, move |lab| {
            Box::pin(async move {
                let from = lab.elapsed();
                let flaws = lab.judge(&before).await;
                (from, lab.elapsed(), flaws)
            })
        });
        let (from, to, flaws) = judged.await?;
        let passed =
            pull_scenarios::report::length(Duration::from_millis(to.0.saturating_sub(from.0)));
        if !flaws.is_empty() {
            self.marks.flawed += 1;
            self.keep()?;
            return self.flawed(&flaws, &passed);
        }
        self.touched = self.touched.or(Some(from));
        self.marks.repair = Some(if self.followed().await? {
            Repair::Remedy
        } else {
            Repair::OtherWay
        });
        self.keep()?;
        let rest = if self.marks.named {
            ""
        } else {
            " What was the cause?"
        };
        self.say(&format!(
            "Mended: the pods run, and nothing else is worse. That took {passed} in the cluster.{rest}"
        ))
    }

    fn flawed(&self, flaws: &[Flaw], passed: &str) -> Result<(), WorkshopError> {
        let lines: Vec<String> = flaws.iter().map(|flaw| format!("  {flaw}")).collect();
        let broken = flaws.iter().any(|flaw| !flaw.may_pass());
        let head = if broken {
            "That is no repair:".to_owned()
        } else {
            format!("Not mended, {passed} later in the cluster:")
        };
        self.say(&format!("{head}\n{}", lines.join("\n")))
    }

    /// Whether it was mended as pullcheck says.
    async fn followed(&mut self) -> Result<bool, WorkshopError> {
        let report = Arc::clone(&self.report);
        let images = work(&mut self.served, move |lab| {
            Box::pin(async move { lab.follows(&report) })
        });
        Ok(images.await? || self.followed)
    }

    async fn mend(&mut self) -> Result<(), WorkshopError> {
        if !self.marks.named {
            return self
                .say("Name the cause first; `skip` gives this one up and tells everything.");
        }
        let report = Arc::clone(&self.report);
        let done = work(&mut self.served, move |lab| {
            Box::pin(async move {
                let at = lab.elapsed();
                (lab.mend(&report).await, at)
            })
        });
        let (done, at) = done.await?;
        let steps = match done {
            Ok(steps) => steps,
            Err(error) => return self.say(&format!("That did not go: {error}.")),
        };
        self.touched = Some(at);
        let lines: Vec<String> = steps.iter().map(|step| format!("  {step}")).collect();
        say(&lines.join("\n"))?;
        self.check().await?;
        if self.marks.repair.is_some() {
            self.marks.repair = Some(Repair::Shown);
            self.keep()?;
        }
        Ok(())
    }

    async fn shell(&mut self, line: &str) -> Result<(), WorkshopError> {
        if line.is_empty() {
            return self.say("`!` runs what comes after it.");
        }
        shell(&self.served, line, self.terminal.person).await?;
        if self.is_remedy(line) {
            self.followed = true;
        }
        let at = work(&mut self.served, |lab| {
            Box::pin(async move { lab.elapsed() })
        })
        .await?;
        self.touched = Some(at);
        Ok(())
    }

    /// Whether a line is one of those that the checker prints.
    fn is_remedy(&self, line: &str) -> bool {
        let Ok(run) = Remedy::parse(line) else {
            return false;
        };
        let answers = self
            .report
            .answers
            .iter()
            .flat_map(|answer| &answer.remedies);
        let lines = answers.flat_map(|remedy| &remedy.commands);
        lines
            .filter_map(|line| Remedy::parse(line).ok())
            .any(|remedy| remedy == run)
    }

    async fn debrief(&mut self) -> Result<(), WorkshopError> {
        let before = Arc::clone(&self.before);
        let looked = work(&mut self.served, move |lab| {
            Box::pin(async move { (lab.attempts(), lab.changes(&before)) })
        });
        let (attempts, changes) = looked.await?;
        let twin = self.scenario().twin.as_ref();
        let twin = twin.and_then(|twin| catalogue::find(&twin.scenario.value).ok().flatten());
        let told = Told {
            scenario: self.scenario(),
            twin: twin.as_ref(),
            report: &self.report,
            attempts: &attempts,
            repaired: self.touched.filter(|_| self.marks.repair.is_some()),
            changes: &changes,
            speed: self.lesson.speed.factor(),
            wall: self.begun.elapsed(),
        };
        let text = workshop::debrief(&told, self.terminal.width);
        say(&format!(
            "\n── Debrief: {} ──\n\n{text}",
            self.scenario().id()
        ))?;
        say(&format!(
            "\n{}: {}.",
            self.scenario().id(),
            self.marks.line()
        ))?;
        Ok(())
    }
}

fn listed(cause: Cause) -> String {
    format!("  {cause}: {}", cause.meaning())
}
