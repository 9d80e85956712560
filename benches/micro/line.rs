//! What a line of the access log costs the worker that writes it.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use http::HeaderMap;
use sidefuse::arena::Arena;
use sidefuse::resilience::Outcome;
use sidefuse::telemetry::{
    Acceptance, AccessRecord, Correlation, Level, LineFormat, LogSpec, LogWriter, Meters, Sample,
    Stamp, WorkerLog,
};
use sidefuse::time::wall;

pub(crate) fn benches(criterion: &mut Criterion) {
    let meters = Meters::new();
    let writer = LogWriter::spawn(io::sink(), meters.log_lines_dropped()).expect("a thread");
    let acceptance = Acceptance {
        headers: &[],
        max_length: 128,
    };
    let correlation = Correlation::of(&HeaderMap::new(), acceptance, &Arena::default());
    let record = AccessRecord {
        time: wall(),
        correlation_id: &correlation.id,
        correlation_id_replaced: false,
        user_id: Some(b"4711"),
        path: b"/whatsapp/v19.0/106540352242922/messages",
        method: "POST",
        status: 200,
        grpc_status: None,
        duration: Duration::from_micros(183_402),
        route: Some("whatsapp"),
        upstream: Some(b"graph.facebook.com:443"),
        outcome: Outcome::Success,
        config_error: false,
        attempts: 1,
        bytes_in: 233,
        bytes_out: 147,
        reason: None,
        breaker_state: None,
        fallback: None,
        is_coalesced: false,
        key: None,
        upstream_time: Some(Duration::from_micros(183_120)),
        held: None,
        client_gone: false,
        trace_id: None,
        flaw: None,
        hosts: None,
        tunnel: None,
    };
    let mut group = criterion.benchmark_group("access line");
    for (name, format) in [
        ("json", LineFormat::Json),
        ("for people", LineFormat::Pretty { color: false }),
    ] {
        let spec = LogSpec {
            stamp: Stamp::new("real-estate-crm-backend", "production"),
            format,
            level: Level::Info,
            sample: Sample::EVERYTHING,
        };
        let log = WorkerLog::new(writer.handle(), Arc::new(spec));
        group.bench_function(name, |bencher| {
            bencher.iter(|| log.access(black_box(&record)));
        });
    }
    group.finish();
    assert!(
        writer.shutdown(Duration::from_secs(10)),
        "it writes to nowhere"
    );
}
