//! What it takes to find a request's correlation id, or to make one.

use std::hint::black_box;

use criterion::Criterion;
use http::{HeaderMap, HeaderName, HeaderValue};
use sidefuse::arena::Arena;
use sidefuse::telemetry::{Acceptance, Correlation};

const ACCEPT: [HeaderName; 2] = [
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("x-request-id"),
];

pub(crate) fn benches(criterion: &mut Criterion) {
    let acceptance = Acceptance {
        headers: &ACCEPT,
        max_length: 128,
    };
    let arena = Arena::default();
    let mut headers = HeaderMap::new();
    for name in ["host", "content-type", "content-length", "user-agent"] {
        headers.insert(name, HeaderValue::from_static("something"));
    }
    let mut group = criterion.benchmark_group("correlation id");
    group.bench_function("made", |bencher| {
        bencher.iter(|| Correlation::of(black_box(&headers), acceptance, &arena));
    });
    let id = HeaderValue::from_static("3f0c0a52-4d0b-4d13-9a55-0d5e7a8c1f2e");
    headers.insert("x-correlation-id", id);
    group.bench_function("taken over", |bencher| {
        bencher.iter(|| Correlation::of(black_box(&headers), acceptance, &arena));
    });
    group.finish();
}
