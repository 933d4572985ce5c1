use futures::future::poll_fn;
use libp2p_webrtc_utils::sdp::random_ufrag;
use proptest::{prelude::*, test_runner::TestRunner};
use stun::agent::TransactionId;
use tokio::time::timeout;

use super::*;
use crate::platform::native::webrtc::admission::MOST_OF_ONE;

/// The least that looks like the begin of a handshake.
pub(in crate::platform::native::webrtc) const HELLO: [u8; 14] = [22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];

/// Sees what a mux holds, without holding it.
pub(in crate::platform::native::webrtc) struct Watcher(Weak<Shared>);

impl Watcher {
    pub(in crate::platform::native::webrtc) fn connections(&self) -> usize {
        self.0.upgrade().map_or(0, |mux| mux.lock().entries.len())
    }

    /// Waits until no connection is left in memory.
    pub(in crate::platform::native::webrtc) async fn no_connections(&self, listeners: usize) {
        let gone = async {
            while self.0.strong_count() > listeners {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(60), gone).await.expect("what was begun is gone");
        assert_eq!(self.connections(), 0);
    }
}

impl UdpMux {
    pub(in crate::platform::native::webrtc) fn watcher(&self) -> Watcher {
        Watcher(Arc::downgrade(&self.shared))
    }
}

fn mux() -> UdpMux {
    UdpMux::bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

async fn newcomer(mux: &mut UdpMux) -> Newcomer {
    timeout(Duration::from_secs(60), poll_fn(|cx| mux.poll_newcomer(cx))).await.expect("a newcomer")
}

/// Whoever is there already.
fn newcomers(mux: &mut UdpMux) -> Vec<Newcomer> {
    std::iter::from_fn(|| mux.newcomers.try_recv().ok()).collect()
}

async fn received(remote: &Remote) -> Vec<u8> {
    let mut buffer = [0; LONGEST];
    let length = timeout(Duration::from_secs(60), remote.recv(&mut buffer)).await.expect("a datagram").unwrap();
    buffer[..length].to_vec()
}

#[tokio::test]
async fn an_address_is_free_again_when_its_connection_is_gone() {
    let mut mux = mux();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for round in 0_u8..6 {
        for datagram in [&HELLO[..], &[round]] {
            client.send_to(datagram, mux.local_address()).await.unwrap();
        }
        let newcomer = newcomer(&mut mux).await;
        assert_eq!(newcomer.address, client.local_addr().unwrap());
        assert_eq!(received(&newcomer.remote).await, HELLO);
        assert_eq!(received(&newcomer.remote).await, [round]);
        // Whether it is closed or dropped.
        if round % 2 == 0 {
            newcomer.remote.close().await.unwrap();
        } else {
            drop(newcomer);
        }
        assert_eq!(mux.watcher().connections(), 0);
    }
}

#[tokio::test]
async fn who_is_gone_takes_nothing_of_who_came_after() {
    let mut mux = mux();
    let mut come = || {
        mux.shared.take(&HELLO, address(1));
        newcomers(&mut mux).pop().expect("a newcomer")
    };
    let first = come();
    first.remote.close().await.unwrap();
    let second = come();
    drop(first);
    assert_eq!(second.remote.remote_addr(), Some(address(1)));
}

#[tokio::test]
async fn requests_leave_nothing_behind() {
    let mux = mux();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (ufrag, transaction) = (random_ufrag(), TransactionId::new());
    for port in 1..5_000 {
        mux.shared.take(&ice::request(&random_ufrag(), TransactionId::new(), 1), address(port));
    }
    client.send_to(&ice::request(&ufrag, transaction, 1), mux.local_address()).await.unwrap();
    let mut buffer = [0; LONGEST];
    let length = timeout(Duration::from_secs(60), client.recv(&mut buffer)).await.expect("an answer").unwrap();
    assert!(ice::is_answer(&buffer[..length], &ufrag, transaction));
    let connections = mux.shared.lock();
    assert!(connections.entries.is_empty() && connections.by_address.is_empty() && connections.by_ufrag.is_empty());
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_handshakes_than_places() {
    let mut mux = mux();
    for port in 1..1_000 {
        mux.shared.take(&HELLO, address(port));
    }
    let mut first = newcomers(&mut mux);
    assert_eq!(first.len(), MOST_OF_ONE);
    for host in 0..=255 {
        mux.shared.take(&HELLO, ([192, 0, 2, host], 1).into());
    }
    let others = newcomers(&mut mux);
    assert_eq!(first.len() + others.len(), MOST);
    first.pop();
    mux.shared.take(&HELLO, address(999));
    assert_eq!(newcomers(&mut mux).len(), 1, "a place that is free again is given away");
}

#[tokio::test]
async fn a_remote_that_nobody_knows_sends_so_much_and_no_more() {
    let mut mux = mux();
    mux.shared.take(&HELLO, address(1));
    let newcomer = newcomers(&mut mux).pop().unwrap();
    assert_eq!(received(&newcomer.remote).await, HELLO);
    let datagram = [0; 1_000];
    let sent = || {
        let mut taken = 0;
        for _ in 0..QUEUE {
            mux.shared.take(&datagram, address(1));
            taken += usize::from(newcomer.remote.inbox.try_lock().unwrap().try_recv().is_ok());
        }
        taken
    };
    assert_eq!(sent(), ALLOWANCE / 1_000);
    newcomer.remote.trust();
    assert_eq!(sent(), QUEUE);
}

#[tokio::test]
async fn a_client_is_followed_to_the_address_that_it_chooses() {
    let mut mux = mux();
    let ufrag = random_ufrag();
    let request = ice::request(&ufrag, TransactionId::new(), 1);
    mux.shared.take(&HELLO, address(1));
    let newcomer = newcomers(&mut mux).pop().unwrap();
    // Nobody knows yet that it is the same.
    mux.shared.take(&request, address(2));
    assert_eq!(newcomer.remote.remote_addr(), Some(address(1)));
    mux.shared.take(&request, address(1));
    mux.shared.take(&request, address(2));
    assert_eq!(newcomer.remote.remote_addr(), Some(address(2)));
    mux.shared.take(b"from there", address(2));
    assert_eq!(received(&newcomer.remote).await, HELLO);
    assert_eq!(received(&newcomer.remote).await, b"from there");
    // Another user name moves nothing.
    mux.shared.take(&ice::request(&random_ufrag(), TransactionId::new(), 1), address(3));
    assert_eq!(newcomer.remote.remote_addr(), Some(address(2)));
    drop(newcomer);
    let connections = mux.shared.lock();
    assert!(connections.by_address.is_empty() && connections.by_ufrag.is_empty());
}

#[tokio::test]
async fn a_listener_that_is_dropped_frees_its_port_and_begins_nothing() {
    let mut mux = mux();
    let local = mux.local_address();
    mux.shared.take(&HELLO, address(1));
    let mut newcomer = newcomers(&mut mux).pop().unwrap();
    let shared = mux.shared.clone();
    drop(mux);
    assert!(newcomer.listening.changed().await.is_err(), "the handshake is told");
    shared.take(&HELLO, address(2));
    assert_eq!(shared.lock().entries.len(), 1);
    drop((shared, newcomer));
    let freed = async {
        while UdpSocket::bind(local).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), freed).await.expect("the port is free again");
}

#[tokio::test]
async fn nothing_that_is_sent_makes_a_panic() {
    let mut mux = mux();
    let anything = proptest::collection::vec(any::<u8>(), 0..100);
    let hello = anything.clone().prop_map(|rest| [&HELLO[..], &rest].concat());
    let datagrams = prop_oneof![anything, hello, ice::tests::mutated()];
    let sent = TestRunner::default().run(&(datagrams, 1_u16..8), |(datagram, port)| {
        mux.shared.take(&datagram, address(port));
        Ok(())
    });
    sent.unwrap();
    assert!(mux.watcher().connections() <= 7);
    drop(newcomers(&mut mux));
    assert_eq!(mux.watcher().connections(), 0);
}
