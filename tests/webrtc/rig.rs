//! A libp2p node for a page, made to show what the WebRTC transports do: the page dials, opens streams and is told
//! everything, with no policy between. Its only other transport is the circuit relay.
//!
//! Streams of four protocols are served: `/rig/echo` gives back what comes as it comes, `/rig/all` when all of it has
//! come, `/rig/note` notes how the stream ended, and `/rig/deaf` never reads.

#![cfg(target_family = "wasm")]

use std::{cell::RefCell, collections::HashMap, error::Error, future, io, rc::Rc, time::Duration};

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::Either,
};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, Transport,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{self, ConnectionId, DialError, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    yamux,
};
use openred_webrtc::{direct, peer};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

const ECHO: StreamProtocol = StreamProtocol::new("/rig/echo");
const ALL: StreamProtocol = StreamProtocol::new("/rig/all");
const NOTE: StreamProtocol = StreamProtocol::new("/rig/note");
const DEAF: StreamProtocol = StreamProtocol::new("/rig/deaf");

/// Bytes read at once.
const PIECE: usize = 16 * 1024;

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: relay::client::Behaviour,
    webrtc: peer::Behaviour,
    streams: libp2p_stream::Behaviour,
}

type Order = Box<dyn FnOnce(&mut Swarm<Behaviour>)>;

/// What the swarm has told.
#[derive(Default)]
struct Known {
    notes: Vec<String>,
    connections: Vec<(ConnectionId, PeerId, String)>,
    dials: HashMap<ConnectionId, oneshot::Sender<Result<PeerId, String>>>,
    reservation: Option<oneshot::Sender<()>>,
}

/// The node.
#[wasm_bindgen]
pub struct Rig {
    peer: PeerId,
    orders: mpsc::UnboundedSender<Order>,
    control: libp2p_stream::Control,
    known: Rc<RefCell<Known>>,
}

/// A stream to another node.
#[wasm_bindgen]
pub struct RigStream(RefCell<Option<Stream>>);

fn text(error: impl ToString) -> JsValue {
    js_sys::Error::new(&error.to_string()).into()
}

