//! What answers prove, over the whole data path: rules, Meta's codes, gRPC, and bodies that nobody can look into.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use sidefuse::resilience::{Label, Sample, State};
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::task::spawn_local;

use crate::support::memory::{Script, Stage, always, on_stage, silent};
use crate::support::raw::{Speech, at_once};

const WHATSAPP: &str =
    "version: 1\nroutes: {whatsapp: {preset: whatsapp, upstream: http://origin}}\n";

/// A route whose breaker opens at the first failure.
pub(super) fn touchy(settings: &str) -> String {
    format!(
        "version: 1\nroutes:\n  r:\n    upstream: http://origin\n    breaker: {{failure_threshold: 1}}\n{settings}"
    )
}

fn error(status: u16, body: Value) -> Script {
    Arc::new(move |_| {
        let body = Full::new(Bytes::from(body.to_string()));
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json; charset=UTF-8")
            .body(body)
            .unwrap();
        Box::pin(std::future::ready(response))
    })
}

fn code(code: impl Into<Value>) -> Value {
    json!({"error": {"message": "(#0) something", "type": "OAuthException", "code": code.into(), "fbtrace_id": "x"}})
}

pub(super) fn state(stage: &Stage, route: &str) -> State {
    stage.route(route).breaker.in_force(now()).0
}

/// The one line, and whether it says that something is ours to put right.
pub(super) fn judged(stage: &Stage) -> (String, bool) {
    let lines = stage.lines();
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    let outcome = line["outcome"].as_str().unwrap().to_owned();
    (outcome, line["configError"] == true)
}

#[test]
fn metas_codes_decide_whatever_the_status_case_112() {
    let ours = [
        0, 3, 10, 190, 200, 250, 299, 368, 131_031, 131_042, 131_045, 131_057,
    ];
    let table = [131_056, 130_429, 4, 80_007, 131_048]
        .map(|code| (code, "throttled", false))
        .into_iter()
        .chain([1, 2, 131_000, 131_016].map(|code| (code, "failure", false)))
        .chain(ours.map(|code| (code, "alive", true)))
        .chain([100, 300, 131_026, 132_000].map(|code| (code, "alive", false)));
    for (number, outcome, config_error) in table {
        for status in [200, 400, 403, 500] {
            on_stage(WHATSAPP, error(status, code(number)), async |stage| {
                let said = stage.ask(Request::post("/whatsapp/x")).await;
                assert_eq!(said.status, status, "the answer is the upstream's own");
                assert_eq!(said.text(), code(number).to_string());
                assert_eq!(
                    judged(&stage),
                    (outcome.to_owned(), config_error),
                    "{number} with status {status}"
                );
                let counted = format!(
                    "sidefuse_config_errors_total{{route=\"whatsapp\"}} {}",
                    u8::from(config_error)
                );
                assert!(stage.metrics().contains(&counted));
            });
        }
    }
}

#[test]
fn without_a_code_of_metas_the_status_decides() {
    for (status, body, outcome) in [
        (500, json!({"error": {"message": "no code"}}), "failure"),
        (500, json!({"error": {"code": null}}), "failure"),
        (502, json!("Bad Gateway"), "failure"),
        (404, json!({}), "alive"),
        (400, code("131056"), "throttled"),
        (200, json!({"messages": [{"id": "wamid.x"}]}), "success"),
        (200, json!({"error": {"code": null}}), "success"),
    ] {
        on_stage(WHATSAPP, error(status, body), async |stage| {
            stage.get("/whatsapp/x").await;
            assert_eq!(judged(&stage), (outcome.to_owned(), false), "{status}");
        });
    }
}

#[test]
fn five_calls_that_meta_could_not_serve_open_and_a_spent_token_never_does() {
    on_stage(WHATSAPP, error(400, code(190)), async |stage| {
        for _ in 0..20 {
            assert_eq!(stage.get("/whatsapp/x").await.status, 400);
        }
        assert_eq!(state(&stage, "whatsapp"), State::Closed);
        stage.origin.becomes(error(400, code(131_016)));
        for _ in 0..5 {
            assert_eq!(stage.get("/whatsapp/x").await.status, 400);
        }
        assert_eq!(state(&stage, "whatsapp"), State::Open);
        assert!(
            stage
                .metrics()
                .contains("sidefuse_config_errors_total{route=\"whatsapp\"} 20")
        );
    });
}

