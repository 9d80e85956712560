//! The ways in: path, Host, absolute form, explicit match; what is forwarded; what is refused.

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, config_with, route, route_to};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// Says which target and host it was asked for.
fn telling() -> Origin {
    Origin::start(|request| {
        let host = request.head.header("host").unwrap_or_default();
        Answer::ok(&format!("{} {host}", request.head.target()))
    })
}

#[test]
fn path_host_and_absolute_form_reach_the_same_upstream() {
    let origin = telling();
    let sidefuse = Sidefuse::start(&config(&[route("api", &origin.url(), "timeout: 30s")]));
    let host = origin.address().to_string();
    for (target, field, way) in [
        ("/api/v1/x?y=1", "127.0.0.1", "/v1/x?y=1"),
        ("/v1/x?y=1", &host, "/v1/x?y=1"),
        (
            &format!("http://{host}/v1/x?y=1"),
            "ignored.example",
            "/v1/x?y=1",
        ),
        (&format!("http://{host}"), &host, "/"),
        (
            &format!("http://{}/api/v1/x", sidefuse.proxy()),
            "x",
            "/v1/x",
        ),
    ] {
        let response =
            Client::connect(sidefuse.proxy()).request("GET", target, &[("Host", field)], "");
        assert_eq!(
            response.text(),
            format!("{way} {host}"),
            "{target} with {field}"
        );
    }
}

#[test]
fn case_4_the_targets_host_wins_over_the_field_and_both_are_logged() {
    let origin = telling();
    let sidefuse = Sidefuse::start(&config(&[
        route("api", &origin.url(), "timeout: 30s"),
        route("other", "http://other.example", "timeout: 30s"),
    ]));
    let target = format!("http://{}/case/4", origin.address());
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request("GET", &target, &[("Host", "other.example")], "");
    assert_eq!(
        response.text(),
        format!("/case/4 {}", origin.address()),
        "Host is the upstream's own"
    );
    let line = sidefuse.access_line("/case/4");
    assert_eq!(line["route"], "api");
    assert_eq!(line["targetHost"], origin.address().to_string());
    assert_eq!(line["hostHeader"], "other.example");

    let same = format!("http://{}/case/4c", origin.address());
    client.request("GET", &same, &[("Host", &origin.address().to_string())], "");
    assert!(
        sidefuse.access_line("/case/4c").get("targetHost").is_none(),
        "nothing to tell where they agree"
    );
}

#[test]
fn a_host_that_no_route_has_is_named_in_the_line() {
    let routes = [route("api", "http://api.example:8080/v2", "timeout: 30s")];
    let sidefuse = Sidefuse::start(&config(&routes));
    for (host, path) in [
        ("evil.example", "/case/host/a"),
        ("api.example", "/v2/case/host/b"),
        ("api.example:8080", "/v1/case/host/c"),
    ] {
        let mut client = Client::connect(sidefuse.proxy());
        let target = format!("http://{host}{path}");
        let response = client.request("GET", &target, &[("Host", host)], "");
        let told = response.json();
        assert_eq!(
            (response.status(), &told["reason"]),
            (403, &"host_not_allowed".into()),
            "{target}"
        );
        let detail = told["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("no route has an upstream at this host and port"),
            "{detail}"
        );
        assert_eq!(sidefuse.access_line(path)["targetHost"], host);
    }
}

#[test]
fn credentials_in_a_host_that_is_not_read_strictly_are_not_logged_case_187() {
    let origin = telling();
    let routes = [route("api", &origin.url(), "timeout: 30s")];
    let sidefuse = Sidefuse::start(&config_with("http: {strict: false}", &routes));
    let mut client = Client::connect(sidefuse.proxy());
    let target = "http://evil.example/case/4b";
    let hosts = [("Host", "user:canary@other.example")];
    let response = client.request("GET", target, &hosts, "");
    assert_eq!(response.status(), 403);
    let line = sidefuse.access_line("/case/4b");
    assert_eq!(
        (line["targetHost"].as_str(), line["hostHeader"].as_str()),
        (Some("evil.example"), Some("other.example"))
    );
}

