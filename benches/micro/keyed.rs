//! What keys and candidates add to a breaker's admission and verdict.

use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use sidefuse::resilience::{
    Breaker, BreakerKeys, BreakerSpec, Key, Keyed, Outcome, Sample, Shadows,
};
use sidefuse::time::now;

const SUCCESS: Sample = Sample::new(Outcome::Success).after(Duration::from_millis(1));

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("breaker keyed");
    let at = now();
    group.bench_function("admit and finish", |bencher| {
        let (own, keyed) = (closed(), keyed());
        let key = Key::of(b"tenant-7");
        bencher.iter(|| {
            let permit = keyed.admit(&own, key, at).expect("both are closed");
            permit.finish(SUCCESS, at);
        });
    });
    group.bench_function("admit and finish, 1000 keys in turn", |bencher| {
        let (own, keyed) = (closed(), keyed());
        let keys: Vec<Key> = (0..1_000_u32)
            .map(|tenant| Key::of(&tenant.to_be_bytes()))
            .collect();
        let mut turn = keys.iter().cycle();
        bencher.iter(|| {
            let key = turn.next().copied().expect("it goes round");
            keyed
                .admit(&own, key, at)
                .expect("both are closed")
                .finish(SUCCESS, at);
        });
    });
    group.bench_function("admit and finish, every key a new one", |bencher| {
        let (own, keyed) = (closed(), keyed());
        let mut tenant = 0_u64;
        bencher.iter(|| {
            tenant += 1;
            let key = Key::of(&tenant.to_be_bytes());
            keyed
                .admit(&own, key, at)
                .expect("both are closed")
                .finish(SUCCESS, at);
        });
    });
    group.bench_function("fingerprint of a key", |bencher| {
        bencher.iter(|| Key::of(std::hint::black_box(b"tenant-7")));
    });
    group.bench_function("admit and finish, a candidate watching", |bencher| {
        let own = closed();
        let shadows = Shadows::new(
            &[("strict".to_owned(), spec())],
            None,
            at,
            Arc::new(|_, _| {}),
        );
        bencher.iter(|| {
            let permit = own.admit(at).expect("it is closed");
            shadows.watch(permit, at).finish(SUCCESS, at);
        });
    });
    group.finish();
}

fn spec() -> BreakerSpec {
    BreakerSpec::try_new(BreakerKeys::default()).expect("the defaults make sense")
}

fn closed() -> Arc<Breaker> {
    Breaker::new(spec(), 0, now(), Box::new(|_| {}))
}

fn keyed() -> Arc<Keyed> {
    Keyed::new(spec(), 1_000, 0, Arc::new(|_, _| {}))
}
