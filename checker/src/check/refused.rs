//! Pods that do not come to be because a policy of the cluster refuses them: nothing was pulled, and
//! nothing was probed.

use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::Evidence;
use crate::explain::explain;
use crate::report::Answer;
use crate::symptom::NotCreated;
use crate::verdict::{Judgement, Receipt, Remedy, Told, Verdict};
use crate::wire::Excerpt;

/// One answer an image, when it is a policy that says no; none for quotas and other reasons.
pub(super) fn answers(not_created: &NotCreated) -> Vec<Answer> {
    let read = explain(&not_created.message);
    if read.clue != Clue::PolicyBlocked {
        return Vec::new();
    }
    let cause = Cause::AdmissionBlocksProbe;
    let text = Excerpt::new(&not_created.message).to_string();
    let one = |image: &String| Answer {
        image: image.clone(),
        judgement: Judgement {
            verdict: Verdict::Blocked {
                at: cause.stage(),
                cause,
            },
            because: format!("the API server refuses to create the pods: {text}"),
            vantage: None,
            ruled_out: Vec::new(),
            notes: Vec::new(),
        },
        remedies: remedies(cause, image),
        waiting: Vec::new(),
        running: 0,
        outlook: None,
        credentials: Vec::new(),
        told: vec![Told {
            node: None,
            clue: read.clue,
            certain: read.certain,
            stage: read.stage,
            causes: read.causes.clone(),
            host: None,
            status: None,
            text: text.clone(),
            last: None,
            count: 1,
        }],
        evidence: Evidence::new(),
        comparison: None,
        azure: None,
        receipt: Receipt {
            proved: Vec::new(),
            not_proved: vec![
                "nothing was probed: there is no pod whose pull could be looked at".into(),
            ],
        },
    };
    not_created.images.iter().map(one).collect()
}

fn remedies(cause: Cause, image: &str) -> Vec<Remedy> {
    let quoted = crate::verdict::quoted(image);
    let fill = |one: &crate::cause::RemedyTemplate| Remedy {
        title: one.title.into(),
        commands: one.fill(&[("image", &quoted)]),
        note: one.note.map(Into::into),
    };
    cause.remedies().iter().map(fill).collect()
}
