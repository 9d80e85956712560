//! The output of the demo, to a terminal or a pipe.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::error::Stop;
use crate::cli::environment;

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[1;33m";

/// The demo's output.
pub(super) struct Stage<W> {
    out: W,
    paint: Paint,
    is_headed: bool,
}

/// Whether words are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paint {
    Colour,
    Plain,
}

/// One breaker in the table.
#[derive(Debug)]
pub(super) struct Row {
    /// The route.
    pub(super) route: &'static str,
    /// The breaker's state, as the operators' port writes it.
    pub(super) state: String,
    /// The median wait of the callers.
    pub(super) wait: Option<Duration>,
    /// What they got.
    pub(super) answers: String,
}

impl Stage<io::Stdout> {
    /// Standard output: in colour on a terminal, unless `NO_COLOR` is set.
    pub(super) fn stdout() -> Self {
        let out = io::stdout();
        let is_colourless = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
        let paint = if out.is_terminal() && !is_colourless {
            Paint::Colour
        } else {
            Paint::Plain
        };
        Self {
            out,
            paint,
            is_headed: false,
        }
    }
}

impl<W: Write> Stage<W> {
    /// A heading.
    pub(super) fn title(&mut self, text: &str) -> Result<(), Stop> {
        let text = self.paint.on(BOLD, text);
        self.print(&format!("\n{text}\n"))
    }

    /// Sentences, a line each.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Stop> {
        let lines = text.lines().map(|line| format!("  {line}\n"));
        self.print(&lines.collect::<String>())
    }

    /// Something quoted word for word.
    pub(super) fn quote(&mut self, text: &str) -> Result<(), Stop> {
        let paint = self.paint;
        let lines = text.lines();
        let lines = lines.map(|line| format!("  {}\n", paint.on(DIM, line)));
        self.print(&lines.collect::<String>())
    }

    /// The breakers, and what their callers see. Only the first table has a head.
    pub(super) fn table(&mut self, rows: &[Row]) -> Result<(), Stop> {
        let mut text = String::new();
        if !self.is_headed {
            let head = format!(
                "{:<10} {:<10} {:>12}   answers",
                "route", "breaker", "callers wait"
            );
            text = format!("    {}\n", self.paint.on(DIM, &head));
            self.is_headed = true;
        }
        for row in rows {
            let (word, colour) = match row.state.as_str() {
                "closed" => ("CLOSED", GREEN),
                "open" => ("OPEN", RED),
                "half_open" => ("HALF-OPEN", YELLOW),
                other => (other, BOLD),
            };
            let state = self.paint.on(colour, &format!("{word:<10}"));
            let wait = row.wait.map_or_else(|| "-".to_owned(), milliseconds);
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "    {:<10} {state} {wait:>12}   {}",
                row.route, row.answers
            );
        }
        self.print(&text)
    }

    fn print(&mut self, text: &str) -> Result<(), Stop> {
        let printed = self.out.write_all(text.as_bytes());
        printed
            .and_then(|()| self.out.flush())
            .map_err(|_| Stop::ReaderGone)
    }
}

impl Paint {
    fn on(self, colour: &str, text: &str) -> String {
        match self {
            Self::Colour => format!("{colour}{text}{RESET}"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// A time in milliseconds: with tenths below ten, then whole ones.
pub(super) fn milliseconds(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else {
        format!("{millis:.0} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(paint: Paint) -> String {
        let mut stage = Stage {
            out: Vec::new(),
            paint,
            is_headed: false,
        };
        let row = |route, state: &str, wait, answers: &str| Row {
            route,
            state: state.to_owned(),
            wait,
            answers: answers.to_owned(),
        };
        stage.title("1  Title").unwrap();
        stage.say("One.\nTwo.").unwrap();
        let rows = [
            row(
                "whatsapp",
                "open",
                Some(Duration::from_micros(312)),
                "7 × 503",
            ),
            row(
                "email",
                "half_open",
                Some(Duration::from_secs(1)),
                "1 × 504",
            ),
            row("partner", "closed", None, "none yet"),
        ];
        stage.table(&rows).unwrap();
        stage.table(&rows[..1]).unwrap();
        stage.quote("{}").unwrap();
        String::from_utf8(stage.out).unwrap()
    }

    #[test]
    fn a_pipe_gets_plain_lines() {
        insta::assert_snapshot!(said(Paint::Plain), @r"

        1  Title
          One.
          Two.
            route      breaker    callers wait   answers
            whatsapp   OPEN             0.3 ms   7 × 503
            email      HALF-OPEN       1000 ms   1 × 504
            partner    CLOSED                -   none yet
            whatsapp   OPEN             0.3 ms   7 × 503
          {}
        ");
    }

    #[test]
    fn colours_change_no_column() {
        let coloured = said(Paint::Colour);
        assert!(coloured.contains("\x1b[1;31mOPEN      \x1b[0m"));
        let mut plain = coloured;
        for colour in [RESET, BOLD, DIM, RED, GREEN, YELLOW] {
            plain = plain.replace(colour, "");
        }
        assert_eq!(plain, said(Paint::Plain));
    }
}
