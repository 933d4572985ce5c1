//! Joins a stream to an input and an output, such as standard input and output.

use std::{io, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt, copy},
    sync::watch,
    time::sleep,
};
use tokio_util::compat::{FuturesAsyncReadCompatExt, FuturesAsyncWriteCompatExt};

/// Bytes read from the input at a time.
const CHUNK: usize = 64 * 1024;

/// How long an input that has gone quiet is waited for once the other side has finished. It must pass on what is ready
/// in a pipe, and must not keep a person at the keyboard from being done; socat waits as long.
const QUIET: Duration = Duration::from_millis(500);

/// Copies `input` into the stream and the stream into `output`. The end of `input` half-closes the stream. It is over
/// when the other side has finished, and `input` has ended or gone quiet.
///
/// # Errors
///
/// If the stream is reset, or `output` cannot be written.
pub(crate) async fn join(
    stream: impl futures::AsyncRead + futures::AsyncWrite,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let (reader, writer) = stream.split();
    let (finish, mut finished) = watch::channel(false);
    let receive = async {
        copy(&mut reader.compat(), &mut output).await?;
        output.flush().await?;
        finish.send_replace(true);
        Ok(())
    };
    let send = async {
        let mut writer = writer.compat_write();
        let sent = forward(&mut input, &mut writer, &mut finished).await;
        let closed = match sent {
            Ok(()) => writer.get_mut().close().await,
            Err(error) => Err(error),
        };
        // Who has finished and gone need not take what is still on its way.
        if *finished.borrow() { Ok(()) } else { closed }
    };
    futures::future::try_join(receive, send).await.map(|_| ())
}

async fn forward(
    input: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    finished: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            read = input.read(&mut buffer) => read?,
            () = quiet(finished) => 0,
        };
        if read == 0 {
            return Ok(());
        }
        writer.write_all(&buffer[..read]).await?;
        writer.flush().await?;
    }
}

/// Resolves [`QUIET`] after the other side has finished, counted from this call at the earliest.
async fn quiet(finished: &mut watch::Receiver<bool>) {
    if finished.wait_for(|finished| *finished).await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(QUIET).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio_util::compat::TokioAsyncReadCompatExt;

    use super::*;

    fn stream() -> (impl futures::AsyncRead + futures::AsyncWrite, DuplexStream) {
        let (near, far) = duplex(16);
        (near.compat(), far)
    }

    #[tokio::test]
    async fn the_end_of_input_is_passed_on_and_the_answer_still_arrives() {
        let (near, far) = stream();
        let (mut far_reader, mut far_writer) = tokio::io::split(far);
        let other = async {
            let mut question = String::new();
            far_reader.read_to_string(&mut question).await.unwrap();
            far_writer.write_all(question.to_uppercase().as_bytes()).await.unwrap();
            far_writer.shutdown().await.unwrap();
        };
        let mut output = Vec::new();
        let (joined, ()) = tokio::join!(join(near, &b"a question longer than the buffer"[..], &mut output), other);
        joined.unwrap();
        assert_eq!(output, b"A QUESTION LONGER THAN THE BUFFER");
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_other_side_finishes_first_ready_input_is_passed_on_and_a_quiet_one_ends_it() {
        let (near, mut far) = stream();
        let (mut keyboard, input) = duplex(64);
        keyboard.write_all(b"typed").await.unwrap();
        let other = async {
            far.write_all(b"bye").await.unwrap();
            far.shutdown().await.unwrap();
            let mut typed = String::new();
            far.read_to_string(&mut typed).await.unwrap();
            typed
        };
        let mut output = Vec::new();
        let (joined, typed) = tokio::join!(join(near, input, &mut output), other);
        joined.unwrap();
        assert_eq!((output.as_slice(), typed.as_str()), (b"bye".as_slice(), "typed"));
        drop(keyboard);
    }

    #[tokio::test]
    async fn a_broken_output_is_an_error() {
        let (near, mut far) = stream();
        let (output, gone) = duplex(1);
        drop(gone);
        far.write_all(b"x").await.unwrap();
        assert!(join(near, tokio::io::empty(), output).await.is_err());
    }
}
