//! Heads.

use super::{stage, statuses};
use crate::support::client::Client;

/// Heads that are refused, and a part of what the caller is told.
const REFUSED: [(&str, &str); 26] = [
    ("GET /r/ HTTP/1.1\r\n\r\n", "no `Host`"),
    (
        "GET /r/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "more than one `Host`",
    ),
    (
        "GET /r/ HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        "more than one `Host`",
    ),
    (
        "GET /r/ HTTP/1.1\r\nHost: user:canary@a\r\n\r\n",
        "is not a host",
    ),
    ("GET /r/ HTTP/1.1\r\nHost: a:99999\r\n\r\n", "is not a host"),
    ("M#T /r/#x HTTP/1.1\r\nHost: a\r\n\r\n", "written as %23"),
    (
        "POST /r/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "beside",
    ),
    (
        "POST /r/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "beside",
    ),
    (
        "POST /r/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        "more than one `Content-Length`",
    ),
    (
        "POST /r/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab",
        "one number",
    ),
    (
        "POST /r/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nabcde",
        "one number",
    ),
    (
        "POST /r/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "`chunked` alone",
    ),
    (
        "POST /r/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "`chunked` alone",
    ),
    (
        "POST /r/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 has no",
    ),
    ("GET /r/ HTTP/1.1\nHost: a\r\n\r\n", "LF without CR"),
    (
        "GET /r/ HTTP/1.1\r\nHost: a\r\nAccept: x\n\r\n",
        "LF without CR",
    ),
    ("GET /r/ HTTP/1.1\r\nHost: a\r\n\n", "LF without CR"),
    (
        "GET /r/ HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "CR stands without its LF",
    ),
    (
        "GET /r/ HTTP/1.1\r\nHost: a\r\nAccept: x\r\n y\r\n\r\n",
        "begins with a space",
    ),
    (
        "GET /r/ HTTP/1.1\r\n Host: a\r\n\r\n",
        "begins with a space",
    ),
    ("GET /r/ HTTP/1.1\r\nHost : a\r\n\r\n", "its colon"),
    (
        "GET /r/ HTTP/1.2\r\nHost: a\r\n\r\n",
        "the request line ends",
    ),
    ("GET /r/\r\n\r\n", "the request line ends"),
    ("GET /r/#x HTTP/1.1\r\nHost: a\r\n\r\n", "written as %23"),
    ("GET /r/é HTTP/1.1\r\nHost: a\r\n\r\n", "beyond ASCII"),
    (
        "GET /r/ HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1.1.1.1\r\n\r\n",
        "underscores",
    ),
];

#[test]
fn a_head_that_could_be_read_otherwise_is_refused_with_its_flaw_cases_1_2_8_9_10_14_20_22_24_and_25()
 {
    let (origin, mut sidefuse) = stage();
    for (index, (bytes, flaw)) in REFUSED.iter().enumerate() {
        let mut client = Client::connect(sidefuse.proxy());
        client.send(bytes);
        let response = client.read();
        assert_eq!(
            (response.status(), response.header("connection")),
            (400, Some("close")),
            "{bytes:?}"
        );
        assert_eq!(client.read_to_end(), b"", "{bytes:?}");
        let problem = response.json();
        assert!(
            problem["detail"].as_str().unwrap().contains(flaw),
            "{bytes:?}: {problem}"
        );
        let lines = sidefuse.access_lines();
        assert_eq!(lines.len(), index + 1, "one line each");
        let line = &lines[index];
        assert_eq!(
            line["correlationId"],
            response.header("x-correlation-id").unwrap(),
            "{bytes:?}"
        );
        assert_eq!(
            (line["reason"].as_str(), line["statusCode"].as_u64()),
            (Some("bad_request"), Some(400))
        );
        assert!(line["detail"].as_str().unwrap().contains(flaw), "{line}");
    }
    assert_eq!(origin.connections(), 0);
    assert!(!sidefuse.process().stdout().contains("canary"));
}

#[test]
fn a_target_with_credentials_or_of_another_scheme_is_refused_and_framed_well() {
    let (origin, mut sidefuse) = stage();
    for (target, flaw) in [
        ("http://user:canary@a/r/", "user and password"),
        ("ftp://a/r/", "neither of"),
    ] {
        let mut client = Client::connect(sidefuse.proxy());
        let response = client.request("GET", target, &[("Host", "a")], "");
        assert_eq!(response.status(), 400, "{target}");
        assert!(response.text().contains(flaw), "{}", response.text());
        assert_eq!(client.get("/nowhere").status(), 404);
    }
    assert_eq!(origin.connections(), 0);
    assert!(!sidefuse.process().stdout().contains("canary"));
}

