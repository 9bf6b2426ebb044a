//! A proxy for HTTP as companies have it: it forwards plain requests, connects for `https:`, and may ask for a password.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A running proxy; it connects to this machine only.
#[derive(Debug)]
pub struct ForwardProxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Forwarded>>>,
    stopping: Arc<AtomicBool>,
}

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// `CONNECT`, or what is to be forwarded.
    pub method: String,
    /// A host with its port, or a whole URL.
    pub target: String,
    /// All header lines.
    pub headers: Vec<String>,
    /// Whether it was let through.
    pub is_let_through: bool,
}

impl ForwardProxy {
    /// Starts a proxy that asks for this user and password; none lets everybody through.
    ///
    /// # Panics
    /// If there is no port for it.
    #[must_use]
    pub fn start(account: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let expected = account.map(|(user, password)| {
            let pair = data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes());
            format!("Basic {pair}")
        });
        let seen: Arc<Mutex<Vec<Forwarded>>> = Arc::default();
        let stopping = Arc::new(AtomicBool::new(false));
        let (seeing, stop) = (Arc::clone(&seen), Arc::clone(&stopping));
        thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (seeing, expected) = (Arc::clone(&seeing), expected.clone());
                // That a connection fails is what the tests are about.
                thread::spawn(move || drop(serve(&client, expected.as_deref(), &seeing)));
            }
        });
        Self {
            address,
            seen,
            stopping,
        }
    }

    /// Returns the URL of the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests so far, and forgets them.
    #[must_use]
    pub fn take_seen(&self) -> Vec<Forwarded> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(client: &TcpStream, expected: Option<&str>, seen: &Mutex<Vec<Forwarded>>) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let first = lines.remove(0);
    let mut words = first.split(' ');
    let [method, target] = [words.next(), words.next()].map(|word| word.unwrap_or_default().to_owned());
    let given = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
    });
    let is_let_through = expected.is_none() || given == expected;
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Forwarded {
            method: method.clone(),
            target: target.clone(),
            headers: lines.clone(),
            is_let_through,
        });
    let mut answer = client;
    if !is_let_through {
        return answer.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"proxy\"\r\n\
              content-type: text/plain\r\ncontent-length: 11\r\nconnection: close\r\n\r\nwho are you",
        );
    }
    let plain = target.strip_prefix("http://");
    let (authority, path) = match plain {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => (target.as_str(), ""),
    };
    let port: u16 = authority
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(80);
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    if plain.is_some() {
        // One request for each connection, so that the next one comes by here again.
        let own = |line: &&String| {
            let name = line.to_ascii_lowercase();
            !name.starts_with("proxy-") && !name.starts_with("connection:")
        };
        let headers: String = lines
            .iter()
            .filter(own)
            .map(|line| format!("{line}\r\n"))
            .collect();
        let head = format!("{method} {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        server.write_all(head.as_bytes())?;
    } else {
        answer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    }
    // What was read together with the head belongs to the server.
    let early = reader.buffer().to_vec();
    server.write_all(&early)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let upwards = thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    io::copy(&mut server, &mut answer)?;
    client.shutdown(Shutdown::Both)?;
    let _ = upwards.join();
    Ok(())
}
