//! Addresses that grow, shrink and change hands while they are in use.

use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::json;

use super::{reload, revision, wait_applied, wait_refused, with_listen};
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// A port that is free on all addresses.
fn free_port() -> u16 {
    let anywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    anywhere.local_addr().unwrap().port()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn an_address_that_grows_shrinks_or_changes_hands_keeps_its_port_case_154() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let route = format!("crm: {{upstream: \"{}\"}}", origin.url());
    let (port, other) = (free_port(), free_port());
    let config = |listen: &str| with_listen(listen, &[&route]);
    let narrow = config(&format!(
        "{{proxy: \"127.0.0.1:{port}\", admin: 127.0.0.1:0, health: \"127.0.0.1:{other}\"}}"
    ));
    let wide = config(&format!(
        "{{proxy: \"0.0.0.0:{port}\", admin: 127.0.0.1:0, health: \"0.0.0.0:{other}\"}}"
    ));
    let swapped = config(&format!(
        "{{proxy: \"127.0.0.1:{other}\", admin: 127.0.0.1:0, health: \"127.0.0.1:{port}\"}}"
    ));
    let mut sidefuse = Sidefuse::start(&narrow);
    let mut kept = Client::connect(loopback(port));
    let serves = |proxy: u16, health: u16| {
        assert_eq!(client::get(loopback(proxy), "/crm/x").text(), "fine");
        assert_eq!(client::get(loopback(health), "/livez").status(), 200);
    };
    serves(port, other);

    for (next, proxy, health) in [
        (&wide, port, other),
        (&narrow, port, other),
        (&swapped, other, port),
        (&wide, port, other),
    ] {
        sidefuse.write_config(next);
        assert_eq!(reload(&sidefuse)["revision"], *revision(next));
        serves(proxy, health);
        assert_eq!(kept.get("/crm/x").text(), "fine");
    }

    // It is refused as a whole.
    let taken = TcpListener::bind("127.0.0.44:0").unwrap();
    let address = taken.local_addr().unwrap();
    let refused = config(&format!(
        "{{proxy: [\"127.0.0.1:{port}\", \"{address}\"], admin: 127.0.0.1:0, health: off}}"
    ));
    sidefuse.write_config(&refused);
    let diagnostics = wait_refused(&mut sidefuse, 1);
    assert!(diagnostics.contains(&address.to_string()), "{diagnostics}");
    serves(port, other);
    TcpListener::bind(("0.0.0.0", port)).expect_err("the port is as much ours as before");

    drop(taken);
    wait_applied(&mut sidefuse, &refused);
    assert_eq!(client::get(loopback(port), "/crm/x").text(), "fine");
    TcpStream::connect(loopback(other)).expect_err("health went");
}

#[test]
fn an_operator_who_moves_the_admin_port_gets_the_answer_at_the_old_one() {
    let route = super::idle("crm");
    let listen = |admin: &str| format!("{{proxy: 127.0.0.1:0, admin: \"{admin}\", health: off}}");
    let sidefuse = Sidefuse::start(&with_listen(&listen("127.0.0.1:0"), &[&route]));
    let old = sidefuse.admin();
    let new = SocketAddr::from(([127, 0, 0, 45], free_port()));
    let next = with_listen(&listen(&new.to_string()), &[&route]);
    sidefuse.write_config(&next);
    let answer = client::post(old, "/config/reload", &json!({}));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.json()["revision"], *revision(&next));
    TcpStream::connect(old).expect_err("nobody listens there any more");
    let config = client::get(new, "/config").json();
    assert_eq!(config["revision"], *revision(&next));
}
