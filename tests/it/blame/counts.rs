//! What is counted though no caller is told: requests whose head never ends, connections that another endpoint made good.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{as_asked, metric, pass};
use crate::support::memory::{always, on_stage, on_stage_with};

const ROUTE: &str = "version: 1\nroutes: {r: {upstream: http://origin}}\n";
const COUNTED: &str = "sidefuse_rejected_total{route=\"(none)\",reason=\"request_timeout\"}";

#[test]
fn half_a_head_leaves_a_line_and_a_count_when_its_time_is_over_case_93() {
    on_stage(ROUTE, as_asked(), async |stage| {
        let halves = ["G", "PRI * HTTP/2.0\r\n", "GET /r/x HTTP/1.1\r\nHo"];
        let mut callers = Vec::new();
        for half in halves {
            let mut caller = stage.pipe();
            caller.write_all(half.as_bytes()).await.unwrap();
            callers.push(caller);
        }
        let silent = stage.pipe();
        pass(13_000).await;
        for mut caller in callers {
            let mut rest = Vec::new();
            caller.read_to_end(&mut rest).await.unwrap();
        }
        drop(silent);
        assert_eq!(
            metric(&stage, COUNTED),
            3,
            "who said nothing wanted nothing"
        );
        let lines = stage.lines();
        assert_eq!(lines.len(), 3);
        for line in &lines {
            assert_eq!(
                (&line["statusCode"], &line["reason"], &line["outcome"]),
                (&408.into(), &"request_timeout".into(), &"ignored".into())
            );
        }
    });
}

#[test]
fn half_a_head_after_an_answer_is_counted_and_an_idle_connection_is_not() {
    on_stage(ROUTE, as_asked(), async |stage| {
        let whole = b"GET /r/1 HTTP/1.1\r\nhost: stage\r\n\r\n";
        let mut idle = stage.pipe();
        let mut half = stage.pipe();
        for caller in [&mut idle, &mut half] {
            caller.write_all(whole).await.unwrap();
        }
        pass(10).await;
        half.write_all(b"GET /r/2 HT").await.unwrap();
        pass(80_000).await;
        assert_eq!(metric(&stage, COUNTED), 1);
        assert_eq!(stage.lines().len(), 3);
    });
}

#[test]
fn half_a_head_that_came_with_the_call_before_it_is_counted_and_half_a_body_is_not() {
    on_stage(ROUTE, as_asked(), async |stage| {
        let mut half = stage.pipe();
        let both = b"GET /r/1 HTTP/1.1\r\nhost: stage\r\n\r\nGET /r/2 HT";
        half.write_all(both).await.unwrap();
        let mut whole = stage.pipe();
        let post = b"POST /r/3 HTTP/1.1\r\nhost: stage\r\ncontent-length: 5\r\n\r\nhello";
        whole.write_all(post).await.unwrap();
        pass(80_000).await;
        assert_eq!(metric(&stage, COUNTED), 1);
        assert_eq!(stage.lines().len(), 3);
    });
}

#[test]
fn an_endpoint_that_a_call_passed_over_is_counted_case_116() {
    let config = "version: 1\nroutes: {r: {upstream: {url: http://origin, endpoints: [\"a:80\", \"b:80\"]}}}\n";
    let others = [("a:80", always(200)), ("b:80", always(200))];
    on_stage_with(config, always(200), &others, async |stage| {
        stage.at("a:80").refuses();
        for _ in 0..60 {
            assert_eq!(stage.get("/r/x").await.status, 200);
        }
        let series = "sidefuse_attempt_failures_total{route=\"r\",reason=\"connect\"}";
        assert_eq!(metric(&stage, series), 5, "until it is ejected");
        assert_eq!(
            stage
                .route("r")
                .breaker
                .view(sidefuse::time::now())
                .statistics
                .failures,
            0
        );
    });
}
