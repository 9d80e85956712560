//! The one thread that writes log lines.
//!
//! Traffic never waits for it: a batch that finds the queue full is dropped and its lines are counted. Each lost line is counted
//! exactly once, whether the queue was full, the sink failed, or shutdown gave up. What operators need to know when that happens has
//! room of its own, and where lines are missing a line says how many, as soon as the sink takes any. The sink belongs to the thread alone, so the
//! place to reopen a log file is there, between two batches.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};
use std::{fmt, io, mem, thread};

use metrics::Counter;

use crate::time::wall;

/// Bytes that may wait to be written: 64 full batches of a worker.
const QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes beside these in which only events may wait: hundreds of them.
const EVENT_BYTES: usize = 256 * 1024;
/// Buffers kept for reuse, and the largest that is worth keeping.
const SPARE_BUFFERS: usize = 16;
const SPARE_BYTES: usize = 64 * 1024;
/// A non-blocking sink that is full is asked again after this.
const RETRY: Duration = Duration::from_millis(5);

/// Owns the writing thread. Dropping it lets the thread write what is queued and end; [`LogWriter::shutdown`] waits for that.
#[derive(Debug)]
pub struct LogWriter {
    handle: LogHandle,
}

/// Hands lines to the writing thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogHandle {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    capacity: usize,
    reserve: usize,
    dropped: Counter,
    notice: OnceLock<Notice>,
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
    /// Whether the thread has an entry in hand.
    at_work: bool,
    /// The lines that the thread is writing at this moment.
    writing: u64,
    /// What was lost and is not told yet.
    loss: Option<Loss>,
    /// Whether the place of the loss is among the entries.
    is_marked: bool,
    closed: bool,
}

#[derive(Debug)]
enum Entry {
    Lines(Batch),
    /// Here lines are missing.
    Gap,
}

#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

/// Lines that nobody will read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// How many.
    pub(super) lines: u64,
    /// When the first of them was lost.
    pub(super) since: SystemTime,
}

/// Makes the line that tells of a loss; none where the log's level leaves it out.
struct Notice(Box<dyn Fn(Loss) -> Option<Vec<u8>> + Send + Sync>);

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notice")
    }
}

// === impl LogWriter ===

impl LogWriter {
    /// Starts the thread. `dropped` counts lost lines.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn spawn(sink: impl Write + Send + 'static, dropped: Counter) -> io::Result<Self> {
        Self::spawn_with_room(sink, dropped, QUEUE_BYTES, EVENT_BYTES)
    }

    fn spawn_with_room(
        sink: impl Write + Send + 'static,
        dropped: Counter,
        capacity: usize,
        reserve: usize,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            capacity,
            reserve,
            dropped,
            notice: OnceLock::new(),
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        });
        let writing = Arc::clone(&queue);
        thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writing.run(sink))?;
        Ok(Self {
            handle: LogHandle { queue },
        })
    }

    /// A handle to send lines.
    #[must_use]
    pub fn handle(&self) -> LogHandle {
        self.handle.clone()
    }

    /// Takes no more lines and waits until the queued ones are written, at the most for `patience`. Says whether all were
    /// written; those that were not are counted as dropped. A sink that never takes its bytes keeps only its own thread.
    #[must_use]
    pub fn shutdown(self, patience: Duration) -> bool {
        let queue = &self.handle.queue;
        queue.close();
        let busy = |state: &mut State| !state.entries.is_empty() || state.at_work;
        let (mut state, _) = queue
            .emptied
            .wait_timeout_while(queue.lock(), patience, busy)
            .unwrap_or_else(PoisonError::into_inner);
        let left: u64 = state.entries.drain(..).map(|entry| entry.lines()).sum();
        state.bytes = 0;
        // The thread finds this at 0 and counts nothing twice.
        let left = left + mem::take(&mut state.writing);
        drop(state);
        if left > 0 {
            queue.dropped.increment(left);
        }
        left == 0
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.handle.queue.close();
    }
}

// === impl LogHandle ===

