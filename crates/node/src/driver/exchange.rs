//! The exchanges that run on streams: a DHT request and its answer, a DHT server's side, and the header of a service
//! stream from both ends. Each is a task that reports to the driver.

use futures::{
    AsyncReadExt, AsyncWrite, AsyncWriteExt, SinkExt,
    channel::{mpsc, oneshot},
    future::{Either, select},
};
use libp2p::{PeerId, Stream};
use openred_core::{
    ConnectionId, FetchId, InboundId, OpenId, RequestId, Response,
    event::Path,
    wire::{
        kad,
        stream::{Answer, MAX_HEADER, Open, Status},
    },
};

use std::{future::Future, io, pin::pin, time::Duration};

use crate::{
    driver::Carried,
    framing::{read_message, write_message},
    handlers::Handlers,
    platform,
    service_stream::ServiceStream,
};

/// How long the other side may take for its part of a header, or leave a DHT stream idle.
const HEADER: Duration = Duration::from_secs(10);

/// How long the other side's end of a stream is waited for that has no answer. Three slow round trips; a guess.
const ENDED: Duration = Duration::from_secs(2);

/// What an exchange tells the driver.
pub(super) enum Exchanged {
    /// A ping has come back after this time, or will not.
    Ping { connection: ConnectionId, took: Duration, result: io::Result<()> },
    /// A request of ours is answered, or written if it has no answer.
    Request { request: RequestId, result: io::Result<Option<Vec<u8>>> },
    /// An HTTP request has ended, with the body or the reason why there is none.
    Fetch { fetch: FetchId, result: Result<Vec<u8>, String> },
    /// The header of a service stream is exchanged.
    Open { open: OpenId, result: Box<io::Result<(ServiceStream, Answer)>> },
    /// Another peer asks.
    Asked(Asked),
    /// An inbound stream has been dealt with.
    Served { inbound: InboundId },
}

/// Another peer's request.
pub(super) struct Asked {
    pub(super) inbound: InboundId,
    pub(super) peer: PeerId,
    pub(super) message: Vec<u8>,
    pub(super) answer: oneshot::Sender<Response>,
}

/// One ping of libp2p's protocol on a stream of its own.
pub(super) async fn ping(connection: ConnectionId, mut stream: Stream, mut report: mpsc::Sender<Exchanged>) {
    let (sent, since) = (platform::seed(), platform::elapsed());
    let pinged = within(HEADER, async {
        stream.write_all(&sent).await?;
        stream.flush().await?;
        let mut answer = [0; 32];
        stream.read_exact(&mut answer).await?;
        if answer == sent { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    });
    let result = pinged.await;
    let took = platform::elapsed().saturating_sub(since);
    let _ = report.send(Exchanged::Ping { connection, took, result }).await;
}

pub(super) async fn request(
    request: RequestId,
    mut stream: Stream,
    message: Vec<u8>,
    answered: bool,
    mut report: mpsc::Sender<Exchanged>,
) {
    let result = async {
        write_message(&mut stream, &message).await?;
        if !answered {
            stream.close().await?;
            // The peer closes its side when it has read the message. A stream that is dropped before may be reset while the
            // protocol is agreed on, and the message would be lost with it.
            let _ = within(ENDED, stream.read(&mut [0])).await;
            return Ok(None);
        }
        let answer = read_message(&mut stream, kad::MAX_MESSAGE).await?;
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the stream without an answer");
        // The answer is complete, whatever becomes of the stream.
        let _ = stream.close().await;
        answer.map(Some).ok_or_else(closed)
    }
    .await;
    // A driver that is gone needs no report; so below.
    let _ = report.send(Exchanged::Request { request, result }).await;
}

pub(super) async fn fetch(
    fetch: FetchId,
    body: impl Future<Output = Result<Vec<u8>, String>>,
    mut report: mpsc::Sender<Exchanged>,
) {
    let result = body.await;
    let _ = report.send(Exchanged::Fetch { fetch, result }).await;
}

pub(super) async fn serve(inbound: InboundId, peer: PeerId, mut stream: Stream, mut report: mpsc::Sender<Exchanged>) {
    // An error of the stream ends the exchange as its end does: there is nobody to tell.
    let _ = async {
        while let Some(message) = within(HEADER, read_message(&mut stream, kad::MAX_MESSAGE)).await? {
            let (answer, answered) = oneshot::channel();
            let _ = report.send(Exchanged::Asked(Asked { inbound, peer, message, answer })).await;
            match answered.await {
                Ok(Response::Message(message)) => within(HEADER, write_message(&mut stream, &message)).await?,
                Ok(Response::Nothing) => {}
                Ok(Response::Reset) | Err(oneshot::Canceled) => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
        stream.close().await
    }
    .await;
    let _ = report.send(Exchanged::Served { inbound }).await;
}

pub(super) async fn open(open: OpenId, mut stream: ServiceStream, mut report: mpsc::Sender<Exchanged>) {
    let result = async {
        let name = stream.name().parse().map_err(invalid)?;
        send(&mut stream, &Open { name }.encode()).await?;
        let closed =
            || io::Error::new(io::ErrorKind::UnexpectedEof, "the provider closed the stream without an answer");
        let answer = read_message(&mut stream, MAX_HEADER).await?.ok_or_else(closed)?;
        let answer = Answer::decode(&answer).map_err(invalid)?;
        Ok((stream, answer))
    }
    .await;
    let _ = report.send(Exchanged::Open { open, result: Box::new(result) }).await;
}

pub(super) async fn accept(
    inbound: InboundId,
    peer: PeerId,
    path: Path,
    stream: Stream,
    carried: Option<Carried>,
    handlers: Handlers,
    mut report: mpsc::Sender<Exchanged>,
) {
    // A peer that does not finish its header is dropped without a word; its own side knows.
    let _ = answer(peer, path, stream, carried, handlers).await;
    let _ = report.send(Exchanged::Served { inbound }).await;
}

async fn answer(
    peer: PeerId,
    path: Path,
    mut stream: Stream,
    carried: Option<Carried>,
    handlers: Handlers,
) -> io::Result<()> {
    let Some(header) = within(HEADER, read_message(&mut stream, MAX_HEADER)).await? else { return Ok(()) };
    let name = match Open::decode(&header) {
        Ok(open) => open.name,
        Err(error) => {
            let answer = Answer::new(Status::Refused, error.to_string());
            return refuse(stream, answer).await;
        }
    };
    match handlers.status(&name) {
        Status::Ok => {
            within(HEADER, send(&mut stream, &Answer::ok().encode())).await?;
            let mut stream = ServiceStream::new(stream, path, peer, name.to_string());
            if let Some(carried) = carried {
                stream = stream.carried(carried);
            }
            if !handlers.deliver(&name, stream) {
                tracing::debug!(%peer, %name, "a handler is too slow; the stream is reset");
            }
            Ok(())
        }
        status => refuse(stream, Answer::new(status, "")).await,
    }
}

async fn refuse(mut stream: Stream, answer: Answer) -> io::Result<()> {
    within(HEADER, send(&mut stream, &answer.encode())).await?;
    within(HEADER, stream.close()).await
}

/// Headers carry their length already.
async fn send(io: &mut (impl AsyncWrite + Unpin), header: &[u8]) -> io::Result<()> {
    io.write_all(header).await?;
    io.flush().await
}

async fn within<T>(limit: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match select(pin!(future), platform::sleep(limit)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
