use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::support::{Bench, LOOPBACK, OPERATOR, Tokens};
use crate::admin::context::ReloadReport;

/// Keeps the lines that say what operators did.
#[derive(Clone, Default)]
struct Deeds(Arc<Mutex<String>>);

impl<S: Subscriber> Layer<S> for Deeds {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        if line.0.contains("message=Admin action") {
            let mut lines = self.0.lock().unwrap();
            *lines += &format!("{} {}\n", event.metadata().level(), line.0.trim());
        }
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn every_change_of_state_leaves_one_line_and_nothing_else_does() {
    let deeds = Deeds::default();
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(deeds.clone()));
    let mut bench = Bench::new(Tokens::Operator);
    let (_, mut reloads) = tokio::sync::mpsc::channel(1);
    std::mem::swap(&mut bench.reloads, &mut reloads);
    tokio::spawn(async move {
        while let Some(request) = reloads.recv().await {
            let revision = "beef".to_owned();
            let changes = String::new();
            request
                .reply
                .send(ReloadReport::Applied { revision, changes })
                .unwrap();
        }
    });
    let json = "Content-Type: application/json\r\nX-Correlation-ID: id-1\r\n";
    let authorized = format!("{json}Authorization: Bearer {OPERATOR}\r\n");
    for (head, lines, body) in [
        (
            "POST /circuit-breakers/email/open",
            &*authorized,
            r#"{"reason":"provider is down"}"#,
        ),
        (
            "POST /circuit-breakers/email/open",
            &authorized,
            r#"{"reason":"provider is down"}"#,
        ),
        ("POST /circuit-breakers/email/auto", &authorized, ""),
        ("POST /config/reload", &authorized, ""),
        ("POST /circuit-breakers/email/open", json, ""),
        ("POST /circuit-breakers/email/open", &authorized, "[]"),
        ("POST /circuit-breakers/nobody/open", &authorized, ""),
        ("GET /circuit-breakers", &authorized, ""),
    ] {
        bench.ask(LOOPBACK, head, lines, body).await;
    }
    insta::assert_snapshot!(deeds.0.lock().unwrap());
}
