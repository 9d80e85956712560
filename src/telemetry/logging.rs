//! Life-cycle events: what `tracing` says, in the same shape and through the same thread as the access lines.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use crate::time;

use super::escape::{self, Place};
use super::line::{Level, LineFormat, TimeText};
use super::pretty::{self, MAX_FIELD};
use super::worker_log::LogSpec;
use super::writer::{LogHandle, Loss};

/// Keys that every line has; a field of the same name gets a `_` behind it, so that no key stands twice.
const TAKEN: [&str; 6] = ["level", "time", "env", "service", "correlationId", "msg"];

/// Turns events into lines. Cheap to clone; all clones share what [`Logging::respec`] sets.
///
/// Our own targets (`sidefuse…`) are shown from the level of the [`LogSpec`] on. Those of libraries are shown from `error` on, and
/// from `warn` on where the level is `debug` or finer: the HTTP/2 library warns of each frame that a peer should not have sent, so
/// a peer could fill the log.
#[derive(Clone, Debug)]
pub struct Logging(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    handle: LogHandle,
    spec: ArcSwap<LogSpec>,
    times: Mutex<TimeText>,
}

impl Logging {
    /// Writes lines of that shape to that thread.
    #[must_use]
    pub fn new(handle: LogHandle, spec: Arc<LogSpec>) -> Self {
        let shared = Arc::new(Shared {
            handle,
            spec: ArcSwap::new(spec),
            times: Mutex::new(TimeText::new()),
        });
        // The handle must not keep what keeps the handle.
        let teller = Arc::downgrade(&shared);
        let notice = move |loss| teller.upgrade()?.line_of(loss);
        shared.handle.tell_losses(notice);
        Self(shared)
    }

    /// What lines look like at present; the same for a worker's access lines.
    #[must_use]
    pub fn spec(&self) -> Arc<LogSpec> {
        self.0.spec.load_full()
    }

    /// Applies to events from now on.
    pub fn respec(&self, spec: Arc<LogSpec>) {
        self.0.spec.store(spec);
        tracing::callsite::rebuild_interest_cache();
    }

    /// A subscriber of these events, for `tracing::subscriber::with_default` in tests.
    #[must_use]
    pub fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        Registry::default().with(self.clone())
    }

    /// Makes it the subscriber of the whole process.
    ///
    /// # Errors
    /// When the process already has one.
    pub fn install(&self) -> Result<(), SetGlobalDefaultError> {
        tracing::subscriber::set_global_default(self.subscriber())
    }
}

impl<S: Subscriber> Layer<S> for Logging {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let from = self.0.spec.load().level;
        let from = if is_ours(metadata) {
            from
        } else if from <= Level::Debug {
            Level::Warn
        } else {
            Level::Error
        };
        level_of(metadata) >= from
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.0.spec.load().level {
            Level::Trace => LevelFilter::TRACE,
            Level::Debug => LevelFilter::DEBUG,
            Level::Info => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            Level::Error => LevelFilter::ERROR,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let spec = self.0.spec.load();
        let mut fields = Fields::new(spec.format);
        event.record(&mut fields);
        let level = level_of(event.metadata());
        let mut line = Vec::with_capacity(256);
        fields.push_line(&mut line, level, &self.0.text_of(time::wall()), &spec);
        // Details are as many as calls are, and a library's events as many as a peer likes.
        if level < Level::Info || !is_ours(event.metadata()) {
            self.0.handle.send(line, 1);
        } else {
            self.0.handle.send_event(line);
        }
    }
}

impl Shared {
    fn text_of(&self, time: SystemTime) -> [u8; 24] {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        *times.at(time)
    }

    /// What stands where lines are missing.
    fn line_of(&self, loss: Loss) -> Option<Vec<u8>> {
        let spec = self.spec.load();
        if spec.level > Level::Warn {
            return None;
        }
        let mut fields = Fields::new(spec.format);
        "Log lines were lost: they could not be written".clone_into(&mut fields.message);
        fields.bare("lines", &loss.lines.to_string());
        fields.text("since", &String::from_utf8_lossy(&self.text_of(loss.since)));
        let mut line = Vec::with_capacity(256);
        fields.push_line(&mut line, Level::Warn, &self.text_of(time::wall()), &spec);
        Some(line)
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let rest = metadata.target().strip_prefix("sidefuse");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Error,
    }
}

