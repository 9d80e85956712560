//! A reload while calls go to all addresses of a name.

use serde_json::Value;

use super::breaker;
use crate::support::answer::Answer;
use crate::support::client;
use crate::support::config::{config_with, route_to};
use crate::support::metrics::Metrics;
use crate::support::nameserver::NameServer;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;
use crate::support::traffic::Traffic;

const RELOADS: usize = 12;

fn endpoint(sidefuse: &Sidefuse, address: &str) -> Value {
    let page = breaker(sidefuse, "r");
    let all = page["endpoints"].as_array().unwrap().iter();
    let its = |one: &&Value| one["address"].as_str().unwrap().starts_with(address);
    all.clone().find(its).cloned().unwrap_or_default()
}

#[test]
fn no_call_to_the_addresses_of_a_name_fails_over_reloads_and_endpoints_keep_what_is_known_of_them()
{
    let first = Origin::start(|_| Answer::ok("first"));
    let port = first.address().port();
    let at_second = format!("127.0.0.2:{port}");
    let second = Origin::launch(&at_second, Box::new(|_| Answer::ok("second")), None);
    let server = NameServer::start();
    // Nobody listens at the third.
    server.knows("crm.test", &["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    let url = format!("http://crm.test:{port}");
    let config = |round: usize| {
        let dns = format!("dns: {{servers: [\"{}\"]}}", server.address);
        let settings = format!(
            "timeout: {}s, breaker: {{failure_threshold: {}}}",
            20 + round,
            5 + round
        );
        config_with(&dns, &[route_to("r", &url, "resolve: all", &settings)])
    };
    let sidefuse = Sidefuse::start(&config(0));
    let traffic = Traffic::start(sidefuse.proxy(), 4, "/r/x");
    while endpoint(&sidefuse, "127.0.0.3")["state"] != "ejected" {}
    let ejected = endpoint(&sidefuse, "127.0.0.3");
    let connections = || first.connections() + second.connections();
    let before = connections();
    for round in 1..=RELOADS {
        sidefuse.write_config(&config(round));
        let path = "/config/reload";
        let answer = client::post(sidefuse.admin(), path, &serde_json::json!({}));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        if round == 1 {
            let after = endpoint(&sidefuse, "127.0.0.3");
            assert_eq!(
                (&after["state"], &after["until"]),
                (&"ejected".into(), &ejected["until"])
            );
        }
        traffic.wait_for_more(8);
    }
    for address in ["127.0.0.1", "127.0.0.2"] {
        assert!(
            endpoint(&sidefuse, address)["latencyMs"].is_number(),
            "{address}"
        );
    }
    let calls = traffic.stop() as u64;
    while Metrics::of(sidefuse.health()).sum("sidefuse_in_flight_requests") > 0.0 {}
    let statistics = &breaker(&sidefuse, "r")["statistics"];
    assert_eq!(statistics["successes"].as_u64(), Some(calls));
    assert_eq!(
        statistics["failures"], 0,
        "a second address was tried at once"
    );
    let requests = first.requests().len() + second.requests().len();
    assert_eq!(requests as u64, calls);
    let more = connections() - before;
    assert!(
        more < RELOADS,
        "pools that are made anew cost at least one a reload: {more}"
    );
}