#[test]
fn the_callers_host_goes_on_where_the_route_preserves_it() {
    let origin = telling();
    let settings = "timeout: 30s, preserve_host: true, match: {host: crm.example}";
    let sidefuse = Sidefuse::start(&config(&[route("api", &origin.url(), settings)]));
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request("GET", "/x", &[("Host", "crm.example")], "");
    assert_eq!(response.text(), "/x crm.example");
    let response = client.request("GET", "http://crm.example/y", &[("Host", "z")], "");
    assert_eq!(response.text(), "/y crm.example");
}

#[test]
fn case_29_the_path_that_routed_is_forwarded_byte_for_byte() {
    let origin = telling();
    let sidefuse = Sidefuse::start(&config(&[
        route("api", &origin.url(), "timeout: 30s"),
        route(
            "based",
            &format!("{}/base/v2", origin.url()),
            "timeout: 30s",
        ),
    ]));
    let mut client = Client::connect(sidefuse.proxy());
    for path in [
        "/a/../b",
        "/a/%2e%2e/b",
        "//b",
        "/%61",
        "/b;x=1",
        "/",
        "/?",
        "/a?b=/c//d&e=%20",
        "/a%2Fb",
        "/./.",
        "/a?x=http://y/?z",
        "/~!$&'()*+,;=:@",
    ] {
        let response = client.get(&format!("/api{path}"));
        assert_eq!(
            response.text(),
            format!("{path} {}", origin.address()),
            "{path}"
        );
        let response = client.get(&format!("/based{path}"));
        assert_eq!(
            response.text(),
            format!("/base/v2{path} {}", origin.address()),
            "{path}"
        );
    }
    assert_eq!(client.get("/api").text(), format!("/ {}", origin.address()));
    assert_eq!(
        client.get("/api/../based/x").text(),
        format!("/../based/x {}", origin.address())
    );
    for path in ["/%61pi/x", "//api/x", "/x/../api/y", "/API/x"] {
        assert_eq!(
            client.get(path).status(),
            404,
            "{path} is no other way to write it"
        );
    }
}

#[test]
fn case_29_a_path_stays_below_the_base_path_and_below_the_prefix_of_a_match_that_is_part_of_it() {
    let origin = telling();
    let based = format!("{}/pub", origin.url());
    let routes = [
        route("base", &based, "timeout: 30s"),
        route(
            "part",
            &origin.url(),
            "timeout: 30s, match: {host: part.example, path_prefix: /v1}",
        ),
        route("all", &origin.url(), "timeout: 30s"),
    ];
    let sidefuse = Sidefuse::start(&config(&routes));
    let lenient = Sidefuse::start(&config_with("http: {strict: false}", &routes));
    let own = origin.address().to_string();
    for (host, path, way) in [
        ("x", "/base/../admin", None),
        ("x", "/base/%2e%2E/admin", None),
        ("x", "/base/..%2fadmin", None),
        ("x", "/base/a/../../admin", None),
        (&own, "/pub/../admin", None),
        ("part.example", "/v1/../v2", None),
        ("x", "/base/a/../b", Some("/pub/a/../b")),
        ("x", "/base/a%2Fb?x=../..", Some("/pub/a%2Fb?x=../..")),
        ("part.example", "/v1/../v1", None),
        ("part.example", "/v1/a/%2e%2e/b", Some("/v1/a/%2e%2e/b")),
        ("x", "/all/../x", Some("/../x")),
    ] {
        let ask = |sidefuse: &Sidefuse| {
            let mut client = Client::connect(sidefuse.proxy());
            client.request("GET", path, &[("Host", host)], "")
        };
        let response = ask(&sidefuse);
        match way {
            Some(way) => assert_eq!(response.text(), format!("{way} {own}"), "{path}"),
            None => {
                assert_eq!(response.status(), 400, "{path}");
                let problem = response.json();
                assert!(
                    problem["detail"]
                        .as_str()
                        .unwrap()
                        .contains("`..` segments")
                );
            }
        }
        assert_eq!(ask(&lenient).status(), 200, "{path}");
    }
}

