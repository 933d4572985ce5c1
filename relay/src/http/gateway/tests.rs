use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn gateway(rate: u32) -> Gateway {
    Gateway::new(Limits { rate: Some(rate), in_flight: 4, watchers: 1 })
}

#[test]
fn an_allowance_is_spent_and_comes_back() {
    let (limiter, rate) = (Limiter::default(), Rate::new(10, 2));
    for spent in 0..20 {
        assert_eq!(limiter.take(&"a", rate, 1, s(1)), Ok(()), "{spent}");
    }
    assert_eq!(limiter.take(&"a", rate, 1, s(1)), Err(Duration::from_millis(100)));
    assert_eq!(limiter.take(&"a", rate, 4, s(1)), Err(Duration::from_millis(400)));
    assert_eq!(limiter.take(&"b", rate, 1, s(1)), Ok(()), "another client");
    assert_eq!(limiter.take(&"a", rate, 1, Duration::from_millis(1100)), Ok(()));
    assert_eq!(limiter.take(&"a", rate, 20, s(4)), Ok(()), "all of it is back");
    let dear = Rate::new(1, 2);
    assert_eq!(limiter.take(&"c", dear, 8, s(1)), Ok(()), "what costs more than a whole allowance passes alone");
    assert!(limiter.take(&"c", dear, 8, s(2)).is_err());
}

#[test]
fn many_clients_cost_no_memory_and_lock_nobody_out() {
    let (limiter, rate) = (Limiter::default(), Rate::new(1, 1));
    let refused = (0..1_000_000_u32).filter(|client| limiter.take(client, rate, 1, s(1)).is_err()).count();
    assert_eq!(refused, 0);
    assert!(limiter.take(&999_999_u32, rate, 1, s(1)).is_err(), "the last one is remembered");
}

#[test]
fn neighbours_in_one_network_share_an_allowance() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(prefix(ip("2001:db8:1:2:3::4")), prefix(ip("2001:db8:1:2:ffff::1")));
    assert_ne!(prefix(ip("2001:db8:1:2::1")), prefix(ip("2001:db8:1:3::1")));
    assert_ne!(prefix(ip("192.0.2.1")), prefix(ip("192.0.2.2")));
    assert_eq!(prefix(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
}

#[test]
fn a_client_is_slowed_by_class_by_address_and_by_credential() {
    let gateway = gateway(1);
    let (here, there) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    for _ in 0..4 {
        gateway.spend(Class::Read, here, None).unwrap();
    }
    let refused = gateway.spend(Class::Read, here, None).unwrap_err();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    gateway.spend(Class::Heartbeat, here, None).unwrap();
    for _ in 0..4 {
        gateway.spend(Class::Read, there, Some(b"token")).unwrap();
    }
    let elsewhere = [192, 0, 2, 3].into();
    assert!(gateway.spend(Class::Read, elsewhere, Some(b"token")).is_err(), "one token from many addresses");
    gateway.spend(Class::Read, elsewhere, Some(b"other")).unwrap();
    let figures = gateway.figures();
    assert_eq!(figures.refused[0], [0, 1, 1]);
}

#[test]
fn without_a_limit_nobody_is_slowed() {
    let gateway = Gateway::new(Limits { rate: None, ..Limits::default() });
    for _ in 0..10_000 {
        gateway.spend(Class::Prove, [192, 0, 2, 1].into(), None).unwrap();
    }
}

#[test]
fn too_many_at_a_time_are_turned_away_and_administration_is_not() {
    let gateway = gateway(1);
    let mut places: Vec<_> = (0..3).map(|_| gateway.place(Class::Search).unwrap()).collect();
    assert!(gateway.place(Class::Search).is_err(), "the last quarter is for what is cheap");
    places.push(gateway.place(Class::Heartbeat).unwrap());
    let refused = gateway.place(Class::Read).err().unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(gateway.place(Class::Admin).unwrap().is_none());
    assert_eq!(gateway.figures().in_flight, 4);
    drop(places);
    assert!(gateway.place(Class::Read).is_ok());

    let watcher = gateway.watcher().unwrap();
    assert!(gateway.watcher().is_err());
    drop(watcher);
    assert!(gateway.watcher().is_ok());
}
