//! What peers without rules send changes nothing, and they are charged for it.

use std::{cell::Cell, rc::Rc};

use openred_sim::{
    Net, NodeId, Time,
    core::{
        Response,
        bundle::Bundle,
        dht::key::Key,
        record::{Record, SignedRecord},
        time::Now,
        wire::kad::{MAX_MESSAGE, PeerAddresses, Request, Response as Answer},
    },
};

fn chess() -> Key {
    Key::service(&Default::default(), &"chess".parse().expect("a name"))
}

fn put(key: &Key, value: Vec<u8>) -> Vec<u8> {
    Request::PutValue { key: key.as_bytes().to_vec(), value }.encode()
}

fn bundle(key: &Key, records: &[SignedRecord], unix_ms: u64) -> Vec<u8> {
    let now = Now { elapsed: 0.s(), unix_ms };
    let mut bundle = Bundle::new(key.clone());
    for record in records {
        bundle.merge(record.clone(), now).expect("a valid record");
    }
    bundle.encode(now)
}

/// A record of a node, signed with its key.
fn record(net: &Net, id: NodeId, set: impl FnOnce(&mut Record)) -> SignedRecord {
    let mut record = Record::new("chess".parse().expect("a name"), net.peer(id), net.unix_ms(id));
    set(&mut record);
    record.sign(net.keypair(id)).expect("a valid record")
}

#[test]
fn bad_messages_change_nothing_and_are_charged() {
    let mut net = Net::new(1);
    let relay = net.relay();
    let alice = net.client(&[relay]);
    let bob = net.client(&[relay]);
    net.provide(alice, "chess");
    net.join(bob).expect("the relay is there");
    assert!(net.run_until_idle_or(10.s()));
    net.run_for(1.s());
    let mallory = net.hostile(|_| Response::Reset);
    net.meet(mallory, relay);
    let now = net.unix_ms(relay);
    let key = chess();

    let good = record(&net, alice, |record| record.sequence -= 1000);
    let mut forged = bundle(&key, &[good], now);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let future = record(&net, mallory, |record| record.issued_at += 3_600_000);
    let foreign = record(&net, mallory, |record| record.name = "go".parse().expect("a name"));
    let elsewhere = Key::service(&Default::default(), &"go".parse().expect("a name"));
    let foreign = bundle(&elsewhere, &[foreign], now);
    let ahead = bundle(&key, &[future], now + 3_600_000);
    let announcement = |peer| {
        let provider = PeerAddresses { peer, addresses: Vec::new() };
        Request::AddProvider { key: key.provider(), provider }.encode()
    };
    let messages = [
        b"garbage".to_vec(),
        vec![0xff; 4096],
        vec![0; MAX_MESSAGE + 1],
        put(&key, forged),
        put(&key, foreign),
        put(&key, ahead),
        put(&key, b"not a bundle".to_vec()),
        Request::PutValue { key: b"/elsewhere/service/chess".to_vec(), value: vec![1] }.encode(),
        announcement(net.peer(bob)),
    ];
    let held =
        |net: &Net| (net.machine(relay).store().bytes(), format!("{:?}", net.machine(relay).store().value(&key)));
    let before = held(&net);
    let count = messages.len();
    for message in messages {
        assert_eq!(net.say(mallory, relay, &message), None, "no answer to {} bytes", message.len());
    }
    assert_eq!(before, held(&net));
    let peer = net.peer(mallory).to_string();
    let charged = net.warnings(relay, "MISBEHAVED");
    assert!(charged.iter().all(|warning| warning.contains(&peer)), "{charged:?}");
    // The oversize message ends at the shell.
    assert_eq!(charged.len(), count - 1, "{charged:#?}");
    assert_eq!(net.providers(bob, "chess"), [alice]);
    let asked = Request::GetValue { key: key.as_bytes().to_vec() };
    assert!(net.say(mallory, relay, &asked.encode()).is_some(), "an honest question is answered still");
}

#[test]
fn one_bad_record_costs_only_itself() {
    let mut net = Net::new(2);
    let relay = net.relay();
    let bob = net.client(&[relay]);
    net.join(bob).expect("the relay is there");
    let mallory = net.hostile(|_| Response::Reset);
    net.meet(mallory, relay);
    let now = net.unix_ms(relay);
    let good = bundle(&chess(), &[record(&net, mallory, |_| {})], now);
    let mut bad = bundle(&chess(), &[record(&net, bob, |_| {})], now);
    let last = bad.len() - 1;
    bad[last] ^= 1;
    let both = [good, bad].concat();
    assert!(net.say(mallory, relay, &put(&chess(), both)).is_some());
    assert_eq!(net.providers(bob, "chess"), [mallory]);
}

