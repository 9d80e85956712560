//! Names of upstreams: what name servers say, and what becomes of the calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sidefuse::config::plan::DnsPlan;
use sidefuse::net::{NameError, Names};
use sidefuse::telemetry::Meters;
use socket2::{Domain, Protocol, Socket, Type};

use crate::support::answer::Answer;
use crate::support::client;
use crate::support::config::{config_with, route, route_to};
use crate::support::metrics::Metrics;
use crate::support::nameserver::{NameServer, Say};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

const LOST: &str = "Name cannot be resolved; its last known addresses stay in use if there are any";

/// The top of a configuration that asks this server.
fn asking(server: &NameServer, timeout: &str) -> String {
    format!(
        "dns: {{servers: [\"{}\"], timeout: {timeout}}}",
        server.address
    )
}

/// An origin that closes each connection, so that each call connects anew.
fn brief(text: &'static str) -> impl Fn(&crate::support::answer::Received) -> Answer {
    move |_| Answer::status(200, &[("Connection", "close")], text).close()
}

fn lookups(sidefuse: &Sidefuse, result: &str) -> f64 {
    let series = format!("sidefuse_dns_lookups_total{{result=\"{result}\"}}");
    Metrics::of(sidefuse.health()).value(&series).unwrap()
}

#[test]
fn case_110_each_way_a_look_at_a_name_ends_has_its_answer_and_its_count() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let port = origin.address().port();
    let server = NameServer::start();
    server.says("missing.test", Say::NoSuchName);
    server.says("broken.test", Say::Failure);
    server.says("silent.test", Say::Silence);
    server.says("empty.test", Say::Addresses(Vec::new(), 60));
    server.says(
        "zero.test",
        Say::Addresses(vec![Ipv4Addr::LOCALHOST.into()], 0),
    );
    server.says(
        "alias.test",
        Say::Alias(
            "other.test".to_owned(),
            vec![Ipv4Addr::LOCALHOST.into()],
            60,
        ),
    );
    // The first of the hundred is the one that answers; the others refuse.
    let hundred = (1..=100).map(|last| Ipv4Addr::new(127, 0, 0, last).into());
    server.says("hundred.test", Say::Addresses(hundred.collect(), 60));
    let names = [
        "missing",
        "broken",
        "silent",
        "empty",
        "zero",
        "alias",
        "hundred",
        "localhost",
    ];
    let routes: Vec<String> = names
        .iter()
        .map(|name| match *name {
            "localhost" => route(name, &format!("http://localhost:{port}"), "timeout: 30s"),
            _ => route(name, &format!("http://{name}.test:{port}"), "timeout: 30s"),
        })
        .collect();
    let sidefuse = Sidefuse::start(&config_with(&asking(&server, "100ms"), &routes));
    for result in [
        "ok",
        "nxdomain",
        "servfail",
        "timeout",
        "shortage",
        "stale_served",
    ] {
        assert_eq!(lookups(&sidefuse, result), 0.0, "{result} exists at 0");
    }
    for name in ["missing", "broken", "silent", "empty"] {
        let response = client::get(sidefuse.proxy(), &format!("/{name}/x"));
        assert_eq!(response.status(), 502, "{name}");
        assert_eq!(response.header("x-sidefuse-reason"), Some("dns"), "{name}");
    }
    for name in ["zero", "alias", "hundred", "localhost"] {
        let response = client::get(sidefuse.proxy(), &format!("/{name}/x"));
        assert_eq!(response.status(), 200, "{name}: {}", response.text());
    }
    assert_eq!(server.questions("localhost"), 0);
    assert_eq!(lookups(&sidefuse, "nxdomain"), 2.0);
    assert_eq!(lookups(&sidefuse, "servfail"), 1.0);
    assert_eq!(lookups(&sidefuse, "timeout"), 1.0);
    assert_eq!(lookups(&sidefuse, "ok"), 4.0);
    // A second call for the same missing name is answered from memory: its error is an answer for a second.
    assert_eq!(client::get(sidefuse.proxy(), "/zero/x").status(), 200);
    assert_eq!(server.questions("zero.test"), 1, "a TTL of 0 is 5 s");
    let told = sidefuse.event(LOST);
    assert_eq!(
        (&told["name"], &told["level"]),
        (&"missing.test".into(), &"warn".into())
    );
}

