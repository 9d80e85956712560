//! Writes the Prometheus text format.

use metrics_exporter_prometheus::formatting::{write_help_line, write_type_line};

use super::histogram::Reading;
use super::names::Family;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text that is being written. Each family is begun once and all its series follow directly, as the format requires.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    begun: Vec<&'static str>,
}

/// A family's place in the text.
#[derive(Debug)]
pub struct Series<'a> {
    text: &'a mut String,
    family: &'static Family,
}

impl Exposition {
    /// An empty text.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a family with its `# HELP` and `# TYPE`. A family is begun once only.
    pub fn family(&mut self, family: &'static Family) -> Series<'_> {
        debug_assert!(
            !self.begun.contains(&family.name),
            "{} is begun twice",
            family.name
        );
        self.begun.push(family.name);
        write_help_line(&mut self.text, family.name, None, None, family.help);
        write_type_line(&mut self.text, family.name, None, None, family.kind.label());
        Series {
            text: &mut self.text,
            family,
        }
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

impl Series<'_> {
    /// Writes one series. `labels` are the values of the family's labels, in its order.
    pub fn integer(&mut self, labels: &[&str], value: u64) -> &mut Self {
        self.begin("", labels, None);
        self.text.push_str(itoa::Buffer::new().format(value));
        self.text.push('\n');
        self
    }

    /// Writes one series with a fractional value.
    pub fn float(&mut self, labels: &[&str], value: f64) -> &mut Self {
        self.begin("", labels, None);
        self.text.push_str(&value.to_string());
        self.text.push('\n');
        self
    }

    /// Writes all series of one histogram, in seconds.
    pub fn histogram(&mut self, labels: &[&str], reading: &Reading) -> &mut Self {
        for (edge, count) in &reading.cumulative {
            self.bucket(labels, &seconds(*edge), *count);
        }
        self.bucket(labels, "+Inf", reading.count);
        self.begin("_sum", labels, None);
        self.text.push_str(&seconds(reading.sum_nanos));
        self.text.push('\n');
        self.begin("_count", labels, None);
        self.text
            .push_str(itoa::Buffer::new().format(reading.count));
        self.text.push('\n');
        self
    }

    fn bucket(&mut self, labels: &[&str], edge: &str, count: u64) {
        self.begin("_bucket", labels, Some(edge));
        self.text.push_str(itoa::Buffer::new().format(count));
        self.text.push('\n');
    }

    fn begin(&mut self, suffix: &str, labels: &[&str], edge: Option<&str>) {
        debug_assert_eq!(
            labels.len(),
            self.family.labels.len(),
            "labels of {}",
            self.family.name
        );
        self.text.push_str(self.family.name);
        self.text.push_str(suffix);
        let edge = edge.map(|edge| (&"le", edge));
        let labels = self
            .family
            .labels
            .iter()
            .zip(labels.iter().copied())
            .chain(edge);
        let mut separator = '{';
        for (name, value) in labels {
            self.text.push(separator);
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_label_value(self.text, value);
            self.text.push('"');
            separator = ',';
        }
        self.text
            .push_str(if separator == '{' { " " } else { "} " });
    }
}

/// Escapes exactly, unlike the exporter's own helper, which lets `\\` and `\` come out the same.
fn push_label_value(text: &mut String, value: &str) {
    // Nearly all values are our own words.
    if !value.contains(['\\', '"', '\n']) {
        return text.push_str(value);
    }
    for char in value.chars() {
        match char {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

/// Writes nanoseconds as seconds, exactly: without floating point, without final zeros.
fn seconds(nanos: u64) -> String {
    let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:09}")
        .trim_end_matches('0')
        .to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::telemetry::histogram::FixedHistogram;
    use crate::telemetry::names::{self, ALL, Kind};
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    /// Every series by its text before the value. Panics on whatever a strict reader would not take (case 192).
    pub(crate) fn parse(text: &str) -> BTreeMap<String, f64> {
        let mut series = BTreeMap::new();
        let mut begun = BTreeSet::new();
        let mut current: Option<&Family> = None;
        let mut lines = text.lines();
        assert!(text.ends_with('\n'));
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split(' ').next().unwrap();
                let family = ALL
                    .iter()
                    .find(|family| family.name == name)
                    .expect("a listed family");
                assert!(begun.insert(name.to_owned()), "{name} is begun twice");
                assert_eq!(
                    lines.next().unwrap(),
                    format!("# TYPE {name} {}", family.kind.label())
                );
                current = Some(family);
                continue;
            }
            let family = current.expect("a family before its series");
            let (key, value) = line.rsplit_once(' ').expect("a value");
            let value: f64 = value.parse().expect("a number");
            let (name, labels) = match key.split_once('{') {
                Some((name, rest)) => (
                    name,
                    parse_labels(rest.strip_suffix('}').expect("a closing brace")),
                ),
                None => (key, Vec::new()),
            };
            let suffix = name
                .strip_prefix(family.name)
                .expect("a series of its family");
            let mut expected: Vec<&str> = family.labels.to_vec();
            match (family.kind, suffix) {
                (Kind::Counter | Kind::Gauge, "") | (Kind::Histogram, "_sum" | "_count") => {}
                (Kind::Histogram, "_bucket") => expected.push("le"),
                other => panic!("{other:?} in {line}"),
            }
            assert_eq!(
                labels
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>(),
                expected,
                "{line}"
            );
            assert!(family.kind == Kind::Gauge || value >= 0.0, "{line}");
            assert!(
                series.insert(key.to_owned(), value).is_none(),
                "{key} stands twice"
            );
        }
        series
    }

    fn parse_labels(mut rest: &str) -> Vec<(String, String)> {
        let mut labels = Vec::new();
        while !rest.is_empty() {
            let (name, after) = rest.split_once("=\"").expect("a quoted value");
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().expect("a closing quote") {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next().expect("an escaped character").1 {
                        'n' => '\n',
                        kept @ ('\\' | '"') => kept,
                        other => panic!("escape of {other}"),
                    }),
                    (_, '\n') => panic!("a raw line feed"),
                    (_, other) => value.push(other),
                }
            };
            labels.push((name.to_owned(), value));
            rest = &after[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        labels
    }

    #[test]
    fn label_values_are_escaped_so_that_they_come_back_exactly() {
        for value in [
            "plain",
            "\"",
            "\\",
            "\\\\",
            "\\n",
            "\n",
            "a\\\"b\nc",
            "é\u{2028}",
            "}",
            ",",
        ] {
            let mut text = Exposition::new();
            text.family(&names::CONFIG_INFO).integer(&[value], 1);
            let text = text.finish();
            let (_, labels) = text.lines().last().unwrap().split_once('{').unwrap();
            let labels = parse_labels(labels.strip_suffix("} 1").unwrap());
            assert_eq!(labels, [("revision".to_owned(), value.to_owned())]);
        }
    }

    #[test]
    fn seconds_are_exact() {
        let shown = [0, 1, 10_000, 2_500_000, 1_000_000_000, 60_250_000_000].map(seconds);
        assert_eq!(
            shown,
            ["0", "0.000000001", "0.00001", "0.0025", "1", "60.25"]
        );
    }

    #[test]
    fn a_histogram_has_its_buckets_a_sum_and_a_count() {
        let histogram = FixedHistogram::new(&[1_000_000, 20_000_000_000]);
        histogram.observe(Duration::from_millis(2));
        histogram.observe(Duration::from_secs(60));
        let mut text = Exposition::new();
        text.family(&names::POOL_WAIT)
            .histogram(&["mail"], &histogram.read());
        let text = text.finish();
        parse(&text);
        insta::assert_snapshot!(text);
    }
}
