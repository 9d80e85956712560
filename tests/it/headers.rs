//! Header fields on their way through, and what of them reaches a log line.

use crate::support::answer::{Answer, Received};
use crate::support::client::{self, Client};
use crate::support::config::{config, config_with, route};
use crate::support::http2;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// The call's name, its headers, the id that is kept if one is, whether one was replaced.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, bool);

fn sidefuse_to(origin: &Origin, settings: &str) -> Sidefuse {
    Sidefuse::start(&config(&[route("r", &origin.url(), settings)]))
}

fn is_uuid_v4(id: &str) -> bool {
    uuid::Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 4)
}

/// What is called canary is secret: nothing that was said may hold it.
fn assert_no_canary(sidefuse: &mut Sidefuse) {
    let told = format!(
        "{:?}{}",
        sidefuse.process().lines(),
        sidefuse.process().stderr()
    );
    assert!(!told.contains("canary"), "{told}");
}

#[test]
fn case_183_the_same_id_goes_upstream_back_and_into_the_log_kept_made_or_replaced() {
    let origin = Origin::start(|_| {
        Answer::status(
            200,
            &[("X-Correlation-ID", "forged"), ("X-Request-ID", "forged")],
            "",
        )
    });
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let long = "x".repeat(10 << 10);
    let longest = "y".repeat(128);
    let cases: [Case<'_>; 12] = [
        ("absent", &[], None, false),
        (
            "valid",
            &[("X-Correlation-ID", "Abc.1_2:3-4")],
            Some("Abc.1_2:3-4"),
            false,
        ),
        (
            "longest",
            &[("X-Correlation-ID", &longest)],
            Some(&longest),
            false,
        ),
        (
            "second-name",
            &[("X-Request-ID", "other")],
            Some("other"),
            false,
        ),
        (
            "both-names",
            &[("X-Request-ID", "other"), ("X-Correlation-ID", "first")],
            Some("first"),
            false,
        ),
        (
            "bad-then-good",
            &[("X-Correlation-ID", "a b"), ("X-Request-ID", "other")],
            Some("other"),
            false,
        ),
        (
            "two-values",
            &[("X-Correlation-ID", "one"), ("X-Correlation-ID", "two")],
            None,
            true,
        ),
        ("10-KiB", &[("X-Correlation-ID", &long)], None, true),
        ("quotes", &[("X-Correlation-ID", "a\"b\\c")], None, true),
        (
            "utf-8",
            &[("X-Correlation-ID", "naïve\u{2028}")],
            None,
            true,
        ),
        ("tab", &[("X-Correlation-ID", "a\tb")], None, true),
        ("empty", &[("X-Correlation-ID", "")], None, true),
    ];
    for (index, (name, headers, kept, replaced)) in cases.into_iter().enumerate() {
        let target = format!("/r/{name}");
        let response = Client::connect(sidefuse.proxy()).request("GET", &target, headers, "");
        let id = response.header("x-correlation-id").unwrap();
        match kept {
            Some(kept) => assert_eq!(id, kept, "{name}"),
            None => assert!(is_uuid_v4(id), "{name}: {id}"),
        }
        assert_eq!(response.header("x-request-id"), Some(id), "{name}");
        let head = &origin.requests()[index].head;
        assert_eq!(
            (head.header("x-correlation-id"), head.header("x-request-id")),
            (Some(id), Some(id)),
            "{name}"
        );
        let line = sidefuse.access_line(&target);
        assert_eq!(line["correlationId"], id, "{name}");
        assert_eq!(line["correlationIdReplaced"] == true, replaced, "{name}");
    }
}

