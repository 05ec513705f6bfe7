//! Nodes that only the cluster leads to: what they tell becomes evidence, a comparison and gaps.

use std::sync::Mutex;

use super::*;
use crate::check::{Settings, check_with};
use crate::keyring::Credential;
use crate::nodes::{
    Fleet, FleetError, FleetSeen, Heard, NoProbe, NodeSeen, Order, Standing, carry_out,
};
use crate::stage::Stage;
use crate::verdict::Outcome;
use crate::world::NoPrograms;

/// Places that carry orders out as the program in a container does, through its arguments and its lines.
struct Containers {
    places: Vec<Place>,
    silent: Vec<(&'static str, NoProbe)>,
    failed: Option<FleetError>,
    signs_in: bool,
    orders: Mutex<Vec<Vec<String>>>,
}

impl Fleet for Containers {
    fn look<'a>(&'a self, order: &'a Order, _: &'a [String]) -> BoxFuture<'a, FleetSeen> {
        Box::pin(async move {
            let arguments = order.arguments();
            self.orders
                .lock()
                .expect("no panic holds it")
                .push(arguments.clone());
            let mut seen = FleetSeen {
                failed: self.failed.clone(),
                ..FleetSeen::default()
            };
            for place in &self.places {
                let Vantage::Node(name) = &place.vantage else {
                    continue;
                };
                let order = Order::parse(&arguments).expect("an order");
                let standing = Standing::new(place.clone());
                let mut printed = String::new();
                carry_out(
                    &order,
                    &standing,
                    &NoPrograms,
                    &TestClock(clock()),
                    |line| {
                        printed.push_str(line);
                        printed.push('\n');
                    },
                )
                .await;
                seen.nodes.push(NodeSeen {
                    name: name.to_string(),
                    heard: Ok(Heard::read(&printed, name).expect("its own lines")),
                });
            }
            for (name, why) in &self.silent {
                seen.nodes.push(NodeSeen {
                    name: (*name).to_owned(),
                    heard: Err(why.clone()),
                });
            }
            seen
        })
    }

    fn signs_in(&self) -> bool {
        self.signs_in
    }
}

/// The nodes of a world, taken out of it and put behind the cluster.
fn behind(mut world: World) -> (World, Arc<Containers>) {
    let fleet = Arc::new(Containers {
        places: std::mem::take(&mut world.nodes),
        silent: Vec::new(),
        failed: None,
        signs_in: false,
        orders: Mutex::default(),
    });
    (
        world.with_fleet(Arc::clone(&fleet) as Arc<dyn Fleet>),
        fleet,
    )
}

fn one_image(tag: &str) -> Request {
    let image = format!("registry.example/shop/api:{tag}");
    Request::Image(image.parse().expect("a reference"))
}

