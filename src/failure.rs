//! Why an exchange was not simply relayed: one closed list with its projections.
//!
//! A new reason is one variant here; the compiler then asks for its label, its answer (also to gRPC), the side that it blames and
//! whether another try may help. The whole table is reviewed as one snapshot (`tests` below).

use http::StatusCode;

/// Every reason why a caller did not simply get the upstream's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No route matches the request.
    NoRoute,
    /// The request names a host that no route has; nothing was dialled.
    HostNotAllowed,
    /// The request is malformed.
    BadRequest,
    /// A method that a proxy must not serve (TRACE).
    MethodNotAllowed,
    /// The request target is longer than the limit.
    UriTooLong,
    /// The request's header fields are more or larger than the limit.
    HeadersTooLarge,
    /// The caller stalled while sending its request.
    RequestTimeout,
    /// The breaker is open, or half-open with all its probes out.
    CircuitOpen,
    /// An operator forced the breaker open.
    ForcedOpen,
    /// The breaker has closed again and lets only a share of the calls pass yet.
    Ramping,
    /// The upstream asked for a pause that is not over.
    Throttled,
    /// The caller, or the route, is over its rate.
    RateLimited,
    /// A limit of our own is reached: connections of the pool, connections of the listener.
    Overloaded,
    /// We have no descriptor, no memory or no local port left for a connection to the upstream.
    Exhausted,
    /// We are shutting down.
    Draining,
    /// The upstream's address could not be found.
    Dns,
    /// The upstream refused the connection, or none of its addresses was reachable.
    Connect,
    /// No connection within `connect_timeout`.
    ConnectTimeout,
    /// The TLS handshake failed or the certificate was not accepted.
    Tls,
    /// The upstream closed or reset the connection before its response headers.
    Reset,
    /// The upstream gave up the connection before the response headers, for the sake of another call on it.
    SharedLoss,
    /// What the upstream sent is not HTTP.
    Protocol,
    /// No response headers within the time allowed.
    Timeout,
    /// No response headers in what was left of the time after queues and back-offs of ours took most of it.
    CutShort,
    /// No response headers before the caller's own deadline, which is earlier than ours.
    CallerDeadline,
    /// The exchange took longer than `max_duration`.
    MaxDuration,
    /// The response body stalled for `idle_timeout`.
    IdleTimeout,
    /// The response body broke off before its end.
    Truncated,
    /// The caller went away before it had the whole answer.
    ClientGone,
    /// A defect of our own: the exchange panicked or reached an impossible state.
    Internal,
}

/// The side that caused a [`Failure`]. Only failures that the upstream caused may move a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The upstream's: counts as a failed call.
    Upstream,
    /// Ours: limits, refusals, shutdown, defects.
    Ours,
    /// The caller's.
    Caller,
}

impl Failure {
    /// All of them, in the order of declaration: for metrics that exist from the start and for the table.
    pub const ALL: [Self; 30] = [
        Self::NoRoute,
        Self::HostNotAllowed,
        Self::BadRequest,
        Self::MethodNotAllowed,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::RequestTimeout,
        Self::CircuitOpen,
        Self::ForcedOpen,
        Self::Ramping,
        Self::Throttled,
        Self::RateLimited,
        Self::Overloaded,
        Self::Exhausted,
        Self::Draining,
        Self::Dns,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Reset,
        Self::SharedLoss,
        Self::Protocol,
        Self::Timeout,
        Self::CutShort,
        Self::CallerDeadline,
        Self::MaxDuration,
        Self::IdleTimeout,
        Self::Truncated,
        Self::ClientGone,
        Self::Internal,
    ];