#[test]
fn case_16_naming_fields_of_ours_in_connection_removes_none_of_them() {
    let origin = Origin::start(|_| Answer::ok(""));
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let connection = "x-correlation-id, x-request-id, x-forwarded-for, traceparent, host, via, x-mine, content-length";
    Client::connect(sidefuse.proxy()).request(
        "POST",
        "/r/",
        &[
            ("Connection", connection),
            ("X-Correlation-ID", "mine"),
            ("X-Forwarded-For", "6.6.6.6"),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("X-Mine", "gone"),
        ],
        "body",
    );
    let request = &origin.requests()[0];
    let head = &request.head;
    assert_eq!(request.body, b"body");
    assert_eq!(head.header("x-correlation-id"), Some("mine"));
    assert_eq!(head.header("x-request-id"), Some("mine"));
    assert_eq!(head.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(
        head.header("traceparent"),
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    );
    assert_eq!(head.header("host"), Some(&*origin.address().to_string()));
    assert_eq!(head.header("via"), Some("1.1 sidefuse"));
    assert_eq!(
        (head.header("x-mine"), head.header("connection")),
        (None, None)
    );
    let line = sidefuse.access_line("/r/");
    assert_eq!(line["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[test]
fn no_alias_of_the_configured_field_nor_of_any_over_http2_reaches_an_upstream_case_20() {
    for (http, passes) in [
        ("http: {strict: true}", false),
        ("http: {strict: false}", true),
    ] {
        let origin = Origin::start(|_| Answer::ok(""));
        let top = format!("correlation: {{header: X-Trace-No}}\n{http}");
        let routes = [route("r", &origin.url(), "timeout: 30s")];
        let sidefuse = Sidefuse::start(&config_with(&top, &routes));
        let mine = [("X_Trace_No", "forged"), ("X_Mine", "kept")];
        Client::connect(sidefuse.proxy()).request("GET", "/r/", &mine, "");
        let names = [
            "x_trace_no",
            "x_correlation_id",
            "x_forwarded_for",
            "x_mine",
        ];
        let mut request = http::Request::get(format!("http://{}/r/", sidefuse.proxy()));
        for name in names {
            request = request.header(name, "forged");
        }
        http2::calls(sidefuse.proxy(), &[request.body(()).unwrap()]);
        let requests = origin.requests();
        let came = |place: usize, name: &str| {
            let request: &Received = &requests[place];
            request.head.header(name).is_some()
        };
        assert_eq!((came(0, "x_trace_no"), came(0, "x_mine")), (passes, true));
        let expected = [passes, passes, passes, true];
        assert_eq!(names.map(|name| came(1, name)), expected, "{http}");
        for request in &requests {
            assert!(request.head.header("x-trace-no").is_some_and(is_uuid_v4));
        }
    }
}

#[test]
fn case_18_fields_of_one_hop_go_in_both_directions() {
    let hop = [
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ("X-Named", "gone"),
    ];
    let answered = hop;
    let origin = Origin::start(move |_| {
        let headers = [
            &answered[..],
            &[
                ("Connection", "x-named, keep-alive"),
                ("Proxy-Authenticate", "Basic"),
                ("X-End", "stays"),
            ],
        ]
        .concat();
        Answer::status(200, &headers, "body")
    });
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let sent = [
        &hop[..],
        &[
            ("Connection", "X-Named, Upgrade, HTTP2-Settings"),
            ("Proxy-Authorization", "Basic x"),
            ("TE", "gzip"),
            ("X-End", "stays"),
        ],
    ]
    .concat();
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request("GET", "/r/", &sent, "");
    let request = &origin.requests()[0].head;
    for name in [
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "http2-settings",
        "x-named",
    ] {
        assert_eq!(
            (request.header(name), response.header(name)),
            (None, None),
            "{name}"
        );
    }
    for name in ["proxy-authorization", "te", "connection"] {
        assert_eq!(request.header(name), None, "{name}");
    }
    assert_eq!(response.header("proxy-authenticate"), None);
    assert_eq!(
        (request.header("x-end"), response.header("x-end")),
        (Some("stays"), Some("stays"))
    );
    assert_eq!(response.header("via"), Some("1.1 sidefuse"));
    assert_eq!(
        client.get("/r/").text(),
        "body",
        "what the upstream says of its connection is not said of ours"
    );
}

#[test]
fn case_21_forwarding_fields_of_the_caller_are_not_trusted_and_tracing_fields_pass() {
    let origin = Origin::start(|_| Answer::ok(""));
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let passing = [
        ("tracestate", "a=b"),
        ("b3", "0"),
        ("baggage", "k=v"),
        ("sentry-trace", "1-2-0"),
        ("Accept-Language", "de"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
    ];
    let forged = [
        ("Forwarded", "for=6.6.6.6"),
        ("X-Forwarded-Host", "evil"),
        ("X-Forwarded-Proto", "https"),
        ("X-Real-IP", "6.6.6.6"),
        ("Via", "1.0 before"),
    ];
    Client::connect(sidefuse.proxy()).request(
        "GET",
        "/r/",
        &[&passing[..], &forged[..]].concat(),
        "",
    );
    let head = &origin.requests()[0].head;
    for (name, value) in passing {
        assert!(head.all(name).contains(&value), "{name}");
    }
    assert_eq!(head.all("x-twice"), ["1", "2"]);
    for name in [
        "forwarded",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    ] {
        assert_eq!(head.header(name), None, "{name}");
    }
    assert_eq!(head.all("via"), ["1.0 before", "1.1 sidefuse"]);
}

#[test]
fn header_edits_set_and_remove_both_ways_and_secrets_come_from_files() {
    let origin =
        Origin::start(|_| Answer::status(200, &[("Server", "nginx"), ("X-Kept", "k")], ""));
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("token");
    std::fs::write(&secret, "canary-secret\n").unwrap();
    let settings = format!(
        "timeout: 30s, headers: {{request: {{set: {{X-Client: crm, Authorization: {{file: {}, prefix: \"Bearer \"}}}}, remove: [Cookie]}}, \
         response: {{set: {{X-Added: a}}, remove: [Server]}}}}",
        secret.display()
    );
    let mut sidefuse = sidefuse_to(&origin, &settings);
    let response = Client::connect(sidefuse.proxy()).request(
        "GET",
        "/r/",
        &[
            ("Cookie", "c=1"),
            ("Authorization", "caller's"),
            ("X-Client", "caller's"),
        ],
        "",
    );
    let head = &origin.requests()[0].head;
    assert_eq!(head.all("authorization"), ["Bearer canary-secret"]);
    assert_eq!(head.all("x-client"), ["crm"]);
    assert_eq!(head.header("cookie"), None);
    assert_eq!(
        (
            response.header("server"),
            response.header("x-added"),
            response.header("x-kept")
        ),
        (None, Some("a"), Some("k"))
    );
    sidefuse.access_line("/r/");
    assert_no_canary(&mut sidefuse);
}

#[test]
fn case_187_no_secret_of_a_call_is_ever_logged_even_at_trace() {
    let origin = Origin::start(|request| match request.head.target() {
        target if target.starts_with("/reset") => Answer::script().reset(),
        target if target.starts_with("/garbage") => {
            Answer::script().send("canary-garbage\r\n\r\n").close()
        }
        _ => Answer::status(
            200,
            &[("Set-Cookie", "s=canary-set"), ("X-Api-Key", "canary-key")],
            "canary-answer",
        ),
    });
    let routes = [route(
        "r",
        &origin.url(),
        "timeout: 30s, breaker: {failure_threshold: 2}",
    )];
    let mut sidefuse = Sidefuse::start(&config_with("logs: {level: trace}", &routes));
    let secrets = [
        ("Authorization", "Bearer canary-token"),
        ("Proxy-Authorization", "Basic canary-proxy"),
        ("Cookie", "sid=canary-cookie"),
        ("X-Api-Key", "canary-key"),
        ("Referer", "http://x/?t=canary-referer"),
    ];
    for target in [
        "/r/a?access_token=canary-query#canary-hash",
        "/r/reset?t=canary",
        "/r/garbage?t=canary",
        "/nowhere?t=canary",
        "/r/open?t=canary",
    ] {
        Client::connect(sidefuse.proxy()).request(
            "POST",
            target.split('#').next().unwrap(),
            &secrets,
            "canary-body",
        );
    }
    let userinfo = "http://canary-user:canary-pass@evil.example/x?t=canary";
    Client::connect(sidefuse.proxy()).request("GET", userinfo, &secrets, "");
    Client::connect(sidefuse.proxy())
        .send("GET canary bad HTTP/1.1\r\nAuthorization: canary\r\n\r\n");
    assert_eq!(
        sidefuse
            .access_lines()
            .iter()
            .filter(|line| line["requestPath"] != "")
            .count(),
        6
    );
    assert_no_canary(&mut sidefuse);
}

#[test]
fn who_called_is_logged_by_the_header_that_says_so() {
    let origin = Origin::start(|_| Answer::ok(""));
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    Client::connect(sidefuse.proxy()).request("GET", "/r/user", &[("X-User-ID", "42")], "");
    assert_eq!(sidefuse.access_line("/r/user")["userId"], 42);
    client::get(sidefuse.proxy(), "/r/nobody");
    assert!(sidefuse.access_line("/r/nobody").get("userId").is_none());
}
