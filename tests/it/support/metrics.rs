//! What `/metrics` says at one moment.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::client;

/// The samples of one scrape.
#[derive(Debug)]
pub(crate) struct Metrics(String);

impl Metrics {
    /// Scrapes an admin or health listener.
    pub(crate) fn of(address: SocketAddr) -> Self {
        let response = client::get(address, "/metrics");
        assert_eq!(response.status(), 200);
        Self(response.text().to_owned())
    }

    /// What a scrape said.
    pub(crate) fn read(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The value of a sample, written as the exposition writes it: `name` or `name{label="value"}`.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.samples()
            .find(|(name, _)| *name == series)
            .map(|(_, value)| value)
    }

    /// The sum of all samples of a name, whatever their labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let of_name = |series: &str| series.split('{').next() == Some(name);
        let samples = self.samples().filter(|(series, _)| of_name(series));
        samples.map(|(_, value)| value).sum()
    }

    /// Whether any sample has this in its labels.
    pub(crate) fn mentions(&self, label: &str) -> bool {
        self.samples().any(|(series, _)| series.contains(label))
    }

    /// Every series there is, as the exposition writes it.
    pub(crate) fn series(&self) -> BTreeSet<&str> {
        self.samples().map(|(series, _)| series).collect()
    }

    /// The whole exposition.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn samples(&self) -> impl Iterator<Item = (&str, f64)> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(series, value)| (series, value.parse().expect("a number as a sample")))
    }
}
