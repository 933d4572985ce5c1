//! From a way to the remote to a connection: DTLS, SCTP, and Noise over the data channel 0.
//!
//! DTLS takes any certificate. A client compares the server's with the one in the address; a server knows nothing of the
//! client's, and Noise ties both certificates to the peers. Source: the specification of WebRTC-direct.
//!
//! Bounds: a handshake takes [`LIMIT`] at most. When it fails, in whatever way, or is given up, what it has begun is
//! closed ([`closing`](super::closing)).

use std::{sync::Arc, time::Duration};

use dtls::{
    config::{ClientAuthType, Config},
    conn::DTLSConn,
    extension::extension_use_srtp::SrtpProtectionProfile,
};
use libp2p::{PeerId, identity::Keypair};
use libp2p_webrtc_utils::{Fingerprint, MAX_MSG_LEN, noise};
use tokio::time::timeout;
use webrtc_data::data_channel::DataChannel;
use webrtc_sctp::{
    association::{Association, Config as SctpConfig},
    chunk::chunk_payload_data::PayloadProtocolIdentifier,
    stream::Stream as SctpStream,
};
use webrtc_util::Conn;

use super::{
    caller::Caller,
    certificate::Certificate,
    closing::{Closing, Session},
    connection::{self, Connection},
    error::Error,
    udp_mux::Newcomer,
};

/// How long a handshake may take. A guess: on loopback it takes a twentieth of a second, and over a path of 300 ms two
/// seconds, which leaves room for the loss of three messages in a row.
const LIMIT: Duration = Duration::from_secs(10);

/// The channel of Noise.
const NOISE: u16 = 0;

/// The port of SCTP, which means nothing inside DTLS; that of everybody's session descriptions.
const SCTP_PORT: u16 = 5000;

/// What this node shows others.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) keypair: Keypair,
    pub(super) certificate: Certificate,
}

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It dials, and expects this certificate.
    Client(Fingerprint),
    /// It listens.
    Server,
}

/// Answers a remote that has begun a handshake.
pub(super) async fn accept(newcomer: Newcomer, identity: Arc<Identity>) -> Result<(PeerId, Connection), Error> {
    let Newcomer { remote, mut listening, .. } = newcomer;
    let handshake = timeout(LIMIT, secure(remote.clone(), Role::Server, &identity));
    let made = tokio::select! {
        made = handshake => made.map_err(|_| Error::Timeout)??,
        () = remote.lost() => return Err(Error::Displaced),
        _ = listening.changed() => return Err(Error::ListenerClosed),
    };
    remote.trust();
    Ok(made)
}

/// Shakes hands with a remote that has answered.
pub(super) async fn dial(
    caller: impl Future<Output = Result<Caller, Error>>,
    expected: Fingerprint,
    identity: Arc<Identity>,
) -> Result<(PeerId, Connection), Error> {
    let handshake = async { secure(Arc::new(caller.await?), Role::Client(expected), &identity).await };
    timeout(LIMIT, handshake).await.map_err(|_| Error::Timeout)?
}

async fn secure(
    remote: Arc<dyn Conn + Send + Sync>,
    role: Role,
    identity: &Identity,
) -> Result<(PeerId, Connection), Error> {
    let is_client = role != Role::Server;
    let dtls = DTLSConn::new(remote, config(&identity.certificate), is_client, None).await?;
    let shown = dtls.connection_state().await.peer_certificates;
    let session = Closing::new(Session::new(dtls));
    let theirs = Fingerprint::from_certificate(shown.first().ok_or(Error::NoCertificate)?);
    if let Role::Client(expected) = role
        && theirs != expected
    {
        return Err(Error::WrongCertificate);
    }
    let mut over = session.over();
    tokio::select! {
        made = authenticate(&session, theirs, role, identity) => {
            let (peer, association) = made?;
            Ok((peer, Connection::new(session, association, is_client)))
        }
        // SCTP would wait for an answer that cannot come.
        _ = over.changed() => Err(Error::Closed),
    }
}

async fn authenticate(
    session: &Closing,
    theirs: Fingerprint,
    role: Role,
    identity: &Identity,
) -> Result<(PeerId, Arc<Association>), Error> {
    // Both ends begin, as all of WebRTC do.
    let association = Association::client(SctpConfig {
        net_conn: session.conn(),
        max_receive_buffer_size: 0,
        max_message_size: MAX_MSG_LEN as u32,
        mtu: 0,
        name: String::new(),
        remote_port: SCTP_PORT,
        local_port: SCTP_PORT,
    });
    let association = Arc::new(association.await?);
    let channel = DataChannel::new(noise_stream(&association).await?, connection::negotiated());
    // Nothing more is said there, and the channel stays open.
    let (stream, _) = connection::stream(channel);
    let (keypair, ours) = (identity.keypair.clone(), identity.certificate.fingerprint());
    let peer = match role {
        Role::Client(_) => noise::outbound(keypair, stream, theirs, ours).await?,
        Role::Server => noise::inbound(keypair, stream, theirs, ours).await?,
    };
    Ok((peer, association))
}

/// The stream of channel 0, which either end opens without a word, or the remote's first message did.
async fn noise_stream(association: &Association) -> Result<Arc<SctpStream>, Error> {
    match association.open_stream(NOISE, PayloadProtocolIdentifier::Binary).await {
        Err(webrtc_sctp::Error::ErrStreamAlreadyExist) => {}
        opened => return Ok(opened?),
    }
    // A remote opens no other before it has heard from us.
    match association.accept_stream().await {
        Some(stream) if stream.stream_identifier() == NOISE => {
            stream.set_default_payload_type(PayloadProtocolIdentifier::Binary);
            Ok(stream)
        }
        _ => Err(webrtc_sctp::Error::ErrStreamAlreadyExist.into()),
    }
}

fn config(certificate: &Certificate) -> Config {
    let certificate = certificate.dtls().clone();
    let mut roots = rustls::RootCertStore::empty();
    // Nobody asks it; where there is none, DTLS makes a key and a certificate for each handshake.
    _ = roots.add(certificate.certificate[0].clone());
    Config {
        certificates: vec![certificate],
        client_auth: ClientAuthType::RequireAnyClientCert,
        insecure_skip_verify: true,
        roots_cas: roots.clone(),
        client_cas: roots,
        // There is no media, but webrtc-rs ends a session without.
        srtp_protection_profiles: vec![
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32,
        ],
        ..Config::default()
    }
}