/// The fields of one event. Those with a place of their own in the line are kept apart, the rest is written as it comes.
struct Fields {
    format: LineFormat,
    message: String,
    correlation_id: Option<String>,
    rest: Vec<u8>,
    /// Texts of several lines, in the format for people only.
    below: Vec<u8>,
}

impl Fields {
    fn new(format: LineFormat) -> Self {
        Self {
            format,
            message: String::new(),
            correlation_id: None,
            rest: Vec::new(),
            below: Vec::new(),
        }
    }

    fn push_line(&self, line: &mut Vec<u8>, level: Level, time: &[u8; 24], spec: &LogSpec) {
        match self.format {
            LineFormat::Json => {
                line.extend_from_slice(b"{\"level\":\"");
                line.extend_from_slice(level.label().as_bytes());
                line.extend_from_slice(b"\",\"time\":\"");
                line.extend_from_slice(time);
                line.extend_from_slice(b"\",");
                line.extend_from_slice(spec.stamp.json());
                if let Some(id) = &self.correlation_id {
                    line.extend_from_slice(b",\"correlationId\":");
                    push_quoted(line, id);
                }
                line.extend_from_slice(b",\"msg\":");
                push_quoted(line, &self.message);
                line.extend_from_slice(&self.rest);
                line.extend_from_slice(b"}\n");
            }
            LineFormat::Pretty { color } => {
                pretty::push_head(line, level, time, color);
                escape::push(line, self.message.as_bytes(), Place::Text, MAX_FIELD);
                line.extend_from_slice(&self.rest);
                if let Some(id) = &self.correlation_id {
                    pretty::push_field(line, color, b"correlation_id", id);
                }
                line.push(b'\n');
                line.extend_from_slice(&self.below);
            }
        }
    }

