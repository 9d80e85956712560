//! The probes of an orchestrator. None of them looks at upstreams: a breaker never makes a pod unready.

use std::sync::atomic::Ordering;

use http::StatusCode;
use serde::Serialize;

use super::context::Context;
use super::reply::{Answer, Form, Problem, json, plain};
use crate::net::Phase;

/// The question that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// `/healthz`, `/livez`: is the process alive? It is if it can answer.
    Live,
    /// `/readyz`: does it take traffic?
    Ready,
    /// `/startup`: did it start?
    Started,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// Answers the question.
pub(super) fn probe(context: &Context, probe: Probe, form: Form) -> Result<Answer, Problem> {
    let is_started = context.ready.load(Ordering::Acquire);
    let starting = (StatusCode::SERVICE_UNAVAILABLE, "starting");
    let (status, word) = match probe {
        Probe::Live => (StatusCode::OK, "alive"),
        Probe::Started if is_started => (StatusCode::OK, "started"),
        Probe::Ready if is_started => match context.phases.now() {
            Phase::Serving => (StatusCode::OK, "ready"),
            Phase::Draining | Phase::Closing => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        },
        Probe::Started | Probe::Ready => starting,
    };
    match form {
        Form::Json => json(status, &Health { status: word }),
        Form::Text => Ok(plain(status, format!("{word}\n"))),
    }
}
