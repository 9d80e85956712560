//! What gRPC's callers are told by us. They read no body: what became of a call they learn from `grpc-status` and `grpc-message`, in
//! the trailers or in the head of an answer without a body, and go by these whatever the HTTP status is.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::fmt::Write as _;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::failure::Failure;
use crate::resilience::grpc::STATUS;

const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Puts into a head or into trailers what has failed, with a sentence for people.
pub(super) fn tell(fields: &mut HeaderMap, failure: Failure, sentence: &str) {
    fields.insert(STATUS, HeaderValue::from(failure.grpc_status()));
    if let Ok(message) = HeaderValue::try_from(escaped(sentence)) {
        fields.insert(MESSAGE, message);
    }
}

/// A message as gRPC writes it: percent signs and what is not printable ASCII as `%` and two digits for each byte.
fn escaped(text: &str) -> String {
    let mut message = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            message.push(char::from(byte));
        } else {
            let _ = write!(message, "%{byte:02X}");
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_printable_ascii_and_loses_nothing() {
        let mut fields = HeaderMap::new();
        tell(&mut fields, Failure::Timeout, "50% of »2s«\n");
        assert_eq!(fields["grpc-status"], "4");
        assert_eq!(fields["grpc-message"], "50%25 of %C2%BB2s%C2%AB%0A");
    }
}
