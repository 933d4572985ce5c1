//! A network with people in it: relays, clients that offer services, clients that look for them, and a way to ask at any
//! moment who finds what.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use openred_core::{Outcome, dht::key::Key, find::Layer};

use crate::{Net, NodeId, Order, Time};

/// How many of whom.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// Relays, which serve the DHT.
    pub relays: usize,
    /// Clients that offer one service each.
    pub providers: usize,
    /// Clients that look.
    pub finders: usize,
    /// Whether the relays know each other from the start, as in a network that has settled; otherwise they join one by one.
    #[serde(default)]
    pub settled: bool,
}

/// A service that somebody offers.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Who offers it.
    pub provider: NodeId,
    /// Whether it was taken back.
    pub withdrawn: bool,
}

/// A network with people in it.
pub struct Crowd {
    /// The network.
    pub net: Net,
    /// The relays.
    pub relays: Vec<NodeId>,
    /// Those who look.
    pub finders: Vec<NodeId>,
    /// What is offered.
    pub services: Vec<Service>,
    pub(crate) rng: Rng,
}

/// Finds that were begun at one moment.
#[derive(Debug, Default)]
pub struct Asked {
    orders: Vec<(Order, usize)>,
}

/// What became of such finds.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Finds of services whose provider lived, was not cut off from the finder, and had not withdrawn it.
    pub trials: usize,
    /// Those that found that provider.
    pub found: usize,
    /// How many of them each layer answered first.
    pub by_layer: BTreeMap<Layer, usize>,
    /// Finds of services that nobody offered any more.
    pub gone: usize,
    /// Those that named the provider all the same.
    pub stale: usize,
    /// How long the finds took that found.
    pub took: Vec<Duration>,
}

impl Crowd {
    /// Lets everybody join and offer, and waits until they have.
    pub fn gather(mut net: Net, population: Population, seed: u64) -> Self {
        net.keep_events = false;
        let mut crowd = Self {
            net,
            relays: Vec::new(),
            finders: Vec::new(),
            services: Vec::new(),
            rng: Rng::with_seed(seed ^ 0xc0_ffee),
        };
        if population.settled {
            crowd.relays = crowd.net.settled(population.relays);
        }
        while crowd.relays.len() < population.relays {
            // A network grows by what it is: half as many again each second.
            let newcomers = (crowd.relays.len() / 2).clamp(1, 200).min(population.relays - crowd.relays.len());
            for _ in 0..newcomers {
                let known = crowd.some_relays(3);
                let relay = crowd.net.relay_knowing(&known);
                crowd.relays.push(relay);
            }
            crowd.net.run_for(1.s());
        }
        for service in 0..population.providers {
            let provider = crowd.client();
            crowd.offer(provider, &format!("service-{service}"));
        }
        for _ in 0..population.finders {
            let finder = crowd.client();
            crowd.finders.push(finder);
            crowd.net.ready(finder);
        }
        crowd.net.run_until_idle_or(15.s());
        crowd.net.run_for(10.s());
        crowd
    }

    /// A client that is configured with three relays.
    pub fn client(&mut self) -> NodeId {
        let known = self.some_relays(3);
        let client = self.net.client(&known);
        self.net.latency.at_home(client);
        client
    }

    /// A provider that has started again offers what it offered before.
    pub fn offer_again(&mut self, provider: NodeId) {
        let mine = self.services.iter().filter(|service| service.provider == provider && !service.withdrawn);
        let names: Vec<_> = mine.map(|service| service.name.clone()).collect();
        for name in names {
            self.net.provide(provider, &name);
        }
    }

    /// How many relays that live hold a service's record.
    pub fn holders(&self, service: usize) -> usize {
        let name = self.services[service].name.parse().expect("a service's name");
        let key = Key::service(&Default::default(), &name);
        let holds =
            |relay: &&NodeId| self.net.is_heard(**relay) && self.net.machine(**relay).store().value(&key).is_some();
        self.relays.iter().filter(holds).count()
    }

    /// The services that are offered by somebody who lives.
    pub fn living(&self) -> Vec<usize> {
        (0..self.services.len()).filter(|service| self.is_offered(*service)).collect()
    }

    /// Lets a node offer a service.
    pub fn offer(&mut self, provider: NodeId, name: &str) {
        self.net.provide(provider, name);
        self.services.push(Service { name: name.to_owned(), provider, withdrawn: false });
    }

