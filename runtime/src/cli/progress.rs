//! A line on the terminal that tells how far a bench is; nothing where standard error is none.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Far {
    pub(super) what: String,
    pub(super) done: u64,
    /// None while it is not known.
    pub(super) of: Option<u64>,
}

const EVERY: Duration = Duration::from_millis(100);
const WIDTH: u64 = 30;

/// A line that is kept up to date until this is dropped.
pub(super) struct Progress(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Shows what `far` tells, again and again.
    pub(super) fn show(far: Arc<dyn Fn() -> Far + Send + Sync>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (stop, stopped) = mpsc::channel();
        let began = Instant::now();
        let thread = std::thread::spawn(move || {
            let mut terminal = std::io::stderr();
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                // A terminal that is gone is no reason to stop.
                let _ = write!(terminal, "\r\x1b[K{}", line(&far(), began.elapsed()));
                let _ = terminal.flush();
            }
            let _ = write!(terminal, "\r\x1b[K");
        });
        Self(Some((stop, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            // It wrote to a terminal and nothing else.
            drop(thread.join());
        }
    }
}

fn line(far: &Far, passed: Duration) -> String {
    let Far { what, done, of } = far;
    let seconds = passed.as_secs_f64();
    match of.filter(|of| *of > 0) {
        None => format!("{what}: {done} ({seconds:.1} s)"),
        Some(of) => {
            let full = (*done).min(of) * WIDTH / of;
            let bar: String = (0..WIDTH).map(|at| if at < full { '=' } else { ' ' }).collect();
            format!("[{bar}] {what}: {done} of {of} ({seconds:.1} s)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(done: u64, of: Option<u64>, expected: &str) {
        let far = Far {
            what: "rendering".into(),
            done,
            of,
        };
        assert_eq!(line(&far, Duration::from_millis(1_250)), expected);
    }

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        check(7, None, "rendering: 7 (1.2 s)");
        check(0, Some(0), "rendering: 0 (1.2 s)");
        check(
            1,
            Some(2),
            "[===============               ] rendering: 1 of 2 (1.2 s)",
        );
        check(
            3,
            Some(2),
            "[==============================] rendering: 3 of 2 (1.2 s)",
        );
    }
}
