//! What an answer proves about the upstream, and when that is certain.

use std::time::{Duration, Instant};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;

use super::peek::{Patience, Source, announce_json};
use crate::failure::{Blame, Failure};
use crate::resilience::{Answer, Label, Outcome, Rules, Sample, Verdict, grpc};
use crate::time::{Deadline, now};
use crate::upstream::Download;

/// An answer up to this length is waited for even by a probe.
const SHORT: u64 = 64 * 1024;

/// How long a probe waits for the end of an answer of unknown length. Its caller waits as well: gRPC reports the status of a call at its
/// end, and most of its calls end at once.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// When the outcome of an answer is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// Already at its headers.
    AtHeaders,
    /// When its body ended well; a body that breaks off is a failure.
    AtEnd,
    /// When its trailers say so (gRPC).
    InTrailers,
}

/// The verdict on an answer and when it becomes final.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// The verdict; final, or valid unless something happens to the body.
    pub(super) verdict: Verdict,
    /// When the verdict becomes final.
    pub(super) certainty: Certainty,
    /// Time to the answer's headers.
    pub(super) latency: Duration,
    /// The rules that judge a body that breaks off.
    pub(super) rules: Rules,
    /// The caller's own deadline gave the upstream too little time.
    pub(super) is_hurried: bool,
}

/// Reads the body ahead if a rule needs it and it can be read as JSON, or if a probe has to know its end. Returns when that was
/// done; `at` is when the head came.
pub(super) async fn look_into(
    (response, at): (Response<Download>, Instant),
    (rules, is_probe): (&Rules, bool),
    mut patience: Patience,
) -> (Response<Source>, Instant) {
    let headers = response.headers();
    let is_asked = rules.want_body(response.status().as_u16(), headers) && announce_json(headers);
    let is_unsure = is_probe
        && !is_open_ended(response.status(), headers)
        && response.body().size_hint().exact().is_none();
    if !is_asked && !is_unsure {
        return (response.map(Source::unread), at);
    }
    if !is_asked {
        patience.until = patience.until.min(Deadline::after(at, PROBE_PATIENCE));
    }
    let (head, body) = response.into_parts();
    let source = Source::read_ahead(body, patience).await;
    (Response::from_parts(head, source), now())
}

/// The verdict on an answer: of the route's rules, of its gRPC status, or of its HTTP status; and when it is certain.
///
/// A verdict that the upstream works becomes certain at the end of the body, since a body that breaks off shows the opposite.
/// Every other one is certain at the headers, and so is one on a body that is endless by nature or, for a probe, neither short
/// nor read to its end: no download and no stream may hold a half-open breaker's probe.
pub(super) fn classify(
    response: &Response<Source>,
    rules: &Rules,
    is_probe: bool,
) -> (Verdict, Certainty) {
    let (status, headers) = (response.status(), response.headers());
    let json = response.body().json();
    let answer = Answer {
        status: status.as_u16(),
        headers,
        json: json.as_ref(),
    };
    let verdict = match rules.find(&answer) {
        Some(verdict) => verdict,
        None if status == StatusCode::OK && grpc::is_spoken(headers) => {
            return grpc_verdict(response, is_probe);
        }
        None => rules.of_answer(&answer),
    };
    let body = response.body();
    let is_short = body.is_read()
        || body
            .size_hint()
            .upper()
            .is_some_and(|length| length <= SHORT);
    let is_proof = match verdict.outcome {
        Outcome::Success | Outcome::Alive => true,
        Outcome::Failure | Outcome::Throttled | Outcome::Ignored => false,
    };
    let is_certain = !is_proof || is_open_ended(status, headers) || is_probe && !is_short;
    let certainty = if is_certain {
        Certainty::AtHeaders
    } else {
        Certainty::AtEnd
    };
    (verdict, certainty)
}

/// Whether the body is endless by nature: after a switch of protocols, or an event stream.
fn is_open_ended(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS
        || headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// A status in the headers is final, and there is none elsewhere if no body follows. A probe does not wait for trailers that
/// have not come: a stream may go on for hours.
fn grpc_verdict(response: &Response<Source>, is_probe: bool) -> (Verdict, Certainty) {
    if let Some(verdict) = grpc::verdict(response.headers()) {
        return (verdict, Certainty::AtHeaders);
    }
    if response.body().is_end_stream() {
        return (grpc::without_status(), Certainty::AtHeaders);
    }
    let answered = Verdict::of_status(StatusCode::OK.as_u16(), false);
    let certainty = if is_probe && !response.body().is_read() {
        Certainty::AtHeaders
    } else {
        Certainty::InTrailers
    };
    (answered, certainty)
}

/// The verdict on a failure; it says nothing unless the upstream caused it.
pub(super) fn of_failure(failure: Failure, rules: &Rules) -> Verdict {
    match failure.blame() {
        Blame::Upstream => rules.of_error(failure.label()),
        Blame::Ours | Blame::Caller => {
            Verdict::plain(Outcome::Ignored, Label::Named(failure.label()))
        }
    }
}

impl Judged {
    /// Takes the verdict from the trailers, if it depends on them.
    pub(super) fn hear(&mut self, trailers: &HeaderMap) {
        if self.certainty == Certainty::InTrailers
            && let Some(verdict) = grpc::verdict(trailers)
        {
            self.verdict = if self.is_hurried {
                grpc::excused(verdict)
            } else {
                verdict
            };
            self.certainty = Certainty::AtHeaders;
        }
    }

    /// The verdict when the body broke off before it was certain. A stream of gRPC's may be silent for as long as nothing happens, and
    /// the protocol does not tell one from an answer that hangs.
    pub(super) fn at_break(&self, failure: Failure) -> Verdict {
        if self.certainty == Certainty::InTrailers && failure == Failure::IdleTimeout {
            let label = failure.label();
            let by_rule = self.rules.find_error(label);
            return by_rule
                .unwrap_or_else(|| Verdict::plain(Outcome::Ignored, Label::Named(label)));
        }
        of_failure(failure, &self.rules)
    }

    /// The verdict when the body has ended well.
    pub(super) fn at_end(&self) -> Verdict {
        match self.certainty {
            Certainty::AtHeaders | Certainty::AtEnd => self.verdict,
            Certainty::InTrailers => grpc::without_status(),
        }
    }
}

/// The sample for a breaker. What says nothing about the upstream was not slow either.
pub(super) fn sample(verdict: Verdict, latency: Duration) -> Sample {
    verdict.sample((verdict.outcome != Outcome::Ignored).then_some(latency))
}
