//! The command line.
//!
//! Exit codes: 0 for success, 1 when the system or a running sidefuse refuses something (an address, a file, an order), 2 for bad usage,
//! 3 for `ctl breakers --exit-code` with an open breaker, 70 for a defect of ours, 78 for a bad configuration, 128 + signal when a second
//! signal cut the shutdown short.

mod check;
mod client;
mod config;
mod ctl;
mod demo;
mod init;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Code, Look};
use crate::docs::{PAGES, Page};
use check::CheckArgs;
use config::ConfigArgs;
use ctl::{CtlArgs, HealthcheckArgs};
use init::InitArgs;

/// A sidecar that keeps an application up when the services it calls go down.
#[derive(Debug, Parser)]
#[command(
    name = "sidefuse",
    version,
    about,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry traffic (what happens without a command, too)
    Run(RunCommand),
    /// Write a first configuration from the URLs in an application's .env files and package.json
    Init(InitArgs),
    /// Check configuration files, contacting nobody
    Check(CheckArgs),
    /// Print what counts: the whole configuration with everything that is not written, secrets masked
    Config(ConfigArgs),
    /// Ask and command a running sidefuse: which breaker is open and why, open and close it, reload
    Ctl(CtlArgs),
    /// Ask a running sidefuse whether all is well, for images without a shell; ends with 1 if not
    Healthcheck(HealthcheckArgs),
    /// Tell more about a diagnostic
    Explain {
        /// Its code, such as C012; 12 will do
        #[arg(value_name = "CODE")]
        code: Code,
    },
    /// Read the documentation: all pages, or one of them
    Docs {
        /// The page
        #[arg(value_enum, value_name = "PAGE")]
        page: Option<Page>,
    },
    /// Print the JSON Schema of the configuration, for editors and checks before a deployment
    Schema,
    /// See a circuit breaker trip and recover: no configuration, no network, a dozen seconds
    Demo,
    /// Print the version
    Version,
}

#[derive(Args, Debug)]
struct RunCommand {
    /// The configuration file
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    #[command(flatten)]
    args: RunArgs,
}

#[derive(Args, Debug)]
struct RunArgs {
    /// The configuration file, reloaded whenever it changes; without it the one that SIDEFUSE_CONFIG names
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ValueEnum for Page {
    fn value_variants<'a>() -> &'a [Self] {
        PAGES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name).help(self.title()))
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let Cli { command, run } = Cli::parse();
    match command {
        None => run::run(run.config),
        Some(Command::Run(RunCommand { file, args })) => run::run(file.or(args.config)),
        Some(Command::Init(args)) => init::init(args),
        Some(Command::Check(args)) => check::check(args),
        Some(Command::Config(args)) => config::config(args),
        Some(Command::Ctl(args)) => ctl::ctl(args),
        Some(Command::Healthcheck(args)) => ctl::healthcheck(args),
        Some(Command::Explain { code }) => print(&explain(code)),
        Some(Command::Docs { page: Some(page) }) => print(page.text),
        Some(Command::Docs { page: None }) => print(&pages()),
        Some(Command::Schema) => print(&schema()),
        Some(Command::Demo) => demo::demo(),
        Some(Command::Version) => print(&format!("sidefuse {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

fn explain(code: Code) -> String {
    let section = Page::named("codes").and_then(|page| page.section(code.as_str()));
    format!("{}\n", section.unwrap_or(code.meaning()).trim_end())
}

fn pages() -> String {
    let pages = PAGES.iter();
    let mut list: String = pages
        .map(|page| format!("{:<14} {}\n", page.name, page.title()))
        .collect();
    list.push_str(
        "\n`sidefuse docs PAGE` prints one of them; the admin port shows them at /docs.\n",
    );
    list
}

fn schema() -> String {
    format!("{:#}\n", crate::config::schema())
}

/// Prints to standard output. A reader that has gone (`| head`) is no error; whatever else keeps the text from being written is.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    let mut output = std::io::stdout();
    let written = output.write_all(text.as_bytes());
    match written.and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format!("error: cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

/// Says on standard error what went wrong. If that fails, nothing more can be done.
fn complain(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

/// The look of standard error: coloured on a terminal, unless `NO_COLOR` is set (https://no-color.org).
fn look() -> Look {
    use std::io::IsTerminal as _;
    let is_set = |name| environment(name).is_some_and(|value| !value.is_empty());
    let is_dumb = environment("TERM").is_some_and(|term| term == "dumb");
    if std::io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb {
        Look::Coloured
    } else {
        Look::Plain
    }
}

/// The configuration file that SIDEFUSE_CONFIG names; an empty name is none.
fn configured() -> Option<PathBuf> {
    let name = std::env::var_os("SIDEFUSE_CONFIG")?;
    (!name.is_empty()).then(|| name.into())
}

/// Looks up an environment variable; one that is not Unicode counts as absent.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
