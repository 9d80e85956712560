//! `sidefuse ctl` and `sidefuse healthcheck`: the admin port of a running sidefuse, from the command line.

mod ask;
mod target;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::StatusCode;
use serde::Deserialize;
use tokio::task::LocalSet;

use self::ask::{Ask, Command, ask};
use self::target::{Target, TargetArgs};
use super::client::{Answer, Client};
use super::{complain, print};
use crate::text::chain;
use crate::time::{Deadline, now, timeout_at};

/// How long an answer is waited for: a reload has half a minute.
const PATIENCE: Duration = Duration::from_secs(35);
/// How long the answer to a probe is waited for.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);
const PLAIN: &str = "text/plain";
const JSON: &str = "application/json";

/// What to ask or order, and of whom.
#[derive(Args, Debug)]
pub(super) struct CtlArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// For people, or what the admin port answers to programs
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

/// Whom the output is for.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// People.
    #[default]
    Table,
    /// Programs.
    Json,
}

/// Which probe to ask, and of whom.
#[derive(Args, Debug)]
pub(super) struct HealthcheckArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// What to ask
    #[arg(value_enum, default_value_t, value_name = "PROBE")]
    probe: Probe,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Probe {
    /// Whether it carries traffic, and is not about to end
    #[default]
    Ready,
    /// Whether the process does its work
    Live,
    /// Whether it has started
    Startup,
}

#[derive(Deserialize)]
struct List {
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    open: usize,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

/// Why a command fails.
#[derive(Debug)]
enum Failure {
    /// It cannot be asked as it stands.
    Usage(String),
    /// It was not done.
    Refused(String),
}

/// Asks or orders. The exit code is 1 when it was not done, 2 for what cannot be asked, 3 if a breaker is open and that was the question.
pub(super) fn ctl(args: CtlArgs) -> ExitCode {
    let CtlArgs {
        target,
        output,
        command,
    } = args;
    let asks_for_open = matches!(
        command,
        Command::Breakers {
            exit_code: true,
            ..
        }
    );
    let asked = ask(command).and_then(|ask| {
        let target = target.target(&complain).map_err(Failure::Usage)?;
        let accept = match output {
            Output::Table => PLAIN,
            Output::Json => JSON,
        };
        let answer = call(&target, &ask, accept, PATIENCE)?;
        // Asked apart, so that the exit code never depends on how a table reads.
        let finds_open = asks_for_open && is_any_open(&target)?;
        Ok((answer, finds_open))
    });
    match asked {
        Ok((text, finds_open)) => {
            let printed = print(&text);
            if finds_open {
                ExitCode::from(3)
            } else {
                printed
            }
        }
        Err(failure) => tell(&failure),
    }
}

/// Asks a probe. The exit code is 0 if all is well, else 1.
pub(super) fn healthcheck(args: HealthcheckArgs) -> ExitCode {
    let path = match args.probe {
        Probe::Ready => "/readyz",
        Probe::Live => "/livez",
        Probe::Startup => "/startup",
    };
    let ask = Ask::get(path);
    let asked = args.target.target(&complain).map_err(Failure::Usage);
    match asked.and_then(|target| call(&target, &ask, PLAIN, PROBE_PATIENCE)) {
        Ok(text) => print(&text),
        Err(failure) => tell(&failure),
    }
}

fn tell(failure: &Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Usage(text) => (text, 2),
        Failure::Refused(text) => (text, 1),
    };
    complain(&format!("error: {text}"));
    ExitCode::from(code)
}

fn is_any_open(target: &Target) -> Result<bool, Failure> {
    let text = call(target, &Ask::get("/circuit-breakers"), JSON, PATIENCE)?;
    let list: List = serde_json::from_str(&text).map_err(|error| {
        Failure::Refused(format!(
            "{} answered something else than a list of breakers: {error}",
            target.name()
        ))
    })?;
    Ok(list.summary.open > 0)
}

/// Makes the call; returns the body of the answer, or what it says against it.
fn call(
    target: &Target,
    ask: &Ask,
    accept: &'static str,
    patience: Duration,
) -> Result<String, Failure> {
    let Ask { method, path, body } = ask;
    let name = target.name();
    let failed = |why: String| Failure::Refused(format!("{method} {path} of {name}: {why}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(chain(&error)))?;
    let mut client = Client::new(target.server.clone()).with_headers(target.headers(accept));
    let answered = LocalSet::new().block_on(&runtime, async {
        let call = client.call(method.clone(), path, body.clone());
        timeout_at(Deadline::after(now(), patience), call).await
    });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let Answer { status, body, .. } = answered
        .map_err(|_| failed(format!("no answer within {} s", patience.as_secs())))?
        .map_err(|error| {
            failed(format!(
                "{}; does sidefuse run there? `--admin` names another place",
                chain(&error)
            ))
        })?;
    let text = String::from_utf8_lossy(&body);
    if status == StatusCode::OK {
        return Ok(text.into_owned());
    }
    let said = serde_json::from_str(&text)
        .map_or(text.trim().to_owned(), |problem: Problem| problem.detail);
    Err(match accept {
        JSON => Failure::Refused(format!("{} {said}", status.as_u16())),
        _ => Failure::Refused(said),
    })
}
