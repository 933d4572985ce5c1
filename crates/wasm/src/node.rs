//! The node, method by method. Each one converts, calls, and converts back.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use futures::{
    StreamExt,
    channel::oneshot,
    future::{Either, select},
};
use js_sys::{Function, Uint8Array};
use openred_node::{
    Config, Events, Handler, Keeper, Keypair, Node, Registration,
    core::{Error, address::RelayAddress, name::NetworkName, name::ServiceName},
};
use wasm_bindgen::prelude::*;

use openred_node::core::map::Map;

use crate::{
    calls::Calls,
    convert::{self, Options, rejection},
    stream::RawStream,
};

/// A new identity: the protobuf encoding of an Ed25519 key pair.
#[wasm_bindgen(js_name = generateIdentity)]
pub fn generate_identity() -> Result<Uint8Array, JsValue> {
    encode_identity(&Keypair::generate_ed25519())
}

/// The peer id of an identity; throws `INVALID_OPTION` if the bytes are none.
#[wasm_bindgen(js_name = peerIdOf)]
pub fn peer_id_of(identity: &[u8]) -> Result<String, JsValue> {
    let identity = parse_identity(identity).map_err(|error| rejection(&error))?;
    Ok(identity.public().to_peer_id().to_string())
}

/// Whether a text may be the name of a service; throws `INVALID_NAME` with the reason.
#[wasm_bindgen(js_name = checkName)]
pub fn check_name(name: &str) -> Result<(), JsValue> {
    name.parse::<ServiceName>().map(drop).map_err(|error| rejection(&Error::Name(error)))
}

/// A node of the network, living as long as this object and no longer than its page.
#[wasm_bindgen]
pub struct RawNode {
    node: Node,
    identity: Keypair,
    calls: Calls,
    next_id: Cell<u32>,
    registrations: RefCell<Map<u32, Registration>>,
    handlers: RefCell<Map<u32, Served>>,
    events: RefCell<Option<Events>>,
}

/// A handler, unless a call waits on it, and what ends that wait.
struct Served {
    idle: Option<(Handler, oneshot::Receiver<()>)>,
    _open: oneshot::Sender<()>,
}

