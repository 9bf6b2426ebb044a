//! Compiling customers' components, in a child process that may be killed.
//!
//! A small component can keep the compiler busy for minutes, and what it can cost is known only by trying. So a
//! customer's component is compiled by a process of the same program with limits on processor time, memory and
//! wall-clock time, which does nothing else: it reads one request from its standard input, writes the code
//! to its standard output, and ends. There it is also given its settings, in the sandbox, with the limits of
//! every other call.

use crate::{
    cache::deserialize,
    config::{Limits, SandboxConfig},
    guest::{Host, Origin},
    text,
};
use nix::sys::{
    resource::{Resource, setrlimit},
    signal::Signal,
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    env,
    ffi::OsString,
    fmt,
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};
use wasmtime::{Engine, component::Component};

/// Where customers' components are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// In this process, without limits: for tests, and for authors who compile only what is theirs.
    ThisProcess,
    /// In a child process for each.
    Child(ChildCompiler),
}

/// A program that calls [`run_compiler`], and what it may use.
#[derive(Debug, Clone)]
pub struct ChildCompiler {
    /// Must be of the same build as this process: the code that it answers with is run unseen.
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub limits: CompileLimits,
}

/// What compiling one component may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileLimits {
    /// Processor time over all threads. Components of Python and JavaScript need some 6 seconds.
    pub cpu_seconds_max: u64,
    /// Memory that can be written; what is only reserved does not count.
    pub memory_bytes_max: u64,
    pub wall_ms_max: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu_seconds_max: 60,
            memory_bytes_max: 2 << 30,
            wall_ms_max: 120_000,
        }
    }
}

/// Why there is no compiled code. The component may be a good one all the same.
#[derive(Debug)]
pub(crate) struct CompileError(String);

impl CompileError {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::printable(&self.0))
    }
}

impl From<wasmtime::Error> for CompileError {
    fn from(error: wasmtime::Error) -> Self {
        Self(error.root_cause().to_string())
    }
}

impl From<io::Error> for CompileError {
    fn from(error: io::Error) -> Self {
        Self(format!("the compiler's process cannot be used: {error}"))
    }
}

/// Compiled code as the child process gave it, behind the head of its answer.
pub(crate) struct Code(Vec<u8>);

impl Code {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[HEAD_BYTES..]
    }

    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        deserialize(engine, self.bytes())
    }
}

/// Changes when requests or answers do, so that a program of another build answers nothing.
const MAGIC: &[u8; 8] = b"kbccomp3";
const COMPILED: u8 = 1;
const FAILED: u8 = 2;
/// What an answer begins with: whether it is code or a problem, and how many bytes that has.
pub(crate) const HEAD_BYTES: usize = 9;
/// Bytes of an answer. The code of the largest known guests has 36 MB.
const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// Compiling uses all cores, and its memory limit is for one.
static TURN: Mutex<()> = Mutex::new(());

impl ChildCompiler {
    /// Returns the compiler that is this very program, called with `arguments`.
    ///
    /// # Errors
    /// A system that does not say which program this is.
    pub fn this_program(
        arguments: impl IntoIterator<Item = OsString>,
        limits: CompileLimits,
    ) -> io::Result<Self> {
        // The link still leads to the program that runs here after its file was replaced.
        let link = PathBuf::from("/proc/self/exe");
        let program = if link.exists() { link } else { env::current_exe()? };
        Ok(Self {
            program,
            arguments: arguments.into_iter().collect(),
            limits,
        })
    }

