//! The access line: one per exchange, written at its end whatever that end was.
//!
//! Hand-written because it is on the hot path of every request: no allocation beyond the buffer, no formatting machinery. The set
//! of keys is fixed, and what callers control only ever appears inside an escaped string.

use std::time::{Duration, SystemTime};

use crate::failure::{Blame, Failure};
use crate::resilience::{Key, Outcome};
use crate::wire::Flaw;

use super::correlation::{CorrelationId, TraceId};
use super::escape::{self, Place};
use super::line::{Level, LineFormat, Stamp, TimeText};
use super::pretty;
use super::refusal::is_refusal;
use super::waits::HeldBy;

/// The longest path that is shown whole, in bytes.
pub const MAX_PATH: usize = 2_048;
/// The longest word of a caller (method, user) that is shown whole, in bytes.
pub const MAX_WORD: usize = 128;

/// What an access line says.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// When the exchange ended.
    pub time: SystemTime,
    /// Its id.
    pub correlation_id: &'a CorrelationId,
    /// The id was made here although the request brought one.
    pub correlation_id_replaced: bool,
    /// The user that the request names. Up to 15 digits without a leading zero are shown as a number.
    pub user_id: Option<&'a [u8]>,
    /// The path. A query is never shown: whatever follows a `?` or `#` is left out.
    pub path: &'a [u8],
    /// The method.
    pub method: &'a str,
    /// The status that the caller got, or 499 when it left before it got one.
    pub status: u16,
    /// The status of gRPC's that the caller got, in the head or in the trailers.
    pub grpc_status: Option<u32>,
    /// From the accepted request to the end of the response body.
    pub duration: Duration,
    /// The route's name, if one was found.
    pub route: Option<&'a str>,
    /// `host:port` of the upstream that was called, if one was.
    pub upstream: Option<&'a [u8]>,
    /// What the exchange proved about the upstream.
    pub outcome: Outcome,
    /// Whether the answer says that something on our side has to be fixed.
    pub config_error: bool,
    /// Tries at the upstream.
    pub attempts: u32,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// Why the answer was not simply relayed.
    pub reason: Option<Failure>,
    /// The rule that the request breaks, where requests are read strictly.
    pub flaw: Option<Flaw>,
    /// The breaker's state, when it had a part in the ending.
    pub breaker_state: Option<&'static str>,
    /// What the caller got instead of the upstream's answer.
    pub fallback: Option<&'static str>,
    /// The answer is that to another caller's call, which was the same.
    pub is_coalesced: bool,
    /// The key that the call was one of, shown as its fingerprint.
    pub key: Option<Key>,
    /// How long we waited for the upstream.
    pub upstream_time: Option<Duration>,
    /// What the call waited for longest in sidefuse, and its whole wait there.
    pub held: Option<(HeldBy, Duration)>,
    /// The caller left before the end.
    pub client_gone: bool,
    /// The trace that the request belongs to.
    pub trace_id: Option<TraceId>,
    /// What the request says about its host, where it says two things or goes nowhere for it.
    pub hosts: Option<Hosts<'a>>,
    /// `host:port` of the tunnel that the caller asked for.
    pub tunnel: Option<&'a [u8]>,
}

/// Two hosts in one request, both without their users. The target's decides (RFC 9112 §3.2.2).
#[derive(Clone, Copy, Debug)]
pub struct Hosts<'a> {
    /// That of the target.
    pub target: &'a [u8],
    /// That of the `Host` field.
    pub field: &'a [u8],
}

impl AccessRecord<'_> {
    /// The line's severity: error for failures, warn for our own refusals, for fallbacks and for faults on our side, else info.
    #[must_use]
    pub fn level(&self) -> Level {
        let failed =
            self.outcome == Outcome::Failure || self.reason.is_some_and(|it| self.fails(it));
        if self.fallback.is_some() {
            // A failure for which the operator has provided a fallback.
            Level::Warn
        } else if failed {
            Level::Error
        } else if self.outcome == Outcome::Throttled
            || self.config_error
            || self.reason.is_some_and(is_refusal)
        {
            Level::Warn
        } else if self.status >= 500 {
            Level::Error
        } else {
            Level::Info
        }
    }

    /// The line's message.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match self.reason {
            _ if self.fallback.is_some() => "Request answered by a fallback",
            // The caller did not get the refusal: its answer had begun.
            Some(reason) if is_refusal(reason) && self.status != reason.answer().0 => {
                "Request cut off"
            }
            Some(reason) if is_refusal(reason) => "Request refused",
            Some(reason) if self.fails(reason) => "Request failed",
            Some(reason) if is_failure(reason) => "Request cut off",
            Some(_) => "Request abandoned",
            None => "Request completed",
        }
    }

    /// Whether that reason makes it a failure. How a tunnel ends that its caller got is no sign of one: it is kept open for later use, and
    /// whoever closes it first may.
    fn fails(&self, reason: Failure) -> bool {
        let was_a_tunnel = self.tunnel.is_some() && self.status == 200;
        let is_left = was_a_tunnel && self.outcome != Outcome::Failure;
        is_failure(reason) && (!is_left || reason == Failure::Internal)
    }

    /// The path without its query.
    pub(super) fn bare_path(&self) -> &[u8] {
        let end = self
            .path
            .iter()
            .position(|byte| matches!(byte, b'?' | b'#'));
        self.path
            .get(..end.unwrap_or(self.path.len()))
            .unwrap_or(self.path)
    }
}

