//! Accepts connections and serves a router on them.
//!
//! Bounds: connections at a time (WebSocket peers leave this count when they are upgraded, the node bounds those), time
//! to send a request's head, size of the head, and life of a connection. Dropping the [`Server`] ends everything.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use super::hosts::LocalAddress;

/// Connections that have not become WebSockets; a guess that leaves room below the usual limit of file descriptors.
pub(crate) const CONNECTIONS: usize = 512;

/// Time to send the head of a request, also the time a connection may rest between two requests.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// Bytes of the head of a request, and of what is read ahead. Browsers send some hundred bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// Life of a connection, after which it takes no further request.
const CONNECTION_TIME: Duration = Duration::from_secs(300);

/// Time to send the last answer: the wasm module at some 10 kB/s.
const LAST_ANSWER: Duration = Duration::from_secs(60);

/// How long to wait when the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A router being served.
pub(crate) struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `router` on `listener` until stopped, on at most `connections` at a time.
    pub(crate) fn start(listener: TcpListener, router: Router, connections: usize) -> Self {
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(accept(listener, router, connections, stopping));
        Self { stop, task }
    }

    /// Takes no more connections, lets requests under way finish for at most `grace`, then drops the rest.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.stop.send_replace(true);
        if timeout(grace, &mut self.task).await.is_err() {
            tracing::debug!("requests were cut off");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, router: Router, connections: usize, mut stopping: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let slot = Arc::clone(&slots).acquire_owned();
        let accepted = async {
            let slot = slot.await.expect("the semaphore is never closed");
            (listener.accept().await, slot)
        };
        tokio::select! {
            () = stopped(&mut stopping) => break,
            (accepted, slot) = accepted => match accepted {
                Ok((stream, address)) => {
                    let connection = serve(stream, address, router.clone(), stopping.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => pause(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Resolves once the server is to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender lives as long as the server, so an error says the same.
    let _ = stopping.wait_for(|stop| *stop).await.map(drop);
}

/// A failed accept is the connection's own fault, or the system is out of something; then waiting helps.
async fn pause(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "a connection could not be accepted");
        sleep(ACCEPT_PAUSE).await;
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, router: Router, mut stopping: watch::Receiver<bool>) {
    // Peers exchange many small messages; waiting to fill a packet would delay each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not available");
    }
    let local = stream.local_addr().ok().map(|local| LocalAddress(local.ip()));
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        if let Some(local) = local {
            request.extensions_mut().insert(local);
        }
        let answer = hyper::service::Service::call(&service, request.map(Body::new));
        async move {
            let response: Result<Response, Infallible> = answer.await;
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = ending(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            match timeout(LAST_ANSWER, connection).await {
                Ok(served) => served,
                Err(_) => return tracing::debug!(%address, "a connection was cut off"),
            }
        }
    };
    if let Err(error) = served {
        tracing::trace!(%error, %address, "a connection ended badly");
    }
}

/// Resolves when a connection is to take no further request.
async fn ending(stopping: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = stopped(stopping) => {}
        () = sleep(CONNECTION_TIME) => {}
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
    };

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn serving(router: Router) -> (Server, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::start(listener, router, CONNECTIONS);
        (server, TcpStream::connect(address).await.unwrap())
    }

    async fn read_all(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    fn hello() -> Router {
        Router::new().route("/", get(|ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.ip().to_string() }))
    }

    #[tokio::test]
    async fn a_handler_learns_who_asks() {
        let (_server, mut stream) = serving(hello()).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(read_all(stream).await.ends_with("127.0.0.1"));
    }

    // Time is paused below: it jumps to the next deadline whenever nothing else is left to do.

    #[tokio::test(start_paused = true)]
    async fn who_sends_no_request_is_let_go() {
        for sent in [&b""[..], b"GET / HTT", &REQUEST[..REQUEST.len() - 2]] {
            let (_server, mut stream) = serving(hello()).await;
            stream.write_all(sent).await.unwrap();
            let started = tokio::time::Instant::now();
            read_all(stream).await;
            assert!(started.elapsed() < HEAD_TIME * 2, "{:?}", started.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_lets_an_answer_finish_and_takes_no_more() {
        let asked = Arc::new(Notify::new());
        let told = Arc::clone(&asked);
        let slow = get(move || async move {
            told.notify_one();
            sleep(Duration::from_secs(1)).await;
            "done"
        });
        let (server, mut stream) = serving(Router::new().route("/", slow)).await;
        let address = stream.peer_addr().unwrap();
        stream.write_all(REQUEST).await.unwrap();
        asked.notified().await;
        server.stop(Duration::from_secs(5)).await;
        assert!(read_all(stream).await.ends_with("done"));
        assert!(TcpStream::connect(address).await.is_err());
    }
}
