//! How many handshakes are under way at a listener.
//!
//! A handshake costs memory from its first datagram on, whose source anybody can forge. So their number is bounded, that of
//! one holder of addresses more tightly, and a datagram beyond is dropped: a client that means it sends it again, after a
//! second at most. Where there is no place, the oldest handshake gives way whose remote has not proved that it receives
//! what is sent to it, if it had [`TIME_TO_PROVE`]: forged sources do not keep places from others.
//!
//! A place is taken until the handshake has succeeded, or all that it made is gone from memory.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// Handshakes of all remotes. A guess: at most 200 kB each, what a remote may send and what DTLS makes of it, they are
/// 50 MB, and at a fifth of a second each a thousand pages come in a second.
pub(super) const MOST: usize = 256;

/// Handshakes of one IPv4 address or one /64 of IPv6. A guess: dozens of pages behind one NAT that return at once.
pub(super) const MOST_OF_ONE: usize = 64;

/// How long a remote has before it gives way, if it must. A guess: a round trip on a slow path.
const TIME_TO_PROVE: Duration = Duration::from_millis(500);

/// Counts the handshakes of a listener.
#[derive(Debug, Default)]
pub(super) struct Admission {
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// In the order in which they were taken.
    taken: BTreeMap<u64, Taken>,
    /// How many of them each holder has. None is zero.
    of_one: HashMap<Holder, usize>,
    next: u64,
}

#[derive(Debug)]
struct Taken {
    holder: Holder,
    since: Instant,
    is_proven: bool,
    lost: Arc<Notify>,
}

/// Whom one address stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    V4(u32),
    /// The upper half: who has one address of a network has them all.
    V6(u64),
}

/// One handshake under way. Dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    id: u64,
    lost: Arc<Notify>,
}

impl Admission {
    /// A place for a handshake with `address`, or `None` if there are too many.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Place> {
        let holder = Holder::of(address);
        let mut places = self.lock();
        if places.of_one.get(&holder) == Some(&MOST_OF_ONE) {
            places.make_room(now, |taken| taken.holder == holder)?;
        } else if places.taken.len() == MOST {
            places.make_room(now, |_| true)?;
        }
        let (id, lost) = (places.next, Arc::<Notify>::default());
        places.next += 1;
        places.taken.insert(id, Taken { holder, since: now, is_proven: false, lost: lost.clone() });
        *places.of_one.entry(holder).or_default() += 1;
        Some(Place { admission: self.clone(), id, lost })
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn make_room(&mut self, now: Instant, of: impl Fn(&Taken) -> bool) -> Option<()> {
        let gives_way =
            |taken: &Taken| !taken.is_proven && now.duration_since(taken.since) >= TIME_TO_PROVE && of(taken);
        let id = *self.taken.iter().find(|(_, taken)| gives_way(taken))?.0;
        self.free(id).map(|taken| taken.lost.notify_one())
    }

    fn free(&mut self, id: u64) -> Option<Taken> {
        let taken = self.taken.remove(&id)?;
        if let Some(of_one) = self.of_one.get_mut(&taken.holder) {
            *of_one -= 1;
            if *of_one == 0 {
                self.of_one.remove(&taken.holder);
            }
        }
        Some(taken)
    }
}

impl Place {
    /// The remote receives what is sent to it: it gives way to nobody.
    pub(super) fn prove(&self) {
        if let Some(taken) = self.admission.lock().taken.get_mut(&self.id) {
            taken.is_proven = true;
        }
    }

    /// The handshake is over: it makes room for another.
    pub(super) fn free(&self) {
        self.admission.lock().free(self.id);
    }

    /// Resolves when the place is lost to another. For one who waits.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.free();
    }
}

impl Holder {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use futures::FutureExt;

    use super::*;

    fn admit(admission: &Arc<Admission>, address: &str, now: Instant) -> Option<Place> {
        admission.admit(address.parse().unwrap(), now)
    }

    fn places(admission: &Arc<Admission>, address: &str, now: Instant) -> Vec<Place> {
        iter::from_fn(|| admit(admission, address, now)).collect()
    }

    #[test]
    fn one_holder_of_addresses_cannot_take_all_places() {
        let (admission, now) = (Arc::default(), Instant::now());
        for (address, same, other) in
            [("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1")]
        {
            let mut taken = places(&admission, address, now);
            assert_eq!(taken.len(), MOST_OF_ONE);
            assert!(places(&admission, same, now).is_empty());
            assert_eq!(places(&admission, other, now).len(), MOST_OF_ONE);
            taken.pop();
            assert_eq!(places(&admission, same, now).len(), 1);
        }
        assert!(admission.lock().of_one.is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn all_of_them_cannot_take_more_than_there_are() {
        let (admission, now) = (Arc::default(), Instant::now());
        let taken: Vec<_> = (0..=255).flat_map(|host| places(&admission, &format!("192.0.2.{host}"), now)).collect();
        assert_eq!(taken.len(), MOST);
        drop(taken);
        assert!(admission.lock().taken.is_empty());
    }

    #[test]
    fn forged_sources_keep_no_places_from_others() {
        let (admission, now) = (Arc::default(), Instant::now());
        let hosts: Vec<_> = (0..MOST).map(|host| format!("10.0.{}.{}", host / 256, host % 256)).collect();
        let forged: Vec<_> = hosts.iter().map(|host| admit(&admission, host, now).unwrap()).collect();
        assert!(admit(&admission, "192.0.2.1", now).is_none(), "they had no time to prove anything");
        forged[0].prove();
        let later = now + TIME_TO_PROVE;
        let _place = admit(&admission, "192.0.2.1", later).expect("the oldest that proved nothing gives way");
        let lost: Vec<_> = forged.iter().map(|place| place.lost().now_or_never().is_some()).collect();
        assert_eq!(lost.iter().position(|lost| *lost), Some(1));
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 1);
        assert_eq!(admission.lock().taken.len(), MOST);
        drop(forged);
        assert_eq!(admission.lock().taken.len(), 1);
    }

    #[test]
    fn forgers_of_one_address_give_way_to_its_holder() {
        let (admission, now) = (Arc::default(), Instant::now());
        let forged = places(&admission, "192.0.2.1", now);
        let other = admit(&admission, "192.0.2.2", now).unwrap();
        let honest = places(&admission, "192.0.2.1", now + TIME_TO_PROVE);
        assert_eq!(honest.len(), MOST_OF_ONE);
        assert!(forged.iter().all(|place| place.lost().now_or_never().is_some()));
        assert!(other.lost().now_or_never().is_none());
    }
}
