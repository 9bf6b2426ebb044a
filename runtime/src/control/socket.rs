//! The socket in the data directory through which commands ask a running process. Who may open the directory may ask.

use super::{Control, Request};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream as Client},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};
use tokio_util::sync::CancellationToken;

/// Name of the socket in the data directory.
pub const SOCKET_FILE: &str = "control.sock";
pub(crate) const REQUEST_BYTES_MAX: u64 = 16 << 20;
/// A request must come within this; what it asks for may take as long as it takes.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// A socket that is listened on.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
}

impl Socket {
    /// Listens in a data directory, which must be this process's own: what another one has left there is replaced.
    ///
    /// # Errors
    /// A directory whose path is too long for a socket, or that cannot be written.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET_FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// Answers until told to stop.
    pub async fn serve(self, control: Arc<Control>, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (control, stop) = (Arc::clone(&control), stop.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = serve_one(stream, &control) => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a command could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve_one(stream: UnixStream, control: &Control) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut limited = tokio::io::BufReader::new(read.take(REQUEST_BYTES_MAX));
    let came = tokio::time::timeout(REQUEST_WITHIN, limited.read_line(&mut line)).await;
    let Ok(Ok(1..)) = came else { return };
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => match control.answer(request).await {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": crate::app::chain(&error) }),
        },
        Err(error) => json!({ "error": format!("the request cannot be read: {error}") }),
    };
    // Who has hung up does not want it.
    let _ = write.write_all(format!("{answer}\n").as_bytes()).await;
}

/// Asks the process that runs in a data directory; none if there is none.
///
/// # Errors
/// A process that does not answer to the end.
pub fn ask(data_dir: &Path, request: &Request) -> io::Result<Option<Result<Value, String>>> {
    let stream = match Client::connect(data_dir.join(SOCKET_FILE)) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::InvalidInput
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let line = serde_json::to_string(request).map_err(io::Error::other)?;
    (&stream).write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    let mut answer: Value = serde_json::from_str(&answer)
        .map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "the process broke off"))?;
    Ok(Some(match answer["error"].take() {
        Value::String(error) => Err(error),
        _ => Ok(answer["ok"].take()),
    }))
}