#[test]
fn a_method_may_have_every_character_of_a_token() {
    let (origin, sidefuse) = stage();
    let call = b"M!#$%&'*+-.^_`|~1 /r/ HTTP/1.1\r\nHost: a:65535\r\n\r\n";
    let (method, rest) = call.split_at(3);
    assert_eq!(statuses(&sidefuse, &[method, rest]), [200, 404]);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn what_other_parsers_take_in_a_request_line_or_a_field_is_400_cases_23_24_and_25() {
    let (origin, sidefuse) = stage();
    for line in [
        "GET  /r/ HTTP/1.1",
        "GET\t/r/ HTTP/1.1",
        "GET /r/\tHTTP/1.1",
        "GET /r/  HTTP/1.1",
        "GET /r/ HTTP/1.1 ",
        "GET /r/ http/1.1",
        "GET /r/ HTTP/2.0",
        "GET /r/ HTTP/0.9",
        " GET /r/ HTTP/1.1",
        "GET /r/\0 HTTP/1.1",
        "G(T /r/ HTTP/1.1",
        "GET HTTP/1.1",
    ] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(statuses(&sidefuse, &[bytes.as_bytes()]), [400], "{bytes:?}");
    }
    for field in [
        "Accept",
        ": x",
        "A b: x",
        "Accept\t: x",
        "A\u{e9}: x",
        "Accept: \0",
        "Accept: \x7f",
        "Accept: a\rb",
        "(: x",
    ] {
        let bytes = format!("GET /r/ HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        assert_eq!(statuses(&sidefuse, &[bytes.as_bytes()]), [400], "{bytes:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_coding_with_one_byte_more_is_chunked_or_refused_or_another_field_case_12() {
    const BODY: &[u8] = b"5\r\nhello\r\n0\r\n\r\n";
    let (origin, sidefuse) = stage();
    let line = b"Transfer-Encoding: chunked";
    let (mut chunked, mut others) = (0, 0);
    for place in [0, 8, 17, 18, 19, 26] {
        for byte in (0..=255)
            .step_by(if place == 8 { 5 } else { 2 })
            .chain(*b" \t-_:,;\"")
        {
            let mutated = [&line[..place], &[byte], &line[place..]].concat();
            let head = [
                b"POST /r/ HTTP/1.1\r\nHost: a\r\n",
                &mutated[..],
                b"\r\n\r\n",
            ]
            .concat();
            let seen = origin.requests().len();
            let statuses = statuses(&sidefuse, &[&head, BODY]);
            let requests = origin.requests();
            let is_white = byte == b' ' || byte == b'\t';
            let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if place >= 18 && is_white {
                assert_eq!(statuses, [200, 404], "{mutated:?}");
                assert_eq!(requests[seen].body, b"hello", "{mutated:?}");
                chunked += 1;
            } else if place < 18 && is_token || place == 8 && byte == b':' {
                assert_eq!(
                    statuses,
                    [200, 400],
                    "another field, so what looks like a body is the next request: {mutated:?}"
                );
                assert_eq!(requests[seen].body, b"", "{mutated:?}");
                others += 1;
            } else {
                assert_eq!(statuses, [400], "{mutated:?}");
                assert_eq!(requests.len(), seen, "{mutated:?}");
            }
        }
    }
    assert!(chunked > 4 && others > 50, "{chunked} {others}");
    for coding in ["CHUNKED", "Chunked"] {
        let head = format!("POST /r/ HTTP/1.1\r\nHost: a\r\nTRANSFER-encoding:{coding}\r\n\r\n");
        assert_eq!(statuses(&sidefuse, &[head.as_bytes(), BODY]), [200, 404]);
    }
    assert!(
        origin
            .requests()
            .iter()
            .all(|request| request.head.all("transfer-encoding").len() <= 1)
    );
}

#[test]
fn a_refused_head_is_refused_wherever_it_is_cut_case_41() {
    let (origin, sidefuse) = stage();
    for (bytes, _) in [REFUSED[0], REFUSED[5], REFUSED[12], REFUSED[16]] {
        for at in 1..bytes.len() {
            let (start, end) = bytes.as_bytes().split_at(at);
            assert_eq!(
                statuses(&sidefuse, &[start, end]),
                [400],
                "{bytes:?} at {at}"
            );
        }
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn http_1_0_needs_no_host_and_an_empty_line_before_a_request_is_nothing() {
    let (_origin, sidefuse) = stage();
    assert_eq!(statuses(&sidefuse, &[b"GET /r/ HTTP/1.0\r\n\r\n"]), [200]);
    assert_eq!(
        statuses(&sidefuse, &[b"\r\nGET /r/ HTTP/1.1\r\nHost:\r\n\r\n"]),
        [200, 404]
    );
}
