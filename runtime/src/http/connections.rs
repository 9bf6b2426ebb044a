//! Connections: accepted up to a number, each bounded in time, and all ended by a stop.
//!
//! Where all places are taken, whoever comes next gets that of the connection that has kept the process waiting longest: one
//! that asks nothing, or does not read its answer. So nobody can keep others out by being idle. What is asked
//! over them is not known here.

mod places;

use axum::Router;
use hyper::{
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use places::{Place, Places};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// A connection is asked to end at this age, so that none keeps its place for ever.
const AGE_MAX: Duration = Duration::from_secs(600);
/// After a failure that is not one connection's, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Limits of the connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// At a time.
    pub(super) connections_max: usize,
    /// For a request's head; idle connections are closed after it too. A handler bounds its own body.
    pub(super) read_timeout: Duration,
}

/// Serves until told to stop; then requests under way may finish within `grace`.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    grace: Duration,
) {
    let places = Arc::new(Places::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let accepted = listener.accept().await;
            // A place is only made free for somebody who is there.
            (places.take().await, accepted)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, router.clone(), limits, stop.clone(), place));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; it is tried again");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(ACCEPT_AGAIN) => {}
                }
            }
        }
    }
    drop(listener);
    let ended = timeout(grace, async { while connections.join_next().await.is_some() {} });
    if ended.await.is_err() {
        tracing::warn!(connections = connections.len(), ?grace, "connections cut off");
        connections.shutdown().await;
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    place: Place,
) {
    // It only costs latency if it cannot be set.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.read_timeout);
    let service = TowerToHyperService::new(router);
    let answer = |request| {
        let (answering, answer) = (place.answering(), service.call(request));
        async move {
            let _answering = answering;
            answer.await
        }
    };
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service_fn(answer)));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stop.cancelled() => None,
        () = sleep(AGE_MAX) => None,
        () = place.given_up() => return,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            // A head, a body, and as long again for the answer.
            tokio::select! {
                ended = timeout(limits.read_timeout * 3, connection) => match ended {
                    Ok(ended) => ended,
                    Err(_) => return,
                },
                () = place.given_up() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}
