//! What each registry is asked, in its own words.

use std::net::SocketAddr;

use data_encoding::BASE64;
use hyper::{Request, Response, body::Bytes, header::HeaderValue};
use serde_json::json;

use crate::{
    client::Question,
    drive::Traffic,
    nodes::{self, Node},
};

/// A registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// This one.
    OpenRed,
    /// r-nacos, with ephemeral instances as its clients register them.
    Rnacos,
    /// etcd, one member.
    Etcd,
}

impl System {
    pub(crate) const ALL: [Self; 3] = [Self::OpenRed, Self::Rnacos, Self::Etcd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenRed => "openred",
            Self::Rnacos => "rnacos",
            Self::Etcd => "etcd",
        }
    }

    /// What it is asked, in this order.
    pub(crate) fn questions(self) -> &'static [&'static str] {
        match self {
            Self::OpenRed | Self::Rnacos => &["register", "heartbeat", "query"],
            Self::Etcd => &["put", "get"],
        }
    }

    /// What it does for them, for whoever reads the figures.
    pub(crate) fn does(self) -> &'static str {
        match self {
            Self::OpenRed => {
                "register: session checked, two Ed25519 signatures checked (node and service), both in SQLite and synced to disk \
                 before the answer; heartbeat: session checked; query: two providers with their signed records; rate limits on"
            }
            Self::Rnacos => {
                "register: one ephemeral instance, in memory, no authentication, no signature; heartbeat: light beat, likewise; \
                 query: two instances"
            }
            Self::Etcd => {
                "put: one value, synced to disk before the answer; get: one key, linearizable; no authentication"
            }
        }
    }
}

/// How far an entry is from the one before; a prime, so that all have their turn.
const STRIDE: u64 = 7919;

/// One question again and again, about any of the entries.
pub(crate) struct Asks<'a> {
    system: System,
    question: &'static str,
    host: HeaderValue,
    nodes: &'a [Node],
    /// Requests so far. Entries take turns, so that no two requests of one entry overtake each other.
    asked: u64,
    /// The first answer that did not say what was expected.
    pub(crate) surprise: Option<String>,
}

impl<'a> Asks<'a> {
    pub(crate) fn new(system: System, question: &'static str, address: SocketAddr, nodes: &'a [Node]) -> Self {
        let host = HeaderValue::from_str(&address.to_string()).expect("an address is a header value");
        Self { system, question, host, nodes, asked: 0, surprise: None }
    }

    fn of_openred(&self, node: &Node, number: u64) -> Question {
        match self.question {
            "register" => node.asks(&self.host, "PUT", &node.path(), node.registration()),
            "heartbeat" => node.asks(&self.host, "POST", &format!("{}/heartbeat", node.path()), Bytes::new()),
            _ => {
                let path = format!("/v1/services/{}", nodes::service_name(number));
                node.asks_unknown(&self.host, "GET", &path, Bytes::new())
            }
        }
    }

    fn of_rnacos(&self, number: u64) -> Question {
        const ROOT: &str = "/nacos/v1/ns/instance";
        let service = nodes::service_name(number);
        let instance = format!("serviceName={service}&ip=10.0.{}.{}&port=4001", number / 250, number % 250);
        match self.question {
            "register" => {
                let title = format!("{}%20{}", nodes::word(number), nodes::word(number * 7));
                let form = format!("{instance}&ephemeral=true&metadata=%7B%22title%22%3A%22{title}%22%7D");
                self.request("POST", ROOT, "application/x-www-form-urlencoded", form)
            }
            "heartbeat" => self.request("PUT", &format!("{ROOT}/beat?{instance}"), "", String::new()),
            _ => self.request("GET", &format!("{ROOT}/list?serviceName={service}"), "", String::new()),
        }
    }

    fn of_etcd(&self, node: &Node, number: u64) -> Question {
        let key = BASE64.encode(format!("{}/{}", nodes::service_name(number), node.peer).as_bytes());
        let (path, body) = match self.question {
            "put" => {
                let address = format!("/ip4/198.51.{}.{}/udp/4001/quic-v1", number / 250, number % 250);
                let title = format!("{} {}", nodes::word(number), nodes::word(number * 7));
                let value = json!({ "address": address, "region": "eu", "type": "game", "title": title }).to_string();
                ("/v3/kv/put", json!({ "key": key, "value": BASE64.encode(value.as_bytes()) }))
            }
            _ => ("/v3/kv/range", json!({ "key": key })),
        };
        self.request("POST", path, "application/json", body.to_string())
    }

    fn request(&self, method: &str, path: &str, media_type: &'static str, body: String) -> Question {
        let mut request = Request::builder().method(method).uri(path).header("host", self.host.clone());
        if !media_type.is_empty() {
            request = request.header("content-type", HeaderValue::from_static(media_type));
        }
        request.body(Bytes::from(body).into()).expect("method and path are right")
    }

    /// What a good answer holds.
    fn expected(&self) -> &'static [u8] {
        match (self.system, self.question) {
            (System::OpenRed, "query") => b"\"provider\"",
            (System::OpenRed, _) => b"\"active\"",
            (System::Rnacos, "query") => b"\"hosts\":[{",
            (System::Etcd, "get") => b"\"kvs\":[{",
            _ => b"",
        }
    }
}

impl Traffic for Asks<'_> {
    type Mark = ();

    fn next(&mut self) -> (&'static str, Question, ()) {
        self.asked += 1;
        let number = self.asked * STRIDE % self.nodes.len() as u64;
        let node = &self.nodes[number as usize];
        let question = match self.system {
            System::OpenRed => self.of_openred(node, number),
            System::Rnacos => self.of_rnacos(number),
            System::Etcd => self.of_etcd(node, number),
        };
        (self.question, question, ())
    }

    fn done(&mut self, (): (), answer: Option<&Response<Bytes>>) {
        let expected = self.expected();
        if let Some(answer) = answer
            && !expected.is_empty()
            && !answer.body().windows(expected.len()).any(|window| window == expected)
        {
            self.surprise.get_or_insert_with(|| String::from_utf8_lossy(answer.body()).into_owned());
        }
    }
}