    /// The word for this reason in metrics, logs, `X-Sidefuse-Reason` and the breaker's evidence.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::HostNotAllowed => "host_not_allowed",
            Self::BadRequest => "bad_request",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::CircuitOpen => "circuit_open",
            Self::ForcedOpen => "forced_open",
            Self::Ramping => "ramping",
            Self::Throttled => "throttled",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Exhausted => "exhausted",
            Self::Draining => "draining",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::SharedLoss => "shared_loss",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::CutShort => "cut_short",
            Self::CallerDeadline => "caller_deadline",
            Self::MaxDuration => "max_duration",
            Self::IdleTimeout => "idle_timeout",
            Self::Truncated => "truncated",
            Self::ClientGone => "client_gone",
            Self::Internal => "internal",
        }
    }

    /// The status of our answer, and the error type of its `Proxy-Status` field (RFC 9209 §2.3).
    ///
    /// A caller that is gone gets no answer; 499 is what its access line says (nginx's number for it).
    #[must_use]
    pub fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::NoRoute => (StatusCode::NOT_FOUND, "destination_not_found"),
            Self::HostNotAllowed => (StatusCode::FORBIDDEN, "http_request_denied"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "http_request_error"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "http_request_denied"),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "http_request_error"),
            Self::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "http_request_error",
            ),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "http_request_error"),
            Self::CircuitOpen | Self::ForcedOpen | Self::Ramping => {
                (StatusCode::SERVICE_UNAVAILABLE, "destination_unavailable")
            }
            Self::Throttled => (StatusCode::TOO_MANY_REQUESTS, "destination_unavailable"),
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "http_request_denied"),
            Self::Overloaded | Self::Exhausted => {
                (StatusCode::SERVICE_UNAVAILABLE, "connection_limit_reached")
            }
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "proxy_internal_response"),
            Self::Dns => (StatusCode::BAD_GATEWAY, "dns_error"),
            Self::Connect => (StatusCode::BAD_GATEWAY, "connection_refused"),
            Self::ConnectTimeout => (StatusCode::GATEWAY_TIMEOUT, "connection_timeout"),
            Self::Tls => (StatusCode::BAD_GATEWAY, "tls_protocol_error"),
            Self::Reset | Self::SharedLoss => (StatusCode::BAD_GATEWAY, "connection_terminated"),
            Self::Protocol => (StatusCode::BAD_GATEWAY, "http_protocol_error"),
            Self::Timeout
            | Self::CutShort
            | Self::CallerDeadline
            | Self::MaxDuration
            | Self::IdleTimeout => (StatusCode::GATEWAY_TIMEOUT, "http_response_timeout"),
            Self::Truncated => (StatusCode::BAD_GATEWAY, "http_response_incomplete"),
            Self::ClientGone => (
                StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
                "http_request_error",
            ),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "proxy_internal_error"),
        }
    }

    /// The status of our answer to a gRPC call. Clients make calls again that were UNAVAILABLE (14), so those are not that the upstream may
    /// still be busy with.
    #[must_use]
    pub const fn grpc_status(self) -> u16 {
        match self {
            // CANCELLED
            Self::ClientGone => 1,
            // INVALID_ARGUMENT
            Self::BadRequest | Self::UriTooLong | Self::HeadersTooLarge => 3,
            // DEADLINE_EXCEEDED
            Self::RequestTimeout
            | Self::Timeout
            | Self::CutShort
            | Self::CallerDeadline
            | Self::MaxDuration
            | Self::IdleTimeout => 4,
            // PERMISSION_DENIED
            Self::HostNotAllowed => 7,
            // RESOURCE_EXHAUSTED
            Self::Throttled | Self::RateLimited => 8,
            // UNIMPLEMENTED
            Self::NoRoute | Self::MethodNotAllowed => 12,
            // INTERNAL
            Self::Protocol | Self::Internal => 13,
            // UNAVAILABLE, which gRPC's own clients say of a connection that is lost, too
            Self::CircuitOpen
            | Self::ForcedOpen
            | Self::Ramping
            | Self::Overloaded
            | Self::Exhausted
            | Self::Draining
            | Self::Dns
            | Self::Connect
            | Self::ConnectTimeout
            | Self::Tls
            | Self::Reset
            | Self::SharedLoss
            | Self::Truncated => 14,
        }
    }

    /// The side that caused it.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::NoRoute
            | Self::HostNotAllowed
            | Self::BadRequest
            | Self::MethodNotAllowed
            | Self::UriTooLong
            | Self::HeadersTooLarge
            | Self::RequestTimeout
            | Self::CallerDeadline
            | Self::ClientGone => Blame::Caller,
            Self::CircuitOpen
            | Self::ForcedOpen
            | Self::Ramping
            | Self::Throttled
            | Self::RateLimited
            | Self::Overloaded
            | Self::Exhausted
            | Self::Draining
            | Self::CutShort
            | Self::SharedLoss
            | Self::MaxDuration
            | Self::Internal => Blame::Ours,
            Self::Dns
            | Self::Connect
            | Self::ConnectTimeout
            | Self::Tls
            | Self::Reset
            | Self::Protocol
            | Self::Timeout
            | Self::IdleTimeout
            | Self::Truncated => Blame::Upstream,
        }
    }

    /// Whether a second try of the same call could succeed at once: the connection failed, not the call.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Connect | Self::Reset | Self::SharedLoss => true,
            Self::NoRoute
            | Self::HostNotAllowed
            | Self::BadRequest
            | Self::MethodNotAllowed
            | Self::UriTooLong
            | Self::HeadersTooLarge
            | Self::RequestTimeout
            | Self::CircuitOpen
            | Self::ForcedOpen
            | Self::Ramping
            | Self::Throttled
            | Self::RateLimited
            | Self::Overloaded
            | Self::Exhausted
            | Self::Draining
            | Self::Dns
            | Self::ConnectTimeout
            | Self::Tls
            | Self::Protocol
            | Self::Timeout
            | Self::CutShort
            | Self::CallerDeadline
            | Self::MaxDuration
            | Self::IdleTimeout
            | Self::Truncated
            | Self::ClientGone
            | Self::Internal => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_table_is_as_reviewed() {
        let table: String = Failure::ALL
            .iter()
            .map(|failure| {
                let (status, kind) = failure.answer();
                format!(
                    "{:<19} {} {:<26} {:<2} {:<9} {}\n",
                    failure.label(),
                    status.as_u16(),
                    kind,
                    failure.grpc_status(),
                    format!("{:?}", failure.blame()),
                    if failure.is_retryable() {
                        "retryable"
                    } else {
                        "final"
                    }
                )
            })
            .collect();
        insta::assert_snapshot!(table);
    }
}