    /// Takes a service back.
    pub fn withdraw(&mut self, service: usize) {
        let known = &mut self.services[service];
        if self.net.is_alive(known.provider) && self.net.offers(known.provider, &known.name) {
            known.withdrawn = true;
            self.net.withdraw(known.provider, &known.name);
        }
    }

    fn some_relays(&mut self, count: usize) -> Vec<NodeId> {
        let mut drawn: Vec<NodeId> = Vec::new();
        while drawn.len() < count.min(self.relays.len()) {
            let relay = self.relays[self.rng.usize(..self.relays.len())];
            if !drawn.contains(&relay) {
                drawn.push(relay);
            }
        }
        drawn
    }

    /// Lets finders look for services, this many pairs drawn at random, of those who live.
    pub fn ask(&mut self, finds: usize) -> Asked {
        let finders: Vec<_> = self.finders.iter().copied().filter(|finder| self.net.is_heard(*finder)).collect();
        let mut asked = Asked::default();
        if finders.is_empty() || self.services.is_empty() {
            return asked;
        }
        for _ in 0..finds {
            let finder = finders[self.rng.usize(..finders.len())];
            let service = self.rng.usize(..self.services.len());
            asked.orders.push((self.net.seek(finder, &self.services[service].name), service));
        }
        asked
    }

    /// Lets finders look for this many services whose providers live.
    pub fn ask_living(&mut self, finds: usize) -> Asked {
        let finders: Vec<_> = self.finders.iter().copied().filter(|finder| self.net.is_heard(*finder)).collect();
        let living = self.living();
        let mut asked = Asked::default();
        if finders.is_empty() || living.is_empty() {
            return asked;
        }
        for _ in 0..finds {
            let finder = finders[self.rng.usize(..finders.len())];
            let service = living[self.rng.usize(..living.len())];
            asked.orders.push((self.net.seek(finder, &self.services[service].name), service));
        }
        asked
    }

    /// Lets one node look for one service.
    pub fn ask_one(&mut self, finder: NodeId, service: usize) -> Asked {
        Asked { orders: vec![(self.net.seek(finder, &self.services[service].name), service)] }
    }

    /// Whether a service's provider lives, is heard, and offers it.
    pub fn is_offered(&self, service: usize) -> bool {
        let known = &self.services[service];
        !known.withdrawn && self.net.is_heard(known.provider) && self.net.offers(known.provider, &known.name)
    }

    /// What became of finds; those that wait for their answer are waited for.
    pub fn tell(&mut self, asked: Asked) -> Told {
        let mut told = Told::default();
        for (order, service) in asked.orders {
            self.net.run_until(12.s(), |net| !net.is_pending(order));
            let answer = self.net.take_answer(order);
            // A finder that died meanwhile, or a pair that a cut divides, says nothing about finding.
            let finder = order.node();
            let provider = self.services[service].provider;
            if !self.net.is_heard(finder) || !self.net.hear_each_other(finder, provider) {
                continue;
            }
            let peer = self.net.peer(provider);
            let named = match &answer {
                Some(Ok(Outcome::Found(found))) => {
                    found.records.iter().any(|found| found.record.provider == peer).then_some(found.layer)
                }
                _ => None,
            };
            if self.is_offered(service) {
                told.trials += 1;
                told.found += usize::from(named.is_some());
                if let Some(Some(layer)) = named {
                    *told.by_layer.entry(layer).or_default() += 1;
                }
                told.took.extend(self.net.took(order).filter(|_| named.is_some()));
            } else {
                told.gone += 1;
                told.stale += usize::from(named.is_some());
            }
        }
        told
    }

    /// Asks and waits.
    pub fn probe(&mut self, finds: usize) -> Told {
        let asked = self.ask_living(finds);
        self.tell(asked)
    }
}

impl Asked {
    /// Adds other finds.
    pub fn add(&mut self, other: Asked) {
        self.orders.extend(other.orders);
    }
}

impl Told {
    /// The part of all trials that found.
    pub fn rate(&self) -> f64 {
        self.found as f64 / self.trials.max(1) as f64
    }

    /// Adds what other finds told.
    pub fn add(&mut self, other: Told) {
        self.trials += other.trials;
        self.found += other.found;
        self.gone += other.gone;
        self.stale += other.stale;
        self.took.extend(other.took);
        for (layer, count) in other.by_layer {
            *self.by_layer.entry(layer).or_default() += count;
        }
    }
}
