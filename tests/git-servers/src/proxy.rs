//! A way in between that cuts connections where it is told to.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Passes connections on to a server on loopback, and cuts those it is told to.
#[derive(Debug)]
pub struct CuttingProxy {
    address: SocketAddr,
    cuts: Arc<Mutex<Vec<Cut>>>,
    /// How many connections were cut.
    met: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

/// Where a connection ends.
#[derive(Debug, Clone, Copy)]
enum Cut {
    ToServer(usize),
    ToClient(usize),
}

impl CuttingProxy {
    /// Starts to pass on to a port of this machine.
    ///
    /// # Panics
    /// If there is no port for it.
    #[must_use]
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let cuts: Arc<Mutex<Vec<Cut>>> = Arc::default();
        let stopping = Arc::new(AtomicBool::new(false));
        let met: Arc<AtomicUsize> = Arc::default();
        let (next, stop, count) = (Arc::clone(&cuts), Arc::clone(&stopping), Arc::clone(&met));
        thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port))) else {
                    continue;
                };
                let mut cuts = next.lock().unwrap_or_else(PoisonError::into_inner);
                let cut = if cuts.is_empty() {
                    None
                } else {
                    Some(cuts.remove(0))
                };
                pass(&client, &server, cut, &count);
            }
        });
        Self {
            address,
            cuts,
            met,
            stopping,
        }
    }

    /// Returns how many connections were cut so far: one that ended before is not.
    #[must_use]
    pub fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts the next connection when the client has sent so many bytes.
    pub fn cut_next_after_sent(&self, bytes: usize) {
        self.push(Cut::ToServer(bytes));
    }

    /// Cuts the next connection when the server has answered so many bytes.
    pub fn cut_next_after_answered(&self, bytes: usize) {
        self.push(Cut::ToClient(bytes));
    }

    fn push(&self, cut: Cut) {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).push(cut);
    }
}

fn pass(client: &TcpStream, server: &TcpStream, cut: Option<Cut>, met: &Arc<AtomicUsize>) {
    let (to_server, to_client) = match cut {
        Some(Cut::ToServer(bytes)) => (Some(bytes), None),
        Some(Cut::ToClient(bytes)) => (None, Some(bytes)),
        None => (None, None),
    };
    for (from, to, most) in [(client, server, to_server), (server, client, to_client)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        let met = Arc::clone(met);
        thread::spawn(move || copy(from, to, most, &met));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, most: Option<usize>, met: &AtomicUsize) {
    let mut left = most;
    let mut buffer = [0; 4096];
    loop {
        let room = left.unwrap_or(buffer.len()).min(buffer.len());
        if room == 0 {
            met.fetch_add(1, Ordering::SeqCst);
            // Both directions end at once.
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
        match from.read(&mut buffer[..room]) {
            Ok(read @ 1..) if to.write_all(&buffer[..read]).is_ok() => {
                left = left.map(|left| left - read);
            }
            _ => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        drop(TcpStream::connect(self.address));
    }
}
