//! What the application offers, and how it changes that.

use std::{collections::BTreeMap, time::Duration};

use crate::name::ServiceName;

/// What the application offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The service's name.
    pub name: ServiceName,
    /// The kind of service, free text; `type` in JavaScript.
    pub kind: String,
    /// Free data, at most 1 KiB together.
    pub metadata: BTreeMap<String, String>,
    /// How long the record lives without renewal; an hour by default.
    pub ttl: Option<Duration>,
    /// Where the service stands; the node's region if empty.
    pub region: String,
    /// Topics the service belongs to.
    pub clusters: Vec<String>,
}

impl Offer {
    /// An offer of a name and nothing else.
    pub fn new(name: ServiceName) -> Self {
        Self {
            name,
            kind: String::new(),
            metadata: BTreeMap::new(),
            ttl: None,
            region: String::new(),
            clusters: Vec::new(),
        }
    }
}

/// A change of an offer; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfferPatch {
    /// The kind of service.
    pub kind: Option<String>,
    /// All metadata anew.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The record's life.
    pub ttl: Option<Duration>,
    /// The region.
    pub region: Option<String>,
    /// All clusters anew.
    pub clusters: Option<Vec<String>>,
}
