//! Requests that are read as the HTTP library does.

use super::statuses;
use crate::support::answer::Answer;
use crate::support::config::{config_with, route};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

fn lenient() -> (Origin, Sidefuse) {
    let origin = Origin::start(|request| Answer::ok(request.head.target()));
    let routes = [route("r", &origin.url(), "timeout: 30s")];
    let sidefuse = Sidefuse::start(&config_with("http: {strict: false}", &routes));
    (origin, sidefuse)
}

#[test]
fn without_strict_a_caller_may_leave_out_its_host_and_its_crs_and_what_goes_on_is_canonical() {
    let (origin, sidefuse) = lenient();
    for bytes in [
        "GET /r/ HTTP/1.1\r\n\r\n",
        "GET /r/ HTTP/1.1\nHost: a\n\n",
        "POST /r/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    ] {
        assert_eq!(
            statuses(&sidefuse, &[bytes.as_bytes()]),
            [200, 404],
            "{bytes:?}"
        );
    }
    for request in origin.requests() {
        let head = String::from_utf8(request.head.bytes).unwrap();
        assert_eq!(
            head.matches('\n').count(),
            head.matches("\r\n").count(),
            "{head}"
        );
        assert_eq!(head.to_lowercase().matches("\nhost:").count(), 1, "{head}");
        assert!(
            head.to_lowercase().matches("content-length").count() <= 1,
            "{head}"
        );
    }
    let bad = b"GET /r/ HTTP/1.1\r\nHost : a\r\n\r\n";
    assert_eq!(statuses(&sidefuse, &[bad]), [400], "what no parser takes");
}
