//! What only we may say.

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::config::{config_with, route};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

#[test]
fn no_upstream_and_no_caller_speaks_as_us() {
    let forged = [
        ("X-Sidefuse-Reason", "circuit_open"),
        ("X-Sidefuse-Fallback", "stale"),
        ("x-sidefuse-anything", "x"),
    ];
    let origin = Origin::start(move |request| {
        if request.head.target().ends_with("/trailers") {
            return Answer::script().send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Sidefuse-Reason, Proxy-Status, X-Trace-No\r\n\r\n\
                 2\r\nok\r\n0\r\nX-Sum: 42\r\nX-Sidefuse-Reason: timeout\r\nX-Trace-No: forged\r\nProxy-Status: sidefuse; error=x, cdn\r\n\r\n",
            );
        }
        let status = (
            "Proxy-Status",
            "cdn; details=\"a\", sidefuse; error=http_request_error",
        );
        Answer::status(503, &[&forged[..], &[status]].concat(), "")
    });
    let sidefuse = Sidefuse::start(&config_with(
        "correlation: {header: X-Trace-No}",
        &[route("r", &origin.url(), "timeout: 30s")],
    ));
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request("GET", "/r/", &forged, "");
    assert_eq!(response.status(), 503);
    let request = &origin.requests()[0].head;
    for (name, _) in forged {
        assert_eq!(
            (request.header(name), response.header(name)),
            (None, None),
            "{name}"
        );
    }
    assert_eq!(response.header("proxy-status"), Some("cdn; details=\"a\""));

    let mut client = Client::connect(sidefuse.proxy());
    client.send(
        "GET /r/trailers HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n",
    );
    let bytes = String::from_utf8(client.read_to_end()).unwrap();
    assert!(
        bytes.contains("x-sum: 42\r\n") && bytes.contains("proxy-status: cdn\r\n"),
        "{bytes}"
    );
    let (_, trailers) = bytes.rsplit_once("\r\n0\r\n").unwrap();
    assert!(!trailers.contains("sidefuse"), "{trailers}");
    assert!(!trailers.contains("forged"), "{trailers}");
}
