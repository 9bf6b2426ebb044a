//! The way of a customer's component to the compiler's process and back.
//!
//! Any bytes as an order and as an answer; processes that do anything but their work; and real ones, by which a component
//! must come to the same as without them, or to a limit of theirs.

use crate::component::{LIMITS, changed, documents, is_printable, random, sandbox};
use crate::documents::context;
use mirror_sandbox::{ChildCompiler, CompileLimits, Compiler, Sandbox, SandboxConfig, SandboxError, fuzzing};
use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{LazyLock, OnceLock},
    time::{Duration, Instant},
};

/// The argument by which a program is told to be the compiler.
pub const COMMAND: &str = "compile-component";

/// The program that compiles, and its arguments.
static PROGRAM: OnceLock<(PathBuf, Vec<OsString>)> = OnceLock::new();

/// Says which program calls [`mirror_sandbox::run_compiler`] when it has these arguments; the target cannot run before.
///
/// # Panics
/// A second call with another program.
pub fn set_program(program: PathBuf, arguments: Vec<OsString>) {
    let wanted = (program, arguments);
    assert_eq!(*PROGRAM.get_or_init(|| wanted.clone()), wanted);
}

/// Longer than any machine takes, and what a wait may take beside its limit.
const LONG_MS: u64 = 60_000;
const AT_ONCE: Duration = Duration::from_secs(10);

fn real(limits: CompileLimits) -> Sandbox {
    let (program, arguments) = PROGRAM.get().expect("the program is set first").clone();
    let config = SandboxConfig {
        compiler: Compiler::Child(ChildCompiler {
            program,
            arguments,
            limits,
        }),
        ..SandboxConfig::offline(LIMITS.clone(), LIMITS.clone())
    };
    Sandbox::new(config).expect("the engine starts")
}

/// With more than any component of the fuzzer needs.
static AMPLE: LazyLock<Sandbox> = LazyLock::new(|| {
    real(CompileLimits {
        cpu_seconds_max: LONG_MS / 1000,
        memory_bytes_max: 4 << 30,
        wall_ms_max: LONG_MS,
    })
});

pub(crate) fn run(data: &[u8]) {
    let Some(([first, second], rest)) = data.split_first_chunk() else {
        return;
    };
    match first % 16 {
        0..4 => fuzzing::order(rest),
        4..8 => {
            let status = i32::from(*second) << if first & 16 == 0 { 8 } else { 0 };
            answered(rest, status);
        }
        8..11 => stand_in(*second, rest),
        11 => as_here(rest),
        12 => {
            if let Some(component) = random(rest) {
                as_here(&component);
            }
        }
        13 | 14 => {
            if let Some(component) = changed(rest) {
                as_here(&component);
            }
        }
        _ => {
            if let Some(component) = changed(rest) {
                within(*second, &component);
            }
        }
    }
}

/// Code is what was answered behind the head, if it is all of it and the process ended well.
fn answered(answer: &[u8], wait_status: i32) {
    let head = |kind: u8| {
        let length = answer.len().checked_sub(fuzzing::HEAD_BYTES)?;
        let head = [&[kind][..], &(length as u64).to_le_bytes()].concat();
        answer.strip_prefix(head.as_slice())
    };
    match fuzzing::answer(answer, wait_status) {
        Ok(code) => {
            assert_eq!(wait_status, 0);
            assert_eq!(Some(code.as_slice()), head(1));
        }
        Err(problem) => {
            assert!(wait_status != 0 || head(1).is_none(), "it is refused: {problem}");
            assert!(is_printable(&problem), "{problem:?}");
        }
    }
}

/// A process that is not the compiler: it reads all or nothing, says anything, and ends, is killed, or stays.
fn stand_in(how: u8, said: &[u8]) {
    const SIGNALS: [i32; 4] = [9, 24, 6, 11];
    let said = &said[..said.len().min(2 << 10)];
    let reads = how & 1 == 0;
    let stays = how & 0b1_1110 == 0b1_1110;
    let octal: String = said.iter().map(|byte| format!("\\{byte:03o}")).collect();
    let read = if reads { "cat >/dev/null;" } else { "" };
    let (end, status) = match how >> 1 {
        _ if stays && how & 32 == 0 => ("exec sleep 60 >&-".to_owned(), None),
        _ if stays => ("exec sleep 60".to_owned(), None),
        choice if choice & 8 == 0 => (String::new(), Some(0)),
        choice if choice & 4 == 0 => {
            let signal = SIGNALS[usize::from(choice & 3)];
            (format!("kill -{signal} $$"), Some(signal))
        }
        choice => (format!("exit {choice}"), Some(i32::from(choice) << 8)),
    };
    let wall_ms_max = if stays { 50 } else { LONG_MS };
    let child = ChildCompiler {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), format!("{read} printf '{octal}'; {end}").into()],
        limits: CompileLimits {
            wall_ms_max,
            ..CompileLimits::default()
        },
    };
    // More than a pipe holds.
    let component = vec![0; if how & 64 == 0 { 16 } else { 256 << 10 }];
    let began = Instant::now();
    let compiled = fuzzing::compiled(&child, &LIMITS, &component);
    if stays {
        let problem = compiled.expect_err("it did not end");
        assert!(problem.contains("compile_wall_ms_max"), "{problem}");
        assert!(began.elapsed() < AT_ONCE, "it was waited for");
        return;
    }
    let status = status.expect("it ends");
    assert_eq!(compiled, fuzzing::answer(said, status), "{how} {said:?}");
    answered(said, status);
}

/// With a process of its own, a component comes to the same as without.
fn as_here(bytes: &[u8]) {
    let here = outcome(sandbox(), bytes);
    assert_eq!(outcome(&AMPLE, bytes), here);
}

/// With little to compile with it comes to the same, or to nothing, for one of the limits.
fn within(limits: u8, bytes: &[u8]) {
    let wall_ms_max = [LONG_MS, 0, 1, 5, 10, 20, 50, LONG_MS][usize::from(limits & 7)];
    let limits = CompileLimits {
        cpu_seconds_max: u64::from(limits >> 3 & 3),
        memory_bytes_max: [4 << 30, 0, 1 << 20, 8 << 20][usize::from(limits >> 5 & 3)],
        wall_ms_max,
    };
    let began = Instant::now();
    let outcome_there = outcome(&real(limits), bytes);
    if wall_ms_max < LONG_MS {
        assert!(began.elapsed() < AT_ONCE, "it was waited for");
    }
    if !matches!(&outcome_there, Err(told) if told.starts_with("cannot compile")) {
        assert_eq!(outcome_there, outcome(sandbox(), bytes));
    }
}

/// What becomes of a component and of documents, in words.
fn outcome(sandbox: &Sandbox, bytes: &[u8]) -> Result<String, String> {
    let told = |error: SandboxError| {
        let told = error.to_string();
        assert!(is_printable(&told), "{told:?}");
        told
    };
    let policy = sandbox.customer_policy("fuzzed", bytes, "{}").map_err(told)?;
    let verdicts = policy.redact(&context(), &documents()).map_err(told)?;
    Ok(format!("{:?} {verdicts:?}", policy.info()))
}
