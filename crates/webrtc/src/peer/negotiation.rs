//! One negotiation: the signalling machine between a stream and a peer connection.

use std::{
    future, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt, FutureExt, future::Either};
use futures_timer::Delay;
use libp2p::Stream;

use crate::{
    Error,
    peer_connection::{Change, INIT, Kind, PeerConnection, State},
    signalling::{Order, Role, SignalError, Signalling},
};

/// Bytes read from the stream in one go: most messages are shorter.
const READ: usize = 4096;

/// The remote has made a connection and closed it before it was of use.
const CLOSED: Error = Error::Lost("closed");

/// Connects to the peer at the other end of `stream`, which is given back to be closed.
pub(super) async fn call(
    stream: Stream,
    ice_servers: &[String],
    timeout: Duration,
) -> Result<(PeerConnection, Stream), Error> {
    let connection = PeerConnection::new(ice_servers)?;
    connect(connection, Signalling::new(Role::Caller), None, stream, &mut Delay::new(timeout)).await
}

/// Is connected to by the peer at the other end. There is no peer connection before its offer has come: a stream costs the
/// peer nothing, a peer connection is one of few.
pub(super) async fn answer(
    mut stream: Stream,
    ice_servers: &[String],
    timeout: Duration,
) -> Result<(PeerConnection, Stream), Error> {
    let mut signalling = Signalling::new(Role::Answerer);
    let mut limit = Delay::new(timeout);
    let heard = hear_offer(&mut signalling, &mut stream).boxed_local();
    let offer = future_or_timeout(heard, &mut limit).await.unwrap_or(Err(Error::Timeout))?;
    let connection = PeerConnection::for_other(ice_servers)?;
    connect(connection, signalling, Some(offer), stream, &mut limit).await
}

/// The order to apply the offer. What comes behind it waits in `signalling`.
async fn hear_offer(signalling: &mut Signalling, stream: &mut Stream) -> Result<Order, Error> {
    let mut buffer = [0; READ];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return Err(SignalError::Ended.into()),
            Ok(length) => signalling.handle_bytes(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Err(lost_circuit()),
            Err(_) => return Err(SignalError::Ended.into()),
        }
        if let Some(offer) = signalling.poll_order() {
            return Ok(offer);
        }
    }
}

async fn connect(
    connection: PeerConnection,
    mut signalling: Signalling,
    offer: Option<Order>,
    stream: Stream,
    limit: &mut Delay,
) -> Result<(PeerConnection, Stream), Error> {
    let negotiate = negotiate(&connection, &mut signalling, offer, stream).boxed_local();
    match future_or_timeout(negotiate, limit).await {
        Some(Ok(stream)) => Ok((connection, stream)),
        Some(Err(error)) => Err(error),
        // Browsers take up to half a minute to say what these have in common: nothing worked.
        None if signalling.is_described() => Err(connection.no_path()),
        None => Err(Error::Timeout),
    }
}

/// Says that we are done. It has failed if the remote does not take it in time, which does not matter.
pub(super) async fn close(mut stream: Stream, timeout: Duration) {
    let close = async move { stream.close().await }.boxed_local();
    let _ = future_or_timeout(close, &mut Delay::new(timeout)).await;
}

