//! What callers get instead: the whole data path on a paused clock.

mod coalesce;
mod elsewhere;
mod occasions;
mod respond;
mod stale;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use sidefuse::time::{Deadline, now, sleep_until};

use crate::support::memory::{Script, always};

async fn pass(time: Duration) {
    sleep_until(Deadline::after(now(), time)).await;
}

/// An origin that answers at once with what `answer` makes of the request.
fn answering(
    answer: impl Fn(&Request<Incoming>) -> Response<String> + Send + Sync + 'static,
) -> Script {
    Arc::new(move |request| {
        let response = answer(&request).map(|text| http_body_util::Full::new(text.into()));
        Box::pin(std::future::ready(response))
    })
}

/// An origin that answers with what the request has in that header.
fn echoing(name: &'static str, fields: &'static [(&'static str, &'static str)]) -> Script {
    answering(move |request| {
        let value = request.headers().get(name);
        let text = value.map_or("", |value| value.to_str().unwrap()).to_owned();
        let builder = fields
            .iter()
            .fold(Response::builder(), |builder, (name, value)| {
                builder.header(*name, *value)
            });
        builder.body(text).unwrap()
    })
}

/// One route `r` whose breaker opens at the first failure, with those settings of `fallback`.
fn one_route(fallback: &str) -> String {
    format!(
        "version: 1\nroutes:\n  r:\n    upstream: http://origin\n    timeout: 5s\n    breaker: {{failure_threshold: 1, reset_timeout: 60s}}\n    fallback: {fallback}\n"
    )
}

/// An origin that is down.
fn down() -> Script {
    always(500)
}