#[test]
fn case_110_a_name_that_moves_is_followed_and_the_breaker_keeps_its_state() {
    let first = Origin::start(brief("first"));
    let port = first.address().port();
    let second = Origin::launch(
        &format!("127.0.0.2:{port}"),
        Box::new(brief("second")),
        None,
    );
    let server = NameServer::start();
    server.knows("partner.test", &["127.0.0.1"]);
    let routes = [route(
        "r",
        &format!("http://partner.test:{port}"),
        "timeout: 30s",
    )];
    let mut sidefuse = Sidefuse::start(&config_with(&asking(&server, "2s"), &routes));
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "first");
    server.knows("partner.test", &["127.0.0.2"]);
    assert_eq!(
        client::get(sidefuse.proxy(), "/r/x").text(),
        "first",
        "for the rest of the minute"
    );

    // Other settings of the name servers end the minute at once.
    reconfigure(&mut sidefuse, &server, "3s", &routes);
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "second");
    let breaker = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    assert_eq!(breaker["statistics"]["successes"], 3);

    // From here on nobody answers: what was known last stays in use, which is told once.
    server.says("partner.test", Say::Failure);
    reconfigure(&mut sidefuse, &server, "4s", &routes);
    for _ in 0..3 {
        assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "second");
    }
    assert_eq!(sidefuse.event(LOST)["hasLastGood"], true);
    assert_eq!(lookups(&sidefuse, "stale_served"), 3.0);

    server.knows("partner.test", &["127.0.0.1"]);
    reconfigure(&mut sidefuse, &server, "5s", &routes);
    client::get(sidefuse.proxy(), "/r/x");
    sidefuse.event("Name can be resolved again");
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "first");
    let lost = |line: &&serde_json::Value| line["msg"] == LOST;
    assert_eq!(sidefuse.process().lines().iter().filter(lost).count(), 1);
    assert_eq!((first.connections(), second.connections()), (3, 5));
}

fn reconfigure(sidefuse: &mut Sidefuse, server: &NameServer, timeout: &str, routes: &[String]) {
    sidefuse.write_config(&config_with(&asking(server, timeout), routes));
    let answer = client::post(sidefuse.admin(), "/config/reload", &serde_json::json!({}));
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

#[test]
fn each_address_of_a_name_is_an_endpoint_where_all_are_asked_for_and_a_reload_keeps_them() {
    let first = Origin::start(brief("first"));
    let port = first.address().port();
    let address = format!("127.0.0.2:{port}");
    let second = Origin::launch(&address, Box::new(brief("second")), None);
    let server = NameServer::start();
    server.knows("crm.test", &["127.0.0.1", "127.0.0.2"]);
    let url = format!("http://crm.test:{port}");
    let routes = [route_to("r", &url, "resolve: all", "timeout: 30s")];
    let mut sidefuse = Sidefuse::start(&config_with(&asking(&server, "2s"), &routes));
    let wait_for = |sidefuse: &Sidefuse, addresses: &[&str]| {
        let wanted: Vec<String> = addresses.iter().map(|ip| format!("{ip}:{port}")).collect();
        loop {
            let shown = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
            let endpoints = shown["endpoints"].as_array().unwrap();
            if endpoints.iter().map(|one| &one["address"]).eq(&wanted) {
                return;
            }
        }
    };
    wait_for(&sidefuse, &["127.0.0.1", "127.0.0.2"]);
    while first.connections() == 0 || second.connections() == 0 {
        assert_eq!(client::get(sidefuse.proxy(), "/r/x").status(), 200);
    }
    // Other settings of the name servers, and one address less.
    server.knows("crm.test", &["127.0.0.2"]);
    reconfigure(&mut sidefuse, &server, "3s", &routes);
    wait_for(&sidefuse, &["127.0.0.2"]);
    server.says("crm.test", Say::NoSuchName);
    reconfigure(&mut sidefuse, &server, "4s", &routes);
    sidefuse.event(LOST);
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "second");
    wait_for(&sidefuse, &["127.0.0.2"]);
}

/// A port of an address at which nothing answers: its queue of connections is full.
struct BlackHole {
    _listener: Socket,
    _queue: Vec<Socket>,
}

