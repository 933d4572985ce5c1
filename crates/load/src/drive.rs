//! Sends what a [`Traffic`] wants sent, on so many connections, when a [`Pace`] says that it is due.

use std::{cell::RefCell, net::SocketAddr};

use futures::future::join_all;
use hyper::{Response, body::Bytes};

use crate::{
    client::{Client, Question},
    pace::Pace,
    tally::Tally,
};

/// What is asked, and what follows from the answers.
pub(crate) trait Traffic {
    /// What a request remembers until its answer.
    type Mark;

    /// The next request, and its kind.
    fn next(&mut self) -> (&'static str, Question, Self::Mark);

    /// Its answer; `None` if there was none.
    fn done(&mut self, mark: Self::Mark, answer: Option<&Response<Bytes>>);
}

/// Drives until the pace ends. Latency counts from the time at which a request was due.
pub(crate) async fn drive<T: Traffic>(address: SocketAddr, connections: usize, pace: &Pace, traffic: &mut T) -> Tally {
    let (traffic, tally) = (RefCell::new(traffic), RefCell::new(Tally::default()));
    let lanes = (0..connections).map(|_| async {
        let mut client = Client::new(address);
        while let Some(due) = pace.next().await {
            let (kind, question, mark) = traffic.borrow_mut().next();
            let answer = client.ask(question).await;
            match &answer {
                Ok(answer) => tally.borrow_mut().answered(kind, due, answer.status().as_u16()),
                Err(error) => tally.borrow_mut().failed(format!("{kind}: {error}")),
            }
            traffic.borrow_mut().done(mark, answer.as_ref().ok());
        }
    });
    join_all(lanes).await;
    tally.into_inner()
}