    /// A value that is written as it is in both shapes.
    fn bare(&mut self, name: &str, value: &str) {
        match self.format {
            LineFormat::Json => {
                push_key(&mut self.rest, name);
                self.rest.extend_from_slice(value.as_bytes());
            }
            LineFormat::Pretty { color } => {
                pretty::push_field(&mut self.rest, color, name.as_bytes(), value);
            }
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        match (name, self.format) {
            ("message", _) => value.clone_into(&mut self.message),
            ("correlation_id", _) => self.correlation_id = Some(value.to_owned()),
            (name, LineFormat::Json) => {
                push_key(&mut self.rest, name);
                push_quoted(&mut self.rest, value);
            }
            (_, LineFormat::Pretty { .. }) if value.contains('\n') => {
                pretty::push_block(&mut self.below, value);
            }
            (name, LineFormat::Pretty { color }) => {
                pretty::push_field(&mut self.rest, color, name.as_bytes(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare(field.name(), &value.to_string());
        } else {
            self.text(field.name(), &value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field.name(), &value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field.name(), &value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field.name(), if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    /// The whole chain in one text: a `Display` of ours never repeats its source.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            chain.push_str(": ");
            chain.push_str(&error.to_string());
            source = error.source();
        }
        self.text(field.name(), &chain);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }
}

fn push_quoted(line: &mut Vec<u8>, value: &str) {
    line.push(b'"');
    escape::push(line, value.as_bytes(), Place::Json, MAX_FIELD);
    line.push(b'"');
}

/// Appends `,"key":` with the name in camel case.
fn push_key(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    let begin = line.len();
    let mut raise = false;
    for byte in name.strip_prefix("r#").unwrap_or(name).bytes() {
        match byte {
            b'_' | b'.' => raise = true,
            byte if raise => {
                line.push(byte.to_ascii_uppercase());
                raise = false;
            }
            byte => escape::push(line, &[byte], Place::Json, 1),
        }
    }
    let taken = line
        .get(begin..)
        .is_some_and(|key| TAKEN.iter().any(|taken| taken.as_bytes() == key));
    if taken {
        line.push(b'_');
    }
    line.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Meters;
    use crate::telemetry::worker_log::tests::spec;
    use crate::telemetry::writer::LogWriter;
    use crate::telemetry::writer::tests::Memory;
    use std::io;
    use std::time::Duration;

    /// The lines that `events` leave, each without the two digits groups of its time.
    fn lines(spec: LogSpec, events: impl FnOnce(&Logging)) -> Vec<String> {
        let memory = Memory::default();
        let writer = LogWriter::spawn(memory.clone(), Meters::new().log_lines_dropped()).unwrap();
        let logging = Logging::new(writer.handle(), Arc::new(spec));
        tracing::subscriber::with_default(logging.subscriber(), || events(&logging));
        assert!(writer.shutdown(Duration::from_secs(60)));
        memory.text().lines().map(str::to_owned).collect()
    }

    fn messages(lines: &[String]) -> Vec<String> {
        lines
            .iter()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["msg"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot bind 127.0.0.1:80")]
    struct CannotBind(#[source] io::Error);

    fn say_all() {
        let error = CannotBind(io::Error::other("permission denied"));
        tracing::error!(
            error = &error as &dyn Error,
            breaker_name = "mail",
            correlation_id = "abc",
            attempts = 3_u64,
            change = -1_i64,
            ratio = 0.5,
            odd = f64::NAN,
            forced = true,
            address = %"127.0.0.1:80",
            debugged = ?Some("x\n"),
            level = "mine",
            "Circuit breaker {} \"\x1b[31m\u{2028}",
            "opened"
        );
    }

    #[test]
    fn an_event_is_one_json_object_in_the_shape_of_the_access_lines() {
        let lines = lines(spec(), |_| say_all());
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap();
        assert_eq!(
            object["error"],
            "cannot bind 127.0.0.1:80: permission denied"
        );
        let time = object["time"].as_str().unwrap();
        insta::assert_snapshot!(line.replace(time, "TIME"));
    }

    #[test]
    fn where_lines_are_missing_a_line_says_how_many_since_when() {
        let writer = LogWriter::spawn(io::sink(), Meters::new().log_lines_dropped()).unwrap();
        let logging = Logging::new(writer.handle(), Arc::new(spec()));
        let loss = Loss {
            lines: 17,
            since: SystemTime::UNIX_EPOCH + Duration::from_millis(1_760_626_800_007),
        };
        let line = logging.0.line_of(loss).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            (&line["level"], &line["lines"]),
            (&"warn".into(), &17.into())
        );
        assert_eq!(line["since"], "2025-10-16T15:00:00.007Z");
        let level = Level::Error;
        logging.respec(Arc::new(LogSpec { level, ..spec() }));
        assert_eq!(logging.0.line_of(loss), None);
    }

    #[test]
    fn a_pretty_event_is_one_line_without_control_characters() {
        let format = LineFormat::Pretty { color: false };
        let lines = lines(LogSpec { format, ..spec() }, |_| say_all());
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert!(!line.chars().any(char::is_control));
        insta::assert_snapshot!(&line["15:00:00.000".len()..]);
    }

    #[test]
    fn a_pretty_event_says_several_lines_below_its_own_where_none_can_be_forged() {
        let format = LineFormat::Pretty { color: false };
        let lines = lines(LogSpec { format, ..spec() }, |_| {
            let diagnostics = "error[C012]: unknown key\n --> a.yaml:1:1\n\x1b[31m1 error\n";
            tracing::error!(diagnostics, errors = 1_u64, "Configuration refused");
        });
        assert_eq!(
            lines.iter().map(|line| &line[12.min(line.len())..]).next(),
            Some(" ERROR Configuration refused errors=1")
        );
        assert_eq!(
            lines[1..],
            [
                "    error[C012]: unknown key",
                "     --> a.yaml:1:1",
                "    \\u001b[31m1 error"
            ]
        );
    }

    #[test]
    fn we_are_heard_from_our_level_on_and_libraries_from_error_on() {
        let lines = lines(spec(), |_| {
            tracing::debug!("ours, too fine");
            tracing::info!("ours");
            tracing::warn!(target: "h2::proto::ping_pong", "theirs, as often as a peer likes");
            tracing::info!(target: "sidefusegate", "not us");
            tracing::error!(target: "rustls", "theirs");
        });
        assert_eq!(messages(&lines), ["ours", "theirs"]);
    }

    #[test]
    fn warnings_of_libraries_are_heard_where_details_are_asked_for() {
        let level = Level::Debug;
        let lines = lines(LogSpec { level, ..spec() }, |_| {
            tracing::info!(target: "h2::client", "theirs, too fine");
            tracing::warn!(target: "h2::client", "theirs");
        });
        assert_eq!(messages(&lines), ["theirs"]);
    }

    #[test]
    fn the_level_changes_at_run_time() {
        let lines = lines(spec(), |logging| {
            for (level, message) in [
                (Level::Info, "no"),
                (Level::Debug, "yes"),
                (Level::Warn, "no"),
            ] {
                logging.respec(Arc::new(LogSpec { level, ..spec() }));
                tracing::debug!("{message}");
            }
        });
        assert_eq!(messages(&lines), ["yes"]);
    }
}
