//! Rows as lines of JSON.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use libp2p_identity::{PeerId, PublicKey};
use multiaddr::Multiaddr;
use openred_core::{
    lifecycle::{Standing, State},
    peer_record::SignedPeerRecord,
    record::SignedRecord,
};
use serde::{Deserialize, Serialize};

use super::super::{AuditRow, NodeRow, Note, Row};

/// A row as it stands in a snapshot. Bytes are base64, peer ids base58.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Node(NodeLine),
    Service(String),
    Note(NoteLine),
    Audit(AuditLine),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeLine {
    public_key: String,
    addresses: Vec<Multiaddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope: Option<String>,
    sequence: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    region: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    registered: u64,
    updated: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    withheld: bool,
    state: String,
    since: u64,
    deadline: u64,
    heard: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoteLine {
    space: String,
    key: String,
    value: String,
    expires: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditLine {
    at: u64,
    actor: String,
    action: String,
    subject: String,
    detail: String,
}

impl From<&Row> for Line {
    fn from(row: &Row) -> Self {
        match row {
            Row::Node(node) => Self::Node(NodeLine {
                public_key: STANDARD.encode(&node.public_key),
                addresses: node.addresses.clone(),
                envelope: node.envelope.as_ref().map(|envelope| STANDARD.encode(envelope)),
                sequence: node.sequence,
                region: node.region.clone(),
                metadata: node.metadata.clone(),
                registered: node.registered,
                updated: node.updated,
                withheld: node.withheld,
                state: node.standing.state.as_str().to_owned(),
                since: node.standing.since,
                deadline: node.standing.deadline,
                heard: node.heard,
            }),
            Row::Service(record) => Self::Service(STANDARD.encode(record.envelope())),
            Row::Note(note) => Self::Note(NoteLine {
                space: note.space.clone(),
                key: STANDARD.encode(&note.key),
                value: STANDARD.encode(&note.value),
                expires: note.expires,
            }),
            Row::Audit(line) => Self::Audit(AuditLine {
                at: line.at,
                actor: line.actor.clone(),
                action: line.action.clone(),
                subject: line.subject.clone(),
                detail: line.detail.clone(),
            }),
        }
    }
}

impl Line {
    /// The row, with its signatures verified.
    pub(super) fn into_row(self) -> Result<Row, String> {
        Ok(match self {
            Self::Node(node) => Row::Node(node.into_row()?),
            Self::Service(envelope) => {
                Row::Service(SignedRecord::decode(&bytes(&envelope)?).map_err(|error| error.to_string())?)
            }
            Self::Note(note) => Row::Note(Note {
                space: note.space,
                key: bytes(&note.key)?,
                value: bytes(&note.value)?,
                expires: note.expires,
            }),
            Self::Audit(line) => Row::Audit(AuditRow {
                id: 0,
                at: line.at,
                actor: line.actor,
                action: line.action,
                subject: line.subject,
                detail: line.detail,
            }),
        })
    }
}

impl NodeLine {
    fn into_row(self) -> Result<NodeRow, String> {
        let public_key = bytes(&self.public_key)?;
        let key = PublicKey::try_decode_protobuf(&public_key).map_err(|error| error.to_string())?;
        let peer = PeerId::from_public_key(&key);
        let envelope = self.envelope.as_deref().map(bytes).transpose()?;
        if let Some(envelope) = &envelope {
            let record = SignedPeerRecord::decode(envelope).map_err(|error| error.to_string())?;
            if record.peer() != peer || record.record().addresses != self.addresses {
                return Err(format!("the addresses of {peer} are not those that it signed"));
            }
        }
        let state: State = self.state.parse().map_err(|error| format!("`{}`: {error}", self.state))?;
        Ok(NodeRow {
            peer,
            public_key,
            addresses: self.addresses,
            envelope,
            sequence: self.sequence,
            region: self.region,
            metadata: self.metadata,
            registered: self.registered,
            updated: self.updated,
            withheld: self.withheld,
            standing: Standing { state, since: self.since, deadline: self.deadline },
            heard: self.heard,
        })
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| error.to_string())
}
