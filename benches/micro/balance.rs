//! Which endpoint gets the next call.

use std::time::Duration;

use criterion::Criterion;
use sidefuse::time::now;
use sidefuse::upstream::balance::{Latency, Load, pick};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("balance");
    for count in [3_usize, 64] {
        let begin = now();
        let latencies: Vec<Latency> = (1..=count)
            .map(|place| {
                let latency = Latency::new(begin);
                latency.observe(Duration::from_millis(place as u64), begin);
                latency
            })
            .collect();
        let at = begin + Duration::from_millis(300);
        let all = u64::MAX >> (64 - count);
        let load = |place: usize| Load {
            in_flight: place,
            latency: latencies[place].faded(at),
        };
        group.bench_function(format!("pick of {count}"), |bencher| {
            bencher.iter(|| pick(all, fastrand::u64(..), load));
        });
        group.bench_function(format!("pick of {count}, one of them out"), |bencher| {
            bencher.iter(|| pick(all & !2, fastrand::u64(..), load));
        });
    }
    group.bench_function("observe a latency", |bencher| {
        let begin = now();
        let latency = Latency::new(begin);
        bencher.iter(|| latency.observe(Duration::from_millis(3), begin));
    });
    group.finish();
}
