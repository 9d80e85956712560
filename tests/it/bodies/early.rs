//! Answers that come before the upload has ended: nothing of it may outlive its exchange.

use super::*;

use crate::support::answer::Answer;
use crate::support::client::Client;

/// More than all sockets on its way can hold.
const MUCH: usize = 32 * 1024 * 1024;

/// Sends it all, reads the answer's status, and waits for the connection to end.
fn upload(sidefuse: &Sidefuse, path: &str) -> u16 {
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request("POST", path, &[], vec![b'x'; MUCH]);
    assert_eq!(client.read_to_end(), b"");
    response.status()
}

#[test]
fn a_caller_told_of_an_open_breaker_can_finish_its_upload_and_read_why() {
    let origin = Origin::start(|_| Answer::status(500, &[], ""));
    let sidefuse = sidefuse_to(&origin, "breaker: {failure_threshold: 1}");
    Client::connect(sidefuse.proxy()).get("/r/x");
    assert_eq!(upload(&sidefuse, "/r/upload"), 503);
    assert_eq!(sidefuse.access_line("/r/upload")["reason"], "circuit_open");
}