#[test]
fn an_explicit_match_is_more_specific_than_a_name() {
    let (named, matched) = (telling(), Origin::start(|_| Answer::ok("matched")));
    let sidefuse = Sidefuse::start(&config(&[
        route("api", &named.url(), "timeout: 30s"),
        route(
            "posts",
            &matched.url(),
            "timeout: 30s, match: {path_prefix: /api, methods: [POST]}",
        ),
    ]));
    let mut client = Client::connect(sidefuse.proxy());
    assert_eq!(client.request("POST", "/api/x", &[], "b").text(), "matched");
    assert_eq!(
        client.get("/api/x").text(),
        format!("/x {}", named.address())
    );
    assert_eq!(matched.requests()[0].head.target(), "/x");
}

#[test]
fn no_route_is_404_and_lists_how_to_reach_one() {
    let routes: Vec<String> = (0..12)
        .map(|index| route(&format!("r{index:02}"), "http://u.example", "timeout: 30s"))
        .collect();
    let sidefuse = Sidefuse::start(&config(&routes));
    let response = client::get(sidefuse.proxy(), "/nowhere/x");
    assert_eq!(
        (response.status(), response.header("x-sidefuse-reason")),
        (404, Some("no_route"))
    );
    let problem = response.json();
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("/r00/…") && detail.contains("/r09/…") && detail.ends_with("and 2 more"),
        "{detail}"
    );
    assert_eq!(
        (problem["status"].as_u64(), problem["reason"].as_str()),
        (Some(404), Some("no_route"))
    );
    let line = sidefuse.access_line("/nowhere/x");
    assert_eq!(
        (
            line["reason"].as_str(),
            line["outcome"].as_str(),
            line["level"].as_str()
        ),
        (Some("no_route"), Some("ignored"), Some("warn"))
    );
}

#[test]
fn a_host_that_nobody_configured_is_403_and_nothing_is_dialled() {
    let (origin, foreign) = (telling(), telling());
    let sidefuse = Sidefuse::start(&config(&[route("api", &origin.url(), "timeout: 30s")]));
    let mut client = Client::connect(sidefuse.proxy());
    let target = format!("http://{}/x", foreign.address());
    let response = client.request("GET", &target, &[("Host", "x")], "");
    assert_eq!(
        (response.status(), response.header("x-sidefuse-reason")),
        (403, Some("host_not_allowed"))
    );
    client.send(format!(
        "CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n",
        foreign.address()
    ));
    assert_eq!(client.read().status(), 403);
    // A Host field that names somebody else is just our own name spelt oddly: it is routed by path.
    let host = foreign.address().to_string();
    let mut client = Client::connect(sidefuse.proxy());
    assert_eq!(
        client.request("GET", "/x", &[("Host", &host)], "").status(),
        404
    );
    assert_eq!((foreign.connections(), origin.connections()), (0, 0));
}

#[test]
fn a_host_of_two_routes_is_told_to_be_ambiguous() {
    let origin = telling();
    let sidefuse = Sidefuse::start(&config(&[
        route("a", &origin.url(), "timeout: 30s"),
        route("b", &origin.url(), "timeout: 30s"),
    ]));
    let host = origin.address().to_string();
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request("GET", "/x", &[("Host", &host)], "");
    assert_eq!(response.status(), 404);
    assert!(
        response.json()["detail"].as_str().unwrap().contains("a, b"),
        "{}",
        response.text()
    );
    assert_eq!(
        client
            .request("GET", "/b/x", &[("Host", &host)], "")
            .status(),
        200
    );
}

#[test]
fn trace_is_405_and_never_relayed() {
    let origin = telling();
    let sidefuse = Sidefuse::start(&config(&[route("api", &origin.url(), "timeout: 30s")]));
    let response =
        Client::connect(sidefuse.proxy()).request("TRACE", "/api/x", &[("Cookie", "canary")], "");
    assert_eq!(
        (response.status(), response.header("x-sidefuse-reason")),
        (405, Some("method_not_allowed"))
    );
    assert!(response.header("allow").is_some() && !response.text().contains("canary"));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn also_hosts_are_ways_in_too() {
    let origin = telling();
    let sidefuse = Sidefuse::start(&config(&[route_to(
        "api",
        &origin.url(),
        "also_hosts: [alias.example]",
        "timeout: 30s",
    )]));
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request(
        "GET",
        "http://alias.example/x",
        &[("Host", "alias.example")],
        "",
    );
    assert_eq!(response.text(), format!("/x {}", origin.address()));
}
