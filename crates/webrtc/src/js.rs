//! The browser's objects, as far as they are used.
//!
//! Declared here because `web-sys` lets the exceptions of some of these calls through, does not know
//! `RTCPeerConnection.sctp`, and reads every state into an enumeration of its own.

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = RTCPeerConnection)]
    #[derive(Debug, Clone)]
    pub(crate) type PeerConnection;

    #[wasm_bindgen(constructor, js_class = "RTCPeerConnection", catch)]
    pub(crate) fn new(configuration: &JsValue) -> Result<PeerConnection, JsValue>;

    #[wasm_bindgen(method, getter, js_name = connectionState)]
    pub(crate) fn connection_state(this: &PeerConnection) -> String;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn sctp(this: &PeerConnection) -> Option<Transport>;

    #[wasm_bindgen(method, catch, js_name = createDataChannel)]
    pub(crate) fn create_data_channel(
        this: &PeerConnection,
        label: &str,
        options: &JsValue,
    ) -> Result<DataChannel, JsValue>;

    #[wasm_bindgen(method, catch, js_name = createOffer)]
    pub(crate) fn create_offer(this: &PeerConnection) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = createAnswer)]
    pub(crate) fn create_answer(this: &PeerConnection) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = setLocalDescription)]
    pub(crate) fn set_local_description(this: &PeerConnection, description: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = setRemoteDescription)]
    pub(crate) fn set_remote_description(this: &PeerConnection, description: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = addIceCandidate)]
    pub(crate) fn add_ice_candidate(this: &PeerConnection, candidate: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method)]
    pub(crate) fn close(this: &PeerConnection);

    #[wasm_bindgen(method, setter, js_name = onconnectionstatechange)]
    pub(crate) fn set_onconnectionstatechange(this: &PeerConnection, handler: Option<&Function>);

    #[wasm_bindgen(method, setter, js_name = ondatachannel)]
    pub(crate) fn set_ondatachannel(this: &PeerConnection, handler: Option<&Function>);

    #[wasm_bindgen(method, setter, js_name = onicecandidate)]
    pub(crate) fn set_onicecandidate(this: &PeerConnection, handler: Option<&Function>);

    /// An `RTCSctpTransport`.
    #[derive(Debug, Clone)]
    pub(crate) type Transport;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn state(this: &Transport) -> String;

    #[wasm_bindgen(method, setter, js_name = onstatechange)]
    pub(crate) fn set_onstatechange(this: &Transport, handler: Option<&Function>);

    #[wasm_bindgen(js_name = RTCDataChannel)]
    #[derive(Debug, Clone)]
    pub(crate) type DataChannel;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn label(this: &DataChannel) -> String;

    #[wasm_bindgen(method, getter, js_name = readyState)]
    pub(crate) fn ready_state(this: &DataChannel) -> String;

    /// A number that may exceed 32 bits in theory.
    #[wasm_bindgen(method, getter, js_name = bufferedAmount)]
    pub(crate) fn buffered_amount(this: &DataChannel) -> f64;

    #[wasm_bindgen(method, setter, js_name = bufferedAmountLowThreshold)]
    pub(crate) fn set_buffered_amount_low_threshold(this: &DataChannel, bytes: u32);

    #[wasm_bindgen(method, setter, js_name = binaryType)]
    pub(crate) fn set_binary_type(this: &DataChannel, kind: &str);

    #[wasm_bindgen(method, catch)]
    pub(crate) fn send(this: &DataChannel, bytes: &[u8]) -> Result<(), JsValue>;

    #[wasm_bindgen(method, js_name = close)]
    pub(crate) fn close_channel(this: &DataChannel);

    #[wasm_bindgen(method, setter, js_name = onopen)]
    pub(crate) fn set_onopen(this: &DataChannel, handler: Option<&Function>);

    #[wasm_bindgen(method, setter, js_name = onclose)]
    pub(crate) fn set_onclose(this: &DataChannel, handler: Option<&Function>);

    #[wasm_bindgen(method, setter, js_name = onerror)]
    pub(crate) fn set_onerror(this: &DataChannel, handler: Option<&Function>);

    #[wasm_bindgen(method, setter, js_name = onbufferedamountlow)]
    pub(crate) fn set_onbufferedamountlow(this: &DataChannel, handler: Option<&Function>);

    #[wasm_bindgen(method, setter, js_name = onmessage)]
    pub(crate) fn set_onmessage(this: &DataChannel, handler: Option<&Function>);

    /// Any event of these, with what it may bring.
    pub(crate) type Event;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn data(this: &Event) -> JsValue;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn channel(this: &Event) -> DataChannel;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn candidate(this: &Event) -> Option<Candidate>;

    /// An `RTCIceCandidate`.
    pub(crate) type Candidate;

    #[wasm_bindgen(method, getter, js_name = candidate)]
    pub(crate) fn text(this: &Candidate) -> String;

    /// An `RTCSessionDescriptionInit`.
    pub(crate) type Description;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn sdp(this: &Description) -> Option<String>;
}
