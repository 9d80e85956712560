//! A worker's own buffer of access lines: no lock and no system call per line.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::time::{self, Deadline};

use super::access_log::{self, AccessRecord};
use super::line::{Level, LineFormat, Stamp, TimeText};
use super::sample::Sample;
use super::writer::LogHandle;

/// A buffer of this size is handed over at once.
const FULL: usize = 32 * 1024;
/// The longest time that a line stays in the buffer.
const LINGER: Duration = Duration::from_millis(25);

/// What lines look like and which of them are written; renewed by a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSpec {
    /// Service and environment.
    pub stamp: Stamp,
    /// Their shape.
    pub format: LineFormat,
    /// From which severity on they are written.
    pub level: Level,
    /// Which uneventful access lines are written.
    pub sample: Sample,
}

/// A worker's buffer of access lines. Not shared between threads. Its owner runs [`WorkerLog::flush_forever`] beside the traffic
/// and calls [`WorkerLog::flush`] before it ends; what is left in it when it is dropped is handed over as well.
#[derive(Debug)]
pub struct WorkerLog {
    handle: LogHandle,
    spec: RefCell<Arc<LogSpec>>,
    buffer: RefCell<Vec<u8>>,
    lines: Cell<u64>,
    times: RefCell<TimeText>,
    filled: Notify,
}

impl WorkerLog {
    /// An empty buffer in front of `handle`.
    #[must_use]
    pub fn new(handle: LogHandle, spec: Arc<LogSpec>) -> Self {
        Self {
            handle,
            spec: RefCell::new(spec),
            buffer: RefCell::default(),
            lines: Cell::new(0),
            times: RefCell::new(TimeText::new()),
            filled: Notify::new(),
        }
    }

    /// Applies to the lines from now on.
    pub fn respec(&self, spec: Arc<LogSpec>) {
        self.spec.replace(spec);
    }

    /// Appends the line of an exchange, unless its level or the sample leaves it out.
    pub fn access(&self, record: &AccessRecord<'_>) {
        let spec = self.spec.borrow();
        if record.level() < spec.level || !spec.sample.keeps(record) {
            return;
        }
        let mut buffer = self.buffer.borrow_mut();
        let was_empty = buffer.is_empty();
        access_log::push_line(
            &mut buffer,
            record,
            &spec.stamp,
            spec.format,
            &mut self.times.borrow_mut(),
        );
        let full = buffer.len() >= FULL;
        self.lines.set(self.lines.get() + 1);
        drop(buffer);
        if full {
            self.flush();
        } else if was_empty {
            self.filled.notify_one();
        }
    }

    /// Whether nothing waits to be handed over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.borrow().is_empty()
    }

    /// Hands what there is to the writing thread. Never waits.
    pub fn flush(&self) {
        let mut buffer = self.buffer.borrow_mut();
        if !buffer.is_empty() {
            *buffer = self
                .handle
                .send(std::mem::take(&mut buffer), self.lines.take());
        }
    }

    /// Hands lines over at the latest 25 ms after they were written. Sleeps without a timer while there are none, so an idle
    /// worker stays idle. Ends only by being dropped.
    pub async fn flush_forever(&self) -> Infallible {
        loop {
            if self.is_empty() {
                self.filled.notified().await;
            }
            time::sleep_until(Deadline::after(time::now(), LINGER)).await;
            self.flush();
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::telemetry::Meters;
    use crate::telemetry::access_log::tests::{id, record};
    use crate::telemetry::writer::LogWriter;
    use crate::telemetry::writer::tests::Memory;
    use std::rc::Rc;

    pub(crate) fn spec() -> LogSpec {
        LogSpec {
            stamp: Stamp::new("crm", "test"),
            format: LineFormat::Json,
            level: Level::Info,
            sample: Sample::EVERYTHING,
        }
    }

    fn writer() -> (LogWriter, Memory) {
        let memory = Memory::default();
        (
            LogWriter::spawn(memory.clone(), Meters::new().log_lines_dropped()).unwrap(),
            memory,
        )
    }

    fn finish(writer: LogWriter) {
        assert!(writer.shutdown(Duration::from_secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_handed_over_within_25_ms() {
        let (writer, memory) = writer();
        let log = Rc::new(WorkerLog::new(writer.handle(), Arc::new(spec())));
        let flusher = Rc::clone(&log);
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let task = tokio::task::spawn_local(async move { flusher.flush_forever().await });
                for _ in 0..3 {
                    log.access(&record(&id("x")));
                    assert!(!log.is_empty());
                    time::sleep_until(Deadline::after(time::now(), Duration::from_millis(26)))
                        .await;
                    assert!(log.is_empty());
                }
                task.abort();
            })
            .await;
        finish(writer);
        assert_eq!(memory.text().lines().count(), 3);
    }

    #[test]
    fn a_full_buffer_is_handed_over_at_once() {
        let (writer, memory) = writer();
        let log = WorkerLog::new(writer.handle(), Arc::new(spec()));
        let mut lines = 0;
        loop {
            log.access(&record(&id("x")));
            lines += 1;
            if log.is_empty() {
                break;
            }
        }
        finish(writer);
        assert_eq!(memory.text().lines().count(), lines);
        assert!(memory.text().len() >= FULL);
    }

    #[test]
    fn level_and_sample_leave_lines_out_until_a_reload_says_otherwise() {
        let (writer, memory) = writer();
        let log = WorkerLog::new(
            writer.handle(),
            Arc::new(LogSpec {
                level: Level::Warn,
                ..spec()
            }),
        );
        log.access(&record(&id("quiet")));
        log.respec(Arc::new(LogSpec {
            sample: Sample::new(0, Duration::MAX),
            ..spec()
        }));
        log.access(&record(&id("unsampled")));
        assert!(log.is_empty());
        log.respec(Arc::new(spec()));
        log.access(&record(&id("shown")));
        drop(log);
        finish(writer);
        assert_eq!(memory.text().lines().count(), 1);
        assert!(memory.text().contains("shown"));
    }
}