    /// Compiles a component, with its settings where they are given.
    pub(crate) fn compile(
        &self,
        limits: &Limits,
        bytes: &[u8],
        settings: Option<&str>,
    ) -> Result<Code, CompileError> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let request = request(self.limits, limits, bytes, settings)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (mut to, from) = (child.stdin.take(), child.stdout.take());
        let (began, wall) = (Instant::now(), Duration::from_millis(self.limits.wall_ms_max));
        let (answer, ended) = thread::scope(|scope| {
            let (done, answered) = mpsc::channel();
            // A child that ends early is told of by its answer.
            scope.spawn(move || to.take().map(|mut to| to.write_all(&request)));
            scope.spawn(move || {
                let answer = from.map(|mut from| read_answer(&mut from, ANSWER_BYTES_MAX));
                done.send(answer.unwrap_or_else(|| Ok(Vec::new())))
            });
            let answer = answered.recv_timeout(wall.saturating_sub(began.elapsed()));
            if !matches!(answer, Ok(Ok(_))) {
                // It may have ended by itself just now.
                let _ = child.kill();
            }
            // Its pipes close then, which ends both threads.
            let ended = ended(&mut child, || wall.saturating_sub(began.elapsed()));
            (answer, ended)
        });
        match (answer, ended?) {
            (Ok(answer), Some(ended)) => self.code(answer?, ended),
            (Err(_), _) | (_, None) => Err(CompileError(format!(
                "it took more than {} ms (compile_wall_ms_max)",
                self.limits.wall_ms_max
            ))),
        }
    }

    pub(crate) fn code(&self, answer: Vec<u8>, ended: ExitStatus) -> Result<Code, CompileError> {
        match parsed(&answer) {
            Some((COMPILED, _)) if ended.success() => Ok(Code(answer)),
            Some((FAILED, problem)) => Err(CompileError(String::from_utf8_lossy(problem).into_owned())),
            _ => Err(CompileError(self.why_ended(ended))),
        }
    }

    fn why_ended(&self, ended: ExitStatus) -> String {
        let CompileLimits {
            cpu_seconds_max,
            memory_bytes_max,
            wall_ms_max: _,
        } = self.limits;
        match ended.signal().map(Signal::try_from) {
            Some(Ok(Signal::SIGXCPU)) => {
                format!("it took more than {cpu_seconds_max} s of processor time (compile_cpu_seconds_max)")
            }
            Some(Ok(Signal::SIGABRT)) => {
                format!("it took more than {memory_bytes_max} bytes of memory (compile_memory_bytes_max)")
            }
            _ => format!("the compiler's process ended without an answer ({ended})"),
        }
    }
}

/// Compiles what standard input asks for; for a process that does nothing else.
///
/// # Errors
/// Input that is no request, or an output that cannot be written.
pub fn run_compiler() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let Order {
        compile,
        limits,
        settings,
    } = read_order(&mut input)?;
    restrict(compile)?;
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let answer = match compiled(limits, &bytes, settings.as_deref()) {
        Ok(code) => (COMPILED, code),
        Err(problem) => (FAILED, problem.0.into_bytes()),
    };
    write_answer(&mut io::stdout().lock(), answer.0, &answer.1)
}

/// Writes what it is, how long it is, and all of it.
fn write_answer(output: &mut impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    output.write_all(&[kind])?;
    output.write_all(&(body.len() as u64).to_le_bytes())?;
    output.write_all(body)?;
    output.flush()
}

/// Reads an answer to its end; one that goes on behind `bytes_max` is no answer, whatever stands before.
fn read_answer(from: &mut impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let read = from.take(bytes_max.saturating_add(1)).read_to_end(&mut answer)?;
    if read as u64 > bytes_max {
        return Err(io::Error::other(format!(
            "it answers with more than {bytes_max} bytes"
        )));
    }
    Ok(answer)
}

/// Returns what an answer is and says; none where it is not one, or not the whole of one.
fn parsed(answer: &[u8]) -> Option<(u8, &[u8])> {
    let (head, body) = answer.split_first_chunk::<HEAD_BYTES>()?;
    let (kind, length) = head.split_first()?;
    let length = u64::from_le_bytes(length.try_into().ok()?);
    (body.len() as u64 == length).then_some((*kind, body))
}

/// Waits for a child to end, which it does at once after closing its output; one that does not is killed when no time
/// is left, and there is no status of it.
fn ended(child: &mut Child, left: impl Fn() -> Duration) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(ended) = child.try_wait()? {
            return Ok(Some(ended));
        }
        if left().is_zero() {
            // It may have ended by itself just now.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn compiled(limits: Limits, bytes: &[u8], settings: Option<&str>) -> Result<Vec<u8>, CompileError> {
    let host = Host::new(SandboxConfig::offline(limits.clone(), limits))
        .map_err(|error| CompileError(error.to_string()))?;
    let component = host.compile_here(Origin::Customer, bytes, settings)?;
    Ok(component.serialize()?)
}

/// From here on the process may use no more than this.
fn restrict(limits: CompileLimits) -> io::Result<()> {
    let CompileLimits {
        cpu_seconds_max,
        memory_bytes_max,
        wall_ms_max: _,
    } = limits;
    // The signal first, then the end.
    setrlimit(
        Resource::RLIMIT_CPU,
        cpu_seconds_max,
        cpu_seconds_max.saturating_add(1),
    )?;
    setrlimit(Resource::RLIMIT_DATA, memory_bytes_max, memory_bytes_max)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// What stands before the component in a request.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order<'o> {
    pub(crate) compile: CompileLimits,
    pub(crate) limits: Limits,
    pub(crate) settings: Option<Cow<'o, str>>,
}

