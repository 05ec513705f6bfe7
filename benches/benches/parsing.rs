//! What a probe does without a network: read references and manifests, look through a keyring.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pullcheck::keyring::Keyring;
use pullcheck::reference::Reference;
use pullcheck::wire::manifest::Manifest;

const REFERENCES: [&str; 6] = [
    "nginx",
    "nginx:1.27",
    "team/web:v1",
    "registry.example:5000/team/web:v1.2.3-rc.1",
    "myregistry.azurecr.io/team/sub/web@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "[2001:db8::1]:5000/a/b/c/d/e:latest",
];

fn references(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reference");
    group.throughput(Throughput::Elements(REFERENCES.len() as u64));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| {
            for text in REFERENCES {
                black_box(Reference::parse(black_box(text)).expect("a reference"));
            }
        });
    });
    group.finish();
}

/// A docker configuration with `count` keys, most of them for other registries.
fn docker_config(count: usize) -> Vec<u8> {
    let mut auths = String::new();
    for number in 0..count {
        let mark = if number == 0 { "" } else { "," };
        // `user:password`
        let _ = write!(
            auths,
            r#"{mark}"r{number}.example/team{number}":{{"auth":"dXNlcjpwYXNzd29yZA=="}}"#
        );
    }
    format!(r#"{{"auths":{{{auths},"*.azurecr.io":{{"auth":"dXNlcjpwYXNzd29yZA=="}}}}}}"#)
        .into_bytes()
}

fn keyrings(criterion: &mut Criterion) {
    let image = Reference::parse("myregistry.azurecr.io/team/web:v1").expect("a reference");
    let mut group = criterion.benchmark_group("keyring");
    for count in [1, 10, 100] {
        let config = docker_config(count);
        let kind = "kubernetes.io/dockerconfigjson";
        let mut keyring = Keyring::new();
        keyring.add_pull_secret("default", "pull", kind, Some(&config));
        assert_eq!(keyring.lookup(&image).order.len(), 1, "one key matches");
        group.bench_with_input(
            BenchmarkId::new("match", count),
            &keyring,
            |bencher, ring| {
                bencher.iter(|| black_box(ring.lookup(black_box(&image))));
            },
        );
        group.bench_with_input(
            BenchmarkId::new("read", count),
            &config,
            |bencher, config| {
                bencher.iter(|| {
                    let mut keyring = Keyring::new();
                    keyring.add_pull_secret("default", "pull", kind, Some(black_box(config)));
                    black_box(keyring)
                });
            },
        );
    }
    group.finish();
}

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn image(layers: usize) -> String {
    let layer = format!(
        r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{DIGEST}","size":1048576}}"#
    );
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":1024}},"layers":[{}]}}"#,
        vec![layer; layers].join(",")
    )
}

fn index(platforms: usize) -> String {
    let entry = format!(
        r#"{{"mediaType":"{IMAGE}","digest":"{DIGEST}","size":1024,"platform":{{"architecture":"arm64","os":"linux","variant":"v8"}}}}"#
    );
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        vec![entry; platforms].join(",")
    )
}

fn manifests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("manifest");
    let cases = [
        ("image of 10 layers", IMAGE, image(10)),
        ("index of 12 platforms", INDEX, index(12)),
    ];
    for (name, media_type, body) in cases {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let read = Manifest::read(media_type, black_box(body.as_bytes()));
                black_box(read.expect("a manifest"))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, references, keyrings, manifests);
criterion_main!(benches);
