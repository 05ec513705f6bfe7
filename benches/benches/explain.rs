//! How fast messages are read: every message of the corpus, and hostile ones.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pullcheck::explain::explain;
use std::hint::black_box;

/// The messages of the corpus, as they stand in its lines.
fn corpus() -> Vec<String> {
    let lines = include_str!("../../checker/corpus/messages.jsonl").lines();
    let messages: Vec<String> = lines
        .filter_map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).ok()?;
            row.get("message")?.as_str().map(str::to_owned)
        })
        .collect();
    assert!(!messages.is_empty(), "the corpus has messages");
    messages
}

fn explaining(criterion: &mut Criterion) {
    let corpus = corpus();
    let mut group = criterion.benchmark_group("explain");
    group.throughput(Throughput::Elements(corpus.len() as u64));
    group.bench_function("corpus", |bencher| {
        bencher.iter(|| {
            for message in &corpus {
                black_box(explain(black_box(message)));
            }
        });
    });
    // Four times the length should be four times the time.
    for size in [16 << 10, 64 << 10, 256 << 10] {
        let quotes = "\\\"".repeat(size / 2);
        group.throughput(Throughput::Bytes(quotes.len() as u64));
        group.bench_with_input(
            BenchmarkId::new("quotes", size),
            &quotes,
            |bencher, text| {
                bencher.iter(|| black_box(explain(black_box(text))));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, explaining);
criterion_main!(benches);