#[wasm_bindgen]
impl Rig {
    /// Starts a node with an identity of the moment; `timeout` bounds a negotiation, in ms, and `offers` the connections that
    /// are made for others.
    #[wasm_bindgen(constructor)]
    pub fn new(timeout: Option<u32>, offers: Option<u32>) -> Self {
        let identity = Keypair::generate_ed25519();
        let me = identity.public().to_peer_id();
        let mut config = peer::Config::default();
        config.timeout = timeout.map_or(config.timeout, |ms| Duration::from_millis(ms.into()));
        config.max_made_for_others = offers.unwrap_or(config.max_made_for_others);
        let (webrtc_transport, webrtc) = peer::new(config);
        let (relay_transport, relay) = relay::client::new(me);
        let circuits = relay_transport
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&identity).expect("an identity for noise"))
            .multiplex(yamux::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        let direct = direct::Transport::new(&identity).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        let transport = webrtc_transport
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .or_transport(circuits)
            .map(|output, _| output.into_inner())
            .or_transport(direct)
            .map(|output, _| output.into_inner())
            .boxed();
        let behaviour = Behaviour {
            identify: identify::Behaviour::new(identify::Config::new("rig/1.0.0".to_owned(), identity.public())),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(2))),
            relay,
            webrtc,
            streams: libp2p_stream::Behaviour::new(),
        };
        let config = swarm::Config::with_wasm_executor().with_idle_connection_timeout(Duration::from_secs(60));
        let swarm = Swarm::new(transport, behaviour, me, config);
        let control = swarm.behaviour().streams.new_control();
        let known = Rc::<RefCell<Known>>::default();
        for protocol in [ECHO, ALL, NOTE, DEAF] {
            spawn_local(serve(control.clone(), protocol, known.clone()));
        }
        let (orders, received) = mpsc::unbounded();
        spawn_local(run(swarm, received, known.clone()));
        Self { peer: me, orders, control, known }
    }

    /// Who it is.
    #[wasm_bindgen(getter, js_name = peerId)]
    pub fn peer_id(&self) -> String {
        self.peer.to_string()
    }

    /// Everything that was noted, oldest first.
    pub fn notes(&self) -> Vec<String> {
        self.known.borrow().notes.clone()
    }

    /// One line for each connection: peer, space, address.
    pub fn connections(&self) -> Vec<String> {
        let known = self.known.borrow();
        known.connections.iter().map(|(_, peer, address)| format!("{peer} {address}")).collect()
    }

    fn order(&self, order: impl FnOnce(&mut Swarm<Behaviour>) + 'static) {
        self.orders.unbounded_send(Box::new(order)).expect("the node runs as long as its page");
    }

    /// Makes one more connection, at this address. Gives the peer id.
    pub async fn dial(&self, address: String) -> Result<String, JsValue> {
        let address: Multiaddr = address.parse().map_err(text)?;
        let (done, outcome) = oneshot::channel();
        let known = self.known.clone();
        self.order(move |swarm| {
            let opts = match address.iter().last() {
                Some(Protocol::P2p(peer)) => DialOpts::peer_id(peer)
                    .condition(swarm::dial_opts::PeerCondition::Always)
                    .addresses(vec![address])
                    .build(),
                _ => DialOpts::unknown_peer_id().address(address).build(),
            };
            known.borrow_mut().dials.insert(opts.connection_id(), done);
            // A failure is also an event.
            let _ = swarm.dial(opts).inspect_err(|error| note(&known, format!("dial refused: {error}")));
        });
        let peer = outcome.await.map_err(|_| text("the dial was refused"))?.map_err(text)?;
        Ok(peer.to_string())
    }

    /// Reserves a place at the relay of this address, and listens for browsers. Gives the circuit's address.
    pub async fn reserve(&self, relay: String) -> Result<String, JsValue> {
        let circuit = relay.parse::<Multiaddr>().map_err(text)?.with(Protocol::P2pCircuit);
        let (done, accepted) = oneshot::channel();
        self.known.borrow_mut().reservation = Some(done);
        let (listen, known) = (circuit.clone(), self.known.clone());
        self.order(move |swarm| {
            for address in [listen, peer::listen_address()] {
                let _ = swarm.listen_on(address).inspect_err(|error| note(&known, format!("listen: {error}")));
            }
        });
        accepted.await.map_err(|_| text("no reservation"))?;
        Ok(circuit.with(Protocol::P2p(self.peer)).to_string())
    }

    /// Closes the connections to a peer: those through a relay, or the others.
    #[wasm_bindgen(js_name = closeConnections)]
    pub fn close_connections(&self, peer: &str, relayed: bool) {
        let known = self.known.borrow();
        for (id, other, address) in &known.connections {
            if other.to_string() == peer && is_relayed(address) == relayed {
                let id = *id;
                self.order(move |swarm| {
                    swarm.close_connection(id);
                });
            }
        }
    }

    /// Opens a stream of `protocol`.
    pub async fn open(&self, peer: String, protocol: String) -> Result<RigStream, JsValue> {
        let peer = peer.parse().map_err(text)?;
        let protocol = StreamProtocol::try_from_owned(protocol).map_err(text)?;
        let stream = self.control.clone().open_stream(peer, protocol).await.map_err(text)?;
        Ok(RigStream(RefCell::new(Some(stream))))
    }

    /// Serves one more protocol as `/rig/all` is.
    #[wasm_bindgen(js_name = serveAll)]
    pub fn serve_all(&self, protocol: String) {
        let protocol = StreamProtocol::try_from_owned(protocol).expect("a protocol");
        spawn_local(serve(self.control.clone(), protocol, self.known.clone()));
    }
}

fn is_relayed(address: &str) -> bool {
    address.contains("/p2p-circuit") && !address.contains("/webrtc/") && !address.ends_with("/webrtc")
}

#[wasm_bindgen]
impl RigStream {
    fn take(&self) -> Result<Stream, JsValue> {
        self.0.take().ok_or_else(|| text("the stream is in use or gone"))
    }

    /// Writes all of `bytes`.
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), JsValue> {
        let mut stream = self.take()?;
        stream.write_all(&bytes).await.map_err(text)?;
        stream.flush().await.map_err(text)?;
        self.0.replace(Some(stream));
        Ok(())
    }

    /// Ends our half.
    pub async fn close(&self) -> Result<(), JsValue> {
        let mut stream = self.take()?;
        stream.close().await.map_err(text)?;
        self.0.replace(Some(stream));
        Ok(())
    }

    /// Reads `length` bytes, or to the end.
    pub async fn read(&self, length: Option<u32>) -> Result<Vec<u8>, JsValue> {
        let mut stream = self.take()?;
        let mut bytes = Vec::new();
        let read = match length {
            Some(length) => (&mut stream).take(length.into()).read_to_end(&mut bytes).await,
            None => stream.read_to_end(&mut bytes).await,
        };
        read.map_err(|error| text(format!("{:?}: {error}", error.kind())))?;
        self.0.replace(Some(stream));
        Ok(bytes)
    }

    /// Writes `bytes` and ends our half while it reads to the end of the other's.
    pub async fn exchange(&self, bytes: Vec<u8>) -> Result<Vec<u8>, JsValue> {
        let (mut reader, mut writer) = self.take()?.split();
        let write = async {
            writer.write_all(&bytes).await?;
            writer.close().await
        };
        let mut answer = Vec::new();
        let (written, read) = futures::join!(write, reader.read_to_end(&mut answer));
        written.and(read).map_err(|error| text(format!("{:?}: {error}", error.kind())))?;
        Ok(answer)
    }

    /// Gives the stream up without ending it.
    pub fn drop(&self) {
        self.0.take();
    }
}

