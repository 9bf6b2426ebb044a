//! Benches that print a report of their own: how they are started, and the mirror as a process of its own, so that time and
//! memory are its alone.

#![expect(
    clippy::print_stdout,
    reason = "the bench's report, and the answers of its processes"
)]
// Each bench has some use for it, and none for all.
#![allow(dead_code, reason = "a part of several programs")]

use fake_keboola::{Change, Fake, FakeConfig};
use mirror_benches::process::{cpu_ms, peak_kb};
use mirror_it::{Rig, Settings, SourceAt};
use mirror_runtime::pipeline::stages::{Stage, Stages};
use sample_project::{Shape, generate};
use serde_json::{Map, Value, json};
use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

/// What a bench was started for.
pub(crate) enum Start {
    /// A test runner asks what there is, and was told.
    Listed,
    /// As one of the bench's own processes, with what follows its name.
    Part(String, Vec<String>),
    /// To measure.
    Timed,
    /// To check the results, small.
    Tested,
}

impl Start {
    /// Reads the command line.
    pub(crate) fn of(bench: &str) -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if let Some((part, rest)) = arguments.split_first()
            && let Some(part) = part.strip_prefix("--part=")
        {
            return Self::Part(part.to_owned(), rest.to_vec());
        }
        if arguments.iter().any(|argument| argument == "--list") {
            if !arguments.iter().any(|argument| argument == "--ignored") {
                println!("{bench}: test");
            }
            return Self::Listed;
        }
        match arguments.iter().any(|argument| argument == "--bench") {
            true => Self::Timed,
            false => Self::Tested,
        }
    }

    /// Returns sizes in configurations: what `KBC_MIRROR_SIZES` says where times count, such as `300,3000,30000`.
    pub(crate) fn sizes(&self, timed: &str, tested: &str) -> Vec<usize> {
        let named = std::env::var("KBC_MIRROR_SIZES").unwrap_or_else(|_| timed.into());
        let sizes = match self {
            Self::Timed => named.as_str(),
            _ => tested,
        };
        let sizes = sizes.split(',');
        sizes
            .map(|size| size.trim().parse().expect("KBC_MIRROR_SIZES holds numbers"))
            .collect()
    }
}

/// One of a bench's own processes.
pub(crate) struct Part {
    child: std::process::Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts the bench's own program as one of its parts, if need be under another program.
    pub(crate) fn start(part: &str, source: &SourceAt, under: &[String]) -> Self {
        let own = std::env::current_exe().expect("a bench knows where it is");
        let mut command = match under {
            [] => Command::new(own),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(own);
                command
            }
        };
        let mut child = command
            .arg(format!("--part={part}"))
            .args([&source.url, &source.token, &source.project.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a bench can start itself");
        Self {
            to: child.stdin.take().expect("it is a pipe"),
            from: BufReader::new(child.stdout.take().expect("it is a pipe")).lines(),
            child,
        }
    }

    /// Waits for its next line.
    pub(crate) fn answer(&mut self) -> Value {
        let line = self.from.next().expect("it answers").expect("it can be read");
        serde_json::from_str(&line).expect("it answers JSON")
    }

    /// Tells it something, in a line, and waits for its answer.
    pub(crate) fn ask(&mut self, line: &str) -> Value {
        writeln!(self.to, "{line}").expect("it listens");
        self.answer()
    }

    pub(crate) fn end(self) {
        let Self { mut child, to, .. } = self;
        drop(to);
        assert!(child.wait().expect("it ends").success());
    }
}

/// Reads the arguments of [`Part::start`].
pub(crate) fn source_of(arguments: &[String]) -> SourceAt {
    let [url, token, project] = arguments else {
        panic!("a part is given an address, a token and a project");
    };
    SourceAt {
        url: url.clone(),
        token: token.clone(),
        project: project.parse().expect("a number"),
    }
}

/// A generated project in a fake Keboola, and the clock of its changes.
pub(crate) struct Site {
    pub(crate) fake: Fake,
    pub(crate) source: SourceAt,
    pub(crate) main: String,
    told: u64,
    second: i64,
}

impl Site {
    pub(crate) fn new(configurations: usize) -> Self {
        let project = generate(&Shape {
            configurations,
            dev_branches: 0,
            jobs: 100,
            versions_max: 1,
            previews: 0,
            events_max: 0,
            ..Shape::default()
        });
        let number = project.project_id;
        let main = project.default_branch().id().to_string();
        let fake = Fake::start(project, FakeConfig::default()).expect("the fake Keboola starts");
        let source = SourceAt {
            url: fake.url().to_owned(),
            token: fake.token().to_owned(),
            project: number,
        };
        Self {
            fake,
            source,
            main,
            told: 0,
            second: 1_793_606_400,
        }
    }

