//! Authorization: a pure function. Its table stands on the module's front page.

use std::net::SocketAddr;

use super::token::{Expected, Keys, TokenDigest};

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Over the unix socket, from a process of that user.
    Unix {
        /// The user, if the system tells.
        uid: Option<u32>,
    },
    /// Over TCP.
    Tcp {
        /// Its address.
        peer: SocketAddr,
        /// Whether the listener is bound to a loopback address.
        reach: Reach,
    },
}

/// Where a TCP listener can be reached from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// From this machine or pod only.
    Loopback,
    /// From the network.
    Network,
}

/// The right that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// To ask whether the process is live and ready.
    Probe,
    /// To see state.
    Read,
    /// To change state.
    Change,
}

/// Why a request is not authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Another token would be accepted: 401.
    Unauthenticated(&'static str),
    /// No token would be accepted, or the token is valid but lacks the right: 403.
    Forbidden(&'static str),
}

impl Caller {
    /// The words of a log line.
    pub(super) fn remote(&self) -> String {
        match self {
            Self::Unix { .. } => "unix".to_owned(),
            Self::Tcp { peer, .. } => peer.to_string(),
        }
    }
}

/// Authorizes a request; returns who makes it, for the log.
///
/// # Errors
/// [`Denied`] when such a request is not allowed.
pub(super) fn authorize(
    caller: &Caller,
    right: Right,
    token: Option<&TokenDigest>,
    keys: &Keys,
) -> Result<String, Denied> {
    let reach = match caller {
        Caller::Unix { uid: Some(uid) } => return Ok(format!("uid {uid}")),
        Caller::Unix { uid: None } => return Ok("unix socket".to_owned()),
        Caller::Tcp { reach, .. } => *reach,
    };
    let fits = |expected: &Expected| token.is_some_and(|token| expected.accepts(token));
    if fits(&keys.operator) {
        return Ok("operator".to_owned());
    }
    let (has_operator, has_reader) = (keys.operator.is_configured(), keys.reader.is_configured());
    match right {
        Right::Probe => Ok("anyone".to_owned()),
        Right::Read if fits(&keys.reader) => Ok("reader".to_owned()),
        Right::Read if has_reader => Err(Denied::Unauthenticated(
            "this needs the reader's or the operator's token in `Authorization: Bearer …`",
        )),
        Right::Change if has_operator && fits(&keys.reader) => Err(Denied::Forbidden(
            "the reader's token may only read; changing state needs the operator's token",
        )),
        Right::Change if has_operator => Err(Denied::Unauthenticated(
            "changing state needs the operator's token in `Authorization: Bearer …`",
        )),
        Right::Change if has_reader => Err(Denied::Forbidden(
            "there is a reader's token but no operator's; set `admin.operator_token_file`, or use the unix socket",
        )),
        Right::Read | Right::Change => match reach {
            Reach::Loopback => Ok("loopback".to_owned()),
            Reach::Network if has_operator => Err(Denied::Unauthenticated(
                "this listener can be reached from the network, so reading needs a token in `Authorization: Bearer …`",
            )),
            Reach::Network => Err(Denied::Forbidden(
                "this listener can be reached from the network and no token is configured; set `admin.operator_token_file`",
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: &str = "reader-token";
    const OPERATOR: &str = "operator-token";

    fn expected(token: Option<&str>) -> Expected {
        token.map_or(Expected::None, |token| {
            Expected::Token(TokenDigest::of(token.as_bytes()))
        })
    }

    #[test]
    fn who_may_do_what_is_as_reviewed_case_172() {
        let tcp = |reach| Caller::Tcp {
            peer: SocketAddr::from(([10, 0, 0, 9], 4711)),
            reach,
        };
        let callers = [
            ("unix", Caller::Unix { uid: Some(1000) }),
            ("loopback", tcp(Reach::Loopback)),
            ("network", tcp(Reach::Network)),
        ];
        let configured = [
            ("no token", None, None),
            ("operator", Some(OPERATOR), None),
            ("reader", None, Some(READER)),
            ("both", Some(OPERATOR), Some(READER)),
        ];
        let mut table = String::new();
        for (listener, caller) in &callers {
            for (named, operator, reader) in configured {
                let keys = Keys {
                    operator: expected(operator),
                    reader: expected(reader),
                };
                for token in [None, Some("wrong"), Some(READER), Some(OPERATOR)] {
                    let digest = token.map(|token| TokenDigest::of(token.as_bytes()));
                    let told = [Right::Probe, Right::Read, Right::Change].map(|right| {
                        match authorize(caller, right, digest.as_ref(), &keys) {
                            Ok(actor) => actor,
                            Err(Denied::Unauthenticated(_)) => "401".to_owned(),
                            Err(Denied::Forbidden(_)) => "403".to_owned(),
                        }
                    });
                    let token = token.unwrap_or("-");
                    let [probe, read, change] = told;
                    table += &format!(
                        "{listener:<9} {named:<9} {token:<15} probe {probe:<9} read {read:<9} change {change}\n"
                    );
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_token_whose_file_cannot_be_read_opens_nothing() {
        let caller = Caller::Tcp {
            peer: SocketAddr::from(([127, 0, 0, 1], 4711)),
            reach: Reach::Loopback,
        };
        let keys = Keys {
            operator: Expected::Unreadable,
            reader: Expected::Unreadable,
        };
        for right in [Right::Read, Right::Change] {
            let denied = authorize(&caller, right, Some(&TokenDigest::of(b"")), &keys);
            assert!(matches!(denied, Err(Denied::Unauthenticated(_))));
        }
    }
}