/// Peer connections made by this page.
#[wasm_bindgen(js_name = peerConnections)]
pub fn peer_connections() -> u32 {
    openred_webrtc::peer_connections()
}

/// Data channels that carry a stream of this page or wait to be closed after one.
#[wasm_bindgen(js_name = openChannels)]
pub fn open_channels() -> usize {
    libp2p_webrtc_utils::open_channels()
}

/// Whether this page can do any of this.
#[wasm_bindgen(js_name = isSupported)]
pub fn is_supported() -> bool {
    openred_webrtc::is_supported()
}

fn note(known: &RefCell<Known>, what: String) {
    known.borrow_mut().notes.push(what);
}

/// What an error says, and what is behind it says.
fn reasons(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        said.push_str(": ");
        said.push_str(&error.to_string());
        source = error.source();
    }
    said
}

async fn serve(mut control: libp2p_stream::Control, protocol: StreamProtocol, known: Rc<RefCell<Known>>) {
    let mut incoming = control.accept(protocol.clone()).expect("a protocol is served once");
    while let Some((_, stream)) = incoming.next().await {
        let (protocol, known) = (protocol.clone(), known.clone());
        spawn_local(async move {
            let ended = match protocol.as_ref() {
                "/rig/echo" => echo(stream).await,
                "/rig/note" => drain(stream).await,
                "/rig/deaf" => hold(stream).await,
                _ => give_back_all(stream).await,
            };
            match ended {
                Ok(bytes) => note(&known, format!("{protocol} ended after {bytes} bytes")),
                Err(error) => note(&known, format!("{protocol} broke: {:?}", error.kind())),
            }
        });
    }
}

async fn echo(mut stream: Stream) -> io::Result<usize> {
    let (mut buffer, mut total) = (vec![0; PIECE], 0);
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            stream.close().await?;
            return Ok(total);
        }
        stream.write_all(&buffer[..length]).await?;
        stream.flush().await?;
        total += length;
    }
}

async fn give_back_all(mut stream: Stream) -> io::Result<usize> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    stream.write_all(&bytes).await?;
    stream.close().await?;
    Ok(bytes.len())
}

async fn hold(stream: Stream) -> io::Result<usize> {
    let _held = stream;
    future::pending().await
}

async fn drain(mut stream: Stream) -> io::Result<usize> {
    let (mut buffer, mut total) = (vec![0; PIECE], 0);
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(total),
            length => total += length,
        }
    }
}

async fn run(mut swarm: Swarm<Behaviour>, mut orders: mpsc::UnboundedReceiver<Order>, known: Rc<RefCell<Known>>) {
    loop {
        let next = futures::future::select(orders.next(), swarm.select_next_some()).map(|either| match either {
            Either::Left((order, _)) => Either::Left(order),
            Either::Right((event, _)) => Either::Right(event),
        });
        match next.await {
            Either::Left(Some(order)) => order(&mut swarm),
            Either::Left(None) => return,
            Either::Right(event) => handle(event, &known),
        }
    }
}

fn handle(event: SwarmEvent<BehaviourEvent>, known: &RefCell<Known>) {
    match event {
        SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
            let address = match endpoint.is_dialer() {
                true => endpoint.get_remote_address().to_string(),
                false => match endpoint {
                    libp2p::core::ConnectedPoint::Listener { local_addr, .. } => local_addr.to_string(),
                    libp2p::core::ConnectedPoint::Dialer { address, .. } => address.to_string(),
                },
            };
            let mut known = known.borrow_mut();
            known.notes.push(format!("connected {peer_id} {address}"));
            known.connections.push((connection_id, peer_id, address));
            if let Some(done) = known.dials.remove(&connection_id) {
                let _ = done.send(Ok(peer_id));
            }
        }
        SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
            let mut known = known.borrow_mut();
            known.connections.retain(|(id, ..)| *id != connection_id);
            known
                .notes
                .push(format!("closed {peer_id} {}", cause.map_or("by us".to_owned(), |cause| cause.to_string())));
        }
        SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
            let error = match error {
                DialError::Transport(errors) => {
                    errors.iter().map(|(_, error)| reasons(error)).collect::<Vec<_>>().join("; ")
                }
                other => reasons(&other),
            };
            let mut known = known.borrow_mut();
            known.notes.push(format!("dial failed: {error}"));
            if let Some(done) = known.dials.remove(&connection_id) {
                let _ = done.send(Err(error));
            }
        }
        SwarmEvent::Behaviour(BehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted { .. })) => {
            if let Some(done) = known.borrow_mut().reservation.take() {
                let _ = done.send(());
            }
        }
        SwarmEvent::Behaviour(BehaviourEvent::Webrtc(peer::Event::IncomingFailed { peer, error })) => {
            note(known, format!("incoming from {peer} failed: {} ({error})", error.code()));
        }
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, .. })) => {
            note(known, format!("identified {peer_id}"));
        }
        _ => {}
    }
}
