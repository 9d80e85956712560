//! From a request to its answer: the page to read first.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::IF_NONE_MATCH;
use http::request::Parts;

use super::access::{Caller, Denied, authorize};
use super::beside::beside;
use super::breakers::{Wanted, list, one};
use super::config::{self, Config, RouteConfig};
use super::context::{Context, ReloadReport};
use super::endpoint::{Endpoint, Port};
use super::explain::explanation;
use super::guard::{check_change, check_host};
use super::health::probe;
use super::metrics::render_metrics;
use super::obey::obey;
use super::orders::{shown, wish};
use super::reply::{Answer, Form, Problem, html, json, not_modified, plain, seal, tag, with_body};
use super::token::{Keyring, presented};
use crate::arena::Arena;
use crate::config::similar;
use crate::docs::POLICY;
use crate::snapshot::{Route, Snapshot};
use crate::telemetry::{Acceptance, Correlation, CorrelationId, exposition};
use crate::time::Moment;
use crate::wire::names_version;

/// The most names that a 404 lists.
const MOST_NAMES: usize = 50;
/// The most similar names that a 404 suggests.
const MOST_NEAREST: usize = 3;

/// Answers the requests of one listener.
pub(super) struct Desk {
    context: Arc<Context>,
    port: Port,
    keyring: Keyring,
}

/// Who does what, for the log.
pub(super) struct Deed<'a> {
    pub(super) actor: &'a str,
    pub(super) remote: String,
    pub(super) correlation: &'a CorrelationId,
}

impl Desk {
    /// The desk of a listener.
    pub(super) fn new(context: Arc<Context>, port: Port) -> Self {
        Self {
            context,
            port,
            keyring: Keyring::default(),
        }
    }

    /// The most open connections of one listener.
    pub(super) fn most_connections(&self) -> usize {
        self.context.descriptors.operators()
    }

    /// Answers a request whose body has been read, as far as it could be.
    pub(super) async fn answer(
        &self,
        parts: &Parts,
        body: Result<Bytes, Problem>,
        caller: &Caller,
    ) -> Answer {
        let snapshot = self.context.snapshot.load_full();
        let plan = &snapshot.plan.correlation;
        let acceptance = Acceptance {
            headers: &plan.accept,
            max_length: plan.max_length,
        };
        let Correlation { id, replaced: _ } =
            Correlation::of(&parts.headers, acceptance, &Arena::default());
        let mut answer = match self.relay(&snapshot, parts, body, (caller, &id)).await {
            Ok(answer) => answer,
            Err(problem) => problem.answer(&id, Form::of(&parts.headers)),
        };
        seal(&mut answer, &plan.header, &id);
        answer
    }

