use super::support::{Bench, Tokens};
use crate::docs::PAGES;

#[tokio::test(start_paused = true)]
async fn the_pages_are_html_that_loads_nothing() {
    let bench = Bench::new(Tokens::None);
    let first = bench.get("/docs").await;
    for page in PAGES {
        let reply = bench.get(&format!("/docs/{}", page.name)).await;
        assert_eq!(reply.status, 200, "{}", page.name);
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(
            reply.header("content-security-policy"),
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        );
        assert!(reply.body.contains(page.title()), "{}", page.name);
    }
    assert_eq!(first.body, bench.get("/docs/start").await.body);
    assert_eq!(bench.get("/docs/none").await.status, 404);
    assert_eq!(bench.post("/docs", "{}").await.status, 405);
    assert_eq!(
        bench.get("/config").await.header("content-security-policy"),
        "default-src 'none'; frame-ancestors 'none'"
    );
}

#[tokio::test(start_paused = true)]
async fn the_pages_take_what_reading_takes() {
    let bench = Bench::new(Tokens::Both);
    assert_eq!(bench.get("/docs").await.status, 401);
}