fn is_failure(reason: Failure) -> bool {
    match reason.blame() {
        Blame::Upstream => true,
        Blame::Ours => !is_refusal(reason),
        Blame::Caller => false,
    }
}

/// Appends the line of that record, ended by a line feed.
pub(super) fn push_line(
    line: &mut Vec<u8>,
    record: &AccessRecord<'_>,
    stamp: &Stamp,
    format: LineFormat,
    times: &mut TimeText,
) {
    match format {
        LineFormat::Json => push_json(line, record, stamp, times),
        LineFormat::Pretty { color } => pretty::push_access(line, record, color, times),
    }
}

fn push_json(line: &mut Vec<u8>, record: &AccessRecord<'_>, stamp: &Stamp, times: &mut TimeText) {
    let mut text = |bytes: &[u8]| line.extend_from_slice(bytes);
    text(b"{\"level\":\"");
    text(record.level().label().as_bytes());
    text(b"\",\"time\":\"");
    text(times.at(record.time));
    text(b"\",");
    text(stamp.json());
    text(b",\"correlationId\":\"");
    text(record.correlation_id.as_bytes());
    text(b"\"");
    if let Some(user) = record.user_id {
        push_user(line, user);
    }
    push_string(line, b",\"requestPath\":", record.bare_path(), MAX_PATH);
    push_string(
        line,
        b",\"requestMethod\":",
        record.method.as_bytes(),
        MAX_WORD,
    );
    push_word(line, b",\"msg\":\"", record.message());
    push_number(line, b",\"statusCode\":", u64::from(record.status));
    push_number(line, b",\"duration\":\"", rounded_millis(record.duration));
    line.extend_from_slice(b"ms\",\"durationMs\":");
    push_millis(line, record.duration);
    if let Some(route) = record.route {
        push_string(line, b",\"route\":", route.as_bytes(), MAX_WORD);
    }
    if let Some(upstream) = record.upstream {
        push_string(line, b",\"upstream\":", upstream, 2 * MAX_WORD);
    }
    push_word(line, b",\"outcome\":\"", record.outcome.label());
    push_number(line, b",\"attempts\":", u64::from(record.attempts));
    push_number(line, b",\"bytesIn\":", record.bytes_in);
    push_number(line, b",\"bytesOut\":", record.bytes_out);
    push_optional(line, record);
    line.extend_from_slice(b"}\n");
}

/// The keys that a line has only when they apply.
fn push_optional(line: &mut Vec<u8>, record: &AccessRecord<'_>) {
    if let Some(status) = record.grpc_status {
        push_number(line, b",\"grpcStatus\":", u64::from(status));
    }
    if let Some(reason) = record.reason {
        push_word(line, b",\"reason\":\"", reason.label());
    }
    if let Some(flaw) = record.flaw {
        push_word(line, b",\"detail\":\"", flaw.sentence());
    }
    if record.config_error {
        line.extend_from_slice(b",\"configError\":true");
    }
    if let Some(state) = record.breaker_state {
        push_word(line, b",\"breakerState\":\"", state);
    }
    if let Some(kind) = record.fallback {
        push_word(line, b",\"fallback\":\"", kind);
    }
    if record.is_coalesced {
        line.extend_from_slice(b",\"coalesced\":true");
    }
    if let Some(time) = record.upstream_time {
        line.extend_from_slice(b",\"upstreamMs\":");
        push_millis(line, time);
    }
    if let Some((by, time)) = record.held {
        line.extend_from_slice(b",\"heldMs\":");
        push_millis(line, time);
        push_word(line, b",\"heldBy\":\"", by.label());
    }
    if record.client_gone {
        line.extend_from_slice(b",\"clientGone\":true");
    }
    if record.correlation_id_replaced {
        line.extend_from_slice(b",\"correlationIdReplaced\":true");
    }
    if let Some(key) = record.key {
        line.extend_from_slice(b",\"key\":\"");
        line.extend_from_slice(&key.digits());
        line.push(b'"');
    }
    if let Some(trace) = record.trace_id {
        push_string(line, b",\"traceId\":", trace.as_bytes(), MAX_WORD);
    }
    if let Some(Hosts { target, field }) = record.hosts {
        push_string(line, b",\"targetHost\":", target, 2 * MAX_WORD);
        push_string(line, b",\"hostHeader\":", field, 2 * MAX_WORD);
    }
    if let Some(tunnel) = record.tunnel {
        push_string(line, b",\"tunnel\":", tunnel, 2 * MAX_WORD);
    }
}