#[test]
fn a_route_that_looks_into_bodies_asks_for_plain_ones_and_no_other_does() {
    let both = "version: 1\nroutes:\n  whatsapp: {preset: whatsapp, upstream: http://origin}\n  r: {upstream: http://origin}\n";
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let sees = Arc::clone(&seen);
    let script: Script = Arc::new(move |request| {
        let asked = request.headers()["accept-encoding"].to_str().unwrap();
        sees.lock().unwrap().push(asked.to_owned());
        Box::pin(std::future::ready(Response::new(Full::default())))
    });
    on_stage(both, script, async |stage| {
        for path in ["/whatsapp/x", "/r/x"] {
            let request = Request::get(path).header("accept-encoding", "gzip, br");
            stage.ask(request).await;
        }
    });
    assert_eq!(*seen.lock().unwrap(), ["identity", "gzip, br"]);
}

#[test]
fn a_body_that_cannot_be_looked_into_is_judged_by_its_status_and_reaches_the_caller() {
    let text = code(131_016).to_string();
    let long = text.replace("something", &"x".repeat(70_000));
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for (what, kind, body) in [
        (
            "gzip",
            "application/json\r\ncontent-encoding: gzip",
            text.as_bytes(),
        ),
        ("longer than 64 KiB", "application/json", long.as_bytes()),
        ("nested 10 000 deep", "application/json", deep.as_bytes()),
        (
            "no UTF-8",
            "application/json",
            b"{\"error\":{\"code\":131016,\"x\":\"\xff\"}}",
        ),
        ("no JSON", "text/html", text.as_bytes()),
        (
            "cut JSON",
            "application/json",
            br#"{"error":{"code":131016"#,
        ),
        ("nothing", "application/json", b""),
    ] {
        let length = format!("content-length: {}", body.len());
        let kind = format!("content-type: {kind}");
        let speech = at_once(&["HTTP/1.1 400 Bad Request", &kind, &length], body);
        on_stage(WHATSAPP, silent(), async |stage| {
            stage.origin.says(speech);
            let said = stage.ask(Request::get("/whatsapp/x")).await;
            assert_eq!(said.status, 400, "{what}");
            assert_eq!(said.body, body, "{what}");
            assert_eq!(judged(&stage), ("alive".to_owned(), false), "{what}");
        });
    }
}

#[test]
fn a_json_body_that_lies_about_its_length_breaks_off_for_the_caller_too() {
    let head = [
        "HTTP/1.1 500 Internal Server Error",
        "content-type: application/json",
        "content-length: 1000",
    ];
    let speech = at_once(&head, code(190).to_string().as_bytes());
    on_stage(WHATSAPP, silent(), async |stage| {
        stage.origin.says(speech);
        let (status, body) = stage.caller().await.try_get("/whatsapp/x").await;
        assert_eq!((status, body), (500, None));
        assert_eq!(judged(&stage), ("failure".to_owned(), false));
    });
}

#[test]
fn a_body_that_stalls_is_judged_by_its_status_at_the_deadline_and_then_goes_on() {
    let text = code(131_016).to_string();
    let (first, second) = text.split_at(20);
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
        text.len()
    );
    let speech: Speech = vec![
        (Duration::ZERO, head.into_bytes()),
        (Duration::from_secs(25), second.as_bytes().to_vec()),
    ];
    on_stage(WHATSAPP, silent(), async |stage| {
        stage.origin.says(speech);
        let begin = now();
        let said = stage.ask(Request::get("/whatsapp/x")).await;
        let took = said.at - begin;
        let timeout = Duration::from_secs(15);
        assert!(
            took >= timeout && took < timeout + Duration::from_millis(5),
            "{took:?}"
        );
        assert_eq!(said.text(), text);
        assert_eq!(judged(&stage), ("alive".to_owned(), false));
    });
}

