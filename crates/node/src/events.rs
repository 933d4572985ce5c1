//! Events for any number of readers. A slow reader loses events and is told how many; nobody waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use openred_core::event::Event;

/// Events kept for one reader: joining through a dozen relays makes some fifty at once.
const BUFFER: usize = 256;

/// A reader's end; see [`Node::events`](crate::Node::events).
pub type Events = mpsc::Receiver<Event>;

/// Everybody who reads; shared by the node's handles and its driver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscribers(Arc<Mutex<Vec<Subscriber>>>);

#[derive(Debug)]
struct Subscriber {
    sender: mpsc::Sender<Event>,
    missed: u64,
}

impl Subscribers {
    pub(crate) fn subscribe(&self) -> Events {
        let (sender, events) = mpsc::channel(BUFFER);
        self.lock().push(Subscriber { sender, missed: 0 });
        events
    }

    pub(crate) fn send(&self, event: &Event) {
        self.lock().retain_mut(|subscriber| subscriber.send(event));
    }

    /// Ends every reader's stream.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Subscriber>> {
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
        assert!(subscribers.lock().is_empty(), "a reader that went is forgotten");
    }
}
