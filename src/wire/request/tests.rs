//! What is clear and what is refused, at every split.

use proptest::prelude::*;

use super::*;

/// The verdict on the whole, with the place among all bytes.
fn read(pieces: &[&[u8]]) -> (Requests, Reading) {
    let mut requests = Requests::default();
    let mut before = 0;
    for piece in pieces {
        match requests.read(piece) {
            Reading::Clear => before += piece.len(),
            Reading::Refused { at, flaw } => {
                let at = before + at;
                return (requests, Reading::Refused { at, flaw });
            }
            Reading::Open { at } => {
                let at = before + at;
                return (requests, Reading::Open { at });
            }
        }
    }
    (requests, Reading::Clear)
}

/// The flaw of a text, the same at every split (case 41); `None` when all of it is clear, and whole.
fn flaw(text: impl AsRef<[u8]>) -> Option<Flaw> {
    let bytes = text.as_ref();
    let (requests, whole) = read(&[bytes]);
    for at in 0..=bytes.len() {
        let (start, end) = bytes.split_at(at);
        assert_eq!(read(&[start, end]).1, whole, "split at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single).1, whole, "in single bytes");
    match whole {
        Reading::Refused { flaw, .. } => Some(flaw),
        Reading::Clear | Reading::Open { .. } => {
            assert!(!requests.is_within_head(), "the head is not over");
            None
        }
    }
}

fn with(fields: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn what_clients_send_is_clear() {
    for text in [
        "GET / HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:a\r\nConnection: keep-alive\r\nCache-Control: \r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length:0\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tChunked \r\n\r\n3\r\na\nb\r\n0A \t;x=\"y\"\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;\r\nX-Sum: 1\r\nTE: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX_Mine: 1\r\nTE: trailers\r\nX-Very-Long-Name-Of-A-Field-That-Is-Nobodys: 1\r\n\r\n",
    ] {
        assert_eq!(flaw(text), None, "{text:?}");
    }
}

#[test]
fn http_1_1_has_one_host_that_is_one_cases_1_and_2() {
    let of = |fields: &str| flaw(format!("GET / HTTP/1.1\r\n{fields}\r\n"));
    assert_eq!(of(""), Some(Flaw::NoHost));
    assert_eq!(of("X-Host: a\r\nHos: a\r\n"), Some(Flaw::NoHost));
    assert_eq!(of("Host: a\r\nHost: b\r\n"), Some(Flaw::SeveralHosts));
    assert_eq!(
        of("Host: a\r\nX: y\r\nHOST: a\r\n"),
        Some(Flaw::SeveralHosts)
    );
    let old = "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n";
    assert_eq!(flaw(old), Some(Flaw::SeveralHosts));
    for host in [
        "a",
        "",
        " ",
        "a.b-c_d~",
        "a:",
        "a:80 ",
        "\ta\t",
        "[::1]",
        "[::1]:80",
        "127.0.0.1:1",
        "a%2d%2D",
        "a,b;c=(d)",
        "a_b",
    ] {
        assert_eq!(of(&format!("Host:{host}\r\n")), None, "{host:?}");
    }
    for host in [
        "a b", "a, b", "a:b", "a:8:0", ":80", "u@a", "a/b", "a?b", "a#b", "a\"", "[", "[]", "[::1",
        "[::1]a", "[g]", "a[", "a%", "a%4", "a%4g", "a\\b", "<a>", "a\u{e9}", "a\0",
    ] {
        assert_eq!(
            of(&format!("Host: {host}\r\n")),
            Some(Flaw::Host),
            "{host:?}"
        );
    }
}

#[test]
fn a_length_is_one_number_and_stands_alone_cases_8_9_and_10() {
    let both = [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 3\r\n",
        "content-length: 0\r\ntransfer-encoding: gzip\r\n",
    ];
    for fields in both {
        assert_eq!(flaw(with(fields)), Some(Flaw::LengthAndCoding), "{fields}");
    }
    for second in ["3", "4", "x", ""] {
        let fields = format!("Content-Length: 3\r\nContent-length: {second}\r\n");
        assert_eq!(flaw(with(&fields)), Some(Flaw::SeveralLengths), "{fields}");
    }
    for length in [
        "+5",
        "-0",
        "0x5",
        "5_0",
        "5 5",
        "",
        " ",
        "\t",
        "5,5",
        "5, 5",
        "5;",
        "5.0",
        "a",
        "99999999999999999999",
        "18446744073709551615",
        "18446744073709551614",
        "5\u{b}",
        "\u{665}",
    ] {
        let fields = format!("Content-Length: {length}\r\n");
        assert_eq!(flaw(with(&fields)), Some(Flaw::Length), "{length:?}");
    }
    for length in ["5", "\t5 \t", "05", "18446744073709551613"] {
        let fields = format!("Content-Length:{length}\r\n");
        assert_eq!(flaw(with(&fields)), None, "{length:?}");
    }
}

#[test]
fn a_coding_is_chunked_once_and_not_in_http_1_0_cases_12_and_14() {
    for coding in [
        "",
        "xchunked",
        "chunkedx",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "\"chunked\"",
        "'chunked'",
        "chunked;q=1",
        "chun ked",
        "chunke",
        "chunked\0",
        "\u{b}chunked",
        "chunked\u{c}",
        "c",
        "\u{17f}",
    ] {
        let fields = format!("Transfer-Encoding: {coding}\r\n");
        assert_eq!(flaw(with(&fields)), Some(Flaw::Coding), "{coding:?}");
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(flaw(with(twice)), Some(Flaw::Coding));
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(flaw(old), Some(Flaw::CodingInHttp10));
}

#[test]
fn lines_end_in_crlf_and_are_not_folded_cases_22_and_24() {
    let lines = with("Accept: a\r\nContent-Length: 0\r\nConnection: close\r\n");
    for (at, _) in lines.match_indices("\r\n") {
        let bare = [&lines[..at], &lines[at + 1..]].concat();
        assert_eq!(flaw(&bare), Some(Flaw::BareLf), "{bare:?}");
    }
    assert_eq!(flaw("\nGET / HTTP/1.1\r\n"), Some(Flaw::BareLf));
    assert_eq!(flaw("\r\rGET / HTTP/1.1\r\n"), Some(Flaw::BareCr));
    for value in [
        "Host: a\rb",
        "Content-Length: 1\r1",
        "Transfer-Encoding: chunked\r ",
    ] {
        let text = format!("GET / HTTP/1.1\r\n{value}\r\n\r\n");
        assert_eq!(flaw(&text), Some(Flaw::BareCr), "{value:?}");
    }
    assert_eq!(flaw("GET / HTTP/1.0\r\nA: b\r\n\rX"), Some(Flaw::BareCr));
    for space in [" ", "\t"] {
        assert_eq!(
            flaw(with(&format!("A: b\r\n{space}c\r\n"))),
            Some(Flaw::Folded)
        );
        let first = format!("GET / HTTP/1.1\r\n{space}Host: a\r\n\r\n");
        assert_eq!(flaw(first), Some(Flaw::Folded));
        for name in ["Host", "Content-Length", "Transfer-Encoding", "X-A"] {
            let spaced = format!("{name}{space}: 1\r\n");
            assert_eq!(flaw(with(&spaced)), Some(Flaw::SpaceBeforeColon), "{name}");
        }
    }
    assert_eq!(flaw(with("Content-Length\r\n: 5\r\n")), Some(Flaw::NoColon));
}

#[test]
fn a_request_line_ends_in_a_version_and_its_target_is_ascii_case_25() {
    for line in [
        "GET /",
        "GET / ",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / http/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.10",
        "GET /\tHTTP/1.1",
        "GET /HTTP/1.1",
        "x",
        "HTTP/1.1",
    ] {
        assert_eq!(
            flaw(format!("{line}\r\nHost: a\r\n\r\n")),
            Some(Flaw::RequestLine),
            "{line:?}"
        );
    }
    for target in ["/a#b", "/é", "/\u{80}"] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(flaw(text), Some(Flaw::Target), "{target:?}");
    }
}

#[test]
fn no_field_is_named_like_one_that_frames_or_is_ours_case_20() {
    for name in [
        "Content_Length",
        "Transfer_Encoding",
        "transfer_ENCODING",
        "X_Forwarded_For",
        "X-Forwarded_For",
        "X_Forwarded_Prefix",
        "X_Correlation_ID",
        "X-Request_ID",
        "X_Real-IP",
        "X_Attempt",
        "X_Sidefuse_Reason",
        "X_Sidefuse_Reason_That_Is_Longer_Than_What_Is_Looked_At",
    ] {
        assert_eq!(
            flaw(with(&format!("{name}: 1\r\n"))),
            Some(Flaw::Alias),
            "{name}"
        );
    }
}

/// A chunked request with this body.
fn chunked(body: &str) -> Option<Flaw> {
    flaw(with("Transfer-Encoding: chunked\r\n") + body)
}

#[test]
fn chunks_are_as_long_as_they_say_cases_31_32_and_34() {
    for size in [
        "0x5",
        "+5",
        "-1",
        "_5",
        " 5",
        "",
        "\t",
        ";x",
        "00000000000000005",
        "g",
        "5 5",
        "5,",
        "5\0",
    ] {
        assert_eq!(
            chunked(&format!("{size}\r\n12345\r\n0\r\n\r\n")),
            Some(Flaw::ChunkSize),
            "{size:?}"
        );
    }
    assert_eq!(chunked("5 \r\n12345\r\n0\r\n\r\n"), Some(Flaw::ChunkSize));
    for body in [
        "5\n12345\r\n0\r\n\r\n",
        "5;\n12345\r\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA: b\r\n\n",
    ] {
        let is_known = matches!(chunked(body), Some(Flaw::BareLf | Flaw::ChunkSize));
        assert!(is_known, "{body:?}: {:?}", chunked(body));
    }
    for body in ["5\r12345", "5\r\n12345\r0", "0\r\n\r0", "5;a\rb\r\n"] {
        assert_eq!(chunked(body), Some(Flaw::BareCr), "{body:?}");
    }
    for body in [
        "5\r\n123456\r\n0\r\n\r\n",
        "5\r\n1234\r\n0\r\n\r\n",
        "5\r\n123450\r\n\r\n",
        "5\r\n12345\n0\r\n\r\n",
    ] {
        assert_eq!(chunked(body), Some(Flaw::ChunkEnd), "{body:?}");
    }
    assert_eq!(chunked("5;a\0\r\n"), Some(Flaw::ChunkExtension));
    assert_eq!(chunked("0\r\n A: b\r\n\r\n"), Some(Flaw::Folded));
    let of = |count: usize| format!("1;{}\r\nx\r\n", "y".repeat(count - 1));
    assert_eq!(chunked(&(of(512) + &of(512) + "0\r\n\r\n")), None);
    assert_eq!(
        chunked(&(of(512) + &of(512) + "0;\r\n\r\n")),
        Some(Flaw::ChunkExtension)
    );
}

#[test]
fn what_follows_a_switch_of_protocols_is_open_until_it_is_said() {
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nupgrade: x\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nUpgrade: x\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let (mut requests, reading) = read(&[text.as_bytes()]);
        assert_eq!(reading, Reading::Clear);
        assert!(requests.is_open() && requests.heads() == 1);
        assert_eq!(requests.read(b"\x81\x05hello"), Reading::Open { at: 0 });
        requests.go_on();
        let next = requests.read(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(
            next,
            Reading::Refused {
                at: 17,
                flaw: Flaw::NoHost
            }
        );
    }
}

/// Pieces of requests, right and wrong.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.0\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "Host: a\r\n",
        "Host : a\r\n",
        "Content-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Upgrade: x\r\n",
        "X_Real_IP: 1\r\n",
        "Connection: close\r\n",
        "Connection : close\r\n",
        "Content-Type\r\n",
        "TE",
        "Upg",
        "Content",
        "Accept: */*\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        ":",
        "4\r\nabcd\r\n",
        "0\r\n\r\n",
        "abcd",
        "a",
        "X-Some-Long-Name-Beyond-What-Is-Kept: y\r\n",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_is_the_same_however_the_bytes_are_cut_case_41(
        pieces in prop::collection::vec(piece(), 1..16),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let text = format!("GET / HTTP/1.1\r\n{}", pieces.concat());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let cut: Vec<&[u8]> = cuts.windows(2).map(|ends| &text.as_bytes()[ends[0]..ends[1]]).collect();
        prop_assert_eq!(read(&cut).1, read(&[text.as_bytes()]).1, "{:?}", text);
    }
}