#[test]
fn no_long_download_and_no_stream_holds_a_probe() {
    let config = touchy("").replace(
        "failure_threshold: 1",
        "failure_threshold: 1, success_threshold: 1, reset_timeout: 5s",
    );
    for kind in [
        "content-length: 99999999",
        "transfer-encoding: chunked",
        "content-type: text/event-stream\r\ntransfer-encoding: chunked",
    ] {
        on_stage(&config, silent(), async |stage| {
            let begin = at_once(&["HTTP/1.1 200 OK", kind], b"1\r\nx\r\n").remove(0);
            let hour = (Duration::from_secs(3_600), Vec::new());
            stage.origin.says(vec![begin, hour]);
            let fails = stage.route("r").breaker.admit(now()).unwrap();
            fails.finish(Sample::failure(Label::Named("timeout")), now());
            let pass = |seconds| sleep_until(Deadline::after(now(), Duration::from_secs(seconds)));
            pass(5).await;
            assert_eq!(state(&stage, "r"), State::HalfOpen);
            let mut caller = stage.caller().await;
            let probe = spawn_local(async move { caller.get("/r/x").await });
            pass(2).await;
            assert_eq!(state(&stage, "r"), State::Closed, "{kind}");
            assert!(!probe.is_finished());
        });
    }
}

#[test]
fn rules_on_status_header_and_body_decide_before_the_defaults() {
    let config = touchy(
        "    classify:\n      - {status: 404, header: {X-Maintenance: \"*\"}, as: failure}\n      - {status: any, json: {/ok: false}, as: failure}\n",
    );
    for (script, expected) in [
        (always(404), State::Closed),
        (error(200, json!({"ok": true})), State::Closed),
        (error(200, json!({"ok": false})), State::Open),
        (
            Arc::new(|_: Request<_>| -> crate::support::memory::Answering {
                let response = Response::builder()
                    .status(404)
                    .header("x-maintenance", "till 6");
                Box::pin(std::future::ready(response.body(Full::default()).unwrap()))
            }),
            State::Open,
        ),
    ] {
        on_stage(&config, script, async |stage| {
            stage.get("/r/x").await;
            assert_eq!(state(&stage, "r"), expected);
        });
    }
}

#[test]
fn a_rule_on_an_error_decides_and_the_line_says_the_same_case_132() {
    let rule = |rules: &str| touchy(&format!("    timeout: 1s\n    classify: {rules}\n"));
    for (config, expected, outcome) in [
        (rule("[]"), State::Open, "failure"),
        (
            rule("[{error: timeout, as: ignored}]"),
            State::Closed,
            "ignored",
        ),
        (
            rule("[{error: reset, as: ignored}]"),
            State::Open,
            "failure",
        ),
    ] {
        on_stage(&config, silent(), async |stage| {
            assert_eq!(stage.get("/r/x").await.status, 504);
            assert_eq!(state(&stage, "r"), expected);
            assert_eq!(judged(&stage).0, outcome);
        });
    }
}

#[test]
fn rules_come_into_force_with_a_reload() {
    on_stage(&touchy(""), always(404), async |stage| {
        stage.get("/r/x").await;
        assert_eq!(state(&stage, "r"), State::Closed);
        stage.reload(&touchy("    classify: [{status: 404, as: failure}]\n"));
        stage.get("/r/x").await;
        assert_eq!(state(&stage, "r"), State::Open);
    });
}

#[test]
fn refusals_have_the_form_that_the_routes_clients_read() {
    let config = "version: 1\nroutes:\n  whatsapp: {preset: whatsapp, upstream: http://origin, timeout: 1s}\n  r: {upstream: http://origin, timeout: 1s}\n";
    on_stage(config, silent(), async |stage| {
        let said = stage.ask(Request::get("/whatsapp/x")).await;
        assert_eq!(
            (
                said.status,
                said.header("x-sidefuse-reason"),
                said.header("content-type")
            ),
            (504, "timeout", "application/json")
        );
        let error = &serde_json::from_slice::<Value>(&said.body).unwrap()["error"];
        assert_eq!(
            (
                &error["code"],
                &error["is_transient"],
                &error["error_data"]["reason"]
            ),
            (&json!(2), &json!(true), &json!("timeout"))
        );
        assert_eq!(error["fbtrace_id"], said.header("x-correlation-id"));
        let said = stage.ask(Request::get("/r/x")).await;
        assert_eq!(said.header("content-type"), "application/problem+json");
        let text = Request::get("/whatsapp/x").header("accept", "text/plain");
        let said = stage.ask(text).await;
        assert!(said.text().starts_with("timeout: "), "{}", said.text());
    });
}
