//! The real binary as a child process, with everything it says.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::{fs, mem};

use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;
use super::keys;
use super::speech::{Said, Speech, listen};

/// A running sidefuse with a configuration file of its own. It is killed when dropped; if the test failed, what it said is shown.
#[derive(Debug)]
pub(crate) struct Sidefuse {
    process: Process,
    directory: TempDir,
    config: PathBuf,
    ready: Value,
}

impl Sidefuse {
    /// Runs it with this configuration and returns when it is ready. Listeners should ask for port 0.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_in(|directory| {
            let path = directory.join("sidefuse.yaml");
            write_whole(&path, config);
            path
        })
    }

    /// The same with a directory that `furnish` fills; it returns where the configuration is in it.
    pub(crate) fn start_in(furnish: impl FnOnce(&Path) -> PathBuf) -> Self {
        let whole = |command, _: &Path| Some(command);
        Self::start_as(furnish, whole).expect("a command that is left as it is")
    }

    /// The same by the command that `wrap` makes of the usual one, if it makes one.
    pub(crate) fn start_as(
        furnish: impl FnOnce(&Path) -> PathBuf,
        wrap: impl FnOnce(Command, &Path) -> Option<Command>,
    ) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let config = furnish(directory.path());
        let mut command = command();
        command.args(["run", "-c"]).arg(&config);
        let process = Process::spawn(wrap(command, directory.path())?);
        let ready = process.wait_for_line(|line| line["msg"] == "sidefuse is ready");
        Some(Self {
            process,
            directory,
            config,
            ready,
        })
    }

    /// Where it takes the application's calls.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.address("proxy")
    }

    /// Where operators reach it.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.address("admin")
    }

    /// Where operators reach it over TCP, if they do.
    pub(crate) fn try_admin(&self) -> Option<SocketAddr> {
        self.try_address("admin")
    }

    /// Where the read-only probes are.
    pub(crate) fn health(&self) -> SocketAddr {
        self.address("health")
    }

    /// Its configuration file.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.config.clone()
    }

    /// The directory of its own.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The revision that it started with.
    pub(crate) fn first_revision(&self) -> String {
        self.ready["revision"].as_str().unwrap().to_owned()
    }

    /// Replaces its configuration file in one step, as an editor or `kubectl` would.
    pub(crate) fn write_config(&self, config: &str) {
        write_whole(&self.config_path(), config);
    }

    /// The access lines so far, in their order. Exact with one worker: a last call of our own is made, and its line waited for.
    pub(crate) fn access_lines(&self) -> Vec<Value> {
        let id = uuid::Uuid::new_v4().to_string();
        let headers = [("X-Correlation-ID", &*id)];
        // Where there are too many connections the call is not read, so it gets an id that is not ours.
        while Client::connect(self.proxy())
            .request("GET", "/.end", &headers, "")
            .header("x-correlation-id")
            != Some(&id)
        {}
        self.process
            .wait_for_line(|line| line["correlationId"] == id.as_str());
        let mut lines = self.process.lines();
        lines.retain(|line| line.get("requestMethod").is_some() && line["requestPath"] != "/.end");
        lines
    }

    /// The access line of the one call to this path; waits for it, and fails when there is a second one.
    pub(crate) fn access_line(&self, path: &str) -> Value {
        let is_it =
            |line: &Value| line.get("requestMethod").is_some() && line["requestPath"] == path;
        self.process.wait_for_line(is_it);
        let mut lines = self.access_lines();
        lines.retain(is_it);
        assert_eq!(lines.len(), 1, "lines of {path}");
        lines.remove(0)
    }

    /// Waits for the log event with this message.
    pub(crate) fn event(&self, message: &str) -> Value {
        self.process.wait_for_line(|line| line["msg"] == message)
    }

    /// The process and what it said.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The first TCP address of a listener.
    fn address(&self, listener: &str) -> SocketAddr {
        self.try_address(listener)
            .unwrap_or_else(|| panic!("no address as {listener} in {}", self.ready))
    }

    fn try_address(&self, listener: &str) -> Option<SocketAddr> {
        let mut list = self.ready[listener].as_str()?.split(',');
        list.find_map(|address| address.trim().parse().ok())
    }
}

