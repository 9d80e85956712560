//! A desk with routes behind it, and a client that speaks bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

use crate::admin::access::{Caller, Reach};
use crate::admin::api::Desk;
use crate::admin::context::{ConfigStatus, Context, ReloadRequest};
use crate::admin::endpoint::Port;
use crate::admin::serve::{Patience, connection};
use crate::net::Phases;
use crate::net::tcp::Tcp;
use crate::net::{Descriptors, Names};
use crate::resilience::{Breaker, Identity, Label, Sample};
use crate::snapshot::{Ingredients, prepare};
use crate::telemetry::Meters;
use crate::time::now;

pub(super) const OPERATOR: &str = "canary-operator-3f1c";
pub(super) const READER: &str = "canary-reader-77aa";
pub(super) const HEADER_SECRET: &str = "canary-header-91be";
pub(super) const LITERAL_SECRET: &str = "canary-literal-04d2";

pub(super) const LOOPBACK: Caller = tcp(Reach::Loopback);
pub(super) const NETWORK: Caller = tcp(Reach::Network);
pub(super) const UNIX: Caller = Caller::Unix { uid: Some(1000) };

const fn tcp(reach: Reach) -> Caller {
    Caller::Tcp {
        peer: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711),
        reach,
    }
}

/// Which tokens are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    None,
    Operator,
    Both,
}

pub(super) struct Bench {
    pub(super) context: Arc<Context>,
    pub(super) reloads: mpsc::Receiver<ReloadRequest>,
    pub(super) folder: TempDir,
    admin: Arc<Desk>,
    health: Arc<Desk>,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) raw: String,
}

impl Bench {
    pub(super) fn new(tokens: Tokens) -> Self {
        Self::with_routes(tokens, "")
    }

    /// One with these routes too, each on lines of its own.
    pub(super) fn with_routes(tokens: Tokens, routes: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("{content}\n")).unwrap();
            path.display().to_string()
        };
        let (operator, reader) = (file("operator", OPERATOR), file("reader", READER));
        let secret = file("secret", HEADER_SECRET);
        let access = match tokens {
            Tokens::None => String::new(),
            Tokens::Operator => format!(", operator_token_file: {operator}"),
            Tokens::Both => {
                format!(", operator_token_file: {operator}, reader_token_file: {reader}")
            }
        };
        let yaml = format!(
            "version: 1
admin: {{allowed_hosts: [sidefuse.internal]{access}}}
routes:
  email:
    upstream: http://127.0.0.1:9
  partner:
    upstream: https://partner.example.com/v1
    breaker:
      failure_ratio: 50%
      slow_ratio: 80%
      slow_after: 5s
      window: {{calls: 100}}
      reset_backoff: {{factor: 2, max: 10m, jitter: 0%}}
    headers:
      request:
        set:
          Authorization: {{file: {secret}, prefix: \"Bearer \"}}
          X-Api-Key: {LITERAL_SECRET}
  whatsapp:
    preset: whatsapp
    upstream: https://graph.facebook.com
{routes}"
        );
        let loaded = crate::config::load(&yaml, "test.yaml", &|_| None);
        let loaded = loaded.unwrap_or_else(|report| panic!("{}", report.render()));
        let (meters, begin) = (Meters::new(), now());
        let ingredients = Ingredients {
            plan: loaded.plan,
            revision: "c0ffee00".to_owned(),
            source: loaded.source,
            own: Vec::new(),
            previous: None,
            meters: &meters,
            connect: Arc::new(Tcp::new(
                Names::new(tokio::runtime::Handle::current(), meters.clone()),
                Descriptors::of_limit(1024),
            )),
            sheds: Arc::from([]),
            changed: &Arc::default(),
        };
        let snapshot = prepare(ingredients, begin).unwrap().commit(&meters, begin);
        let (reload, reloads) = mpsc::channel(1);
        let context = Arc::new(Context {
            snapshot: Arc::new(ArcSwap::new(snapshot)),
            meters,
            phases: Arc::new(Phases::default()),
            ready: Arc::new(AtomicBool::new(true)),
            descriptors: Descriptors::of_limit(1 << 20),
            reload,
            config: Arc::new(ArcSwap::from_pointee(ConfigStatus {
                revision: "c0ffee00".to_owned(),
                loaded_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
                last_error: None,
            })),
        });
        let desk = |port| Arc::new(Desk::new(Arc::clone(&context), port));
        Self {
            admin: desk(Port::Admin),
            health: desk(Port::Health),
            context,
            reloads,
            folder,
        }
    }

    pub(super) fn breaker(&self, name: &str) -> Arc<Breaker> {
        Arc::clone(&self.context.snapshot.load().route(name).unwrap().breaker)
    }

    /// Fails so many calls in a row.
    pub(super) fn fail(&self, name: &str, times: usize) {
        for _ in 0..times {
            let permit = self.breaker(name).admit(now()).unwrap();
            let sample = Sample::failure(Label::Named("timeout"));
            permit.finish_as(sample, now(), || {
                Identity::new("test-123", "POST", "/v19.0/1/messages?access_token=hush")
            });
        }
    }

    /// The client's end of a connection to the operators' port.
    pub(super) fn connect(&self, caller: Caller) -> DuplexStream {
        Self::open(&self.admin, caller)
    }

    /// The client's end of a connection to the health listener.
    pub(super) fn connect_health(&self) -> DuplexStream {
        Self::open(&self.health, NETWORK)
    }

    fn open(desk: &Arc<Desk>, caller: Caller) -> DuplexStream {
        let (near, far) = duplex(1 << 20);
        let patience = Arc::new(Patience::new());
        tokio::spawn(connection(
            Arc::clone(desk),
            Box::new(far),
            caller,
            patience,
        ));
        near
    }

    /// Sends a request with `lines` as its header section besides `Host` and `Connection`.
    pub(super) async fn ask(&self, caller: Caller, head: &str, lines: &str, body: &str) -> Reply {
        let host = if lines.starts_with("Host:") {
            ""
        } else {
            "Host: 127.0.0.1:7901\r\n"
        };
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\n{host}{lines}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        exchange(self.connect(caller), request.as_bytes()).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.ask(LOOPBACK, &format!("GET {path}"), "", "").await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Reply {
        let json = "Content-Type: application/json\r\n";
        self.ask(LOOPBACK, &format!("POST {path}"), json, body)
            .await
    }

    pub(super) async fn get_health(&self, path: &str) -> Reply {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n");
        exchange(self.connect_health(), request.as_bytes()).await
    }
}

pub(super) async fn exchange(mut io: DuplexStream, request: &[u8]) -> Reply {
    io.write_all(request).await.unwrap();
    let mut raw = Vec::new();
    io.read_to_end(&mut raw).await.unwrap();
    Reply::parse(String::from_utf8(raw).unwrap())
}

impl Reply {
    fn parse(raw: String) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").expect("a whole head");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::try_from(value).unwrap())
        });
        Self {
            status: status.parse().unwrap(),
            headers: headers.collect(),
            body: body.to_owned(),
            raw,
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.raw))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body with the times in it made the same.
    pub(super) fn timeless(&self) -> String {
        let mut text = String::new();
        let mut rest = self.body.as_str();
        while let Some(at) = rest.find("20") {
            let (before, after) = rest.split_at(at);
            text += before;
            let end = after.find(|c: char| !(c.is_ascii_digit() || "-:.TZ".contains(c)));
            let (word, tail) = after.split_at(end.unwrap_or(after.len()));
            let is_time = word.len() >= 20 && word.ends_with('Z');
            text += if is_time { "<time>" } else { word };
            rest = tail;
        }
        text + rest
    }
}
