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
    process::{Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
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

/// Compiled code as the child process gave it.
pub(crate) struct Code(Vec<u8>);

impl Code {
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        deserialize(engine, &self.0)
    }
}

/// Changes when requests or answers do, so that a program of another build answers nothing.
const MAGIC: &[u8; 8] = b"kbccomp2";
const COMPILED: u8 = 1;
const FAILED: u8 = 2;
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
        let answer = thread::scope(|scope| {
            let (done, answered) = mpsc::channel();
            // A child that ends early is told of by its answer.
            scope.spawn(move || to.take().map(|mut to| to.write_all(&request)));
            scope.spawn(move || {
                let mut answer = Vec::new();
                let read = from.map(|from| from.take(ANSWER_BYTES_MAX).read_to_end(&mut answer));
                done.send(read.transpose().map(|_| answer))
            });
            let answer = answered.recv_timeout(Duration::from_millis(self.limits.wall_ms_max));
            if answer.is_err() {
                // Its pipes close, which ends both threads. It may have ended by itself just now.
                let _ = child.kill();
            }
            answer
        });
        // Closing its output is the last thing that it does.
        let ended = child.wait()?;
        match answer {
            Err(_) => Err(CompileError(format!(
                "it took more than {} ms (compile_wall_ms_max)",
                self.limits.wall_ms_max
            ))),
            Ok(answer) => self.code(answer?, ended),
        }
    }

    fn code(&self, mut answer: Vec<u8>, ended: ExitStatus) -> Result<Code, CompileError> {
        match answer.first() {
            Some(&COMPILED) if ended.success() => {
                answer.remove(0);
                Ok(Code(answer))
            }
            Some(&FAILED) => Err(CompileError(String::from_utf8_lossy(&answer[1..]).into_owned())),
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
    let mut output = io::stdout().lock();
    output.write_all(&[answer.0])?;
    output.write_all(&answer.1)?;
    output.flush()
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
struct Order<'o> {
    compile: CompileLimits,
    limits: Limits,
    settings: Option<Cow<'o, str>>,
}

fn request(
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

fn read_order(input: &mut impl Read) -> io::Result<Order<'static>> {
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
}
