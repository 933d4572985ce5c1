//! One service stream.

use std::{cell::RefCell, future::Future, io, pin::pin};

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt,
    channel::oneshot,
    future::{Either, Shared, select},
    io::{ReadHalf, WriteHalf},
};
use js_sys::Uint8Array;
use openred_node::ServiceStream;
use wasm_bindgen::prelude::*;

use crate::convert::reset_rejection;

/// The most bytes that one read hands over; more would only be copied from one queue into another.
const MAX_READ: usize = 64 * 1024;

/// A stream of bytes in both directions. One read and one write may be under way at a time.
#[wasm_bindgen]
pub struct RawStream {
    path: &'static str,
    remote_peer: String,
    name: String,
    reader: RefCell<Option<Reader>>,
    writer: RefCell<Option<WriteHalf<ServiceStream>>>,
    /// Dropped by [`RawStream::reset`], which ends what is under way.
    open: RefCell<Option<oneshot::Sender<()>>>,
    reset: Shared<oneshot::Receiver<()>>,
}

struct Reader {
    half: ReadHalf<ServiceStream>,
    buffer: Vec<u8>,
}

impl RawStream {
    pub(crate) fn new(stream: ServiceStream) -> Self {
        let (path, remote_peer, name) =
            (stream.path().as_str(), stream.remote_peer().to_string(), stream.name().to_owned());
        let (half, writer) = stream.split();
        let (open, reset) = oneshot::channel();
        Self {
            path,
            remote_peer,
            name,
            reader: RefCell::new(Some(Reader { half, buffer: Vec::new() })),
            writer: RefCell::new(Some(writer)),
            open: RefCell::new(Some(open)),
            reset: reset.shared(),
        }
    }

    async fn unless_reset<T>(&self, io: impl Future<Output = io::Result<T>>) -> Result<T, JsValue> {
        match select(pin!(io), self.reset.clone()).await {
            Either::Left((Ok(value), _)) => Ok(value),
            Either::Left((Err(error), _)) => Err(reset_rejection(&error.to_string())),
            Either::Right(_) => Err(reset_rejection("the stream was reset")),
        }
    }
}

#[wasm_bindgen]
impl RawStream {
    /// `direct` or `relayed`.
    #[wasm_bindgen(getter)]
    pub fn path(&self) -> String {
        self.path.to_owned()
    }

    /// The peer at the other end.
    #[wasm_bindgen(getter, js_name = remotePeer)]
    pub fn remote_peer(&self) -> String {
        self.remote_peer.clone()
    }

    /// The name of the service.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// The next bytes, `max` at most; undefined once the remote has finished.
    pub async fn read(&self, max: usize) -> Result<Option<Uint8Array>, JsValue> {
        let Some(mut reader) = self.reader.take() else { return Err(reset_rejection("the stream was reset")) };
        reader.buffer.resize(max.clamp(1, MAX_READ), 0);
        let count = self.unless_reset(reader.half.read(&mut reader.buffer)).await?;
        let bytes = (count > 0).then(|| Uint8Array::from(&reader.buffer[..count]));
        self.reader.replace(Some(reader));
        Ok(bytes)
    }

    /// Resolves once the transport has taken all bytes.
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), JsValue> {
        let Some(mut writer) = self.writer.take() else { return Err(reset_rejection("the stream was reset")) };
        self.unless_reset(async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        })
        .await?;
        self.writer.replace(Some(writer));
        Ok(())
    }

    /// Ends the writing side; the remote reads an end and may go on writing.
    pub async fn finish(&self) -> Result<(), JsValue> {
        let Some(mut writer) = self.writer.take() else { return Err(reset_rejection("the stream was reset")) };
        self.unless_reset(writer.close()).await?;
        self.writer.replace(Some(writer));
        Ok(())
    }

    /// Ends both sides at once.
    pub fn reset(&self) {
        self.open.take();
        self.reader.take();
        self.writer.take();
    }
}
