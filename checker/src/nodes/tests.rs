//! Orders and answers on their way.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::bench::{Kind, Load};
use crate::probe::{Depth, Habits, NodeIdentity};
use crate::reference::Reference;

fn image(text: &str) -> ImageOrder {
    ImageOrder::new(text.parse().expect("a reference"))
}

#[test]
fn an_order_is_arguments_and_back() {
    let order = Order {
        images: vec![
            image("registry.example/a:1"),
            ImageOrder {
                shallow: true,
                ..image("b")
            },
            ImageOrder {
                identity: NodeIdentity::Default,
                ..image(
                    "shop.azurecr.io/c@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                )
            },
            ImageOrder {
                identity: NodeIdentity::ClientId("11-22".into()),
                ..image("shop.azurecr.io/d")
            },
        ],
        plain_http: true,
        habits: Some(Habits::CriO),
        depth: Some(Depth::Full),
        user_agent: Some("containerd/v2.1.4 --image".into()),
        secrets: vec![("shop".into(), "reg-cred".into())],
        providers: Some(("/a b".into(), "/c".into())),
        load: Some(LoadOrder {
            kind: Kind::Cold,
            connections: 7,
            millis: 1500,
            rate: Some(2500),
            public: true,
        }),
    };
    let arguments = order.arguments();
    assert_eq!(Order::parse(&arguments), Ok(order));
    let plain = Order {
        images: vec![image("b")],
        ..Order::default()
    };
    assert_eq!(plain.arguments(), ["--image", "b"]);
}

#[test]
fn what_is_no_order() {
    let value = |name, value: &str| OrderError::Value {
        name,
        value: value.to_owned(),
    };
    let table: [(&[&str], OrderError); 9] = [
        (&[], OrderError::Empty),
        (&["--plain-http"], OrderError::Empty),
        (&["image"], OrderError::Unknown("image".into())),
        (&["--image"], OrderError::NoValue("--image".into())),
        (&["--image", "A b"], value("--image", "A b")),
        (&["--as", "podman"], value("--as", "podman")),
        (
            &["--pull-secret", "shop/../x"],
            value("--pull-secret", "shop/../x"),
        ),
        (
            &["--load", "warm,0,5,0,own"],
            value("--load", "warm,0,5,0,own"),
        ),
        (
            &["--credential-provider-bin-dir", "/b"],
            value("--credential-provider-bin-dir", "/b"),
        ),
    ];
    for (words, want) in table {
        assert_eq!(Order::parse(words), Err(want), "for {words:?}");
    }
    let many: Vec<String> = (0..101)
        .flat_map(|at| ["--image".to_owned(), format!("i{at}")])
        .collect();
    assert_eq!(Order::parse(&many), Err(OrderError::TooMany));
}

proptest! {
    #[test]
    fn no_arguments_panic_the_parser(words in prop::collection::vec("(--)?[a-z/:=, -]{0,20}", 0..8)) {
        if let Ok(order) = Order::parse(&words) {
            prop_assert_eq!(Order::parse(&order.arguments()), Ok(order));
        }
    }

    #[test]
    fn no_output_panics_the_reader(text in any::<String>(), line in "\\{\"pullcheck\":\"nodes/1\"\\}\n.{0,80}") {
        let _ = Heard::read(&text, "n");
        let heard = Heard::read(&line, "n").expect("its first line is ours");
        prop_assert!(heard.images.is_empty() || !line.is_empty());
    }
}

#[test]
fn a_node_speaks_for_itself_alone() {
    let fact = |vantage: &str, seen: Value| {
        let mut fact = json!({ "stage": "dns", "vantage": vantage, "at": "2026-01-15T09:00:00Z", "took_ms": 1.5 });
        fact.as_object_mut()
            .expect("an object")
            .extend(seen.as_object().expect("an object").clone());
        fact
    };
    let failed = json!({ "seen": "dns-failed", "error": { "error": "nx-domain", "server": null } });
    let lines = [
        json!({ "image": "early", "evidence": [] }),
        json!({ "pullcheck": "nodes/1", "version": "9" }),
        json!({ "image": "a", "evidence": [
            fact("workstation", failed.clone()),
            fact("node/other", failed),
            fact("node/n", json!({ "seen": "something-newer", "with": 1 })),
            7,
        ] }),
        json!({ "note": "a\u{1b}[31m note with https://u:secret@h/?sig=x" }),
        json!({ "end": true }),
    ];
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let heard = Heard::read(&format!("noise\n{}", text.join("\n")), "n").expect("it is ours");
    assert_eq!(heard.images.keys().collect::<Vec<_>>(), ["a"]);
    let seen = &heard.images["a"];
    assert_eq!(seen.facts().len(), 2);
    assert_eq!(seen.vantages(), [&crate::world::Vantage::node("n")]);
    assert_eq!(
        heard.notes,
        [
            "a [31m note with https://h/?sig=[redacted]",
            "2 facts were not understood: the program there is of another version"
        ]
    );
    assert!(heard.complete);
    assert_eq!(Heard::read("/bin/sh: no such file", "n"), None);
}

fn told(counts: &[(u64, u64)], failures: &[(&str, u64)], took_ms: f64) -> Heard {
    let failures: BTreeMap<String, u64> = failures
        .iter()
        .map(|(what, count)| ((*what).to_owned(), *count))
        .collect();
    Heard {
        load: Some(LoadSeen {
            counts: counts.to_vec(),
            failures,
            took_ms,
            refused: None,
        }),
        complete: true,
        ..Heard::default()
    }
}

#[test]
fn loads_add_up_by_their_histograms() {
    let load = Load {
        kind: Kind::Warm,
        connections: 5,
        time: Duration::from_secs(2),
        rate: Some(100.0),
        public: false,
    };
    let part = LoadOrder::part(&load, 3);
    assert_eq!((part.connections, part.rate), (2, Some(33_333)));
    let node = |name: &str, heard| NodeSeen {
        name: name.to_owned(),
        heard,
    };
    // 99 quick answers on one node, one slow one on the other: the slow one is the last hundredth of all.
    let seen = FleetSeen {
        nodes: vec![
            node("a", Ok(told(&[(1000, 99)], &[], 2000.0))),
            node("b", Ok(told(&[(900_000, 1)], &[("timeout", 2)], 2500.0))),
            node(
                "c",
                Err(NoProbe::Unplaced {
                    message: "no room".into(),
                }),
            ),
        ],
        ..FleetSeen::default()
    };
    let all = NodeLoad::add_up(&load, &seen).expect("two nodes told");
    assert_eq!(all.total().probes(), 100);
    assert!((all.total().per_second() - 40.0).abs() < 0.01);
    assert_eq!(all.total().latency(99.0), Duration::from_millis(1));
    assert!(all.total().latency(100.0) >= Duration::from_millis(899));
    assert!(!all.is_clean());
    let page = all.text();
    assert!(
        page.contains("node      c   nothing: no probe could be placed there: no room"),
        "{page}"
    );
    let json = all.json();
    assert_eq!(json["schema"], "pullcheck.bench/1");
    assert_eq!(json["nodes"][1]["result"]["failures"]["timeout"], 2);
    let none = FleetSeen {
        nodes: seen.nodes[2..].to_vec(),
        ..FleetSeen::default()
    };
    let error = NodeLoad::add_up(&load, &none).expect_err("nobody told anything");
    assert!(error.to_string().contains("c: no probe"), "{error}");
}

#[test]
fn no_reference_is_changed_on_the_way() {
    for text in ["a", "r.example:5000/a/b:1", "[::1]:5000/a"] {
        let reference: Reference = text.parse().expect("a reference");
        let order = Order {
            images: vec![ImageOrder::new(reference.clone())],
            ..Order::default()
        };
        let read = Order::parse(&order.arguments()).expect("an order");
        assert_eq!(read.images[0].reference, reference);
    }
}
