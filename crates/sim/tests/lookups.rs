//! Lookups go on when peers are silent, lie or flood.

use std::time::Duration;

use openred_sim::{
    Net, NodeId, Time,
    core::{
        Response,
        bundle::Bundle,
        dht::key::Key,
        record::Record,
        time::Now,
        wire::kad::{PeerAddresses, Request, Response as Answer},
    },
};

fn named(name: &str) -> Key {
    Key::service(&Default::default(), &name.parse().expect("a name"))
}

/// A settled network in one region, round trips of 10 to 20 ms, with services of one client, and a reader whose links are
/// warm: it has looked for other names before.
fn world(seed: u64, count: usize, services: usize) -> (Net, Vec<NodeId>, NodeId, Vec<String>) {
    let mut net = Net::new(seed);
    net.latency.spread = 1.0;
    let relays = net.settled(count);
    net.run_for(5.s());
    let provider = net.client(&relays[..3]);
    let names: Vec<_> = (0..services).map(|index| format!("service-{index}")).collect();
    for name in &names {
        net.provide(provider, name);
    }
    assert!(net.run_until_idle_or(10.s()), "everything is stored");
    let reader = net.client(&relays[3..6]);
    net.join(reader).expect("relays are there");
    for index in 0..40 {
        net.ask(reader, &format!("nobody-{index}"));
    }
    (net, relays, reader, names)
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// The limits leave a third of room above what was measured with cold links; the figures measure warm ones.
#[test]
fn silent_peers_cost_little() {
    for (percent, limit) in [(0, 130), (20, 130), (30, 130)] {
        let (mut net, relays, reader, names) = world(1, 120, 40);
        let kept: Vec<_> = relays[..6].to_vec();
        let others: Vec<_> = relays.iter().copied().filter(|relay| !kept.contains(relay)).collect();
        for index in 0..relays.len() * percent / 100 {
            // Spread over all, the reader's own relays left out.
            net.silence(others[index * others.len() / (relays.len() * percent / 100).max(1)]);
        }
        let mut times = Vec::new();
        for name in &names {
            let found = net.ask(reader, name);
            assert_eq!(found.records.len(), 1, "{percent} % silent: {name}");
            times.push(found.elapsed);
            net.run_for(100.ms());
        }
        let dht = net.machine(reader).stats().dht;
        let (p50, p95) = (percentile(&mut times, 50), percentile(&mut times, 95));
        let requests = dht.walk_requests as f64 / dht.walks as f64;
        println!("{percent} % silent: p50 {p50:?}, p95 {p95:?}, {requests:.0} requests a walk, {} hops", dht.most_hops);
        assert!(p95 <= Duration::from_millis(limit), "{percent} % silent: p95 {p95:?}");
        assert!(dht.most_hops <= 6 && requests < 60.0, "{dht:?}");
    }
}

#[test]
fn liars_near_a_key_hide_nothing() {
    for seed in 0..4 {
        let mut net = Net::new(seed);
        let first = net.relay();
        let relays: Vec<_> = (0..12).map(|_| net.relay_knowing(&[first])).collect();
        net.run_for(5.s());
        let alice = net.client(&relays[..3]);
        let order = net.provide(alice, "chess");
        net.wait(order).expect("stored");
        // They say of every key that twenty peers stand near it, which nobody runs, at addresses where nobody is.
        let target = named("chess").position();
        let mut crowd: Vec<_> = (0..400_u16)
            .map(|index| {
                let mut bytes = [seed as u8; 32];
                bytes[1..3].copy_from_slice(&index.to_be_bytes());
                let hash = multiaddr::multihash::Multihash::wrap(0x12, &bytes).expect("32 bytes fit");
                let peer = libp2p_identity::PeerId::from_multihash(hash).expect("a sha2-256 multihash");
                let address = format!("/ip4/10.9.{}.{}/tcp/80/ws", index / 200, index % 200 + 1);
                PeerAddresses { peer, addresses: vec![address.parse().expect("one")] }
            })
            .collect();
        crowd.sort_by_cached_key(|peer| target.distance(&openred_sim::core::dht::key::Position::of_peer(&peer.peer)));
        crowd.truncate(20);
        for _ in 0..6 {
            let ghosts = crowd.clone();
            let liar = net.hostile(move |message| {
                let Ok(request) = Request::decode(message) else { return Response::Reset };
                let answer = match request {
                    Request::FindNode { .. } => Answer::FindNode { closer: ghosts.clone() },
                    Request::GetValue { .. } => Answer::GetValue { value: None, closer: ghosts.clone() },
                    _ => return Response::Reset,
                };
                Response::Message(answer.encode(&request))
            });
            relays.iter().for_each(|relay| net.meet(liar, *relay));
        }
        let bob = net.client(&relays[..3]);
        let found = net.ask(bob, "chess");
        assert_eq!(found.records.len(), 1, "seed {seed}");
        assert!(found.elapsed < 1.s(), "seed {seed}: {:?}", found.elapsed);
        let order = net.provide(bob, "go");
        net.wait(order).expect("a quorum is not hidden either");
    }
}

#[test]
fn a_flood_of_valid_junk_is_refused_and_told_once() {
    let mut net = Net::new(1);
    net.latency.base = Duration::from_micros(20);
    let relay = net.relay();
    let alice = net.client(&[relay]);
    let order = net.provide(alice, "chess");
    net.wait(order).expect("stored");
    let mallory = net.hostile(|_| Response::Reset);
    net.meet(mallory, relay);
    let now = Now { elapsed: 0.s(), unix_ms: net.unix_ms(relay) };
    let (mut taken, mut refused) = (0, 0);
    for index in 0..3000 {
        let name = format!("junk-{index}");
        let key = named(&name);
        let record = Record::new(name.parse().expect("a name"), net.peer(mallory), now.unix_ms);
        let mut bundle = Bundle::new(key.clone());
        bundle.merge(record.sign(net.keypair(mallory)).expect("a valid record"), now).expect("a valid record");
        let put = Request::PutValue { key: key.as_bytes().to_vec(), value: bundle.encode(now) };
        match net.say(mallory, relay, &put.encode()) {
            Some(_) => taken += 1,
            None => refused += 1,
        }
    }
    assert!((2000..2500).contains(&taken) && refused > 500, "{taken} taken, {refused} refused");
    let stats = net.machine(relay).stats();
    assert_eq!(stats.dht.refused, refused);
    let charged = net.warnings(relay, "MISBEHAVED");
    assert_eq!(charged.len(), 1, "{charged:#?}");
    let bob = net.client(&[relay]);
    let found = net.ask(bob, "chess");
    assert_eq!(found.records.len(), 1, "others are served meanwhile");
    net.run_for(10.s());
    let again = Request::GetValue { key: named("chess").as_bytes().to_vec() };
    assert!(net.say(mallory, relay, &again.encode()).is_some(), "and the flooder when it has calmed down");
}

#[test]
fn offers_due_together_share_walks() {
    let mut net = Net::new(2);
    let relays = net.settled(15);
    net.run_for(5.s());
    let client = net.client(&relays[..3]);
    net.join(client).expect("relays are there");
    net.run_for(5.s());
    let before = net.machine(client).stats().dht;
    for index in 0..50 {
        net.provide(client, &format!("service-{index}"));
    }
    assert!(net.run_until_idle_or(10.s()));
    let walks = net.machine(client).stats().dht.walks - before.walks;
    assert!(walks <= 30, "{walks} walks for 150 placements");
    let reader = net.client(&relays[3..6]);
    for index in 0..50 {
        assert_eq!(net.ask(reader, &format!("service-{index}")).records.len(), 1);
    }
}
