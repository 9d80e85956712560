//! Heads over HTTP/2, which the HTTP library decodes.

use http::Request;

use super::stage;
use crate::support::answer::Answer;
use crate::support::config::{config_with, route};
use crate::support::http2;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// Authorities (or none for the proxy's own), paths and fields that are refused, and a part of what the caller is told.
type Refused = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const REFUSED: [Refused; 8] = [
    ("user:canary@a", "/r/x", &[], "user and password"),
    ("a:99999", "/r/x", &[], "not a host"),
    ("a", "/r/é", &[], "beyond ASCII"),
    ("a", "/r/x", &[("host", "b")], "`:authority` differ"),
    (
        "a",
        "/r/x",
        &[("host", "a"), ("host", "a")],
        "more than one `Host`",
    ),
    ("a", "/r/x", &[("host", "user:canary@a")], "is not a host"),
    ("a", "/r/x", &[("x-tenant-id", "a ")], "space or a tab"),
    ("a", "/r/x", &[("x-tenant-id", "\ta")], "space or a tab"),
];

fn request(authority: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let builder = Request::get(format!("http://{authority}{path}"));
    let builder = fields.iter().fold(builder, |builder, (name, value)| {
        builder.header(*name, *value)
    });
    builder.body(()).unwrap()
}

#[test]
fn a_head_over_http2_that_could_be_read_otherwise_is_refused_with_its_flaw_cases_4_22_and_24() {
    let (origin, mut sidefuse) = stage();
    let requests = REFUSED.map(|(authority, path, fields, _)| request(authority, path, fields));
    let answers = http2::calls(sidefuse.proxy(), &requests);
    for ((head, body), (.., told)) in answers.iter().zip(REFUSED) {
        let body = String::from_utf8_lossy(body);
        assert_eq!(head.status, 400, "{told}: {body}");
        assert_eq!(head.headers["x-sidefuse-reason"], "bad_request");
        assert!(body.contains(told), "{told}: {body}");
    }
    assert_eq!(origin.connections(), 0);
    let fine = [
        request("a", "/r/x", &[("host", "A")]),
        request("a:80", "/r/x", &[("x-tenant-id", "a b")]),
    ];
    for (head, _) in http2::calls(sidefuse.proxy(), &fine) {
        assert_eq!(head.status, 200);
    }
    let lines = sidefuse.access_lines();
    assert_eq!(lines.len(), REFUSED.len() + fine.len());
    assert!(!sidefuse.process().stdout().contains("canary"));
}

#[test]
fn without_strict_such_heads_are_read_as_the_library_does() {
    let origin = Origin::start(|request| Answer::ok(request.head.target()));
    let routes = [route("r", &origin.url(), "timeout: 30s")];
    let sidefuse = Sidefuse::start(&config_with("http: {strict: false}", &routes));
    let requests = [
        request("a", "/r/x", &[("host", "b")]),
        request("a", "/r/x", &[("x-tenant-id", "a ")]),
    ];
    for (head, body) in http2::calls(sidefuse.proxy(), &requests) {
        assert_eq!((head.status.as_u16(), &*body), (200, &b"/x"[..]));
    }
}

#[test]
fn a_head_over_http2_that_is_too_large_is_refused_as_over_http1_cases_26_and_62() {
    let origin = Origin::start(|request| Answer::ok(request.head.target()));
    let routes = [route("r", &origin.url(), "timeout: 30s")];
    let limits = "http: {max_header_bytes: 8KiB, max_headers: 20}";
    let sidefuse = Sidefuse::start(&config_with(limits, &routes));
    let with = |count: usize, name: &str, value: &str| {
        let mut request = request("a", "/r/x", &[]);
        for index in 0..count {
            let name = name.replace('#', &index.to_string());
            let name = http::HeaderName::try_from(name).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    };
    let requests = [
        (with(20, "x-#", "y"), 200),
        (with(21, "x-#", "y"), 431),
        (with(50, "cookie", "y"), 200),
        (with(1, "x-#", &"y".repeat(8_000)), 200),
        (with(1, "x-#", &"y".repeat(8_200)), 431),
        (with(2, "x-#", &"y".repeat(7_000)), 431),
    ];
    let asked: Vec<_> = requests
        .iter()
        .map(|(request, _)| request.clone())
        .collect();
    let answers = http2::calls(sidefuse.proxy(), &asked);
    for (index, ((head, body), (_, status))) in answers.iter().zip(&requests).enumerate() {
        assert_eq!(head.status, *status, "{index}");
        if *status == 431 {
            assert_eq!(head.headers["x-sidefuse-reason"], "headers_too_large");
            let body = String::from_utf8_lossy(body);
            assert!(body.contains("more than `http.max_header"), "{body}");
        }
    }
    let lines = sidefuse.access_lines();
    let refused = lines
        .iter()
        .filter(|line| line["reason"] == "headers_too_large");
    assert_eq!((lines.len(), refused.count()), (6, 3));
}
