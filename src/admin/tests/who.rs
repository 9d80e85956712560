use super::support::{
    Bench, HEADER_SECRET, LITERAL_SECRET, LOOPBACK, NETWORK, OPERATOR, READER, Tokens,
};
use crate::resilience::{Mode, State};
use crate::time::now;

const OPEN: &str = "/circuit-breakers/email/open";
const JSON: &str = "Content-Type: application/json\r\n";

fn is_untouched(bench: &Bench) -> bool {
    bench.breaker("email").in_force(now()) == (State::Closed, Mode::Auto)
}

#[tokio::test(start_paused = true)]
async fn state_is_changed_by_post_only_whatever_headers_say_case_173() {
    let bench = Bench::new(Tokens::None);
    let overrides = format!(
        "{JSON}X-HTTP-Method-Override: POST\r\nX-HTTP-Method: POST\r\nX-Method-Override: POST\r\n"
    );
    for path in [OPEN, "/config/reload"] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"] {
            let reply = bench
                .ask(
                    LOOPBACK,
                    &format!("{method} {path}?_method=POST"),
                    &overrides,
                    "",
                )
                .await;
            assert_eq!(
                (reply.status, reply.header("allow")),
                (405, "POST"),
                "{method}"
            );
        }
    }
    assert!(is_untouched(&bench));
    let reply = bench.post("/circuit-breakers", "").await;
    assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_the_body() {
    let bench = Bench::new(Tokens::None);
    let head = bench
        .ask(LOOPBACK, "HEAD /circuit-breakers/email", "", "")
        .await;
    let get = bench.get("/circuit-breakers/email").await;
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test(start_paused = true)]
async fn pages_of_another_origin_change_nothing() {
    let bench = Bench::new(Tokens::None);
    let post = format!("POST {OPEN}");
    for lines in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost:3000\r\n",
        "Origin: https://127.0.0.1:7901\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        let reply = bench
            .ask(LOOPBACK, &post, &format!("{JSON}{lines}"), "")
            .await;
        assert_eq!(reply.status, 403, "{lines}");
    }
    for lines in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: text/plain; application/json\r\n",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
    ] {
        assert_eq!(
            bench.ask(LOOPBACK, &post, lines, "").await.status,
            415,
            "{lines}"
        );
    }
    assert!(is_untouched(&bench));
    let own = "Content-Type: Application/JSON; charset=utf-8\r\nOrigin: http://127.0.0.1:7901\r\nSec-Fetch-Site: same-origin\r\n";
    assert_eq!(bench.ask(LOOPBACK, &post, own, "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_ours_is_refused_whatever_the_path() {
    let bench = Bench::new(Tokens::None);
    for (host, status) in [
        ("127.0.0.1", 200),
        ("127.8.9.1:1", 200),
        ("LOCALHOST:7901", 200),
        ("[::1]:7901", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("sidefuse.internal:80", 200),
        ("Sidefuse.Internal", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1:7901", 403),
        ("[::1", 400),
        ("a@localhost", 400),
        ("", 400),
        ("localhost\r\nHost: evil.example", 400),
    ] {
        for path in ["/circuit-breakers", "/metrics", "/livez"] {
            let reply = bench
                .ask(
                    LOOPBACK,
                    &format!("GET {path}"),
                    &format!("Host: {host}\r\n"),
                    "",
                )
                .await;
            assert_eq!(reply.status, status, "{host} {path}");
        }
    }
    let absolute = bench
        .ask(LOOPBACK, "GET http://evil.example/circuit-breakers", "", "")
        .await;
    assert_eq!(absolute.status, 403);
}

#[tokio::test(start_paused = true)]
async fn tokens_decide_over_tcp_case_172() {
    let bench = Bench::new(Tokens::Both);
    let (open, list) = (format!("POST {OPEN}"), "GET /circuit-breakers");
    let bearer = |token: &str| format!("{JSON}Authorization: Bearer {token}\r\n");
    for caller in [LOOPBACK, NETWORK] {
        for (lines, read, change) in [
            (JSON.to_owned(), 401, 401),
            (bearer("wrong"), 401, 401),
            (bearer(READER), 200, 403),
            (bearer(OPERATOR), 200, 200),
        ] {
            assert_eq!(bench.ask(caller, list, &lines, "").await.status, read);
            let reply = bench.ask(caller, &open, &lines, "").await;
            assert_eq!(reply.status, change);
            if change == 401 {
                assert_eq!(
                    reply.header("www-authenticate"),
                    "Bearer realm=\"sidefuse\""
                );
                assert!(is_untouched(&bench));
            }
        }
        assert_eq!(bench.ask(caller, "GET /readyz", "", "").await.status, 200);
        bench
            .ask(
                caller,
                "POST /circuit-breakers/email/auto",
                &bearer(OPERATOR),
                "",
            )
            .await;
    }
    let only_operator = Bench::new(Tokens::Operator);
    assert_eq!(only_operator.get("/circuit-breakers").await.status, 200);
    assert_eq!(only_operator.ask(NETWORK, list, "", "").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn every_answer_keeps_browsers_out_and_carries_its_id() {
    let bench = Bench::new(Tokens::None);
    let lines = "Origin: http://evil.example\r\nX-Request-ID: my-id\r\n";
    for head in [
        "GET /circuit-breakers",
        "GET /nothing",
        "OPTIONS /circuit-breakers",
        "GET /metrics",
        "GET /readyz",
    ] {
        let reply = bench.ask(LOOPBACK, head, lines, "").await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("cache-control", "no-store"),
            ("x-correlation-id", "my-id"),
            ("x-request-id", "my-id"),
        ] {
            assert_eq!(reply.header(name), value, "{head}");
        }
        let raw = reply.raw.to_ascii_lowercase();
        assert!(
            !raw.contains("access-control-") && !raw.contains("set-cookie"),
            "{head}"
        );
    }
    let made = bench.get("/readyz").await;
    assert_eq!(made.header("x-correlation-id").len(), 36);
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_any_answer_case_176() {
    let bench = Bench::new(Tokens::Both);
    let lines = format!("{JSON}Authorization: Bearer {OPERATOR}\r\nCookie: {READER}\r\n");
    let mut seen = 0;
    for name in ["email", "partner", "whatsapp", "nobody"] {
        for path in [
            "", "/explain", "/open", "/close", "/clear", "/auto", "/none",
        ] {
            for method in ["GET", "POST", "OPTIONS"] {
                let head = format!("{method} /circuit-breakers/{name}{path}");
                let reply = bench
                    .ask(LOOPBACK, &head, &lines, "{\"reason\":\"x\"}")
                    .await;
                assert!(is_clean(&reply.raw), "{}", reply.raw);
                seen += 1;
            }
        }
    }
    for path in [
        "/circuit-breakers",
        "/config",
        "/config/routes/email",
        "/config/routes/whatsapp",
        "/metrics",
        "/readyz",
        "/livez",
        "/startup",
        "/nothing",
    ] {
        for lines in [&*lines, ""] {
            let reply = bench.ask(NETWORK, &format!("GET {path}"), lines, "").await;
            assert!(is_clean(&reply.raw), "{}", reply.raw);
        }
    }
    assert_eq!(seen, 84);
}

fn is_clean(raw: &str) -> bool {
    ![OPERATOR, READER, HEADER_SECRET, LITERAL_SECRET]
        .iter()
        .any(|canary| raw.contains(canary))
        && !raw.contains("canary")
}
