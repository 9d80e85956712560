//! An operator's switch, under load and over a reload.

use std::time::Duration;

use serde_json::{Value, json};
use sidefuse::time::{Moment, now, wall};

use crate::support::PATIENCE;
use crate::support::answer::Answer;
use crate::support::client::{self, Client, Response};
use crate::support::memory::{always, on_stage};
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal};
use crate::support::traffic::Traffic;

fn config(origin: &Origin, threshold: u32) -> String {
    format!(
        "version: 1\nlisten: {{proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0}}\nroutes:\n  crm: {{upstream: \"{0}\", breaker: {{failure_threshold: {threshold}, reset_timeout: 10m}}}}\n  beside: {{upstream: \"{0}\"}}\n",
        origin.url()
    )
}

fn order(sidefuse: &Sidefuse, verb: &str, body: &Value) -> Value {
    let response = client::post(
        sidefuse.admin(),
        &format!("/circuit-breakers/crm/{verb}"),
        body,
    );
    assert_eq!(response.status(), 200, "{}", response.text());
    response.json()
}

fn view(sidefuse: &Sidefuse) -> Value {
    client::get(sidefuse.admin(), "/circuit-breakers/crm").json()
}

fn forced(sidefuse: &Sidefuse, mode: &str) -> Option<f64> {
    let series = format!("sidefuse_breaker_forced{{breaker=\"crm\",mode=\"{mode}\"}}");
    Metrics::of(sidefuse.health()).value(&series)
}

fn reason(response: &Response) -> Option<&str> {
    response.header("x-sidefuse-reason")
}

#[test]
fn a_forced_open_breaker_refuses_the_very_next_call_and_its_neighbour_none_case_139() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let mut sidefuse = Sidefuse::start(&config(&origin, 5));
    let beside = Traffic::start(sidefuse.proxy(), 3, "/beside/x");
    let mut client = Client::connect(sidefuse.proxy());
    for _ in 0..20 {
        beside.wait_for_more(3);
        assert_eq!(client.get("/crm/x").status(), 200);
        let changed = order(&sidefuse, "open", &json!({"reason": "INC-7", "for": "15m"}));
        assert_eq!(changed["changed"], true, "{changed}");
        let refused = client.get("/crm/x");
        assert_eq!(
            (refused.status(), reason(&refused)),
            (503, Some("forced_open"))
        );
        order(&sidefuse, "auto", &json!({}));
    }
    assert_eq!(client.get("/crm/x").status(), 200);
    beside.stop();
    let actions = sidefuse
        .process()
        .wait_for_lines(40, |line| line["msg"] == "Admin action");
    assert_eq!(actions[0]["reason"], "INC-7");
}

#[test]
fn view_gauge_and_answer_agree_on_a_hold_and_a_reload_keeps_it_case_139() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let mut sidefuse = Sidefuse::start(&config(&origin, 5));
    order(&sidefuse, "open", &json!({"reason": "INC-7", "for": "15m"}));
    let check = |sidefuse: &Sidefuse| {
        let view = view(sidefuse);
        assert_eq!(
            (&view["mode"], &view["reason"]),
            (&json!("forced_open"), &json!("INC-7"))
        );
        assert_eq!(forced(sidefuse, "forced_open"), Some(1.0));
        assert_eq!(forced(sidefuse, "forced_closed"), Some(0.0));
        let refused = client::get(sidefuse.proxy(), "/crm/x");
        assert_eq!(
            (refused.status(), reason(&refused)),
            (503, Some("forced_open"))
        );
        let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=900).contains(&after), "{after}");
        view["until"].clone()
    };
    let until = check(&sidefuse);

    sidefuse.write_config(&config(&origin, 9));
    sidefuse.process().signal(Signal::Hup);
    sidefuse
        .process()
        .wait_for_line(|line| line["msg"] == "Configuration reloaded");
    assert_eq!(check(&sidefuse), until);

    let again = order(&sidefuse, "auto", &json!({}));
    assert_eq!(
        (&again["changed"], &again["mode"]),
        (&json!(true), &json!("auto"))
    );
    assert_eq!(forced(&sidefuse, "forced_open"), Some(0.0));
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 200);
    assert_eq!(order(&sidefuse, "auto", &json!({}))["changed"], false);
}

#[test]
fn a_breaker_held_closed_lets_failures_through_and_auto_hands_it_back_case_139() {
    let origin = Origin::start(|_| Answer::status(500, &[], ""));
    let sidefuse = Sidefuse::start(&config(&origin, 2));
    order(&sidefuse, "close", &json!({"hold": true}));
    for _ in 0..6 {
        assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 500);
    }
    assert_eq!(forced(&sidefuse, "forced_closed"), Some(1.0));
    order(&sidefuse, "auto", &json!({}));
    order(&sidefuse, "clear", &json!({}));
    for _ in 0..2 {
        assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 500);
    }
    let refused = client::get(sidefuse.proxy(), "/crm/x");
    assert_eq!(
        (refused.status(), reason(&refused)),
        (503, Some("circuit_open"))
    );
}

