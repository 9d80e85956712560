//! Problems as programs read them.

use serde_json::{Value, json};

use super::Report;
use crate::config::problem::Problem;

impl Report {
    /// The problems with their places; a place that is not in the file is null.
    #[must_use]
    pub fn json(&self) -> Value {
        let place = |number: usize| {
            if number > 0 {
                json!(number)
            } else {
                Value::Null
            }
        };
        let one = |problem: &Problem| {
            let Problem {
                severity,
                code,
                message,
                line,
                column,
                width,
                hint,
                help,
            } = problem;
            json!({
                "severity": severity.as_str(),
                "code": code.as_str(),
                "title": code.title(),
                "message": message,
                "line": place(*line),
                "column": place(*column),
                "endColumn": place(if *column > 0 { column + width } else { 0 }),
                "hint": hint,
                "help": help,
            })
        };
        self.problems().map(one).collect()
    }

    /// The problems as commands of a GitHub workflow, which shows each at its line of the pull request; one more if there are others.
    #[must_use]
    pub fn github(&self) -> String {
        let mut told = String::new();
        for problem in self.problems() {
            let Problem {
                severity,
                code,
                message,
                line,
                column,
                width,
                hint,
                help,
            } = problem;
            let mut place = format!("file={}", property(&self.origin));
            if *line > 0 {
                place.push_str(&format!(
                    ",line={line},col={column},endColumn={}",
                    column + width
                ));
            }
            let title = property(&format!("{code}: {}", code.title()));
            let more = [hint, help].into_iter().flatten();
            let lines: Vec<&str> = [message]
                .into_iter()
                .chain(more)
                .map(String::as_str)
                .collect();
            told.push_str(&format!(
                "::{} {place},title={title}::{}\n",
                severity.as_str(),
                data(&lines.join("\n"))
            ));
        }
        if self.untold() > 0 {
            let place = property(&self.origin);
            told.push_str(&format!(
                "::error file={place}::{} more problems\n",
                self.untold()
            ));
        }
        told
    }
}

/// Escapes what the runner would take for its own syntax in the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The same in a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runner_would_take_for_its_own_is_escaped() {
        assert_eq!(data("a: 50%\r\n"), "a: 50%25%0D%0A");
        assert_eq!(property("a,b: 50%"), "a%2Cb%3A 50%25");
    }
}
