//! How long it takes to find a request's route, among few and among many.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use http::{HeaderMap, HeaderValue, Method};
use sidefuse::snapshot::{Call, Destination, Router};

use crate::config::many;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("router");
    for count in [10, 1_000, 10_000] {
        let router = Router::new(&many(count).plan.routes, &[]);
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("127.0.0.1:7900"));
        let by_name = Call {
            destination: Destination::Host("127.0.0.1:7900"),
            path: "/route-7/v19.0/1/messages",
            method: &Method::POST,
            headers: &headers,
        };
        let by_host = Call {
            destination: Destination::Absolute("host-7.example"),
            ..by_name
        };
        for (what, call) in [("by name", by_name), ("by host", by_host)] {
            router.find(&call).expect("it is there");
            group.bench_function(BenchmarkId::new(what, count), |bencher| {
                bencher.iter(|| router.find(black_box(&call)));
            });
        }
    }
    group.finish();
}
