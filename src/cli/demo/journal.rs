//! What the proxy logs, kept in memory so that the demo can wait for a line and quote it.

use std::io::{self, Write};

use serde_json::Value;
use tokio::sync::mpsc;

/// The proxy's sink of log lines.
#[derive(Debug)]
pub(super) struct Sink {
    lines: mpsc::UnboundedSender<String>,
    begun: Vec<u8>,
}

/// The lines so far and those to come.
#[derive(Debug)]
pub(super) struct Journal {
    arriving: mpsc::UnboundedReceiver<String>,
    read: Vec<Entry>,
}

/// A line as it was written, and what it says.
#[derive(Debug)]
struct Entry {
    text: String,
    value: Value,
}

/// A sink, and the journal of what is written to it.
pub(super) fn journal() -> (Sink, Journal) {
    let (lines, arriving) = mpsc::unbounded_channel();
    let sink = Sink {
        lines,
        begun: Vec::new(),
    };
    let read = Vec::new();
    (sink, Journal { arriving, read })
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let rest = self.begun.split_off(end + 1);
            let line = String::from_utf8_lossy(&self.begun[..end]).into_owned();
            self.begun = rest;
            // The journal may be gone; that is no error for the proxy.
            let _ = self.lines.send(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Journal {
    /// The first line that matches, written already or yet to come. Waits forever once the sink is gone.
    pub(super) async fn line(&mut self, matches: impl Fn(&Value) -> bool) -> String {
        let known = self.read.iter().find(|entry| matches(&entry.value));
        if let Some(entry) = known {
            return entry.text.clone();
        }
        loop {
            let Some(text) = self.arriving.recv().await else {
                return std::future::pending().await;
            };
            let value = serde_json::from_str(&text).unwrap_or(Value::Null);
            let found = matches(&value).then(|| text.clone());
            self.read.push(Entry { text, value });
            if let Some(text) = found {
                return text;
            }
        }
    }

    /// The last lines so far, oldest first.
    pub(super) fn last(&mut self, count: usize) -> Vec<String> {
        let mut texts: Vec<String> = self.read.drain(..).map(|entry| entry.text).collect();
        while let Ok(text) = self.arriving.try_recv() {
            texts.push(text);
        }
        texts.split_off(texts.len().saturating_sub(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_found_however_they_were_cut_and_in_any_order() {
        let (mut sink, mut journal) = journal();
        for piece in ["{\"a\":", "1}\n{\"a\":2", "}\nno json\n{\"a\":3}\n{\"a\""] {
            sink.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!(journal.line(|line| line["a"] == 2).await, r#"{"a":2}"#);
        assert_eq!(journal.line(|line| line["a"] == 1).await, r#"{"a":1}"#);
        assert_eq!(journal.last(2), ["no json", r#"{"a":3}"#]);
    }
}
