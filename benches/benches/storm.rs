//! What a storm costs by its size: it has to grow with the nodes, not faster.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pull_storm::{Plan, run};

fn storms(c: &mut Criterion) {
    let mut group = c.benchmark_group("storm");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    for nodes in [100, 1_000, 10_000, 100_000] {
        let mut plan = Plan::new(nodes);
        // The same load for each node, whatever their number.
        plan.registry.bandwidth = Some(u64::from(nodes) << 20);
        plan.registry.reads_a_minute = Some(u64::from(nodes));
        plan.horizon = Duration::from_hours(2);
        group.throughput(Throughput::Elements(nodes.into()));
        group.bench_with_input(BenchmarkId::from_parameter(nodes), &plan, |b, plan| {
            b.iter(|| {
                run(plan)
                    .map(|storm| storm.running())
                    .expect("a plan within its limits")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, storms);
criterion_main!(benches);