/// Sidefuse, not yet started, without the variables that the machine may have set for another one.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidefuse"));
    for variable in [
        "SIDEFUSE_CONFIG",
        "SIDEFUSE_ADMIN",
        "SIDEFUSE_TOKEN_FILE",
        "LOG_LEVEL",
        "NODE_ENV",
        "NO_COLOR",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Replaces a file in one step.
pub(crate) fn write_whole(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// What can be sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Please end.
    Term,
    /// The same, from a terminal.
    Int,
    /// The same, from whoever knows nginx.
    Quit,
    /// Please read the configuration again.
    Hup,
    /// Please open the logs anew.
    Usr1,
    /// Please replace yourself.
    Usr2,
    /// A file has reached its size limit.
    FileSize,
}

/// A child process whose standard output and error are read by threads from its first byte on.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    out: Arc<Said>,
    err: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn spawn(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (out, err) = (Arc::new(Said::default()), Arc::new(Said::default()));
        let readers = vec![
            listen(child.stdout.take().unwrap(), Arc::clone(&out)),
            listen(child.stderr.take().unwrap(), Arc::clone(&err)),
        ];
        Self {
            child,
            out,
            err,
            readers,
        }
    }

    /// The first JSON line of standard output that matches, said already or yet to come.
    pub(crate) fn wait_for_line(&self, matches: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_lines(1, matches).remove(0)
    }

    /// The same for that many lines, in their order.
    pub(crate) fn wait_for_lines(
        &self,
        count: usize,
        matches: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let found = |said: &Speech| -> Vec<Value> {
            said.json()
                .filter(|line| matches(line))
                .take(count)
                .collect()
        };
        let said = self
            .out
            .wait(|said| said.ended || found(said).len() == count);
        let found = found(&said);
        let ended = said.ended;
        drop(said);
        assert!(
            found.len() == count,
            "{} of {count} lines came (output ended: {ended})",
            found.len()
        );
        found
    }

    /// The JSON lines of standard output so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.now().json().collect()
    }

    /// Standard output so far, JSON or not.
    pub(crate) fn stdout(&self) -> String {
        self.out.now().lines.join("\n")
    }

    /// Standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.err.now().lines.join("\n")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Term => "-TERM",
            Signal::Int => "-INT",
            Signal::Quit => "-QUIT",
            Signal::Hup => "-HUP",
            Signal::Usr1 => "-USR1",
            Signal::Usr2 => "-USR2",
            Signal::FileSize => "-XFSZ",
        };
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(
            status.expect("running kill").success(),
            "kill {name} failed"
        );
    }

    /// Ends it at once, with nothing tidied up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end and returns the exit code; its whole output can be read then.
    pub(crate) fn wait_exit(&mut self) -> i32 {
        let ended =
            self.out.wait(|said| said.ended).ended && self.err.wait(|said| said.ended).ended;
        assert!(ended, "the process did not end");
        let status = self.child.wait().unwrap();
        status
            .code()
            .unwrap_or_else(|| panic!("a signal ended the process: {status}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in mem::take(&mut self.readers) {
            let _ = reader.join();
        }
        if thread::panicking() {
            let mut text = String::new();
            for (name, said) in [("stdout", &self.out), ("stderr", &self.err)] {
                let _ = writeln!(
                    text,
                    "--- {name} of the process ---\n{}",
                    said.now().lines.join("\n")
                );
            }
            eprint!("{text}");
            return;
        }
        let wrong = keys::wrong(self.out.now().json());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

mod tests {
    use serde_json::json;

    use super::*;
    use crate::support::client;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn(command)
    }

    #[test]
    fn lines_exit_code_and_standard_error_of_a_process_are_kept() {
        let mut process =
            shell(r#"echo '{"a":1}'; echo no json; echo '{"a":2}'; echo oh >&2; exit 7"#);
        assert_eq!(
            process.wait_for_line(|line| line["a"] == 2),
            json!({"a": 2})
        );
        assert_eq!(process.wait_exit(), 7);
        assert_eq!(process.lines(), [json!({"a": 1}), json!({"a": 2})]);
        assert_eq!(process.stderr(), "oh");
    }

    #[test]
    fn a_process_gets_the_signal_that_it_is_sent() {
        for (signal, name) in [
            (Signal::Term, "TERM"),
            (Signal::Int, "INT"),
            (Signal::Hup, "HUP"),
        ] {
            let mut process = shell(&format!(
                "trap 'kill $!; exit 3' {name}; sleep 60 >/dev/null 2>&1 & echo '{{}}'; wait"
            ));
            process.wait_for_line(|_| true);
            process.signal(signal);
            assert_eq!(process.wait_exit(), 3);
        }
    }

    #[test]
    #[should_panic(expected = "0 of 1 lines came (output ended: true)")]
    fn a_process_that_ends_without_the_line_is_not_waited_for() {
        shell("exit 0").wait_for_line(|_| true);
    }

    #[test]
    fn sidefuse_says_where_it_listens_and_ends_with_zero() {
        let listen = "listen: {proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0}";
        let config = format!(
            "version: 1\n{listen}\nroutes: {{crm: {{upstream: \"http://127.0.0.1:9\"}}}}\n"
        );
        let mut sidefuse = Sidefuse::start(&config);
        assert_eq!(fs::read_to_string(sidefuse.config_path()).unwrap(), config);
        sidefuse.write_config(&config);
        assert_eq!(client::get(sidefuse.health(), "/healthz").status(), 200);
        assert_eq!(
            client::get(sidefuse.admin(), "/circuit-breakers").status(),
            200
        );
        assert_eq!(client::get(sidefuse.proxy(), "/nowhere").status(), 404);
        sidefuse.process().signal(Signal::Term);
        assert_eq!(sidefuse.process().wait_exit(), 0);
    }
}
