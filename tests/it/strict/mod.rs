//! Requests are read strictly: what another server could read otherwise is refused, and nothing of it goes upstream.

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::config::{config, route};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

mod bodies;
mod decoded;
mod heads;
mod lenient;

fn stage() -> (Origin, Sidefuse) {
    let origin = Origin::start(|request| Answer::ok(request.head.target()));
    let settings = "timeout: 30s, breaker: {failure_threshold: 1}";
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), settings)]));
    (origin, sidefuse)
}

/// The statuses of the answers to these pieces, and to a last call that nobody takes (404) unless the connection was closed before it.
fn statuses(sidefuse: &Sidefuse, pieces: &[&[u8]]) -> Vec<u16> {
    let mut client = Client::connect(sidefuse.proxy());
    for piece in pieces {
        client.send(piece);
    }
    client.send("GET /last HTTP/1.0\r\n\r\n");
    let bytes = client.read_to_end();
    let text = String::from_utf8_lossy(&bytes);
    let versions = text.match_indices("HTTP/1.");
    versions
        .filter_map(|(at, _)| text.get(at + "HTTP/1.1 ".len()..)?.get(..3)?.parse().ok())
        .collect()
}