    async fn relay(
        &self,
        snapshot: &Arc<Snapshot>,
        parts: &Parts,
        body: Result<Bytes, Problem>,
        (caller, correlation): (&Caller, &CorrelationId),
    ) -> Result<Answer, Problem> {
        let (moment, form) = (Moment::read(), Form::of(&parts.headers));
        let access = &snapshot.plan.admin;
        if self.port == Port::Admin {
            check_host(parts, caller, &access.allowed_hosts)?;
        }
        let endpoint = Endpoint::find(self.port, parts.uri.path())?;
        endpoint.check_method(&parts.method)?;
        let actor = match self.port {
            // Nothing is protected here: what it shows is for all that can reach it.
            Port::Health => "anyone".to_owned(),
            Port::Admin => {
                let keys = self.keyring.keys(access, moment.now);
                let token = presented(&parts.headers);
                authorize(caller, endpoint.right(), token.as_ref(), &keys).map_err(denied)?
            }
        };
        let body = body?;
        let deed = Deed {
            actor: &actor,
            remote: caller.remote(),
            correlation,
        };
        match endpoint {
            Endpoint::Breakers => {
                let (snapshot, headers) = (Arc::clone(snapshot), parts.headers.clone());
                let wanted = Wanted::of(parts)?;
                beside(move || {
                    let (list, version) = list(&snapshot, &moment, wanted);
                    let mut answer =
                        if names_version(&headers.get_all(IF_NONE_MATCH), Some(version.as_bytes()))
                        {
                            not_modified()
                        } else {
                            match wanted.form {
                                Form::Text => plain(StatusCode::OK, list.table()),
                                Form::Json => json(StatusCode::OK, &list)?,
                            }
                        };
                    tag(&mut answer, &version);
                    Ok(answer)
                })
                .await?
            }
            Endpoint::Breaker(name) => {
                let route = named(snapshot, name, BREAKER)?;
                let view = route.breaker.view(moment.now);
                let one = one(route, &view, &moment);
                let settings = config::settings(&route.name, snapshot).await?;
                json(StatusCode::OK, &one.with_settings(settings))
            }
            Endpoint::Explain(name) => {
                let route = named(snapshot, name, BREAKER)?;
                let view = route.breaker.view(moment.now);
                let explanation = explanation(route, &view, &moment);
                match form {
                    Form::Text => Ok(plain(StatusCode::OK, explanation.text())),
                    Form::Json => json(StatusCode::OK, &explanation),
                }
            }
            Endpoint::Order(name, verb) => {
                check_change(parts, caller, &body)?;
                let route = named(snapshot, name, BREAKER)?;
                let wish = wish(verb, &body, moment.now)?;
                let obeyed = obey(route, verb, wish, (&deed, &moment))?;
                obeyed.answer(form)
            }
            Endpoint::Config => {
                let status = self.context.config.load_full();
                json(StatusCode::OK, &Config::of(&status, snapshot).await?)
            }
            Endpoint::RouteConfig(name) => {
                let route = named(snapshot, name, ROUTE)?;
                let config = RouteConfig::of(&route.name, snapshot).await?;
                json(StatusCode::OK, &config)
            }
            Endpoint::Reload => {
                check_change(parts, caller, &body)?;
                config::check_body(&body)?;
                let before = self.context.config.load_full().revision.clone();
                let report = config::reload(&self.context, actor.clone()).await?;
                deed.tell_reload(&before, &report);
                config::answer(report, form)
            }
            Endpoint::Metrics => {
                let (context, now) = (Arc::clone(&self.context), moment.now);
                let text = beside(move || render_metrics(&context, now)).await?;
                Ok(with_body(
                    StatusCode::OK,
                    exposition::CONTENT_TYPE,
                    text.into(),
                ))
            }
            Endpoint::Docs(page) => Ok(html(page.html().into(), POLICY)),
            Endpoint::Probe(which) => probe(&self.context, which, form),
        }
    }
}

impl Deed<'_> {
    fn tell_reload(&self, before: &str, report: &ReloadReport) {
        let (after, result) = match report {
            ReloadReport::Applied { revision, .. } => (revision, "applied"),
            ReloadReport::Unchanged { revision } => (revision, "unchanged"),
            ReloadReport::Refused { revision, .. } => (revision, "refused"),
        };
        tracing::info!(
            actor = self.actor,
            remote = self.remote,
            action = "reload",
            target = "config",
            before,
            after,
            result,
            correlation_id = self.correlation.as_str(),
            "Admin action"
        );
    }
}

fn denied(denied: Denied) -> Problem {
    match denied {
        Denied::Unauthenticated(detail) => Problem::unauthenticated(detail),
        Denied::Forbidden(detail) => Problem::forbidden(detail),
    }
}

/// What a message calls a route of that path, singular and plural.
type Noun = (&'static str, &'static str);
const BREAKER: Noun = ("breaker", "breakers");
const ROUTE: Noun = ("route", "routes");

/// The route of that name, or a 404 that helps.
fn named<'a>(
    snapshot: &'a Snapshot,
    name: &str,
    (one, many): Noun,
) -> Result<&'a Arc<Route>, Problem> {
    snapshot.route(name).ok_or_else(|| {
        let names = || snapshot.routes.iter().map(|route| &*route.name);
        let nearest = similar(name, names(), MOST_NEAREST);
        let mut detail = format!("there is no {one} {}", shown(name));
        if let Some(first) = nearest.first() {
            detail.push_str(&format!("; did you mean `{first}`?"));
        }
        Problem::new(StatusCode::NOT_FOUND, detail)
            .with("nearest", nearest)
            .with(many, names().take(MOST_NAMES).collect::<Vec<_>>())
            .with("total", snapshot.routes.len())
    })
}
