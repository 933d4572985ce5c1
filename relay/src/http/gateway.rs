//! What stands before the API's handlers: it lets through, slows down or turns away, before anything costs anything.
//!
//! In this order, from the outside: requests under way ([`Gateway::in_flight`]), the client's address ([`rates`]), the
//! credential it shows (before its signature is looked at), the time a request may take, the bytes its body may have. Only then
//! is a signature checked ([`super::identify`]). Requests of one [`Class`] share an allowance, so that who searches a lot can
//! still send heartbeats.
//!
//! Administration and what supervisors ask are never turned away for load.

pub(crate) mod rates;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Method, StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, timeout};

use self::rates::{Limiter, Rate};
use super::{Shared, client_address::client_address, problem::Problem};

/// Time for one request, its body included; watching takes longer, but its answer begins at once.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Bytes of a body: a batch of heartbeats or a registration with its services in base64.
pub(crate) const BODY_BYTES: usize = 256 * 1024;

/// How soon who was turned away for load may try again.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// What a request is, for the allowance of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// One look into memory or by a key.
    Read,
    /// A question to the full-text index, or a list.
    Search,
    /// Something is stored, and records are verified.
    Write,
    /// A sign of life.
    Heartbeat,
    /// A handshake or a token: signatures are made.
    Prove,
    /// A stream of changes.
    Watch,
    /// Administration.
    Admin,
}

impl Class {
    /// All classes, in the order of their figures.
    pub(crate) const ALL: [Self; 7] =
        [Self::Read, Self::Search, Self::Write, Self::Heartbeat, Self::Prove, Self::Watch, Self::Admin];

    /// The word in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::Write => "write",
            Self::Heartbeat => "heartbeat",
            Self::Prove => "prove",
            Self::Watch => "watch",
            Self::Admin => "admin",
        }
    }

    /// How much of the allowance one request takes: a guess of what it costs beside a read.
    fn cost(self) -> u64 {
        match self {
            Self::Read | Self::Heartbeat | Self::Admin => 1,
            Self::Search | Self::Write => 4,
            Self::Prove | Self::Watch => 8,
        }
    }
}

/// Limits of the gateway, from the options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Reads a second for one address (IPv4) or network of 64 bits (IPv6), and for one credential; other requests take a
    /// multiple. `None` is no limit.
    pub(crate) rate: Option<u32>,
    /// Requests under way at a time, watchers not counted.
    pub(crate) in_flight: usize,
    /// Watchers at a time.
    pub(crate) watchers: usize,
}

/// Requests a second of one client. A guess: a page that searches while somebody types asks ten times a second, and a household
/// shares an address.
pub(crate) const RATE: u32 = 100;

/// Seconds of allowance that may be spent at once.
const BURST: u64 = 4;

/// Requests under way: a handler waits for the database or a lookup at most, so more would only wait in line.
pub(crate) const IN_FLIGHT: usize = 256;

/// Watchers: each is a connection and a place in the channel of changes.
pub(crate) const WATCHERS: usize = 256;

impl Default for Limits {
    fn default() -> Self {
        Self { rate: Some(RATE), in_flight: IN_FLIGHT, watchers: WATCHERS }
    }
}

/// The gateway's state.
pub(crate) struct Gateway {
    limits: Limits,
    limiter: Limiter,
    started: Instant,
    in_flight: Arc<AtomicUsize>,
    watchers: Arc<AtomicUsize>,
    /// Turned away, by class: for load, by address, by credential.
    refused: [[AtomicU64; 3]; Class::ALL.len()],
}

/// What the gateway counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Requests under way.
    pub(crate) in_flight: usize,
    /// How many there may be.
    pub(crate) in_flight_limit: usize,
    /// Watchers.
    pub(crate) watchers: usize,
    /// How many there may be.
    pub(crate) watchers_limit: usize,
    /// Turned away, in the order of [`Class::ALL`]: for load, by address, by credential.
    pub(crate) refused: [[u64; 3]; Class::ALL.len()],
}

/// Why a request was turned away; the index into a row of [`Figures::refused`].
#[derive(Clone, Copy)]
enum Why {
    Load,
    Address,
    Credential,
}

/// The words for the columns of [`Figures::refused`].
pub(crate) const REASONS: [&str; 3] = ["load", "address", "credential"];

