//! Why a peer is not reached directly, with a stable code for programs and a sentence for people.

/// Why a connected peer is reached through a relay, or a peer is not reached at all.
///
/// | code | meaning |
/// |---|---|
/// | `RELAYED_ONLY` | this node has chosen relayed paths only |
/// | `WEBRTC_OFF` | WebRTC is not available here |
/// | `WEBRTC_OFF_THERE` | the peer does not speak the signalling protocol: it is no page, or WebRTC is off there, or it has chosen relayed paths only |
/// | `UNUSED` | no stream runs through the relay, so there is nothing to gain |
/// | `TRYING` | a direct path is being tried, by this node or the peer |
/// | `QUOTA` | the page has no WebRTC connections left for this |
/// | `ICE_FAILED` | no pair of addresses worked |
/// | `UDP_BLOCKED` | UDP does not leave this place |
/// | `REFUSED` | the peer said no, or broke the protocol |
/// | `GONE` | the relayed connection ended meanwhile; or no relay leads to the peer any more |
/// | `LOST` | a direct connection stood and was lost |
/// | `BUSY` | too many attempts are under way here |
/// | `TIMEOUT` | it took too long |
/// | `FAILED` | anything else |
/// | `NO_COMMON_RELAY` | the peer has relays, but none that can be dialled from here |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDirect {
    /// One of the codes above.
    pub code: &'static str,
    /// The same in a sentence.
    pub reason: String,
}

/// What an attempt failed of.
pub(crate) type Failure = NotDirect;

impl NotDirect {
    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// Why nothing is tried at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The peer has not said what it speaks, or is not connected.
    Unknown,
    OffThere,
    Unused,
    Trying,
    Theirs,
    Quota,
    /// The last attempt failed.
    Failed,
}

impl Why {
    /// In words; `failure` is what the last attempt failed of.
    pub(super) fn told(self, failure: Option<&Failure>) -> NotDirect {
        match (self, failure) {
            (Why::Failed, Some(failure)) => failure.clone(),
            (Why::Unknown, _) => NotDirect::new("TRYING", "the peer has not said yet what it speaks"),
            (Why::OffThere, _) => NotDirect::new(
                "WEBRTC_OFF_THERE",
                "the peer does not take direct connections: it is no page, WebRTC is off there, or it wants relayed paths only",
            ),
            (Why::Unused | Why::Failed, _) => {
                NotDirect::new("UNUSED", "a direct path is tried as soon as a stream runs through the relay")
            }
            (Why::Trying, _) => NotDirect::new("TRYING", "a direct path is being tried"),
            (Why::Theirs, _) => NotDirect::new("TRYING", "the peer tries, since it made the relayed connection"),
            (Why::Quota, _) => {
                NotDirect::new("QUOTA", "this page has no WebRTC connections left for a peer of this value")
            }
        }
    }
}