impl LogHandle {
    /// Queues a batch of `lines` whole lines. Never waits: when the queue is full or closed the batch is dropped and its lines
    /// are counted. Gives an empty buffer for the next batch, a used one where there is one.
    pub fn send(&self, bytes: Vec<u8>, lines: u64) -> Vec<u8> {
        self.put(bytes, lines, self.queue.capacity)
    }

    /// Queues the line of an event. The same, with room that batches cannot take.
    pub fn send_event(&self, line: Vec<u8>) {
        self.put(line, 1, self.queue.capacity + self.queue.reserve);
    }

    /// From now on `notice` makes the lines that tell of lost ones. Whoever comes second is not asked.
    pub(super) fn tell_losses(
        &self,
        notice: impl Fn(Loss) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) {
        let _ = self.queue.notice.set(Notice(Box::new(notice)));
    }

    fn put(&self, bytes: Vec<u8>, lines: u64, capacity: usize) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        let mut state = self.queue.lock();
        let is_refused = state.closed || state.bytes + bytes.len() > capacity;
        let next = if is_refused {
            state.lose(lines);
            if state.mark() {
                state.entries.push_back(Entry::Gap);
            }
            emptied(bytes)
        } else {
            state.bytes += bytes.len();
            let batch = Batch { bytes, lines };
            state.entries.push_back(Entry::Lines(batch));
            state.spare.pop().unwrap_or_default()
        };
        drop(state);
        if is_refused {
            self.queue.dropped.increment(lines);
        }
        self.queue.filled.notify_one();
        next
    }
}

// === impl State ===

impl State {
    fn lose(&mut self, lines: u64) {
        let loss = self.loss.get_or_insert_with(|| Loss {
            lines: 0,
            since: wall(),
        });
        loss.lines += lines;
    }

    /// Whether the place of a loss must be marked now.
    fn mark(&mut self) -> bool {
        let is_new = self.loss.is_some() && !self.is_marked && !self.closed;
        self.is_marked |= is_new;
        is_new
    }
}

impl Entry {
    fn lines(&self) -> u64 {
        match self {
            Self::Lines(batch) => batch.lines,
            Self::Gap => 0,
        }
    }
}

