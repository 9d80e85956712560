//! A breaker's admission and verdict.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use criterion::Criterion;
use sidefuse::resilience::{Breaker, BreakerKeys, BreakerSpec, Outcome, Sample};
use sidefuse::time::now;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("breaker");
    group.bench_function("admit and finish", |bencher| {
        let breaker = closed();
        let at = now();
        bencher.iter(|| call(&breaker, at));
    });
    group.bench_function("admit and finish, 4 threads", |bencher| {
        let breaker = closed();
        bencher.iter_custom(|calls| on_threads(4, calls, &breaker));
    });
    group.bench_function("refuse while open", |bencher| {
        let breaker = closed();
        let at = now();
        for _ in 0..10 {
            let permit = breaker.admit(at).expect("it is closed");
            permit.finish(Sample::new(Outcome::Failure), at);
        }
        bencher.iter(|| breaker.admit(at).expect_err("it is open"));
    });
    group.finish();
}

fn closed() -> Arc<Breaker> {
    let spec = BreakerSpec::try_new(BreakerKeys::default()).expect("the defaults make sense");
    Breaker::new(spec, 0, now(), Box::new(|_| {}))
}

fn call(breaker: &Arc<Breaker>, at: Instant) {
    let permit = breaker.admit(at).expect("it is closed");
    permit.finish(
        Sample::new(Outcome::Success).after(Duration::from_millis(1)),
        at,
    );
}

/// The time that one of several threads takes for its calls while the others make theirs.
fn on_threads(threads: usize, calls: u64, breaker: &Arc<Breaker>) -> Duration {
    let barrier = Barrier::new(threads);
    let took = std::thread::scope(|scope| {
        let one = || {
            let at = now();
            barrier.wait();
            let begin = now();
            (0..calls).for_each(|_| call(breaker, at));
            now() - begin
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let ended = running
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"));
        ended.max()
    });
    took.unwrap_or_default()
}