async fn future_or_timeout<F: Future + Unpin>(future: F, limit: &mut Delay) -> Option<F::Output> {
    match futures::future::select(future, limit).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

async fn negotiate(
    connection: &PeerConnection,
    signalling: &mut Signalling,
    offer: Option<Order>,
    mut stream: Stream,
) -> Result<Stream, Error> {
    let role = if offer.is_some() { Role::Answerer } else { Role::Caller };
    let mut state = connection.state();
    let mut reading = true;
    let init = match offer {
        Some(offer) => {
            obey(connection, signalling, offer).await?;
            None
        }
        None => {
            let init = connection.open(INIT)?;
            describe(connection, signalling, Kind::Offer).await?;
            Some(init)
        }
    };
    loop {
        while let Some(order) = signalling.poll_order() {
            obey(connection, signalling, order).await?;
        }
        if let Err(error) = transmit(&mut stream, signalling).await {
            tracing::debug!(%error, "the signalling stream is lost");
            reading = false;
            handle_end(signalling, role, error.kind() == io::ErrorKind::ConnectionAborted)?;
        }
        let mut buffer = [0; READ];
        match future::poll_fn(|cx| poll_step(cx, connection, state, &mut stream, reading, &mut buffer)).await {
            Step::Change(Change::State(State::Connected)) => break,
            Step::Change(Change::State(State::Failed)) => return Err(connection.no_path()),
            Step::Change(Change::State(State::Closed)) => return Err(CLOSED),
            Step::Change(Change::State(changed)) => state = changed,
            Step::Change(Change::Candidate(json)) => signalling.local_candidate(json.as_deref()),
            Step::Read(length) => signalling.handle_bytes(&buffer[..length])?,
            Step::End { lost } => {
                reading = false;
                handle_end(signalling, role, lost)?;
            }
        }
    }
    signalling.handle_connected();
    if let Some(init) = init {
        // When it is open, channels work. Dropped here, it is closed, as the specification wants it of the caller;
        // js-libp2p closes it too.
        init.opened().await;
    }
    match connection.state() {
        State::Failed => Err(connection.no_path()),
        State::Closed => Err(CLOSED),
        State::Connecting | State::Connected | State::Disconnected => Ok(stream),
    }
}

/// The remote says no more, or its connection is `lost`. If it ends what follows an offer, that is an answer too.
fn handle_end(signalling: &mut Signalling, role: Role, lost: bool) -> Result<(), Error> {
    match (signalling.handle_end(), role) {
        (Ok(()), _) => Ok(()),
        (Err(_), _) if lost => Err(lost_circuit()),
        (Err(_), Role::Caller) => Err(Error::Refused),
        (Err(error), Role::Answerer) => Err(error.into()),
    }
}

fn lost_circuit() -> Error {
    Error::NoCircuit("it is lost".to_owned())
}

enum Step {
    Change(Change),
    /// So many bytes came.
    Read(usize),
    /// None will come. Whether the connection is lost is known of multiplexers that tell.
    End {
        lost: bool,
    },
}

fn poll_step(
    cx: &mut Context<'_>,
    connection: &PeerConnection,
    state: State,
    stream: &mut Stream,
    reading: bool,
    buffer: &mut [u8],
) -> Poll<Step> {
    if let Poll::Ready(change) = connection.poll_change(cx, state) {
        return Poll::Ready(Step::Change(change));
    }
    if !reading {
        return Poll::Pending;
    }
    Pin::new(stream).poll_read(cx, buffer).map(|read| match read {
        // A stream that broke says no more than one that ended: what was said may be enough.
        Ok(0) => Step::End { lost: false },
        Ok(length) => Step::Read(length),
        Err(error) => Step::End { lost: error.kind() == io::ErrorKind::ConnectionAborted },
    })
}

async fn describe(connection: &PeerConnection, signalling: &mut Signalling, kind: Kind) -> Result<(), Error> {
    let sdp = connection.describe(kind).await?;
    connection.set_local(kind, &sdp).await?;
    signalling.local_description(&sdp);
    Ok(())
}

async fn obey(connection: &PeerConnection, signalling: &mut Signalling, order: Order) -> Result<(), Error> {
    let candidate = match order {
        Order::ApplyOffer(sdp) => {
            connection.set_remote(Kind::Offer, &sdp).await?;
            return describe(connection, signalling, Kind::Answer).await;
        }
        Order::ApplyAnswer(sdp) => return connection.set_remote(Kind::Answer, &sdp).await,
        Order::AddCandidate(json) => connection.add_candidate(&json).await,
        Order::EndOfCandidates => connection.end_of_candidates().await,
    };
    if let Err(error) = candidate {
        // Browsers do not understand every candidate of others; one of the others may do.
        tracing::debug!(%error, "a candidate is left out");
    }
    Ok(())
}

async fn transmit(stream: &mut Stream, signalling: &mut Signalling) -> io::Result<()> {
    let mut sent = false;
    while let Some(frame) = signalling.poll_transmit() {
        stream.write_all(&frame).await?;
        sent = true;
    }
    if sent { stream.flush().await } else { Ok(()) }
}