// === impl Queue ===

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn run(&self, mut sink: impl Write) {
        let mut torn = false;
        while let Some(entry) = self.next() {
            match entry {
                Entry::Lines(batch) => {
                    let lost = write_batch(&mut sink, &batch, &mut torn);
                    self.wrote(batch, lost);
                }
                Entry::Gap => self.tell(&mut sink, &mut torn),
            }
        }
    }

    /// Waits for an entry; `None` once the queue is closed and empty.
    fn next(&self) -> Option<Entry> {
        let idle = |state: &mut State| state.entries.is_empty() && !state.closed;
        let mut state = self
            .filled
            .wait_while(self.lock(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        let entry = state.entries.pop_front()?;
        if let Entry::Lines(batch) = &entry {
            state.bytes = state.bytes.saturating_sub(batch.bytes.len());
        }
        state.writing = entry.lines();
        state.at_work = true;
        Some(entry)
    }

    fn wrote(&self, batch: Batch, lost: u64) {
        let mut state = self.lock();
        let given_up = mem::take(&mut state.writing) == 0;
        if state.spare.len() < SPARE_BUFFERS && batch.bytes.capacity() <= SPARE_BYTES {
            state.spare.push(emptied(batch.bytes));
        }
        if lost > 0 && !given_up {
            self.dropped.increment(lost);
            state.lose(lost);
        }
        // Of one that could not be told before, too.
        if state.mark() {
            state.entries.push_front(Entry::Gap);
        }
        self.rest(state);
    }

    /// Tells what was lost up to now; what cannot be told waits for the next batch.
    fn tell(&self, sink: &mut impl Write, torn: &mut bool) {
        let mut state = self.lock();
        state.is_marked = false;
        let loss = state.loss.take();
        drop(state);
        let told = loss.zip(self.notice.get());
        let line = told.and_then(|(loss, notice)| notice.0(loss));
        let is_told = line.is_none_or(|bytes| {
            let batch = Batch { bytes, lines: 1 };
            write_batch(sink, &batch, torn) == 0
        });
        let mut state = self.lock();
        if let Some(loss) = loss.filter(|_| !is_told) {
            let since = state.loss.take();
            let lines = loss.lines + since.map_or(0, |since| since.lines);
            state.loss = Some(Loss { lines, ..loss });
        }
        self.rest(state);
    }

    fn rest(&self, mut state: MutexGuard<'_, State>) {
        state.at_work = false;
        if state.entries.is_empty() {
            self.emptied.notify_all();
        }
    }
}

fn emptied(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.clear();
    bytes
}

/// Writes a batch and gives how many of its lines did not get out whole. `torn` remembers that the sink ends in half a line, so
/// that the next line begins on its own.
fn write_batch(sink: &mut impl Write, batch: &Batch, torn: &mut bool) -> u64 {
    if *torn && write_some(sink, b"\n").0 == 1 {
        *torn = false;
    }
    let (written, mut whole) = write_some(sink, &batch.bytes);
    whole &= sink.flush().is_ok();
    if whole {
        return 0;
    }
    let (out, _) = batch.bytes.split_at(written);
    *torn |= out.last().is_some_and(|byte| *byte != b'\n');
    batch
        .lines
        .saturating_sub(out.iter().filter(|byte| **byte == b'\n').count() as u64)
}

/// Writes as much as the sink takes: the bytes that went out, and whether that is all.
fn write_some(sink: &mut impl Write, bytes: &[u8]) -> (usize, bool) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match sink.write(rest) {
            Ok(0) => return (written, false),
            Ok(count) => written = (written + count).min(bytes.len()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Standard output may have been made non-blocking by another process that shares it.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(RETRY),
            Err(_) => return (written, false),
        }
    }
    (written, true)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::telemetry::Meters;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A sink whose bytes can be read.
    #[derive(Clone, Default)]
    pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A reader that has stopped: says when it is asked to write and waits for leave.
    struct Stopped {
        asked: Sender<()>,
        leave: Receiver<()>,
        memory: Memory,
    }

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.asked.send(()).ok();
            self.leave.recv().ok();
            self.memory.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// One that would write to `memory`, what it says when it is asked to, and what gives it leave: for good once dropped.
    fn stopped(memory: &Memory) -> (Stopped, Receiver<()>, Sender<()>) {
        let ((asked, is_asked), (give_leave, leave)) = (channel(), channel());
        let memory = memory.clone();
        let sink = Stopped {
            asked,
            leave,
            memory,
        };
        (sink, is_asked, give_leave)
    }

    /// A sink that answers from a list.
    struct Scripted {
        answers: VecDeque<Result<usize, ErrorKind>>,
        memory: Memory,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.answers.pop_front() {
                Some(Err(kind)) => Err(kind.into()),
                Some(Ok(count)) => self.memory.write(&bytes[..count]),
                None => self.memory.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn dropped(meters: &Meters) -> u64 {
        let text = meters.render(|_| {});
        let line = text
            .lines()
            .find(|line| line.starts_with("sidefuse_log_lines_dropped_total"))
            .unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    #[test]
    fn lines_come_out_in_order_and_shutdown_waits_for_the_last() {
        let (memory, meters) = (Memory::default(), Meters::new());
        let writer = LogWriter::spawn(memory.clone(), meters.log_lines_dropped()).unwrap();
        let handle = writer.handle();
        for number in 0..1_000 {
            handle.send(format!("{number}\n").into_bytes(), 1);
        }
        assert!(writer.shutdown(PATIENCE));
        assert!(
            memory
                .text()
                .lines()
                .eq((0..1_000).map(|number| number.to_string()))
        );
        handle.send(b"late\n".to_vec(), 1);
        assert_eq!(dropped(&meters), 1, "a line after shutdown is counted");
    }

    #[test]
    fn a_stopped_reader_costs_counted_lines_and_never_traffic() {
        let meters = Meters::new();
        let memory = Memory::default();
        let (sink, is_asked, give_leave) = stopped(&memory);
        let writer =
            LogWriter::spawn_with_room(sink, meters.log_lines_dropped(), 4 * 20, 0).unwrap();
        let handle = writer.handle();
        handle.send(vec![b'\n'; 20], 20);
        is_asked.recv().unwrap();
        for _ in 0..10 {
            // Would never return if a full queue made traffic wait.
            handle.send(vec![b'\n'; 20], 20);
        }
        assert_eq!(
            dropped(&meters),
            6 * 20,
            "four batches wait, six found the queue full"
        );
        drop(give_leave);
        assert!(writer.shutdown(PATIENCE));
        assert_eq!(memory.text().len(), 5 * 20);
        assert_eq!(dropped(&meters), 6 * 20);
    }

    fn tell_losses(writer: &LogWriter) {
        let tell = |loss: Loss| Some(format!("lost {}\n", loss.lines).into_bytes());
        writer.handle().tell_losses(tell);
    }

    #[test]
    fn events_have_room_that_access_lines_cannot_take_and_where_lines_are_missing_one_says_how_many()
     {
        let meters = Meters::new();
        let memory = Memory::default();
        let (sink, is_asked, give_leave) = stopped(&memory);
        let writer = LogWriter::spawn_with_room(sink, meters.log_lines_dropped(), 6, 12).unwrap();
        tell_losses(&writer);
        let handle = writer.handle();
        handle.send(b"first\n".to_vec(), 1);
        is_asked.recv().unwrap();
        for _ in 0..3 {
            handle.send(b"a\nb\nc\n".to_vec(), 3);
            handle.send_event(b"event\n".to_vec());
        }
        // The last event finds no room: that of events is bounded, too.
        assert_eq!(dropped(&meters), 3 + 3 + 1);
        drop(give_leave);
        assert!(writer.shutdown(PATIENCE));
        assert_eq!(
            memory.text(),
            "first\na\nb\nc\nevent\nlost 7\nevent\n",
            "the gap is told where it is, in one line"
        );
        assert_eq!(dropped(&meters), 7);
    }

    #[test]
    fn a_loss_is_told_once_the_sink_takes_lines_again_and_each_loss_once() {
        let (memory, meters) = (Memory::default(), Meters::new());
        let refused = || Err(ErrorKind::StorageFull);
        // Two batches and the words about them; then all is taken, but one batch.
        let answers = [refused(), refused(), refused(), refused(), Ok(2), Ok(7)];
        let sink = Scripted {
            answers: answers.into_iter().chain([refused()]).collect(),
            memory: memory.clone(),
        };
        let writer = LogWriter::spawn(sink, meters.log_lines_dropped()).unwrap();
        tell_losses(&writer);
        let handle = writer.handle();
        for line in ["a\n", "b\n", "c\n", "d\n", "e\n"] {
            handle.send(line.into(), 1);
            let is_busy = |state: &mut State| !state.entries.is_empty() || state.at_work;
            let queue = &handle.queue;
            drop(queue.emptied.wait_while(queue.lock(), is_busy).unwrap());
        }
        assert!(writer.shutdown(PATIENCE));
        assert_eq!(memory.text(), "c\nlost 2\nlost 1\ne\n");
        assert_eq!(dropped(&meters), 3);
    }

    #[test]
    fn every_line_of_many_senders_is_either_written_or_counted_case_190() {
        let (memory, meters) = (Memory::default(), Meters::new());
        let writer =
            LogWriter::spawn_with_room(memory.clone(), meters.log_lines_dropped(), 64, 0).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                let handle = writer.handle();
                scope.spawn(move || {
                    let mut batch = Vec::new();
                    for _ in 0..5_000 {
                        batch.extend_from_slice(b"a\nb\n");
                        batch = handle.send(batch, 2);
                        assert!(batch.is_empty());
                    }
                });
            }
        });
        assert!(writer.shutdown(PATIENCE));
        let written = memory.text().lines().count() as u64;
        assert_eq!(written + dropped(&meters), 4 * 5_000 * 2);
    }

    #[test]
    fn a_dropped_writer_still_writes_what_is_queued_and_ends() {
        let (ended, has_ended) = channel();
        let sink = Stopped {
            asked: ended,
            leave: channel().1,
            memory: Memory::default(),
        };
        let memory = sink.memory.clone();
        let writer = LogWriter::spawn(sink, Counter::noop()).unwrap();
        let handle = writer.handle();
        handle.send(b"last\n".to_vec(), 1);
        drop(writer);
        has_ended.recv().unwrap();
        // The sink, and this channel's other end with it, goes when the thread ends, although a handle lives on.
        assert!(has_ended.recv().is_err());
        assert_eq!(memory.text(), "last\n");
        drop(handle);
    }

    #[test]
    fn shutdown_gives_up_on_a_stopped_reader_and_counts_what_is_left_once() {
        let meters = Meters::new();
        let (sink, is_asked, give_leave) = stopped(&Memory::default());
        let writer = LogWriter::spawn(sink, meters.log_lines_dropped()).unwrap();
        let handle = writer.handle();
        handle.send(b"a\nb\n".to_vec(), 2);
        is_asked.recv().unwrap();
        handle.send(b"c\n".to_vec(), 1);
        assert!(!writer.shutdown(Duration::ZERO));
        assert_eq!(dropped(&meters), 3);
        drop(give_leave);
    }

    #[test]
    fn a_broken_pipe_is_counted_and_the_thread_lives_on() {
        let meters = Meters::new();
        let memory = Memory::default();
        let answers = VecDeque::from([
            Err(ErrorKind::BrokenPipe),
            Ok(4),
            Err(ErrorKind::StorageFull),
        ]);
        let sink = Scripted {
            answers,
            memory: memory.clone(),
        };
        let writer = LogWriter::spawn(sink, meters.log_lines_dropped()).unwrap();
        let handle = writer.handle();
        handle.send(b"a\nb\n".to_vec(), 2);
        handle.send(b"c\ndd\ne\n".to_vec(), 3);
        handle.send(b"f\n".to_vec(), 1);
        assert!(writer.shutdown(PATIENCE));
        assert_eq!(
            memory.text(),
            "c\ndd\nf\n",
            "the line that was cut stands alone"
        );
        assert_eq!(dropped(&meters), 4);
    }

    #[test]
    fn a_sink_that_is_interrupted_or_would_block_is_asked_again() {
        let meters = Meters::new();
        let memory = Memory::default();
        let answers = VecDeque::from([
            Err(ErrorKind::Interrupted),
            Ok(1),
            Err(ErrorKind::WouldBlock),
        ]);
        let sink = Scripted {
            answers,
            memory: memory.clone(),
        };
        let writer = LogWriter::spawn(sink, meters.log_lines_dropped()).unwrap();
        writer.handle().send(b"abc\n".to_vec(), 1);
        assert!(writer.shutdown(PATIENCE));
        assert_eq!((memory.text().as_str(), dropped(&meters)), ("abc\n", 0));
    }

    #[test]
    fn buffers_come_back_for_reuse() {
        let meters = Meters::new();
        let (sink, is_asked, give_leave) = stopped(&Memory::default());
        let writer = LogWriter::spawn(sink, meters.log_lines_dropped()).unwrap();
        let mut buffer = Vec::with_capacity(32 * 1024);
        let place = buffer.as_ptr();
        buffer.extend_from_slice(b"a\n");
        assert_eq!(writer.handle().send(buffer, 1).capacity(), 0);
        is_asked.recv().unwrap();
        writer.handle().send(b"b\n".to_vec(), 1);
        give_leave.send(()).unwrap();
        is_asked.recv().unwrap();
        let reused = writer.handle().send(b"c\n".to_vec(), 1);
        assert_eq!(reused.as_ptr(), place);
        drop(give_leave);
        assert!(writer.shutdown(PATIENCE));
    }
}
