//! The configuration in force, and the request to reload it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::beside::beside;
use super::context::{ConfigStatus, Context, ReloadReport, ReloadRequest};
use super::reply::{Answer, Form, Problem, json, plain};
use crate::config::{Row, Source};
use crate::snapshot::Snapshot;
use crate::time::{Deadline, now, stamp, timeout_at};

/// How long a request for a reload waits for its result.
const PATIENCE: Duration = Duration::from_secs(30);

/// The settings in force for all routes, without anything that could be a secret.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config {
    revision: String,
    loaded_at: String,
    last_error: Option<Refused>,
    file: String,
    settings: Vec<Value>,
    /// The names of the routes: the settings of ten thousand routes would be too much for one answer.
    routes: Vec<String>,
}

/// The same for one route.
#[derive(Serialize)]
pub(super) struct RouteConfig {
    name: String,
    revision: String,
    file: String,
    settings: Vec<Value>,
}

#[derive(Serialize)]
struct Refused {
    at: String,
    diagnostics: String,
}

#[derive(Serialize)]
struct Reloaded {
    revision: String,
    changed: bool,
    changes: Option<String>,
}

impl Config {
    /// The settings in force.
    ///
    /// # Errors
    /// 500 for a defect of ours.
    pub(super) async fn of(status: &ConfigStatus, snapshot: &Snapshot) -> Result<Self, Problem> {
        let (settings, routes) = ask(snapshot, Source::shared).await?;
        Ok(Self {
            revision: snapshot.revision.clone(),
            loaded_at: stamp(status.loaded_at),
            last_error: status.last_error.as_ref().map(|error| Refused {
                at: stamp(error.at),
                diagnostics: error.diagnostics.clone(),
            }),
            file: snapshot.source.file().to_owned(),
            settings: told(&settings),
            routes,
        })
    }
}

impl RouteConfig {
    /// The settings in force for the route of that name, which is one of the snapshot's.
    ///
    /// # Errors
    /// 500 for a defect of ours.
    pub(super) async fn of(name: &str, snapshot: &Snapshot) -> Result<Self, Problem> {
        Ok(Self {
            name: name.to_owned(),
            revision: snapshot.revision.clone(),
            file: snapshot.source.file().to_owned(),
            settings: settings(name, snapshot).await?,
        })
    }
}

/// The settings in force for the route of that name, which is one of the snapshot's.
///
/// # Errors
/// 500 for a defect of ours.
pub(super) async fn settings(name: &str, snapshot: &Snapshot) -> Result<Vec<Value>, Problem> {
    let asked = name.to_owned();
    let rows = ask(snapshot, move |source| source.route(&asked)).await?;
    Ok(told(&rows))
}

/// Computes the settings in force on another thread: a large file takes time.
async fn ask<T: Send + 'static>(
    snapshot: &Snapshot,
    what: impl FnOnce(&Source) -> Option<T> + Send + 'static,
) -> Result<T, Problem> {
    let source = Arc::clone(&snapshot.source);
    let told = beside(move || what(&source)).await?;
    told.ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a defect in sidefuse: the configuration in force cannot be read again",
        )
    })
}

fn told(rows: &[Row]) -> Vec<Value> {
    rows.iter().map(Row::json).collect()
}

/// Checks the body of a reload, which takes no settings: nothing, or an empty object.
///
/// # Errors
/// 400 for anything else.
pub(super) fn check_body(body: &[u8]) -> Result<(), Problem> {
    let body = body.trim_ascii();
    let is_empty = body.is_empty()
        || serde_json::from_slice::<Map<String, Value>>(body)
            .is_ok_and(|members| members.is_empty());
    if is_empty {
        Ok(())
    } else {
        Err(Problem::bad_request("a reload takes an empty body or `{}`"))
    }
}

/// Asks for a reload and waits for its result.
///
/// # Errors
/// 503 when the request is not taken or its result takes too long.
pub(super) async fn reload(context: &Context, by: String) -> Result<ReloadReport, Problem> {
    let (reply, result) = oneshot::channel();
    let asked = async {
        let request = ReloadRequest { by, reply };
        context.reload.send(request).await.ok()?;
        result.await.ok()
    };
    match timeout_at(Deadline::after(now(), PATIENCE), asked).await {
        Ok(Some(report)) => Ok(report),
        Ok(None) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the process is shutting down and loads nothing any more",
        )),
        Err(crate::time::Elapsed) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the reload is still under way; `GET /config` will show its result",
        )),
    }
}

/// The result as an answer: 200, or 422 for a configuration that was refused.
pub(super) fn answer(report: ReloadReport, form: Form) -> Result<Answer, Problem> {
    let reloaded = match report {
        ReloadReport::Applied { revision, changes } => Reloaded {
            revision,
            changed: true,
            changes: Some(changes),
        },
        ReloadReport::Unchanged { revision } => Reloaded {
            revision,
            changed: false,
            changes: None,
        },
        ReloadReport::Refused {
            diagnostics,
            errors,
            revision,
        } => {
            let detail = "the configuration is wrong, so the one in force stays";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
                .with("errors", errors)
                .with("diagnostics", diagnostics)
                .with("revision", revision));
        }
    };
    match form {
        Form::Json => json(StatusCode::OK, &reloaded),
        Form::Text => {
            let Reloaded {
                revision, changes, ..
            } = reloaded;
            let text = match changes {
                Some(changes) => format!("revision {revision} is in force: {changes}\n"),
                None => format!("revision {revision} was in force already\n"),
            };
            Ok(plain(StatusCode::OK, text))
        }
    }
}