    pub(crate) fn change(&mut self) -> Change {
        self.second += 1;
        let now = jiff::Timestamp::from_second(self.second).expect("a time");
        Change::by(1, "jane@example.com", "Bench", now)
    }

    /// Returns the event of the last change.
    pub(crate) fn event(&mut self) -> String {
        let event = self
            .fake
            .outbox(self.told)
            .pop()
            .expect("a change tells an event");
        self.told = event.seq;
        event.json
    }
}

/// Mirrors a project, then each change whose event stands on a line, and answers with figures: what passed from the
/// event, or from an empty repository, to the commit that the repository has. `KBC_MIRROR_LINES` are further lines of
/// its configuration.
pub(crate) async fn mirror(source: SourceAt) {
    let settings = Settings {
        measuring: true,
        lines: std::env::var("KBC_MIRROR_LINES").unwrap_or_default(),
        ..Settings::default()
    };
    let mut rig = Rig::new(source, settings).await;
    step(&mut rig, None).await;
    for line in std::io::stdin().lines() {
        step(&mut rig, Some(line.expect("it can be read"))).await;
    }
}

async fn step(rig: &mut Rig, event: Option<String>) {
    rig.lane().transformer.stages.reset();
    let (started, cpu) = (Instant::now(), cpu_ms());
    if let Some(event) = event {
        rig.post(&[event]).await;
    }
    let done = rig.attempt().await;
    let (ms, cpu) = (started.elapsed().as_secs_f64() * 1000.0, cpu_ms() - cpu);
    let work = done.work;
    assert!(done.landed.is_some(), "a change makes a commit");
    println!(
        "{}",
        json!({
            "ms": ms, "cpuMs": cpu, "fetchMs": done.fetching.as_secs_f64() * 1000.0,
            "inspected": work.inspected, "rendered": work.rendered, "gathered": work.gathered,
            "entries": work.gathered_entries, "files": work.files, "bytes": work.bytes,
            "gitObjects": work.git_objects, "rows": work.rows, "peakKb": peak_kb(),
            "stages": stages(&rig.lane().transformer.stages), "tree": rig.tree(),
            "repository": rig.repository(),
        })
    );
}

/// Returns the processor's time of each stage, in milliseconds.
fn stages(stages: &Stages) -> Map<String, Value> {
    let time = |stage: Stage| json!(stages.taken(stage).cpu.as_secs_f64() * 1000.0);
    let times = Stage::ALL.map(|stage| (stage.name().to_owned(), time(stage)));
    times.into_iter().collect()
}

/// Returns a figure of an answer; 0 where there is none.
pub(crate) fn figure(answer: &Value, name: &str) -> f64 {
    answer[name].as_f64().unwrap_or_default()
}

/// Returns the sum of some stages of an answer, in milliseconds of the processor.
pub(crate) fn sum(answer: &Value, names: &[&str]) -> f64 {
    names.iter().map(|name| figure(&answer["stages"], name)).sum()
}

/// Returns the mean of a figure over answers.
pub(crate) fn mean(answers: &[Value], of: impl Fn(&Value) -> f64) -> f64 {
    let count = u32::try_from(answers.len()).expect("there are a few");
    answers.iter().map(of).sum::<f64>() / f64::from(count)
}