pub(crate) fn request(
    compile: CompileLimits,
    limits: &Limits,
    bytes: &[u8],
    settings: Option<&str>,
) -> io::Result<Vec<u8>> {
    let order = serde_json::to_vec(&Order {
        compile,
        limits: limits.clone(),
        settings: settings.map(Cow::Borrowed),
    })?;
    let mut request = MAGIC.to_vec();
    request.extend((order.len() as u64).to_le_bytes());
    request.extend(order);
    request.extend(bytes);
    Ok(request)
}

pub(crate) fn read_order(input: &mut impl Read) -> io::Result<Order<'static>> {
    let (mut magic, mut length) = ([0; MAGIC.len()], [0; 8]);
    input.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(no_request());
    }
    input.read_exact(&mut length)?;
    let mut order = Vec::new();
    input.take(u64::from_le_bytes(length)).read_to_end(&mut order)?;
    serde_json::from_slice(&order).map_err(|_| no_request())
}

fn no_request() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "this command compiles components for the program itself, and takes no other input",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_the_same_after_the_way_through_a_pipe_and_nothing_else_is_one() {
        let compile = CompileLimits {
            wall_ms_max: 7,
            ..CompileLimits::default()
        };
        let limits = Limits {
            fuel_max: u64::MAX,
            list_items_max: 9,
            ..Limits::default()
        };
        for settings in [None, Some(""), Some(r#"{"a": "č"}"#)] {
            let request = request(compile, &limits, b"component", settings).unwrap();
            let mut input = request.as_slice();
            let order = read_order(&mut input).unwrap();
            assert_eq!((order.compile, order.limits), (compile, limits.clone()));
            assert_eq!(order.settings.as_deref(), settings);
            assert_eq!(input, b"component");
            for end in [0, 3, MAGIC.len(), MAGIC.len() + 8, MAGIC.len() + 20] {
                assert!(read_order(&mut &request[..end]).is_err(), "{end}");
            }
        }
        assert!(read_order(&mut b"GET / HTTP/1.1\r\n\r\n".as_slice()).is_err());
    }

    #[test]
    fn an_answer_is_taken_as_a_whole_or_not_at_all() {
        let mut answer = Vec::new();
        write_answer(&mut answer, COMPILED, b"code").unwrap();
        assert_eq!(parsed(&answer), Some((COMPILED, &b"code"[..])));
        for end in 0..answer.len() {
            assert_eq!(parsed(&answer[..end]), None, "{end}");
        }
        let longer = [answer.as_slice(), b"!"].concat();
        assert_eq!(parsed(&longer), None);

        let length = answer.len() as u64;
        assert_eq!(read_answer(&mut answer.as_slice(), length).unwrap(), answer);
        // One that is cut off at the limit must not pass for one that ends there.
        let error = read_answer(&mut longer.as_slice(), length).unwrap_err();
        assert_eq!(error.to_string(), "it answers with more than 13 bytes");
    }

    #[test]
    fn a_child_that_does_not_do_its_work_is_no_reason_to_wait_or_to_believe_it() {
        let code = r"printf '\001\004\0\0\0\0\0\0\0code'";
        let problem = r"printf '\002\003\0\0\0\0\0\0\0bad'";
        let no_answer = |how: &str| format!("Err(the compiler's process ended without an answer ({how}))");
        let late = "Err(it took more than 300 ms (compile_wall_ms_max))".to_owned();
        for (script, wall_ms_max, expected) in [
            (code.to_owned(), 60_000, "Ok(\"code\")".to_owned()),
            (
                format!("cat >/dev/null; {code}"),
                60_000,
                "Ok(\"code\")".to_owned(),
            ),
            (format!("{code}; exit 3"), 60_000, no_answer("exit status: 3")),
            (
                format!("{code}; kill -9 $$"),
                60_000,
                no_answer("signal: 9 (SIGKILL)"),
            ),
            (format!("{code}; echo more"), 60_000, no_answer("exit status: 0")),
            ("exit 0".to_owned(), 60_000, no_answer("exit status: 0")),
            (problem.to_owned(), 60_000, "Err(bad)".to_owned()),
            ("exec sleep 60".to_owned(), 300, late.clone()),
            // It closes its output and stays.
            (format!("{code}; exec sleep 60 >&-"), 300, late),
        ] {
            let child = ChildCompiler {
                program: "/bin/sh".into(),
                arguments: ["-c", &script].map(OsString::from).to_vec(),
                limits: CompileLimits {
                    wall_ms_max,
                    ..CompileLimits::default()
                },
            };
            // More than a pipe holds, so that who does not read it would keep the writer.
            let compiled = child.compile(&Limits::default(), &[0; 1 << 20], None);
            let told = match compiled {
                Ok(code) => format!("Ok({:?})", String::from_utf8_lossy(code.bytes())),
                Err(error) => format!("Err({error})"),
            };
            assert_eq!(told, expected, "{script}");
        }
    }
}
