//! Why the browser's WebRTC makes no connection, in the core's words.

use openred_core::DirectFailure;
use openred_webrtc::Error;

/// What `error` comes to for those who want a direct path.
pub(super) fn why(error: &Error) -> DirectFailure {
    match error {
        Error::NoPath => DirectFailure::Ice,
        Error::UdpBlocked => DirectFailure::UdpBlocked,
        Error::Unsupported => DirectFailure::Unsupported,
        Error::NoPeerConnection(_) | Error::Spent => DirectFailure::Quota,
        Error::Lost(_) | Error::NoCircuit(_) | Error::Closing => DirectFailure::Gone,
        Error::Busy => DirectFailure::Busy,
        Error::Timeout => DirectFailure::Timeout,
        Error::Browser { .. } | Error::NoFingerprint => DirectFailure::Failed,
        Error::Refused | Error::NoSignalling(_) | Error::Signalling(_) | Error::Handshake(_) => DirectFailure::Refused,
    }
}

#[cfg(test)]
mod tests {
    use openred_webrtc::signalling::SignalError;

    use super::*;

    #[test]
    fn every_failure_of_the_browser_is_told_with_its_code() {
        let text = || "text".to_owned();
        let expected = [
            (Error::NoPath, "ICE_FAILED"),
            (Error::UdpBlocked, "UDP_BLOCKED"),
            (Error::Unsupported, "WEBRTC_OFF"),
            (Error::NoPeerConnection(text()), "QUOTA"),
            (Error::Spent, "QUOTA"),
            (Error::Refused, "REFUSED"),
            (Error::NoSignalling(text()), "REFUSED"),
            (Error::Signalling(SignalError::Ended), "REFUSED"),
            (Error::Handshake(text()), "REFUSED"),
            (Error::NoCircuit(text()), "GONE"),
            (Error::Lost("closed"), "GONE"),
            (Error::Closing, "GONE"),
            (Error::Busy, "BUSY"),
            (Error::Timeout, "TIMEOUT"),
            (Error::Browser { what: "an offer", reason: text() }, "FAILED"),
            (Error::NoFingerprint, "FAILED"),
        ];
        for (error, code) in expected {
            assert_eq!(why(&error).code(), code, "{error}");
        }
    }
}
