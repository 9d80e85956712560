//! How many callers there may be, and who makes way for whom.

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config_with, route};
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// A sidefuse that takes so many connections, with a route `r` to the origin.
fn limited_to(count: usize, origin: &Origin) -> Sidefuse {
    let top = format!("http: {{max_connections: {count}}}");
    Sidefuse::start(&config_with(
        &top,
        &[route("r", &origin.url(), "timeout: 30s")],
    ))
}

#[test]
fn case_164_connections_beyond_the_limit_are_told_so_and_recorded() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Answer::script()
            .pass(&held)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let sidefuse = limited_to(2, &origin);
    let busy = ["/r/1", "/r/2"].map(|path| {
        let mut client = Client::connect(sidefuse.proxy());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client
    });
    origin.wait_for_requests(2);
    let mut third = Client::connect(sidefuse.proxy());
    third.send("GET /r/3 HTTP/1.1\r\nHost: x\r\n\r\n");
    let refused = third.read();
    assert_eq!(
        (refused.status(), refused.header("x-sidefuse-reason")),
        (503, Some("overloaded"))
    );
    assert_eq!(refused.header("connection"), Some("close"));
    assert_eq!(third.read_to_end(), b"");
    let id = refused.header("x-correlation-id").unwrap();
    gate.open();
    for mut client in busy {
        assert_eq!(client.read().status(), 200);
    }
    let line = sidefuse
        .access_lines()
        .into_iter()
        .find(|line| line["correlationId"] == id)
        .unwrap();
    assert_eq!(
        (
            line["statusCode"].as_u64(),
            line["reason"].as_str(),
            line["outcome"].as_str()
        ),
        (Some(503), Some("overloaded"), Some("ignored"))
    );
}

#[test]
fn case_164_who_rests_for_a_second_makes_way_for_who_calls() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let sidefuse = limited_to(1, &origin);
    let mut idle = Client::connect(sidefuse.proxy());
    assert_eq!(idle.get("/r/1").status(), 200);
    // Each of these is a connection; until the first has rested for a second they are refused.
    while client::get(sidefuse.proxy(), "/r/2").status() != 200 {}
    assert_eq!(idle.read_to_end(), b"");
}

#[test]
fn a_tunnel_keeps_its_place_among_the_connections() {
    let origin = Origin::start(|_| {
        Answer::script()
            .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            .echo()
    });
    let sidefuse = limited_to(1, &origin);
    let mut tunnel = Client::connect(sidefuse.proxy());
    tunnel.send("GET /r/ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi");
    assert_eq!(tunnel.read().status(), 101);
    assert_eq!(tunnel.read_bytes(2), b"hi");
    assert_eq!(client::get(sidefuse.proxy(), "/nowhere").status(), 503);
    drop(tunnel);
    while client::get(sidefuse.proxy(), "/nowhere").status() != 404 {}
}
