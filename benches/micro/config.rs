//! From a file's text to live objects: what a start or a reload takes, but for reading the file.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion};
use sidefuse::config::{Loaded, load};
use sidefuse::net::Descriptors;
use sidefuse::net::dns::Names;
use sidefuse::net::tcp::Tcp;
use sidefuse::snapshot::{Ingredients, Prepared, Snapshot, prepare};
use sidefuse::telemetry::Meters;
use sidefuse::time::now;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().build();
    runtime.expect("the system gives one")
});

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("config");
    group.sample_size(20);
    group.measurement_time(Duration::from_secs(10));
    for count in [10, 1_000] {
        let text = text(count);
        group.bench_function(BenchmarkId::new("compile", count), |bencher| {
            bencher.iter(|| load(black_box(&text), "config.yaml", &|_| None));
        });
        let meters = Meters::new();
        group.bench_function(BenchmarkId::new("build anew", count), |bencher| {
            bencher.iter_batched(
                || many(count),
                |loaded| build(loaded, None, &meters),
                BatchSize::LargeInput,
            );
        });
        let in_force = build(many(count), None, &meters).commit(&meters, now());
        group.bench_function(BenchmarkId::new("build over the same", count), |bencher| {
            bencher.iter_batched(
                || many(count),
                |loaded| build(loaded, Some(&in_force), &meters),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// A configuration of so many small routes, each with an upstream of its own.
pub(crate) fn many(count: usize) -> Loaded {
    load(&text(count), "config.yaml", &|_| None).expect("it is sound")
}

fn text(count: usize) -> String {
    let mut text = "version: 1\nroutes:\n".to_owned();
    for place in 0..count {
        writeln!(
            text,
            "  route-{place}: {{upstream: http://host-{place}.example}}"
        )
        .expect("memory takes all");
    }
    text
}

fn build(loaded: Loaded, previous: Option<&Snapshot>, meters: &Meters) -> Prepared {
    let runtime = RUNTIME.handle().clone();
    let ingredients = Ingredients {
        plan: loaded.plan,
        revision: loaded.revision.as_str().to_owned(),
        source: loaded.source,
        own: Vec::new(),
        previous,
        meters,
        // Asked for nothing: names are resolved when a call needs them.
        connect: Arc::new(Tcp::new(
            Names::new(runtime, meters.clone()),
            Descriptors::of_limit(1024),
        )),
        sheds: Arc::new([]),
        changed: &Arc::new(Notify::new()),
    };
    prepare(ingredients, now()).expect("nothing in it can fail")
}