fn push_user(line: &mut Vec<u8>, user: &[u8]) {
    // 15 digits are what every JSON reader holds exactly in a double.
    let is_number = matches!(user, [b'0'] | [b'1'..=b'9', ..])
        && user.len() <= 15
        && user.iter().all(u8::is_ascii_digit);
    if is_number {
        line.extend_from_slice(b",\"userId\":");
        line.extend_from_slice(user);
    } else {
        push_string(line, b",\"userId\":", user, MAX_WORD);
    }
}

fn push_string(line: &mut Vec<u8>, key: &[u8], value: &[u8], limit: usize) {
    line.extend_from_slice(key);
    line.push(b'"');
    escape::push(line, value, Place::Json, limit);
    line.push(b'"');
}

/// Appends a fixed word, which needs no escaping. The key includes the opening quote.
fn push_word(line: &mut Vec<u8>, key: &[u8], word: &'static str) {
    line.extend_from_slice(key);
    line.extend_from_slice(word.as_bytes());
    line.push(b'"');
}

fn push_number(line: &mut Vec<u8>, key: &[u8], value: u64) {
    line.extend_from_slice(key);
    line.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Whole milliseconds, rounded half up.
pub(super) fn rounded_millis(duration: Duration) -> u64 {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    micros / 1_000 + u64::from(micros % 1_000 >= 500)
}

/// Milliseconds with three decimals.
fn push_millis(line: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    line.extend_from_slice(itoa::Buffer::new().format(micros / 1_000).as_bytes());
    let rest = micros % 1_000;
    let digit = |number: u64| b'0' + (number % 10) as u8;
    line.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::telemetry::correlation::{Acceptance, Correlation, trace_id};
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    pub(crate) fn id(text: &str) -> CorrelationId {
        let name = HeaderName::from_static("x-correlation-id");
        let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_str(text).unwrap())]);
        Correlation::of(
            &headers,
            Acceptance {
                headers: &[name],
                max_length: 128,
            },
            &Arena::default(),
        )
        .id
    }

    pub(crate) fn record(correlation_id: &CorrelationId) -> AccessRecord<'_> {
        AccessRecord {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_626_800),
            correlation_id,
            correlation_id_replaced: false,
            user_id: Some(b"42"),
            path: b"/whatsapp/v19.0/1/messages?access_token=canary",
            method: "POST",
            status: 201,
            grpc_status: None,
            duration: Duration::from_micros(144_812),
            route: Some("whatsapp"),
            upstream: Some(b"graph.facebook.com:443"),
            outcome: Outcome::Success,
            config_error: false,
            attempts: 1,
            bytes_in: 312,
            bytes_out: 147,
            reason: None,
            breaker_state: None,
            fallback: None,
            is_coalesced: false,
            key: None,
            upstream_time: None,
            held: None,
            client_gone: false,
            trace_id: None,
            flaw: None,
            hosts: None,
            tunnel: None,
        }
    }

    fn variants(id: &CorrelationId) -> [AccessRecord<'_>; 11] {
        let mut headers = HeaderMap::new();
        let parent =
            HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        headers.insert("traceparent", parent);
        let relayed = record(id);
        let ignored = AccessRecord {
            outcome: Outcome::Ignored,
            ..relayed
        };
        [
            relayed,
            AccessRecord {
                user_id: None,
                upstream_time: Some(Duration::from_micros(143_900)),
                held: Some((HeldBy::Pool, Duration::from_micros(1_500))),
                status: 404,
                outcome: Outcome::Alive,
                config_error: true,
                ..relayed
            },
            AccessRecord {
                reason: Some(Failure::CircuitOpen),
                breaker_state: Some("open"),
                key: Some(Key::of(b"tenant-7")),
                status: 503,
                attempts: 0,
                upstream: None,
                duration: Duration::from_micros(38),
                user_id: Some(b"u-7"),
                ..ignored
            },
            AccessRecord {
                reason: Some(Failure::Timeout),
                status: 504,
                outcome: Outcome::Failure,
                duration: Duration::from_millis(15_000),
                trace_id: trace_id(&headers),
                ..relayed
            },
            AccessRecord {
                reason: Some(Failure::ClientGone),
                status: 499,
                client_gone: true,
                correlation_id_replaced: true,
                ..ignored
            },
            AccessRecord {
                reason: Some(Failure::CircuitOpen),
                breaker_state: Some("open"),
                fallback: Some("stale"),
                status: 200,
                attempts: 0,
                upstream: None,
                ..ignored
            },
            AccessRecord {
                attempts: 0,
                upstream: None,
                is_coalesced: true,
                ..relayed
            },
            AccessRecord {
                status: 200,
                grpc_status: Some(14),
                outcome: Outcome::Failure,
                ..relayed
            },
            AccessRecord {
                reason: Some(Failure::NoRoute),
                status: 404,
                route: None,
                upstream: None,
                path: b"/x\r\n\x1b[31m\"\xff",
                method: "FOO",
                user_id: Some(b"007"),
                ..ignored
            },
            AccessRecord {
                reason: Some(Failure::BadRequest),
                flaw: Some(Flaw::SeveralHosts),
                status: 400,
                route: None,
                upstream: None,
                attempts: 0,
                ..ignored
            },
            AccessRecord {
                reason: Some(Failure::Draining),
                status: 200,
                ..ignored
            },
        ]
    }

    fn text(record: &AccessRecord<'_>, format: LineFormat) -> String {
        let mut line = Vec::new();
        let stamp = Stamp::new("real-estate-crm-backend", "production");
        push_line(&mut line, record, &stamp, format, &mut TimeText::new());
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn json_lines_have_the_original_keys_in_the_original_order() {
        let id = id("6f1c0e9a-5b1e-4b6c-9a57-2d3f1c0b7a11");
        insta::assert_snapshot!(
            variants(&id)
                .iter()
                .map(|record| text(record, LineFormat::Json))
                .collect::<String>()
        );
    }

    #[test]
    fn pretty_lines_are_as_reviewed() {
        let id = id("6f1c0e9a-5b1e-4b6c-9a57-2d3f1c0b7a11");
        let plain = variants(&id).map(|record| text(&record, LineFormat::Pretty { color: false }));
        let coloured =
            variants(&id).map(|record| text(&record, LineFormat::Pretty { color: true }));
        insta::assert_snapshot!(format!(
            "{}\n{}",
            plain.concat(),
            coloured.concat().replace('\x1b', "ESC")
        ));
    }

    #[test]
    fn the_query_is_never_shown_case_187() {
        let id = id("x");
        for path in ["/a?token=canary", "/a#canary", "?canary", "/a?b?canary"] {
            for format in [LineFormat::Json, LineFormat::Pretty { color: false }] {
                assert!(
                    !text(
                        &AccessRecord {
                            path: path.as_bytes(),
                            ..record(&id)
                        },
                        format
                    )
                    .contains("canary")
                );
            }
        }
    }

    #[test]
    fn a_user_is_a_number_only_when_every_reader_holds_it_exactly() {
        let id = id("x");
        for (user, shown) in [
            ("0", "0,"),
            ("42", "42,"),
            ("999999999999999", "999999999999999,"),
            ("1000000000000000", "\"1000000000000000\","),
            ("007", "\"007\","),
            ("", "\"\","),
            ("-1", "\"-1\","),
            ("4e2", "\"4e2\","),
        ] {
            let line = text(
                &AccessRecord {
                    user_id: Some(user.as_bytes()),
                    ..record(&id)
                },
                LineFormat::Json,
            );
            assert!(line.contains(&format!("\"userId\":{shown}")), "{line}");
        }
    }

    #[test]
    fn a_long_path_is_cut_and_the_line_stays_bounded_case_185() {
        let id = id("x");
        let path = vec![0x01; 64 * 1024];
        let line = text(
            &AccessRecord {
                path: &path,
                ..record(&id)
            },
            LineFormat::Json,
        );
        assert!(
            line.len() < 16 * 1024 && line.contains("…[+63488]"),
            "{}",
            line.len()
        );
    }

    proptest! {
        #[test]
        fn any_bytes_give_one_line_with_the_fixed_keys_cases_185_186(path: Vec<u8>, user: Vec<u8>, upstream: Vec<u8>, method: String) {
            let id = id("x");
            let record = AccessRecord { path: &path, user_id: Some(&user), upstream: Some(&upstream), method: &method, ..record(&id) };
            let line = text(&record, LineFormat::Json);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(!line.trim_end().chars().any(char::is_control));
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
            let keys: Vec<&str> = object.keys().map(String::as_str).collect();
            prop_assert_eq!(keys.join(","), "level,time,env,service,correlationId,userId,requestPath,requestMethod,msg,statusCode,duration,durationMs,route,upstream,outcome,attempts,bytesIn,bytesOut");
            let pretty = text(&record, LineFormat::Pretty { color: false });
            prop_assert_eq!(pretty.matches('\n').count(), 1);
            prop_assert!(!pretty.trim_end().chars().any(char::is_control));
        }
    }
}
