//! What a throttle, a bulkhead and a token bucket cost where nothing is held back.

use criterion::Criterion;
use std::time::Duration;

use sidefuse::resilience::{
    Bulkhead, BulkheadSpec, Key, Outcome, RateLimit, RateSpec, Throttle, ThrottleSpec,
};
use sidefuse::time::now;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limits");
    group.bench_function("throttle pass and settle", |bencher| {
        let at = now();
        let throttle = Throttle::new(Some(ThrottleSpec::default()), 0, at, Box::new(|_| {}));
        bencher.iter(|| {
            let pass = throttle.admit(None, at).expect("nothing is paused");
            throttle.settle(pass, Outcome::Success, None, at);
        });
    });
    group.bench_function("bulkhead enter and leave", |bencher| {
        let bulkhead = Bulkhead::new(BulkheadSpec {
            max: 100,
            queue: 10,
            queue_timeout: Duration::from_secs(1),
        });
        bencher.iter(|| drop(bulkhead.enter().expect("there is room")));
    });
    let spec = RateSpec::new(1_000_000.0, 1_000).expect("a rate");
    group.bench_function("token bucket", |bencher| {
        let limit = RateLimit::new(spec);
        let mut at = now();
        bencher.iter(|| {
            at += Duration::from_micros(1);
            limit.admit(None, at)
        });
    });
    group.bench_function("token bucket of one key in 1 000", |bencher| {
        let limit = RateLimit::new(spec);
        let keys: Vec<Key> = (0..1_000_u32)
            .map(|it| Key::of(&it.to_be_bytes()))
            .collect();
        let mut turn = keys.iter().cycle();
        let mut at = now();
        bencher.iter(|| {
            at += Duration::from_micros(1);
            limit.admit(turn.next().copied(), at)
        });
    });
    group.finish();
}
