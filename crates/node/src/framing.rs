//! Messages with a length in front, as libp2p's protocols have them: an unsigned varint, then as
//! many bytes.

#[cfg(test)]
mod tests;

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The most bytes that a length of 32 bits takes.
const LENGTH_BYTES: usize = 5;

/// What is allocated before a byte of the message has arrived, at most.
const FIRST_ALLOCATION: usize = 8 * 1024;

/// Reads the next message, or `None` if the stream ends before one begins.
///
/// # Errors
///
/// `InvalidData` if the message is longer than `max` bytes or its length is not a minimal varint;
/// `UnexpectedEof` if the stream ends inside a message; whatever reading returns.
pub async fn read_message<R>(io: &mut R, max: usize) -> io::Result<Option<Vec<u8>>>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let Some(length) = read_length(io).await? else { return Ok(None) };
    if length > max {
        return Err(invalid(format!("a message of {length} bytes, at most {max} are accepted")));
    }
    let mut message = Vec::with_capacity(length.min(FIRST_ALLOCATION));
    io.take(length as u64).read_to_end(&mut message).await?;
    if message.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(message))
}

/// Writes one message and flushes it.
///
/// # Errors
///
/// `InvalidInput` if the message has 4 GiB or more; whatever writing returns.
pub async fn write_message<W>(io: &mut W, message: &[u8]) -> io::Result<()>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut framed = Vec::with_capacity(LENGTH_BYTES + message.len());
    push_length(&mut framed, length);
    framed.extend_from_slice(message);
    io.write_all(&framed).await?;
    io.flush().await
}

async fn read_length<R>(io: &mut R) -> io::Result<Option<usize>>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut length = 0_u64;
    for place in 0..LENGTH_BYTES {
        let mut byte = [0];
        if io.read(&mut byte).await? == 0 {
            return if place == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        length |= u64::from(byte[0] & 0x7f) << (7 * place);
        match byte[0] {
            0 if place > 0 => return Err(invalid("a length that is longer than it need be")),
            0..0x80 => {
                let length = u32::try_from(length).map_err(|_| invalid("a length beyond 32 bits"))?;
                return Ok(Some(length as usize));
            }
            _ => {}
        }
    }
    Err(invalid("a length beyond 32 bits"))
}

fn push_length(framed: &mut Vec<u8>, mut length: u32) {
    while length >= 0x80 {
        framed.push(length as u8 | 0x80);
        length >>= 7;
    }
    framed.push(length as u8);
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}