#[wasm_bindgen]
impl RawNode {
    /// Starts a node, which begins to join. `fetch` is called with a URL, a number of bytes and an `AbortSignal`; `remember`
    /// with the bytes to be given to a later node as its memory, and must not call this node.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue, fetch: Option<Function>, remember: Option<Function>) -> Result<RawNode, JsValue> {
        let options = convert::options(options).and_then(configure);
        let (mut config, identity) = options.map_err(|error| rejection(&error))?;
        config.platform.fetch = fetch;
        config.keeper = remember.map(|remember| {
            Keeper::new(move |memory: Vec<u8>| {
                // A page that cannot keep it tells its user by itself.
                let _ = remember.call1(&JsValue::NULL, &Uint8Array::from(memory.as_slice()));
            })
        });
        let node = Node::spawn(config).map_err(|error| rejection(&error))?;
        Ok(RawNode {
            events: RefCell::new(Some(node.events())),
            node,
            identity,
            calls: Calls::default(),
            next_id: Cell::new(0),
            registrations: RefCell::default(),
            handlers: RefCell::default(),
        })
    }

    /// This node's id.
    #[wasm_bindgen(js_name = peerId)]
    pub fn peer_id(&self) -> String {
        self.node.peer_id().to_string()
    }

    /// The identity, to be given to a later node.
    #[wasm_bindgen(js_name = exportIdentity)]
    pub fn export_identity(&self) -> Result<Uint8Array, JsValue> {
        encode_identity(&self.identity)
    }

    /// `{ state, reason? }`.
    pub fn status(&self) -> JsValue {
        convert::status(&self.node.status())
    }

    /// Resolves when the node has joined.
    pub async fn ready(&self, op: u32, timeout_ms: f64) -> Result<(), JsValue> {
        self.calls.run(op, self.node.ready(duration(timeout_ms))).await
    }

    /// Offers a service; gives the registration's number.
    pub async fn provide(&self, op: u32, offer: JsValue) -> Result<u32, JsValue> {
        let offer = convert::offer(offer).map_err(|error| rejection(&error))?;
        let registration = self.calls.run(op, self.node.provide(offer)).await?;
        let id = self.fresh_id();
        self.registrations.borrow_mut().insert(id, registration);
        Ok(id)
    }

    /// Changes an offer.
    pub async fn update(&self, op: u32, registration: u32, patch: JsValue) -> Result<(), JsValue> {
        let patch = convert::offer_patch(patch).map_err(|error| rejection(&error))?;
        let known = self.take_registration(registration)?;
        let outcome = self.calls.run(op, known.update(patch)).await;
        self.registrations.borrow_mut().insert(registration, known);
        outcome
    }

    /// Takes an offer back.
    pub async fn withdraw(&self, op: u32, registration: u32) -> Result<(), JsValue> {
        let known = self.take_registration(registration)?;
        self.calls.run(op, known.withdraw()).await
    }

    /// Looks for providers of a name.
    pub async fn find(&self, op: u32, name: &str, options: JsValue) -> Result<JsValue, JsValue> {
        let target = name.parse().map_err(|error| rejection(&Error::Name(error)))?;
        let options = convert::find_options(options).map_err(|error| rejection(&error))?;
        let found = self.calls.run(op, self.node.find(&target, options)).await?;
        Ok(convert::found(&found))
    }

    /// Answers for a name; gives the handler's number.
    pub fn handle(&self, name: &str) -> Result<u32, JsValue> {
        let name: ServiceName = name.parse().map_err(|error| rejection(&Error::Name(error)))?;
        let handler = self.node.handle(name).map_err(|error| rejection(&error))?;
        let (open, closed) = oneshot::channel();
        let id = self.fresh_id();
        self.handlers.borrow_mut().insert(id, Served { idle: Some((handler, closed)), _open: open });
        Ok(id)
    }

    /// The next stream that a peer opens; undefined once the handler is closed. One call at a time.
    pub async fn accept(&self, handler: u32) -> Option<RawStream> {
        let (mut waiting, closed) = self.handlers.borrow_mut().get_mut(&handler)?.idle.take()?;
        let (stream, closed) = match select(std::pin::pin!(waiting.next()), closed).await {
            Either::Left((stream, closed)) => (stream?, closed),
            Either::Right(_) => return None,
        };
        if let Some(served) = self.handlers.borrow_mut().get_mut(&handler) {
            served.idle = Some((waiting, closed));
        }
        Some(RawStream::new(stream))
    }

    /// Stops answering for a name.
    #[wasm_bindgen(js_name = closeHandler)]
    pub fn close_handler(&self, handler: u32) {
        self.handlers.borrow_mut().remove(&handler);
    }

    /// Opens a stream to a provider.
    pub async fn open(&self, op: u32, target: JsValue, timeout_ms: f64) -> Result<RawStream, JsValue> {
        let target = convert::target(target).map_err(|error| rejection(&error))?;
        let stream = self.calls.run(op, self.node.open(target, duration(timeout_ms))).await?;
        Ok(RawStream::new(stream))
    }

    /// The next event; undefined once the node is closed. One call at a time.
    #[wasm_bindgen(js_name = nextEvent)]
    pub async fn next_event(&self) -> Result<JsValue, JsValue> {
        let Some(mut events) = self.events.take() else { return Ok(JsValue::UNDEFINED) };
        let event = StreamExt::next(&mut events).await;
        self.events.replace(Some(events));
        match event {
            Some(event) => Ok(convert::event(&event)),
            None => Ok(JsValue::UNDEFINED),
        }
    }

    /// The connected peers.
    pub fn peers(&self) -> Result<JsValue, JsValue> {
        let peers = self.node.peers().map_err(|error| rejection(&error))?;
        Ok(convert::peers(&peers))
    }

    /// Counters.
    pub fn stats(&self) -> Result<JsValue, JsValue> {
        let stats = self.node.stats().map_err(|error| rejection(&error))?;
        Ok(convert::stats(&stats))
    }

    /// Why a peer is reachable, or is not; or what the latest find of a service did. A name has no upper case, a peer id has.
    pub fn explain(&self, target: &str) -> Result<JsValue, JsValue> {
        if !target.contains('@') && target.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let peer = convert::peer_id(target).map_err(|error| rejection(&error))?;
            let explanation = self.node.explain(&peer).map_err(|error| rejection(&error))?;
            return Ok(convert::explanation(&explanation));
        }
        let target = target.parse().map_err(|error| rejection(&Error::Name(error)))?;
        let story = self.node.explain_find(&target).map_err(|error| rejection(&error))?;
        Ok(convert::story(story.as_ref()))
    }

    /// Tries at once whatever waits for its turn, and makes sure that links live.
    pub async fn wake(&self) -> Result<(), JsValue> {
        self.node.wake().await.map_err(|error| rejection(&error))
    }

    /// The same when the network is another one: no link is believed to have come along.
    #[wasm_bindgen(js_name = networkChanged)]
    pub async fn network_changed(&self) -> Result<(), JsValue> {
        self.node.network_changed().await.map_err(|error| rejection(&error))
    }

    /// Says that there is no network, until `wake`.
    #[wasm_bindgen(js_name = networkGone)]
    pub async fn network_gone(&self) -> Result<(), JsValue> {
        self.node.network_gone().await.map_err(|error| rejection(&error))
    }

    /// Does what is due by the clock, since the timers of a hidden page are late.
    pub fn tick(&self) {
        self.node.tick();
    }

    /// Gives a call up: it rejects with `ABORTED` and frees what it held.
    pub fn cancel(&self, op: u32) {
        self.calls.cancel(op);
    }

    /// Takes all offers back and stops the node.
    pub async fn close(&self) {
        self.node.clone().close().await;
        self.handlers.take();
        self.registrations.take();
    }

    /// The page goes this very moment: connections whose end the other side would notice late are closed at once.
    #[wasm_bindgen(js_name = hangUp)]
    pub fn hang_up(&self) {
        self.node.hang_up();
    }

    /// Stops the node at once and takes nothing back: another one goes on as this peer.
    pub fn abandon(&self) {
        self.node.abandon();
    }

    fn fresh_id(&self) -> u32 {
        self.next_id.set(self.next_id.get() + 1);
        self.next_id.get()
    }

    fn take_registration(&self, id: u32) -> Result<Registration, JsValue> {
        self.registrations
            .borrow_mut()
            .remove(&id)
            .ok_or_else(|| rejection(&Error::NotFound("this registration; it was withdrawn".to_owned())))
    }
}