#[test]
fn a_hold_ends_by_itself_when_its_time_is_over() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let sidefuse = Sidefuse::start(&config(&origin, 5));
    order(&sidefuse, "open", &json!({"for": "100ms"}));
    let limit = now() + PATIENCE;
    while view(&sidefuse)["mode"] != "auto" {
        assert!(now() < limit, "the hold never ended");
        std::thread::yield_now();
    }
    assert_eq!(forced(&sidefuse, "forced_open"), Some(0.0));
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 200);
}

#[test]
fn an_override_holds_from_the_start_yields_to_an_operator_and_takes_its_hold_with_it() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let plain = config(&origin, 5);
    let overridden = |reason: &str| {
        format!(
            "{plain}overrides: {{crm: {{force: open, until: 2999-01-01T00:00:00Z, reason: {reason}}}}}\n"
        )
    };
    let sidefuse = Sidefuse::start(&overridden("INC-1"));
    let opened = sidefuse.event("Circuit breaker opened");
    assert_eq!(
        (&opened["by"], &opened["reason"]),
        (&json!("config"), &json!("INC-1"))
    );
    let held = view(&sidefuse);
    assert_eq!(
        (&held["mode"], &held["by"], &held["reason"]),
        (&json!("forced_open"), &json!("config"), &json!("INC-1"))
    );
    assert!(held["until"].is_string(), "{held}");
    let settings = held["settings"].as_array().unwrap();
    let of = |key: &str| &settings.iter().find(|row| row["key"] == key).unwrap()["value"];
    assert_eq!(
        (of("override.force"), of("override.until")),
        (&json!("open"), &json!("2999-01-01T00:00:00Z"))
    );
    assert_eq!(forced(&sidefuse, "forced_open"), Some(1.0));
    let refused = client::get(sidefuse.proxy(), "/crm/x");
    assert_eq!(
        (refused.status(), reason(&refused)),
        (503, Some("forced_open"))
    );

    // Whoever drops the hold is not overruled by a reload of something else.
    order(&sidefuse, "auto", &json!({}));
    let reload = |text: &str| {
        sidefuse.write_config(text);
        client::post(sidefuse.admin(), "/config/reload", &json!({})).json();
        view(&sidefuse)
    };
    assert_eq!(
        reload(&overridden("INC-1").replace("\n  beside", "\n  more"))["mode"],
        "auto"
    );
    let again = reload(&overridden("INC-2"));
    assert_eq!(
        (&again["mode"], &again["reason"]),
        (&json!("forced_open"), &json!("INC-2"))
    );
    assert_eq!(reload(&plain)["mode"], "auto");
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 200);
}

#[test]
fn a_hold_that_ends_while_nobody_looks_is_told_all_the_same() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let mut sidefuse = Sidefuse::start(&config(&origin, 5));
    order(&sidefuse, "open", &json!({"for": "1s"}));
    // The only thing that is asked from here on is the log.
    let ended = sidefuse.process().wait_for_line(|line| {
        line["breaker"] == "crm" && line["cause"] == "forced" && line["to"] == "closed"
    });
    assert_eq!(
        (&ended["mode"], &ended["by"]),
        (&json!("auto"), &json!("loopback"))
    );
}

#[test]
fn an_override_ends_when_it_says_to_the_millisecond_and_is_no_probe() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let text =
        config(&origin, 5) + "overrides: {crm: {force: open, until: 2099-12-01T06:00:00Z}}\n";
    let sidefuse = Sidefuse::start(&text);
    let shown = view(&sidefuse);
    assert_eq!(shown["until"], "2099-12-01T06:00:00.000Z");
    assert!(shown["nextProbeAt"].is_null(), "{shown}");
    let refused = client::get(sidefuse.proxy(), "/crm/x");
    let problem = refused.json();
    assert_eq!(problem["retryAt"], "2099-12-01T06:00:00.000Z");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(" until 2099-12-01 06:00:00"), "{detail}");
}

#[test]
fn rule_7_after_a_suspend_an_override_ends_at_its_time_of_day_all_the_same() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let until = humantime::format_rfc3339_seconds(wall() + minutes(60));
    let config = format!(
        "version: 1\noverrides: {{r: {{force: open, until: \"{until}\"}}}}\nroutes: {{r: {{upstream: http://origin}}}}\n"
    );
    on_stage(&config, always(200), async |stage| {
        let left = || {
            let view = stage.route("r").breaker.view(now());
            (view.hold.unwrap().until.unwrap() - now()).as_secs()
        };
        assert!((3_590..=3_600).contains(&left()), "{}", left());
        // The clock that holds know stands still while fifty minutes pass.
        let after = |time| {
            let moment = Moment::read();
            let wall = moment.wall + time;
            Moment { wall, ..moment }
        };
        stage.snapshot.measure_overrides(after(minutes(50)));
        assert!((590..=600).contains(&left()), "{}", left());
        let held = stage.get("/r/x").await;
        assert_eq!(held.reason.as_deref(), Some("forced_open"));
        stage.snapshot.measure_overrides(after(minutes(61)));
        assert_eq!(stage.get("/r/x").await.status, 200);
    });
}
