//! Events for any number of readers. A slow reader loses events and is told how many; nobody waits for it. What happens before
//! the first reader comes is kept for it, since a node begins before anybody can read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use openred_core::event::Event;

/// Events kept for one reader: joining through a dozen relays makes some fifty at once.
const BUFFER: usize = 256;

/// A reader's end; see [`Node::events`](crate::Node::events).
pub type Events = mpsc::Receiver<Event>;

/// Everybody who reads; shared by the node's handles and its driver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscribers(Arc<Mutex<Readers>>);

#[derive(Debug, Default)]
struct Readers {
    subscribers: Vec<Subscriber>,
    /// What happened before the first reader came; at most [`BUFFER`].
    early: Vec<Event>,
    begun: bool,
}

#[derive(Debug)]
struct Subscriber {
    sender: mpsc::Sender<Event>,
    missed: u64,
}

impl Subscribers {
    pub(crate) fn subscribe(&self) -> Events {
        let (sender, events) = mpsc::channel(BUFFER);
        let mut subscriber = Subscriber { sender, missed: 0 };
        let mut readers = self.lock();
        readers.begun = true;
        for event in std::mem::take(&mut readers.early) {
            subscriber.send(&event);
        }
        readers.subscribers.push(subscriber);
        events
    }

    pub(crate) fn send(&self, event: &Event) {
        let mut readers = self.lock();
        if !readers.begun && readers.early.len() < BUFFER {
            readers.early.push(event.clone());
        }
        readers.subscribers.retain_mut(|subscriber| subscriber.send(event));
    }

    /// Ends every reader's stream.
    pub(crate) fn close(&self) {
        self.lock().subscribers.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Readers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// False once the reader is gone.
    fn send(&mut self, event: &Event) -> bool {
        if self.missed > 0 {
            match self.sender.try_send(Event::Lagged { missed: self.missed }) {
                Ok(()) => self.missed = 0,
                Err(error) if error.is_disconnected() => return false,
                Err(_) => {
                    self.missed += 1;
                    return true;
                }
            }
        }
        match self.sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(error) => {
                self.missed += 1;
                !error.is_disconnected()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_is_told_how_much_it_missed() {
        let warning = |number: usize| Event::Warning { code: "TEST", message: number.to_string() };
        let subscribers = Subscribers::default();
        let mut slow = subscribers.subscribe();
        for number in 0..BUFFER + 11 {
            subscribers.send(&warning(number));
        }
        let mut received = Vec::new();
        while let Ok(event) = slow.try_recv() {
            received.push(event);
        }
        let lost = BUFFER + 11 - received.len();
        assert!(lost > 0 && received.last() == Some(&warning(received.len() - 1)));
        subscribers.send(&warning(999));
        assert_eq!(slow.try_recv().ok(), Some(Event::Lagged { missed: lost as u64 }));
        assert_eq!(slow.try_recv().ok(), Some(warning(999)));
        drop(slow);
        subscribers.send(&warning(0));
        assert!(subscribers.lock().subscribers.is_empty(), "a reader that went is forgotten");
    }

    #[test]
    fn what_happened_before_the_first_reader_came_is_kept_for_it() {
        let warning = |number: usize| Event::Warning { code: "TEST", message: number.to_string() };
        let subscribers = Subscribers::default();
        for number in 0..BUFFER + 5 {
            subscribers.send(&warning(number));
        }
        let mut first = subscribers.subscribe();
        assert_eq!(first.try_recv().ok(), Some(warning(0)));
        assert_eq!(std::iter::from_fn(|| first.try_recv().ok()).count(), BUFFER - 1);
        assert!(subscribers.subscribe().try_recv().is_err(), "the next one reads from here");
    }
}
