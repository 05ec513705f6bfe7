use super::*;

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn occurrence(severity: Severity, reason: &str, message: &str) -> Occurrence {
    let object = ObjectRef {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: "default".into(),
        name: "app".into(),
        uid: "u-1".into(),
        field_path: "spec.containers{app}".into(),
        ..ObjectRef::default()
    };
    Occurrence {
        object,
        severity,
        reason: reason.into(),
        message: message.into(),
    }
}

/// What a real kubelet did in 13 minutes of back-off, replayed: the pulls and syncs at the recorded
/// times (those whose events were all dropped are spread evenly), compared with the recorded writes.
#[test]
fn the_writes_of_a_real_back_off() {
    let text =
        include_str!("../../../tests/observed/kube-1.36-containerd-2.1/backoff-13min-reset.json");
    let recording: serde_json::Value = serde_json::from_str(text).unwrap();
    let timeline: Vec<_> = recording["event_timeline"]
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .collect();
    let image = recording["image"].as_str().unwrap();

    let mut happened: Vec<(f64, Occurrence)> = Vec::new();
    for (n, request) in recording["registry_log"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let at = request["at"].as_f64().unwrap();
        happened.push((
            at,
            occurrence(
                Severity::Normal,
                "Pulling",
                &format!("Pulling image \"{image}\""),
            ),
        ));
        let text = format!("Failed to pull image \"{image}\": attempt {n}");
        happened.push((at, occurrence(Severity::Warning, "Failed", &text)));
        happened.push((
            at,
            occurrence(Severity::Warning, "Failed", "Error: ErrImagePull"),
        ));
    }
    let seen: Vec<f64> = timeline
        .iter()
        .filter(|e| e["reason"] == "BackOff")
        .map(|e| e["at"].as_f64().unwrap())
        .collect();
    let (last, before) = (seen[seen.len() - 1], seen[seen.len() - 2]);
    let dropped = (1..=20).map(|n| before + (last - before) * f64::from(n) / 21.0);
    for at in seen.iter().copied().chain(dropped) {
        let text = format!("Back-off pulling image \"{image}\"");
        happened.push((at, occurrence(Severity::Normal, "BackOff", &text)));
        happened.push((
            at,
            occurrence(Severity::Warning, "Failed", "Error: ImagePullBackOff"),
        ));
    }
    happened.sort_by(|a, b| a.0.total_cmp(&b.0));

    let mut correlator = Correlator::new(true);
    let mut written = Vec::new();
    for (at, event) in &happened {
        match correlator.step(secs(*at), 0, event) {
            Decision::Skip => {}
            Decision::Create(w) => {
                written.push(("ADDED", event.reason.clone(), w.count, w.message));
            }
            Decision::Update(w) => {
                written.push(("MODIFIED", event.reason.clone(), w.count, w.message));
            }
        }
    }
    let wanted: Vec<_> = timeline
        .iter()
        .map(|e| {
            (
                e["op"].as_str().unwrap(),
                e["reason"].as_str().unwrap().to_owned(),
                u32::try_from(e["count"].as_u64().unwrap()).unwrap(),
                e["message"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(written.len(), wanted.len());
    for (got, want) in written.iter().zip(&wanted) {
        assert_eq!(
            (got.0, &got.1, got.2),
            (want.0, &want.1, want.2),
            "{} / {}",
            got.3,
            want.3
        );
    }
}

#[test]
fn ten_texts_of_one_kind_become_one_event() {
    let mut correlator = Correlator::new(true);
    let mut step = |second: f64, n: u32| {
        correlator.step(
            secs(second),
            0,
            &occurrence(
                Severity::Warning,
                "FailedCreatePodSandBox",
                &format!("id {n}"),
            ),
        )
    };
    for n in 0..9 {
        assert!(
            matches!(step(f64::from(n) * 13.0, n), Decision::Create(w) if !w.combined),
            "text {n} stands alone"
        );
    }
    let Decision::Create(combined) = step(120.0, 9) else {
        panic!("the tenth is created")
    };
    assert_eq!(combined.message, "(combined from similar events): id 9");
    let Decision::Update(next) = step(133.0, 10) else {
        panic!("the next one updates it")
    };
    assert_eq!(
        (next.name, next.count, next.message.as_str()),
        (combined.name, 2, "(combined from similar events): id 10")
    );
    assert!(
        matches!(step(800.0, 11), Decision::Create(w) if !w.combined),
        "ten quiet minutes end it"
    );
}

#[test]
fn before_1_32_both_types_share_the_filter() {
    let table = [(true, 50), (false, 25)];
    for (by_type, want) in table {
        let mut correlator = Correlator::new(by_type);
        let mut written = 0;
        for _ in 0..40 {
            for severity in [Severity::Normal, Severity::Warning] {
                let event = occurrence(severity, "Tick", "tick");
                written += u32::from(correlator.step(secs(1.0), 0, &event) != Decision::Skip);
            }
        }
        assert_eq!(written, want, "by type: {by_type}");
    }
}

#[test]
fn a_forgotten_event_is_created_again_under_a_new_name() {
    let mut correlator = Correlator::new(true);
    let event = occurrence(Severity::Normal, "Pulling", "Pulling image");
    let Decision::Create(first) = correlator.step(secs(1.0), 0, &event) else {
        panic!()
    };
    correlator.forget(&first);
    let Decision::Create(second) = correlator.step(secs(1.0), 0, &event) else {
        panic!()
    };
    assert_ne!(
        first.name, second.name,
        "not even within one nanosecond of virtual time"
    );
    assert_eq!(second.count, 1);
}
