//! An explanation for people's eyes.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Count, Explanation, Share, Sighted, Step};
use crate::text::clip;

/// The longest path or reason that is shown, in characters.
const LONGEST: usize = 120;

impl Explanation {
    /// As text: the sentence, how far each threshold is, the latest failures, what happened (newest first), keys and candidates.
    pub(in crate::admin) fn text(&self) -> String {
        let Self {
            name, state, mode, ..
        } = self;
        let mut text = format!("{name}: {state}, {mode}\n{}\n", self.explanation);
        let mut section = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                let lines = lines.join("\n  ");
                let _ = write!(text, "\n{title}\n  {lines}\n");
            }
        };
        section("what it counts", self.counts());
        section("the latest failures", sighted(self.seen()));
        let steps = self.transitions.iter().rev();
        section("what happened", steps.map(Step::line).collect());
        if let Some(keys) = &self.keys {
            section("keys", keys.lines());
        }
        let shadows = self.shadows.iter().flatten();
        section("candidates", shadows.map(|shadow| shadow.line()).collect());
        text
    }

    /// The calls that it judged by: of the present run of failures, else of the latest transition that has any.
    fn seen(&self) -> &[Sighted] {
        let runs = self.transitions.iter().rev().map(|step| &step.exemplars);
        let mut seen = [&self.run_exemplars].into_iter().chain(runs);
        seen.find(|calls| !calls.is_empty())
            .map_or(&[], Vec::as_slice)
    }

    fn counts(&self) -> Vec<String> {
        let distances = &self.distances;
        let run = distances.consecutive_failures.as_ref();
        let run = run.map(|run| format!("failures in a row   {}", run.phrase()));
        let share = |what: &str, share: &Option<Share>| {
            let share = share.as_ref()?;
            let reached = share.reached.as_deref().unwrap_or("no share yet");
            Some(format!(
                "{what} {reached} of {}; {} calls in the window",
                share.threshold,
                share.calls.phrase()
            ))
        };
        let probes = self.probes.as_ref().map(|probes| {
            format!(
                "probes              {} out of at most {}, {} succeeded",
                probes.out,
                probes.max,
                probes.succeeded.phrase()
            )
        });
        let ramp = self.ramp.as_ref().map(|ramp| {
            format!(
                "ramp                {} of the calls pass, all of them at {}",
                ramp.share, ramp.full_at
            )
        });
        let lines = [
            run,
            share("share of failures  ", &distances.failure_ratio),
            share("share of slow calls", &distances.slow_ratio),
            probes,
            ramp,
        ];
        lines.into_iter().flatten().collect()
    }
}

impl Count {
    fn phrase(&self) -> String {
        format!("{} of {}", self.reached, self.threshold)
    }
}

impl Step {
    fn line(&self) -> String {
        let mut line = format!(
            "{}  {} -> {}",
            self.at,
            self.from.phrase(),
            self.to.phrase()
        );
        let _ = write!(line, "  {}", self.cause);
        match (plain(&self.observed), plain(&self.threshold)) {
            (Some(observed), Some(threshold)) => {
                let _ = write!(line, " ({observed} of {threshold})");
            }
            (Some(observed), None) => {
                let _ = write!(line, " ({observed})");
            }
            (None, _) => {}
        }
        let failures = self.failures.iter();
        let failures: Vec<String> = failures
            .map(|failure| format!("{} {}", failure.count, failure.label))
            .collect();
        if !failures.is_empty() {
            let _ = write!(line, ": {}", failures.join(", "));
        }
        for (word, said) in [("by", &self.by), ("until", &self.until)] {
            if let Some(said) = said {
                let _ = write!(line, ", {word} {}", clip(said, LONGEST));
            }
        }
        if let Some(reason) = &self.reason {
            let _ = write!(line, " ({})", clip(reason, LONGEST));
        }
        line
    }
}

impl super::Stand {
    fn phrase(&self) -> String {
        if self.mode == "auto" {
            self.state.to_owned()
        } else {
            format!("{} ({})", self.state, self.mode)
        }
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

fn sighted(exemplars: &[Sighted]) -> Vec<String> {
    let line = |seen: &Sighted| {
        let mut line = format!("{}  {}", seen.at, seen.label);
        let parts = [&seen.method, &seen.path, &seen.correlation_id];
        for part in parts.into_iter().flatten() {
            let _ = write!(line, "  {}", clip(part, LONGEST));
        }
        line
    };
    exemplars.iter().rev().map(line).collect()
}
