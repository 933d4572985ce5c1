//! Accepts connections and serves a router on them.
//!
//! Bounds: connections at a time (WebSocket peers leave this count when they are upgraded, the node bounds those), time
//! to send a request's head, size of the head, and life of a connection. Dropping the [`Server`] ends everything.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

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

/// Connections that have not become WebSockets; a guess that leaves room below the usual limit of file descriptors.
const CONNECTIONS: usize = 512;

/// Time to send the head of a request, also the time a connection may rest between two requests.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// Bytes of the head of a request, and of what is read ahead. Browsers send some hundred bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// Life of a connection: the largest file at 10 kB/s.
const CONNECTION_TIME: Duration = Duration::from_secs(180);

/// How long to wait when the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A router being served.
pub(crate) struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `router` on `listener` until stopped.
    pub(crate) fn start(listener: TcpListener, router: Router) -> Self {
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(accept(listener, router, stopping));
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

async fn accept(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
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
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
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
    let served = timeout(CONNECTION_TIME, async {
        tokio::select! {
            served = connection.as_mut() => served,
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        }
    });
    match served.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::trace!(%error, %address, "a connection ended badly"),
        Err(_) => tracing::debug!(%address, "a connection lived too long"),
    }
}