/// A place among those that are limited; free again when dropped.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes a place if there are fewer than `limit` taken.
    fn take(count: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let more = |taken| (taken < limit).then_some(taken + 1);
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Self(Arc::clone(count)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gateway {
    /// A gateway with these limits.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            limiter: Limiter::default(),
            started: Instant::now(),
            in_flight: Arc::default(),
            watchers: Arc::default(),
            refused: Default::default(),
        }
    }

    /// What is counted.
    pub(crate) fn figures(&self) -> Figures {
        let read = |counts: &[AtomicU64; 3]| std::array::from_fn(|at| counts[at].load(Ordering::Relaxed));
        Figures {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            in_flight_limit: self.limits.in_flight,
            watchers: self.watchers.load(Ordering::Relaxed),
            watchers_limit: self.limits.watchers,
            refused: std::array::from_fn(|class| read(&self.refused[class])),
        }
    }

    /// A watcher's place, for as long as its stream lives.
    pub(crate) fn watcher(&self) -> Result<Place, Problem> {
        Place::take(&self.watchers, self.limits.watchers).ok_or_else(|| self.refuse(Class::Watch, Why::Load, BUSY_FOR))
    }

    /// A place among the requests under way. Handshakes and searches leave a quarter of the places to the rest.
    fn place(&self, class: Class) -> Result<Option<Place>, Problem> {
        let limit = match class {
            Class::Admin => return Ok(None),
            Class::Search | Class::Prove => self.limits.in_flight - self.limits.in_flight / 4,
            _ => self.limits.in_flight,
        };
        let place = Place::take(&self.in_flight, limit).ok_or_else(|| self.refuse(class, Why::Load, BUSY_FOR))?;
        Ok(Some(place))
    }

    /// Takes from the allowances of the address and of the credential.
    fn spend(&self, class: Class, address: IpAddr, credential: Option<&[u8]>) -> Result<(), Problem> {
        let Some(rate) = self.limits.rate else { return Ok(()) };
        let rate = Rate::new(rate, BURST);
        let now = self.started.elapsed();
        let by_address = (class, prefix(address));
        self.limiter
            .take(&by_address, rate, class.cost(), now)
            .map_err(|wait| self.refuse(class, Why::Address, wait))?;
        match credential {
            Some(credential) => self
                .limiter
                .take(&(class, credential), rate, class.cost(), now)
                .map_err(|wait| self.refuse(class, Why::Credential, wait)),
            None => Ok(()),
        }
    }

    fn refuse(&self, class: Class, why: Why, wait: Duration) -> Problem {
        let row = Class::ALL.iter().position(|other| *other == class).unwrap_or_default();
        self.refused[row][why as usize].fetch_add(1, Ordering::Relaxed);
        match why {
            Why::Load => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the relay has too much to do at the moment")
                .code("OVERLOADED"),
            Why::Address => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests of this kind from your address")
                    .code("RATE_LIMITED")
            }
            Why::Credential => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests of this kind by your node")
                    .code("RATE_LIMITED")
            }
        }
        .retry_after(wait)
    }
}

/// What shares an allowance: an IPv4 address, or the 64 bits of an IPv6 address that a provider gives one customer.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
    }
}

/// Who asks, as far as the connection tells; put into the request for handlers and the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) IpAddr);

/// The classes of a group of routes: of what is read, and of what is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classes(pub(crate) Class, pub(crate) Class);

/// The middleware of a group of routes.
pub(crate) async fn admit(
    State((shared, classes)): State<(Arc<Shared>, Classes)>,
    request: Request,
    next: Next,
) -> Response {
    pass(&shared, classes, request, |request| next.run(request)).await
}

/// Lets a request through to `behind`, or turns it away.
pub(crate) async fn pass<F: Future<Output = Response>>(
    shared: &Shared,
    classes: Classes,
    mut request: Request,
    behind: impl FnOnce(Request) -> F,
) -> Response {
    let gateway = &shared.gateway;
    let class = if matches!(*request.method(), Method::GET | Method::HEAD) { classes.0 } else { classes.1 };
    let place = match gateway.place(class) {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let address = address_of(shared, &request);
    let credential = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
    if let Err(problem) = gateway.spend(class, address, credential) {
        return problem.into_response();
    }
    request.extensions_mut().insert(Client(address));
    let answered = timeout(REQUEST_TIME, behind(request)).await;
    drop(place);
    let mut response = answered.unwrap_or_else(|_| {
        let detail = format!("the request took longer than {} s, its body included", REQUEST_TIME.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail).code("TIMEOUT").into_response()
    });
    // For the log, which is written further out.
    response.extensions_mut().insert(Client(address));
    response
}

fn address_of(shared: &Shared, request: &Request) -> IpAddr {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| *address);
    // Only tests call the router without a connection.
    let connected = connected.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
    client_address(connected, request.headers(), &shared.trusted_proxies).ip()
}

#[cfg(test)]
mod tests;
