//! Where a body ends, and what follows it.

use super::{stage, statuses};
use crate::support::client::Client;

#[test]
fn chunks_that_are_not_what_they_say_end_the_call_and_the_connection_cases_31_32_and_34() {
    let (origin, sidefuse) = stage();
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(1024));
    let bodies = [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "_5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        &long,
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\nX-A: b\nX-C: d\r\n\r\n",
        "0\r\nX-A: b\r\n c\r\n\r\n",
        "0\r\nX-A : b\r\n\r\n",
    ];
    for body in bodies {
        let head = "POST /r/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let next = "GET /r/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let pieces = [head, body, next];
        assert_eq!(
            statuses(&sidefuse, &pieces.map(str::as_bytes)),
            [400],
            "{body:?}"
        );
    }
    assert!(
        origin.requests().is_empty(),
        "no such request came to its end"
    );
    let lines = sidefuse.access_lines();
    assert_eq!(lines.len(), bodies.len());
    assert!(
        lines
            .iter()
            .all(|line| line["reason"] == "bad_request" && line["outcome"] == "ignored")
    );
    let fine = "POST /r/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(
        statuses(&sidefuse, &[fine.as_bytes()]),
        [200, 404],
        "the breaker has heard of none"
    );
    assert_eq!(origin.requests()[0].body, b"hello");
}

#[test]
fn what_follows_a_body_is_the_next_request_and_never_part_of_one_cases_39_and_42() {
    let (origin, sidefuse) = stage();
    for method in ["GET", "DELETE", "OPTIONS", "POST"] {
        let smuggled = "GET /r/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let head = format!(
            "{method} /r/ HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            smuggled.len()
        );
        let seen = origin.requests().len();
        assert_eq!(
            statuses(&sidefuse, &[head.as_bytes(), smuggled.as_bytes()]),
            [200, 404],
            "{method}"
        );
        let requests = origin.requests();
        assert_eq!(requests.len(), seen + 1);
        assert_eq!(requests[seen].body, smuggled.as_bytes(), "{method}");
        let short = format!("{method} /r/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
        assert_eq!(
            statuses(&sidefuse, &[short.as_bytes(), b"cd\r\n\r\n"]),
            [200, 400],
            "{method}"
        );
        assert_eq!(origin.requests()[seen + 1].body, b"ab");
    }
}

#[test]
fn one_of_50_pipelined_requests_that_is_refused_is_the_last_of_its_connection_case_40() {
    let (origin, sidefuse) = stage();
    let of = |index: usize| match index {
        25 => "GET /r/25 HTTP/1.1\r\nX-Correlation-ID: id-25\r\n\r\n".to_owned(),
        index => {
            format!("GET /r/{index} HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: id-{index}\r\n\r\n")
        }
    };
    let mut client = Client::connect(sidefuse.proxy());
    client.send((0..50).map(of).collect::<String>());
    for index in 0..25 {
        let response = client.read();
        assert_eq!(
            (response.status(), response.text()),
            (200, &*format!("/{index}"))
        );
        assert_eq!(
            response.header("x-correlation-id"),
            Some(&*format!("id-{index}"))
        );
    }
    let refused = client.read();
    assert_eq!(
        (refused.status(), refused.header("connection")),
        (400, Some("close"))
    );
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(origin.requests().len(), 25);
    assert_eq!(sidefuse.access_lines().len(), 26);
}

#[test]
fn what_follows_a_wish_to_switch_that_was_not_granted_is_read_strictly_case_54() {
    let (origin, sidefuse) = stage();
    let wish = b"GET /r/1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let good = b"GET /r/2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let bad = b"GET /r/3 HTTP/1.1\r\n\r\n";
    assert_eq!(
        statuses(&sidefuse, &[&wish[..], good, bad].map(|one| one)),
        [200, 200, 400]
    );
    let together = [&wish[..], wish, good, wish, bad, good].concat();
    assert_eq!(statuses(&sidefuse, &[&together]), [200, 200, 200, 200, 400]);
    assert_eq!(origin.requests().len(), 6);
}

#[test]
fn the_answer_to_a_body_that_is_refused_says_what_is_wrong_with_it() {
    let (_origin, sidefuse) = stage();
    for (body, flaw) in [
        ("+5\r\nhello\r\n", "the size of a chunk"),
        ("5\r\nhello!\r\n", "longer or shorter"),
        ("5;a\0\r\nhello\r\n", "the extensions of the chunks"),
        ("0\r\nX-A: b\n", "LF without CR"),
        ("0\r\nX-A : b\r\n\r\n", "is not framed"),
    ] {
        let mut client = Client::connect(sidefuse.proxy());
        client.send("POST /r/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(body);
        let problem = client.read().json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(flaw), "{body:?}: {detail}");
        let line = sidefuse.access_lines().pop().unwrap();
        assert_eq!(line["correlationId"], problem["correlationId"]);
        // What only the HTTP library has refused has no rule that could be named.
        let named = line["detail"].as_str();
        assert_eq!(named, (flaw != "is not framed").then_some(detail), "{line}");
    }
}