#[test]
fn a_lying_server_hides_nothing_and_adds_nothing() {
    for lie in 0..6 {
        let mut net = Net::new(lie);
        let honest = net.relay();
        let alice = net.client(&[honest]);
        net.provide(alice, "chess");
        assert!(net.run_until_idle_or(10.s()));
        let stranger = net.hostile(|_| Response::Reset);
        let replayed = record(&net, alice, |record| {
            record.sequence -= 100_000;
            record.metadata.insert("room".to_owned(), "stale".to_owned());
        });
        let now = net.unix_ms(honest);
        let mut forged = bundle(&chess(), &[record(&net, stranger, |_| {})], now);
        let last = forged.len() - 1;
        forged[last] ^= 1;
        let stale = bundle(&chess(), &[replayed], now);
        let nowhere =
            PeerAddresses { peer: net.peer(stranger), addresses: vec!["/ip4/10.9.9.9/tcp/1/ws".parse().expect("one")] };
        let mallory = net.hostile(move |message| {
            let Ok(request) = Request::decode(message) else { return Response::Reset };
            let closer = vec![nowhere.clone(); 40];
            let answer = |value| Answer::GetValue { value, closer: closer.clone() };
            let answer = match (&request, lie) {
                (_, 0) => return Response::Reset,
                (_, 1) => return Response::Message(b"garbage".to_vec()),
                (_, 2) => return Response::Message(vec![0; MAX_MESSAGE + 1]),
                (Request::GetValue { .. }, 3) => answer(Some(forged.clone())),
                (Request::GetValue { .. }, 4) => answer(Some(stale.clone())),
                (Request::GetValue { .. }, _) => answer(None),
                _ => Answer::FindNode { closer: closer.clone() },
            };
            Response::Message(answer.encode(&request))
        });
        let bob = net.client(&[honest, mallory]);
        net.join(bob).expect("one relay is honest");
        net.run_for(10.s());
        for _ in 0..3 {
            let found = net.find(bob, "chess");
            let providers: Vec<_> = found.records.iter().map(|found| net.node(&found.record.provider)).collect();
            assert_eq!(providers, [Some(alice)], "lie {lie}");
            assert!(found.records[0].record.metadata.is_empty(), "lie {lie}: the newest record counts");
            assert!(net.providers(bob, "nothing").is_empty());
            net.run_for(3.s());
        }
        if matches!(lie, 1 | 3) {
            let peer = net.peer(mallory).to_string();
            let charged = net.warnings(bob, "MISBEHAVED");
            assert!(charged.iter().any(|warning| warning.contains(&peer)), "lie {lie}: {charged:?}");
        }
    }
}

/// A server that acknowledges puts, but resets those of some keys as long as the switch is on: keys that end like this, or
/// have it inside if it ends in a slash. It counts those that it took.
fn grudging(net: &mut Net, end: &'static str, on: &Rc<Cell<bool>>, taken: &Rc<Cell<usize>>) -> NodeId {
    let (on, taken) = (on.clone(), taken.clone());
    net.hostile(move |message| {
        let Ok(request) = Request::decode(message) else { return Response::Reset };
        let key = String::from_utf8_lossy(request.key());
        let concerned = if end.ends_with('/') { key.contains(end) } else { key.ends_with(end) };
        let answer = match &request {
            Request::PutValue { .. } if concerned && on.get() => return Response::Reset,
            Request::PutValue { key, value } => {
                taken.set(taken.get() + usize::from(concerned));
                Answer::PutValue { key: key.clone(), value: value.clone() }
            }
            Request::GetValue { .. } => Answer::GetValue { value: None, closer: Vec::new() },
            _ => Answer::FindNode { closer: Vec::new() },
        };
        Response::Message(answer.encode(&request))
    })
}

#[test]
fn a_quorum_of_one_key_does_not_make_up_for_the_other() {
    for seed in 0..40 {
        let mut net = Net::new(seed);
        let honest = net.relay();
        let (on, taken) = (Rc::new(Cell::new(true)), Rc::default());
        let mallory = grudging(&mut net, "service/chess", &on, &taken);
        // Under name@peer it refuses nothing.
        let alice = net.client(&[honest, mallory]);
        net.join(alice).expect("both serve");
        net.run_for(1.s());
        let order = net.provide(alice, "chess");
        net.run_for(9.s());
        assert!(net.is_pending(order), "seed {seed}: one of two is no quorum: {:?}", net.answer(order));
        on.set(false);
        net.run_for(500.ms());
    }
}

#[test]
fn addresses_that_missed_their_quorum_are_published_again() {
    let mut net = Net::new(3);
    let honest = net.relay();
    let (on, taken) = (Rc::new(Cell::new(true)), Rc::<Cell<usize>>::default());
    let mallory = grudging(&mut net, "/peer/", &on, &taken);
    let alice = net.client(&[honest, mallory]);
    net.join(alice).expect("both serve");
    net.run_for(10.s());
    assert_eq!(taken.get(), 0);
    on.set(false);
    net.run_for(2.mins());
    assert_eq!(taken.get(), 1, "once it is taken, that is enough");
}
