//! What a command asks of the admin port.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value};

use super::Failure;

/// A command for a running sidefuse.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All breakers, what rejects first: which is open, and why
    Breakers {
        /// Those in this state only: closed, open or half_open
        #[arg(long)]
        state: Option<String>,
        /// End with 3 if any breaker is open
        #[arg(long)]
        exit_code: bool,
    },
    /// Why a breaker is in its state: how far it is from each threshold, its latest failures, what happened to it
    Inspect {
        /// Its route
        name: String,
    },
    /// Refuse all calls of a route, until another order or for some time
    Open {
        #[command(flatten)]
        order: Order,
        /// How long, such as 15m; without it until another order
        #[arg(long = "for", value_name = "DURATION")]
        lasting: Option<String>,
    },
    /// Close a breaker and count from zero
    Close {
        #[command(flatten)]
        order: Order,
        /// Keep it closed, whatever happens
        #[arg(long)]
        hold: bool,
        /// How long to hold it, such as 15m; without it until another order
        #[arg(long = "for", value_name = "DURATION", requires = "hold")]
        lasting: Option<String>,
    },
    /// Close a breaker and forget what was counted
    Clear {
        #[command(flatten)]
        order: Order,
    },
    /// Drop the hold: the automatic state counts again
    Auto {
        #[command(flatten)]
        order: Order,
    },
    /// Load the configuration now, and say what became of it
    Reload,
}

/// An order to one breaker.
#[derive(Args, Debug)]
pub(super) struct Order {
    /// The breaker's route
    name: String,
    /// Why; it stands in the log and in what callers are told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The breaker of this key alone: its text, or the 16 digits that logs and `inspect` show
    #[arg(long)]
    key: Option<String>,
}

/// A request to the admin port.
#[derive(Debug, PartialEq)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    /// JSON, or nothing.
    pub(super) body: Vec<u8>,
}

impl Ask {
    /// A question.
    pub(super) fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            body: Vec::new(),
        }
    }
}

/// The request that a command means.
///
/// # Errors
/// A name that cannot stand in a path.
pub(super) fn ask(command: Command) -> Result<Ask, Failure> {
    match command {
        Command::Breakers {
            state: None,
            exit_code: _,
        } => Ok(Ask::get("/circuit-breakers")),
        Command::Breakers {
            state: Some(state),
            exit_code: _,
        } => Ok(Ask::get(&format!(
            "/circuit-breakers?state={}",
            word("a state", &state)?
        ))),
        Command::Inspect { name } => Ok(Ask::get(&format!(
            "/circuit-breakers/{}/explain",
            word("a breaker", &name)?
        ))),
        Command::Open { order, lasting } => order.ask("open", lasting, false),
        Command::Close {
            order,
            hold,
            lasting,
        } => order.ask("close", lasting, hold),
        Command::Clear { order } => order.ask("clear", None, false),
        Command::Auto { order } => order.ask("auto", None, false),
        Command::Reload => Ok(Ask {
            method: Method::POST,
            path: "/config/reload".to_owned(),
            body: Vec::new(),
        }),
    }
}

impl Order {
    fn ask(self, verb: &str, lasting: Option<String>, hold: bool) -> Result<Ask, Failure> {
        let path = format!(
            "/circuit-breakers/{}/{verb}",
            word("a breaker", &self.name)?
        );
        let texts = [("reason", self.reason), ("for", lasting), ("key", self.key)];
        let mut body: Map<String, Value> = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?))))
            .collect();
        if hold {
            body.insert("hold".to_owned(), Value::from(true));
        }
        Ok(Ask {
            method: Method::POST,
            path,
            body: Value::Object(body).to_string().into_bytes(),
        })
    }
}

/// A name that may stand in a path as it is.
fn word<'a>(what: &str, name: &'a str) -> Result<&'a str, Failure> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.is_empty() && name.bytes().all(fits) {
        return Ok(name);
    }
    Err(Failure::Usage(format!(
        "{what} cannot be called {name:?}: names have letters, digits, `-` and `_`"
    )))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command as Top};

    fn asked(line: &str) -> Ask {
        let arguments = ["sidefuse", "ctl"].into_iter().chain(line.split(' '));
        let Some(Top::Ctl(args)) = Cli::try_parse_from(arguments).unwrap().command else {
            panic!("{line} is no ctl");
        };
        ask(args.command).unwrap()
    }

    #[test]
    fn each_command_is_one_call_of_the_admin_port() {
        for (line, method, path, body) in [
            ("breakers", Method::GET, "/circuit-breakers", ""),
            (
                "breakers --state open",
                Method::GET,
                "/circuit-breakers?state=open",
                "",
            ),
            (
                "inspect email",
                Method::GET,
                "/circuit-breakers/email/explain",
                "",
            ),
            (
                "open email",
                Method::POST,
                "/circuit-breakers/email/open",
                "{}",
            ),
            (
                "open email --for 15m --reason outage",
                Method::POST,
                "/circuit-breakers/email/open",
                r#"{"reason":"outage","for":"15m"}"#,
            ),
            (
                "close email --hold --for 15m --key tenant-7",
                Method::POST,
                "/circuit-breakers/email/close",
                r#"{"for":"15m","key":"tenant-7","hold":true}"#,
            ),
            (
                "clear email",
                Method::POST,
                "/circuit-breakers/email/clear",
                "{}",
            ),
            (
                "auto email",
                Method::POST,
                "/circuit-breakers/email/auto",
                "{}",
            ),
            ("reload", Method::POST, "/config/reload", ""),
        ] {
            let expected = Ask {
                method,
                path: path.to_owned(),
                body: body.as_bytes().to_vec(),
            };
            assert_eq!(asked(line), expected, "{line}");
        }
    }

    #[test]
    fn a_name_that_would_be_another_path_is_never_sent() {
        for name in ["", "a/b", "a?b", "a b", "é", "a%2fb"] {
            assert!(
                matches!(word("a breaker", name), Err(Failure::Usage(_))),
                "{name}"
            );
        }
    }
}
