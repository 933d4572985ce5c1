//! One kept-alive HTTP connection at a time, made anew when it is old.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::Failure;

/// What is sent.
pub(crate) type Question = Request<Full<Bytes>>;

/// Life of a connection: shorter than the relay's, as a proxy's is, so that no request meets a connection that is being closed.
const LIFE: Duration = Duration::from_secs(240);

/// Longer than any server here takes to refuse.
const PATIENCE: Duration = Duration::from_secs(15);

/// See the module's documentation.
pub(crate) struct Client {
    address: SocketAddr,
    open: Option<(SendRequest<Full<Bytes>>, Instant)>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, open: None }
    }

    /// Asks, and reads the whole answer.
    pub(crate) async fn ask(&mut self, question: Question) -> Result<Response<Bytes>, Failure> {
        let answer = timeout(PATIENCE, self.exchange(question)).await;
        let answer = answer.map_err(|_| "no answer in time".into()).and_then(|answer| answer);
        if answer.is_err() {
            self.open = None;
        }
        answer
    }

    async fn exchange(&mut self, question: Question) -> Result<Response<Bytes>, Failure> {
        let (head, body) = self.sender().await?.send_request(question).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Failure> {
        let mut usable = None;
        if let Some((mut sender, since)) = self.open.take()
            && since.elapsed() < LIFE
            && sender.ready().await.is_ok()
        {
            usable = Some((sender, since));
        }
        let usable = match usable {
            Some(usable) => usable,
            None => self.connect().await?,
        };
        Ok(&mut self.open.insert(usable).0)
    }

    async fn connect(&self) -> Result<(SendRequest<Full<Bytes>>, Instant), Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends when the sender is dropped.
        tokio::spawn(connection);
        Ok((sender, Instant::now()))
    }
}