fn configure(options: Options) -> Result<(Config, Keypair), Error> {
    let network: NetworkName = match &options.network {
        Some(name) => name.parse()?,
        None => NetworkName::default(),
    };
    let relays = options
        .relays
        .iter()
        .map(|relay| RelayAddress::parse(relay, options.secure).map_err(Error::from))
        .collect::<Result<_, _>>()?;
    let identity = parse_identity(&options.identity)?;
    let mut config = Config::client(network, identity.clone(), relays);
    config.lists = options.lists;
    config.memory = options.memory;
    config.dial_private = !options.public_page;
    config.relayed_only = options.relayed_only;
    Ok((config, identity))
}

fn parse_identity(bytes: &[u8]) -> Result<Keypair, Error> {
    Keypair::from_protobuf_encoding(bytes).map_err(|error| {
        Error::InvalidOption(format!("identity is not an exported identity ({error}); use what exportIdentity() gave"))
    })
}

fn encode_identity(identity: &Keypair) -> Result<Uint8Array, JsValue> {
    let encoded = identity
        .to_protobuf_encoding()
        .map_err(|error| rejection(&Error::Unsupported(format!("the identity cannot be exported: {error}"))))?;
    Ok(Uint8Array::from(encoded.as_slice()))
}

fn duration(ms: f64) -> Duration {
    Duration::from_millis(if ms.is_finite() { ms.max(0.0) as u64 } else { u64::from(u32::MAX) })
}
