//! How the process ends: its callers are served to the last, and its last line is out.

use std::net::TcpStream;

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::gate::Gate;
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal};
use crate::support::traffic::Traffic;

fn config(origin: &Origin, drain: &str) -> String {
    format!(
        "version: 1\nlisten: {{proxy: 127.0.0.1:0, admin: off, health: 127.0.0.1:0}}\nshutdown: {{drain: {drain}}}\nroutes: {{crm: {{upstream: \"{}\"}}}}\n",
        origin.url()
    )
}

/// An origin whose answer to `/held` waits for the gate.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request| match request.head.target() {
        "/held" => Answer::script()
            .pass(&gate)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld"),
        _ => Answer::ok("fine"),
    })
}

/// A call that its upstream has and does not answer.
fn held(sidefuse: &Sidefuse, origin: &Origin) -> Client {
    let before = origin.requests().len();
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /crm/held HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.wait_for_requests(before + 1);
    client
}

fn wait_draining(sidefuse: &mut Sidefuse, signal: &str) {
    sidefuse.process().wait_for_line(|line| {
        line["signal"] == *signal
            && line["msg"]
                .as_str()
                .is_some_and(|msg| msg.starts_with("Shutting down"))
    });
}

#[test]
fn sigterm_under_load_fails_no_call_and_serves_new_connections_cases_194_195() {
    let gate = Gate::closed();
    let origin = holding(&gate);
    let mut sidefuse = Sidefuse::start(&config(&origin, "60s"));
    let mut in_flight = held(&sidefuse, &origin);
    let mut kept = Client::connect(sidefuse.proxy());
    assert_eq!(kept.get("/crm/kept").header("connection"), None);
    let traffic = Traffic::start(sidefuse.proxy(), 4, "/crm/x");
    traffic.wait_for_more(20);
    assert_eq!(client::get(sidefuse.health(), "/readyz").status(), 200);

    sidefuse.process().signal(Signal::Term);
    wait_draining(&mut sidefuse, "SIGTERM");
    assert_eq!(client::get(sidefuse.health(), "/readyz").status(), 503);
    assert_eq!(client::get(sidefuse.health(), "/livez").status(), 200);

    // Each of these calls needs a new connection, for each answer ends its own.
    traffic.wait_for_more(40);
    let last = kept.get("/crm/kept");
    assert_eq!(
        (last.status(), last.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(kept.read_to_end(), b"");
    let own = Client::connect(sidefuse.proxy()).get("/nowhere");
    assert_eq!(
        (own.status(), own.header("connection")),
        (404, Some("close"))
    );

    let mut old = Client::connect(sidefuse.proxy());
    old.send("GET /crm/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let last = String::from_utf8(old.read_to_end()).unwrap().to_lowercase();
    assert!(last.contains("\nconnection: close\r") && !last.contains("keep-alive"));
    gate.open();
    let response = in_flight.read();
    assert_eq!((response.status(), response.text()), (200, "held"));
    assert_eq!(response.header("connection"), Some("close"));
    let calls = traffic.stop();
    assert_eq!(sidefuse.process().wait_exit(), 0);

    let lines = sidefuse.process().lines();
    let good = lines
        .iter()
        .filter(|line| line["statusCode"] == 200)
        .count();
    assert_eq!(good, calls + 4, "one line for each call, the last ones too");
    assert_eq!(lines.last().unwrap()["msg"], "sidefuse has ended");
}

#[test]
fn sigint_and_sigquit_end_it_as_sigterm_does() {
    for (signal, name) in [(Signal::Int, "SIGINT"), (Signal::Quit, "SIGQUIT")] {
        let origin = Origin::start(|_| Answer::ok("fine"));
        let mut sidefuse = Sidefuse::start(&config(&origin, "60s"));
        assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 200);
        let proxy = sidefuse.proxy();
        sidefuse.process().signal(signal);
        wait_draining(&mut sidefuse, name);
        assert_eq!(sidefuse.process().wait_exit(), 0);
        TcpStream::connect(proxy).expect_err("nobody listens any more");
    }
}

#[test]
fn a_second_signal_ends_it_at_once_with_its_number_case_197() {
    for (first, name, second, code) in [
        (Signal::Term, "SIGTERM", Signal::Term, 128 + 15),
        (Signal::Term, "SIGTERM", Signal::Int, 128 + 2),
        (Signal::Int, "SIGINT", Signal::Term, 128 + 15),
        (Signal::Term, "SIGTERM", Signal::Quit, 128 + 3),
    ] {
        let gate = Gate::closed();
        let origin = holding(&gate);
        let mut sidefuse = Sidefuse::start(&config(&origin, "1h"));
        let mut in_flight = held(&sidefuse, &origin);
        sidefuse.process().signal(first);
        wait_draining(&mut sidefuse, name);
        sidefuse.process().signal(second);
        assert_eq!(sidefuse.process().wait_exit(), code);
        assert_eq!(in_flight.read_to_end(), b"");
        let lines = sidefuse.process().lines();
        let cut = lines.iter().find(|line| line["route"] == "crm").unwrap();
        assert_eq!(
            (&cut["reason"], cut.get("clientGone")),
            (&"draining".into(), None)
        );
        gate.open();
    }
}

#[test]
fn who_waits_beyond_the_drain_is_told_and_what_is_on_its_way_is_cut_and_recorded_as_ours() {
    let gate = Gate::closed();
    let passing = gate.clone();
    let origin = Origin::start(move |request| match request.head.target() {
        "/head" => Answer::script().pass(&passing),
        "/body" => Answer::script()
            .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            .pass(&passing),
        _ => Answer::script()
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .echo(),
    });
    let mut sidefuse = Sidefuse::start(&config(&origin, "200ms"));
    let proxy = sidefuse.proxy();
    let mut waiting = Client::connect(proxy);
    waiting.send("GET /crm/head HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut reading = Client::connect(proxy);
    reading.send("GET /crm/body HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(reading.read_head().unwrap().status(), 200);
    assert_eq!(reading.read_bytes(4), b"half");
    let mut tunnel = Client::connect(proxy);
    tunnel.send(
        "GET /crm/tunnel HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nping",
    );
    assert_eq!(tunnel.read().status(), 101);
    assert_eq!(tunnel.read_bytes(4), b"ping");
    origin.wait_for_requests(3);
    let mut half = Client::connect(proxy);
    half.send("GET /crm/half HTTP/1.1\r\nHo");

    sidefuse.process().signal(Signal::Term);
    let told = waiting.read();
    assert_eq!(
        (told.status(), told.header("connection")),
        (503, Some("close"))
    );
    assert_eq!(told.header("x-sidefuse-reason"), Some("draining"));
    assert_eq!(sidefuse.process().wait_exit(), 0);
    for client in [&mut waiting, &mut reading, &mut tunnel, &mut half] {
        assert_eq!(client.read_to_end(), b"");
    }
    let lines = sidefuse.process().lines();
    let cut: Vec<_> = lines
        .iter()
        .filter(|line| line["reason"] == "draining")
        .collect();
    let mut statuses: Vec<_> = cut
        .iter()
        .map(|line| {
            (
                line["requestMethod"].to_string(),
                line["statusCode"].to_string(),
            )
        })
        .collect();
    statuses.sort();
    let expected = [
        ("\"-\"", "503"),
        ("\"GET\"", "101"),
        ("\"GET\"", "200"),
        ("\"GET\"", "503"),
    ];
    let mut expected = expected.map(|(method, status)| (method.to_owned(), status.to_owned()));
    expected.sort();
    assert_eq!(statuses, expected);
    for line in cut {
        assert_eq!(line.get("clientGone"), None, "{line}");
        // A switch is judged at its 101.
        let (outcome, bytes) = match line["statusCode"].as_u64().unwrap() {
            101 => ("success", 4),
            200 => ("ignored", 4),
            _ => continue,
        };
        assert_eq!(line["outcome"], outcome, "{line}");
        assert_eq!(line["msg"], "Request cut off", "{line}");
        assert_eq!(line["bytesOut"], bytes, "{line}");
    }
    assert!(
        lines.iter().any(
            |line| line["level"] == "warn" && line["msg"].as_str().unwrap().contains("cut off")
        )
    );
    gate.open();
}

#[test]
fn a_reload_is_still_obeyed_while_it_drains() {
    let gate = Gate::closed();
    let origin = holding(&gate);
    let mut sidefuse = Sidefuse::start(&config(&origin, "1h"));
    let mut in_flight = held(&sidefuse, &origin);
    sidefuse.process().signal(Signal::Term);
    wait_draining(&mut sidefuse, "SIGTERM");
    sidefuse.write_config(&config(&origin, "2h").replace("crm:", "other:"));
    sidefuse
        .process()
        .wait_for_line(|line| line["msg"] == "Configuration reloaded");
    assert_eq!(client::get(sidefuse.proxy(), "/other/x").text(), "fine");
    assert!(!Metrics::of(sidefuse.health()).mentions("\"crm\""));
    gate.open();
    assert_eq!(in_flight.read().text(), "held");
    assert_eq!(sidefuse.process().wait_exit(), 0);
}

#[test]
fn an_http2_connection_is_told_to_go_away_and_finishes_what_it_has_case_195() {
    let gate = Gate::closed();
    let origin = holding(&gate);
    let mut sidefuse = Sidefuse::start(&config(&origin, "60s"));
    let address = sidefuse.proxy();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let call = |path: &str| {
        let uri = format!("http://{address}{path}");
        http::Request::get(uri).body(()).unwrap()
    };
    let served = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let (held, _) = sender.send_request(call("/crm/held"), true).unwrap();
        while origin.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        sidefuse.process().signal(Signal::Term);
        // Until it has been told, it may call; each such call is served, unless it never left here.
        let mut served = 1;
        while let Ok(ready) = sender.clone().ready().await {
            sender = ready;
            let Ok((response, _)) = sender.send_request(call("/crm/x"), true) else {
                break;
            };
            match response.await {
                Ok(response) => assert_eq!(response.status(), 200),
                Err(error) if error.is_go_away() => break,
                Err(error) => panic!("{error}"),
            }
            served += 1;
        }
        gate.open();
        let mut response = held.await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.body_mut().data().await.unwrap().unwrap();
        assert_eq!(body, "held");
        drop((response, sender));
        connection.await.unwrap().expect("an orderly end");
        served
    });
    assert_eq!(sidefuse.process().wait_exit(), 0);
    let lines = sidefuse.process().lines();
    let statuses: Vec<_> = lines
        .iter()
        .filter_map(|line| line.get("statusCode"))
        .collect();
    assert_eq!(statuses, vec![200; served]);
}

/// A leader that its upstream holds, and three callers who wait for the same answer.
fn sharing(drain: &str, gate: &Gate) -> (Origin, Sidefuse, Vec<Client>) {
    let origin = holding(gate);
    let coalesce = "fallback: {stale: {coalesce: true}}, upstream";
    let config = config(&origin, drain).replace("upstream", coalesce);
    let sidefuse = Sidefuse::start(&config);
    let mut callers = vec![held(&sidefuse, &origin)];
    for _ in 0..3 {
        let mut caller = Client::connect(sidefuse.proxy());
        caller.send("GET /crm/held HTTP/1.1\r\nHost: x\r\n\r\n");
        callers.push(caller);
    }
    let in_flight = || {
        let metrics = Metrics::of(sidefuse.health());
        metrics.value("sidefuse_in_flight_requests{route=\"crm\"}")
    };
    while in_flight() != Some(4.0) {}
    (origin, sidefuse, callers)
}

#[test]
fn those_who_wait_for_anothers_call_are_served_while_it_drains() {
    let gate = Gate::closed();
    let (origin, mut sidefuse, callers) = sharing("60s", &gate);
    sidefuse.process().signal(Signal::Term);
    wait_draining(&mut sidefuse, "SIGTERM");
    // What is said there is said by the thread that begins the drain, so it has begun.
    assert_eq!(client::get(sidefuse.health(), "/readyz").status(), 503);
    gate.open();
    for mut caller in callers {
        let response = caller.read();
        assert_eq!((response.status(), response.text()), (200, "held"));
        assert_eq!(response.header("connection"), Some("close"));
    }
    assert_eq!(sidefuse.process().wait_exit(), 0);
    assert_eq!(origin.requests().len(), 1);
    let lines = sidefuse.process().lines();
    let lines = lines.iter().filter(|line| line["route"] == "crm");
    let shared = lines.clone().filter(|line| line["coalesced"] == true);
    assert_eq!((lines.count(), shared.count()), (4, 3));
}

#[test]
fn those_who_wait_for_anothers_call_beyond_the_drain_are_told_with_it() {
    let gate = Gate::closed();
    let (origin, mut sidefuse, callers) = sharing("200ms", &gate);
    sidefuse.process().signal(Signal::Term);
    for mut caller in callers {
        let told = caller.read();
        assert_eq!(
            (told.status(), told.header("x-sidefuse-reason")),
            (503, Some("draining"))
        );
    }
    assert_eq!(sidefuse.process().wait_exit(), 0);
    assert_eq!(origin.requests().len(), 1);
    let lines = sidefuse.process().lines();
    let cut: Vec<_> = lines.iter().filter(|line| line["route"] == "crm").collect();
    assert_eq!(cut.len(), 4);
    for line in cut {
        let (reason, outcome) = (&line["reason"], &line["outcome"]);
        assert_eq!((reason, outcome), (&"draining".into(), &"ignored".into()));
        assert_eq!(line.get("clientGone"), None);
    }
    gate.open();
}

#[test]
fn an_upload_under_way_at_the_end_of_the_drain_leaves_one_line_and_the_refusal_has_its_routes_form()
{
    let gate = Gate::closed();
    let passing = gate.clone();
    let origin = Origin::start(move |_| Answer::script().pass(&passing));
    let config = config(&origin, "200ms").replace("{upstream", "{refusals: graph, upstream");
    let mut sidefuse = Sidefuse::start(&config);
    let mut caller = Client::connect(sidefuse.proxy());
    caller.send("POST /crm/up HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nsome of it");
    let in_flight = || {
        let metrics = Metrics::of(sidefuse.health());
        metrics.value("sidefuse_in_flight_requests{route=\"crm\"}")
    };
    while in_flight() != Some(1.0) {}
    sidefuse.process().signal(Signal::Term);
    let told = caller.read();
    assert_eq!(told.status(), 503);
    let error = &told.json()["error"];
    assert_eq!(error["type"], "SidefuseException", "{}", told.text());
    // What is left of the body is no request.
    caller.send("GET /crm/none HTTP/1.1\r\n");
    assert_eq!(sidefuse.process().wait_exit(), 0);
    let lines = sidefuse.process().lines();
    let calls: Vec<_> = lines
        .iter()
        .filter(|line| line.get("requestMethod").is_some())
        .collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0]["reason"], "draining");
    gate.open();
}
