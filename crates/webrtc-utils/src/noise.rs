//! The handshake that ties a peer id to a WebRTC connection.
//!
//! DTLS proves that the ends have the certificates whose fingerprints they know; Noise proves who they are, with both
//! fingerprints in its prologue. The server, though it was called, is the one that begins. Source: [Connection
//! Security](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md#connection-security).

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use libp2p_core::{
    UpgradeInfo,
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
};
use libp2p_identity::{Keypair, PeerId};
use libp2p_noise::Config;
pub use libp2p_noise::Error;

use crate::Fingerprint;

const PREFIX: &[u8] = b"libp2p-webrtc-noise:";

/// Authenticates a client, as the server. Gives its peer id and ends our half of `stream`.
///
/// # Errors
///
/// If the client is not who it says, knows other fingerprints, or the stream breaks.
pub async fn inbound<T>(
    keypair: Keypair,
    stream: T,
    client_fingerprint: Fingerprint,
    server_fingerprint: Fingerprint,
) -> Result<PeerId, Error>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (noise, protocol) = config(&keypair, client_fingerprint, server_fingerprint)?;
    let (peer, mut stream) = noise.upgrade_outbound(stream, protocol).await?;
    stream.close().await?;
    Ok(peer)
}

/// Authenticates a server, as the client. Gives its peer id and ends our half of `stream`.
///
/// # Errors
///
/// As for [`inbound`].
pub async fn outbound<T>(
    keypair: Keypair,
    stream: T,
    server_fingerprint: Fingerprint,
    client_fingerprint: Fingerprint,
) -> Result<PeerId, Error>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (noise, protocol) = config(&keypair, client_fingerprint, server_fingerprint)?;
    let (peer, mut stream) = noise.upgrade_inbound(stream, protocol).await?;
    stream.close().await?;
    Ok(peer)
}

fn config(keypair: &Keypair, client: Fingerprint, server: Fingerprint) -> Result<(Config, &'static str), Error> {
    let noise = Config::new(keypair)?.with_prologue(prologue(client, server));
    let protocol = noise.protocol_info().next().expect("noise has one protocol");
    Ok((noise, protocol))
}

fn prologue(client: Fingerprint, server: Fingerprint) -> Vec<u8> {
    [PREFIX, &client.to_multihash().to_bytes(), &server.to_multihash().to_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, future::join};
    use tokio_util::compat::TokioAsyncReadCompatExt;

    use super::*;

    fn fingerprint(hex: &str) -> Fingerprint {
        let byte = |place: usize| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).expect("hexadecimal");
        Fingerprint::raw(std::array::from_fn(byte))
    }

    #[test]
    fn the_prologue_is_that_of_the_specification() {
        let client = fingerprint("3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870");
        let server = fingerprint("30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99");
        let hex: String = prologue(client, server).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "6c69627032702d7765627274632d6e6f6973653a\
             12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870\
             122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99"
        );
    }

    fn shake_hands(seen_by_client: Fingerprint, seen_by_server: Fingerprint) -> [Result<PeerId, Error>; 2] {
        let [client, server] = [(); 2].map(|()| Keypair::generate_ed25519());
        let expected = [server.public().to_peer_id(), client.public().to_peer_id()];
        let (one, other) = tokio::io::duplex(4096);
        let (at_client, at_server) = block_on(join(
            outbound(client, one.compat(), seen_by_client, Fingerprint::FF),
            inbound(server, other.compat(), Fingerprint::FF, seen_by_server),
        ));
        for (found, expected) in [&at_client, &at_server].into_iter().zip(expected) {
            assert!(found.as_ref().is_err() || found.as_ref().is_ok_and(|found| *found == expected));
        }
        [at_client, at_server]
    }

    #[test]
    fn both_ends_learn_who_the_other_is() {
        let server = Fingerprint::raw([1; 32]);
        assert!(shake_hands(server, server).iter().all(Result::is_ok));
    }

    #[test]
    fn a_certificate_of_somebody_between_is_noticed() {
        assert!(shake_hands(Fingerprint::raw([1; 32]), Fingerprint::raw([2; 32])).iter().all(Result::is_err));
    }
}
