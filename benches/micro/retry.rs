//! The retry budget: what a call pays to have retries bounded.

use std::hint::black_box;

use criterion::Criterion;
use sidefuse::resilience::{Facts, Label, RetryBudget, RetrySpec};
use sidefuse::time::now;

pub(crate) fn benches(criterion: &mut Criterion) {
    let begin = now();
    let mut group = criterion.benchmark_group("retry");
    let budget = RetryBudget::new(begin);
    group.bench_function("deposit", |bencher| {
        bencher.iter(|| black_box(&budget).deposit())
    });
    group.bench_function("deposit and withdraw", |bencher| {
        bencher.iter(|| {
            black_box(&budget).deposit();
            black_box(&budget).withdraw(black_box(begin))
        })
    });
    let spec = RetrySpec {
        attempts: 3,
        ..RetrySpec::default()
    };
    let facts = Facts {
        attempts: 1,
        ended: Label::Status(503),
        is_unsent: false,
        is_idempotent: true,
        is_whole: true,
        retry_after: None,
        left: std::time::Duration::from_secs(10),
    };
    group.bench_function("judge", |bencher| {
        bencher.iter(|| {
            budget.deposit();
            spec.judge(black_box(&facts), &budget, begin, black_box(7))
        })
    });
    group.finish();
}