impl BlackHole {
    fn at(address: SocketAddr) -> Self {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let listener = socket();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let mut queue = Vec::new();
        // Over loopback a handshake is over when `connect` returns; one that is not was not let in.
        let mut left_out = 0;
        while left_out < 3 {
            let caller = socket();
            caller.set_nonblocking(true).unwrap();
            let _ = caller.connect(&address.into());
            left_out += usize::from(caller.peer_addr().is_err());
            queue.push(caller);
            assert!(queue.len() < 100, "the queue does not fill");
        }
        Self {
            _listener: listener,
            _queue: queue,
        }
    }
}

#[test]
fn case_96_a_first_address_that_swallows_connections_does_not_cost_the_call_if_there_is_a_second() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let port = origin.address().port();
    let _hole = BlackHole::at((Ipv4Addr::new(127, 0, 0, 2), port).into());
    let server = NameServer::start();
    server.knows("half.test", &["127.0.0.2", "127.0.0.1"]);
    server.knows("hole.test", &["127.0.0.2"]);
    server.knows("refused.test", &["127.0.0.3", "127.0.0.4"]);
    let to = |name: &str, settings: &str| {
        route_to(
            name,
            &format!("http://{name}.test:{port}"),
            settings,
            "timeout: 60s",
        )
    };
    let sidefuse = Sidefuse::start(&config_with(
        &asking(&server, "2s"),
        &[
            to("half", "connect_timeout: 30s"),
            to("hole", "connect_timeout: 500ms"),
            to("refused", "connect_timeout: 30s"),
        ],
    ));
    assert_eq!(client::get(sidefuse.proxy(), "/half/x").text(), "fine");
    for (path, status, reason) in [
        ("/hole/x", 504, "connect_timeout"),
        ("/refused/x", 502, "connect"),
    ] {
        let response = client::get(sidefuse.proxy(), path);
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.header("x-sidefuse-reason"), Some(reason), "{path}");
    }
}

#[test]
fn many_who_want_a_name_at_once_ask_once_and_it_outlives_who_asked() {
    let server = NameServer::start();
    server.knows("partner.test", &["10.0.0.1", "2001:db8::1"]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let names = Names::new(tokio::runtime::Handle::current(), Meters::new());
        names.respec(&DnsPlan {
            servers: vec![server.address],
            ..DnsPlan::default()
        });
        assert_eq!(
            names.known_addresses("partner.test"),
            None,
            "asks, without waiting"
        );
        // Whoever began may go.
        let impatient = tokio::spawn({
            let names = names.clone();
            async move { names.addresses("partner.test").await }
        });
        tokio::task::yield_now().await;
        impatient.abort();
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let names = names.clone();
                tokio::spawn(async move { names.addresses("partner.test").await })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().len(), 2);
        }
        assert_eq!(server.questions("partner.test"), 1);
        let known = names.known_addresses("partner.test").unwrap();
        assert!(Arc::ptr_eq(
            &known,
            &names.addresses("partner.test").await.unwrap()
        ));
    });
}

#[test]
fn a_thousand_names_at_once_are_all_found() {
    let server = NameServer::start();
    let names: Vec<String> = (0..1000).map(|number| format!("n{number}.test")).collect();
    names
        .iter()
        .for_each(|name| server.knows(name, &["10.0.0.1"]));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let cache = Names::new(tokio::runtime::Handle::current(), Meters::new());
        cache.respec(&DnsPlan {
            servers: vec![server.address],
            timeout: Duration::from_secs(30),
        });
        let callers: Vec<_> = names
            .into_iter()
            .map(|name| {
                let cache = cache.clone();
                tokio::spawn(async move { cache.addresses(&name).await })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().len(), 1);
        }
    });
}

#[test]
fn a_question_that_ends_with_its_runtime_leaves_nobody_waiting() {
    let server = NameServer::start();
    server.says("silent.test", Say::Silence);
    let build = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let owner = build();
    let names = Names::new(owner.handle().clone(), Meters::new());
    names.respec(&DnsPlan {
        servers: vec![server.address],
        ..DnsPlan::default()
    });
    let waiting = std::thread::spawn({
        let names = names.clone();
        move || build().block_on(names.addresses("silent.test"))
    });
    // The waiting thread has begun when the question has come.
    while server.questions("silent.test") == 0 {
        owner.block_on(tokio::task::yield_now());
    }
    drop(owner);
    assert_eq!(waiting.join().unwrap(), Err(NameError::ServerFailure));
}