#[tokio::test(start_paused = true)]
async fn a_cause_that_only_one_node_shows() {
    let registry = open_registry();
    let (world, _) = behind(world(
        &registry,
        &["node-1", "node-2", "node-3"],
        &["node-2"],
    ));
    let found = check(&world, &one_image("1.9")).await;
    assert_eq!(found.cause(), Some(Cause::FirewallDrop), "{}", page(&found));
    let comparison = found.answers[0].comparison.as_ref().expect("a comparison");
    assert_eq!(comparison.differs_at, Some(Stage::Tcp));
    assert_eq!(comparison.stands_out, ["node-2"]);
    assert_eq!(
        comparison
            .places
            .iter()
            .map(|one| (one.name(), one.outcome))
            .collect::<Vec<_>>(),
        [
            ("this workstation".to_owned(), Outcome::Passed),
            ("node node-2".to_owned(), Outcome::Stopped),
            ("node node-1".to_owned(), Outcome::Passed),
            ("node node-3".to_owned(), Outcome::Passed),
        ]
    );
    insta::assert_snapshot!("nodes_firewall", page(&found));
    for form in [
        report::html(&found),
        report::github(&found),
        report::junit(&found),
    ] {
        assert!(
            form.contains("differ first at tcp: of 3 nodes node-2 stands out"),
            "{form}"
        );
    }
    let json = report::json(&found);
    assert_eq!(
        json["answers"][0]["side_by_side"]["stands_out"][0],
        "node-2"
    );
    let schema = jsonschema::validator_for(&report::report_schema()).expect("a schema");
    assert!(schema.is_valid(&json), "{json:#}");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_see_the_same_are_few_in_evidence_and_all_compared() {
    let registry = open_registry();
    let names: Vec<String> = (0..30).map(|at| format!("node-{at:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (world, _) = behind(world(&registry, &names, &[]));
    let found = check(&world, &one_image("1.9")).await;
    assert_eq!(found.verdict(), &Verdict::Pullable, "{}", page(&found));
    let answer = &found.answers[0];
    assert_eq!(answer.evidence.vantages().len(), 3);
    let comparison = answer.comparison.as_ref().expect("a comparison");
    assert_eq!(comparison.places.len(), 31);
    assert_eq!(
        comparison.words,
        "all 30 nodes and this workstation see the same"
    );
    assert!(page(&found).contains("11 more"), "{}", page(&found));
}

#[tokio::test(start_paused = true)]
async fn credentials_stay_here_and_nodes_go_no_further_than_they_can_alone() {
    let registry = open_registry();
    let (world, fleet) = behind(world(&registry, &["node-1", "node-2"], &[]));
    let settings = Settings {
        credential: Some(Credential::basic("user", "hunter2".to_owned())),
        ..Settings::default()
    };
    // What the registry holds is the same from everywhere: the workstation decides.
    let found = check_with(&world, &one_image("1.91"), &settings).await;
    assert_eq!(found.cause(), Some(Cause::TagNotFound), "{}", page(&found));
    assert!(
        page(&found).contains("reaches the registry"),
        "{}",
        page(&found)
    );
    assert!(
        page(&found).contains("--node-pull-secret"),
        "{}",
        page(&found)
    );
    let orders = fleet.orders.lock().expect("no panic holds it").concat();
    assert_eq!(orders, ["--reach", "registry.example/shop/api:1.91"]);
}

#[tokio::test(start_paused = true)]
async fn a_workstation_that_is_cut_off_says_nothing_of_nodes() {
    let registry = open_registry();
    let (world, _) = behind(world(&registry, &["node-1"], &["workstation"]));
    let found = check(&world, &one_image("1.9")).await;
    assert_eq!(found.verdict(), &Verdict::Pullable, "{}", page(&found));
    let settings = Settings {
        credential: Some(Credential::basic("user", "hunter2".to_owned())),
        ..Settings::default()
    };
    let found = check_with(&world, &one_image("1.9"), &settings).await;
    let Verdict::Undetermined { at, .. } = found.verdict() else {
        panic!("{}", page(&found));
    };
    assert_eq!(*at, Stage::Auth, "{}", page(&found));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_tells_nothing_is_named_with_the_way_by_hand() {
    let registry = open_registry();
    let (mut world, _) = behind(world(&registry, &["node-1"], &[]));
    let places = vec![world.workstation.clone()];
    world.fleet = Some(Arc::new(Containers {
        places,
        silent: vec![(
            "node-9",
            NoProbe::Image {
                image: "registry.example/pullcheck:1".into(),
                reason: "ImagePullBackOff".into(),
                message: "Back-off pulling image".into(),
            },
        )],
        failed: None,
        signs_in: false,
        orders: Mutex::default(),
    }));
    let found = check(&world, &one_image("1.9")).await;
    let gap = found.gaps.first().expect("a gap");
    assert_eq!(
        gap.what,
        "node node-9: the checker's own image registry.example/pullcheck:1 cannot be pulled there: \
         ImagePullBackOff: Back-off pulling image; --node-image names another one, or by hand"
    );
    assert_eq!(
        gap.ask.as_deref(),
        Some(
            "kubectl debug node/node-9 -it --image=IMAGE_ON_THE_NODE -- chroot /host crictl pull registry.example/shop/api:1.9"
        )
    );
    assert!(
        page(&found).contains("No node tells anything"),
        "{}",
        page(&found)
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_pod_s_node_decides() {
    let registry = open_registry();
    let image = "registry.example/shop/api:1.9";
    let text = "failed to do request: Head \"https://registry.example/v2/shop/api/manifests/1.9\": dial tcp 10.0.1.4:443: i/o timeout";
    let pods = [
        failing("node-2", "api-5d9-a", image, text),
        running("node-1", "api-5d9-b", image),
    ];
    let (world, fleet) = behind(world(&registry, &["node-1", "node-2"], &["node-2"]));
    let world = world.with_cluster(client(answers(&pods, |_| None), Arc::default()));
    let found = check(&world, &deployment()).await;
    assert_eq!(found.cause(), Some(Cause::FirewallDrop), "{}", page(&found));
    let vantage = found.answers[0].judgement.vantage.clone();
    assert_eq!(vantage, Some(Vantage::node("node-2")));
    assert_eq!(fleet.orders.lock().expect("no panic holds it").len(), 1);
}
