//! Mirrors: asked in the runtime's order and manner, and never with a credential.

use std::sync::Arc;

use fake_registry::{Clock, FakeRegistry, HostSpec, Scheme};

use super::net::{Script, TestClock, TestNet, There, registry, say};
use super::{ended, find, probe, seen, with};
use crate::cause::Cause;
use crate::check::{Request, Settings, check_with};
use crate::evidence::{Evidence, MirrorOutcome, Role, Seen};
use crate::keyring::Keyring;
use crate::mirrors::{HostsFile, Mirrors, RegistriesConf};
use crate::probe::Options;
use crate::stage::Stage;
use crate::world::{Place, Vantage, World};

const IMAGE: &str = "r.example/team/web:v1";

fn fake() -> FakeRegistry {
    let clock = Clock::starting_at("2026-01-15T09:00:00Z".parse().unwrap());
    FakeRegistry::builder()
        .clock(clock)
        .host(HostSpec::new("r.example"))
        .host(HostSpec::new("m.example"))
        .image("r.example", "team/web:v1 linux/amd64 1x1KiB")
        .image("m.example", "copy/team/web:v1 linux/amd64 1x1KiB")
        .build()
        .unwrap()
}

fn hosts(text: &str) -> Mirrors {
    Mirrors::default().with_folder("r.example", HostsFile::parse(text).unwrap())
}

fn crio(text: &str) -> Mirrors {
    Mirrors::default().with_registries(RegistriesConf::parse(text).unwrap())
}

async fn look(place: &Place, mirrors: &Mirrors, keyring: &Keyring) -> Evidence {
    let options = Options {
        mirrors: mirrors.clone(),
        ..Options::default()
    };
    probe(place, IMAGE, keyring, &options).await
}

fn outcomes(evidence: &Evidence) -> Vec<(String, MirrorOutcome)> {
    evidence
        .about(Role::Mirror)
        .filter_map(|fact| match &fact.seen {
            Seen::MirrorTried { outcome } => Some((
                fact.endpoint.as_ref().unwrap().authority.to_string(),
                *outcome,
            )),
            _ => None,
        })
        .collect()
}

fn upstream(fake: &FakeRegistry) -> TestNet {
    TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:443", registry(fake, Scheme::Https))
}

#[tokio::test(start_paused = true)]
async fn containerd_asks_in_order_with_the_registrys_name() {
    let fake = fake();
    let absent = Script::new(|_| say(404, ""));
    let broken = Script::new(|_| say(500, ""));
    let net = upstream(&fake)
        .name("one.example", &["10.3.0.1"])
        .there("10.3.0.1:80", absent.there())
        .name("two.example", &["10.3.0.2"])
        .there("10.3.0.2:5000", broken.there());
    let mirrors = hosts(
        "[host.\"http://one.example/hub\"]\n[host.\"http://push.example\"]\ncapabilities = [\"push\"]\n[host.\"http://two.example:5000\"]\noverride_path = true\n",
    );
    let evidence = look(&net.place([fake.ca_der()]), &mirrors, &Keyring::new()).await;
    assert_eq!(
        outcomes(&evidence),
        [
            ("one.example".to_owned(), MirrorOutcome::Absent),
            (
                "two.example:5000".to_owned(),
                MirrorOutcome::Failed {
                    stage: Stage::Manifest
                }
            ),
        ]
    );
    assert_eq!(
        absent.lines()[0],
        "HEAD /hub/v2/team/web/manifests/v1?ns=r.example"
    );
    assert_eq!(
        broken.lines()[0],
        "HEAD /team/web/manifests/v1?ns=r.example"
    );
    assert!(absent.lines().iter().all(|line| !line.contains("tags")));
    assert_eq!(ended(&evidence), (Stage::Blob, true), "{evidence:#?}");
    assert!(
        !format!("{:?}", fake.journal()).contains("ns="),
        "the registry is asked without ns"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_serves_all_ends_the_pull() {
    let fake = fake();
    let net = TestNet::default()
        .name("m.example", &["10.3.0.1"])
        .there("10.3.0.1:443", registry(&fake, Scheme::Https));
    // containerd: the path of the mirror stands before the repository.
    let text = "[[registry]]\nlocation = \"r.example\"\n[[registry.mirror]]\nlocation = \"m.example/copy\"\n";
    let evidence = look(&net.place([fake.ca_der()]), &crio(text), &Keyring::new()).await;
    assert_eq!(
        outcomes(&evidence),
        [("m.example".to_owned(), MirrorOutcome::Served)],
        "{evidence:#?}"
    );
    assert_eq!(ended(&evidence), (Stage::Blob, true));
    assert!(net.dialled().iter().all(|to| to == "10.3.0.1:443"));
}

#[tokio::test(start_paused = true)]
async fn certificates_of_a_mirror_are_verified_unless_told_otherwise() {
    let fake = fake();
    let authority = super::net::Authority::new("Mirror CA");
    let tls = authority.server(&["m.example"], (2026, 1, 1), (2027, 1, 1));
    let script = Script::new(|_| say(404, "")).with_tls(tls);
    let net = upstream(&fake)
        .name("m.example", &["10.3.0.1"])
        .there("10.3.0.1:443", script.there());
    let place = net.place([fake.ca_der()]);
    let one = |more: &str| format!("[host.\"https://m.example\"]\n{more}\n");
    let strict = look(&place, &hosts(&one("")), &Keyring::new()).await;
    let stage = Stage::Tls;
    assert_eq!(outcomes(&strict)[0].1, MirrorOutcome::Failed { stage });
    let lenient = look(&place, &hosts(&one("skip_verify = true")), &Keyring::new()).await;
    assert_eq!(outcomes(&lenient)[0].1, MirrorOutcome::Absent);
    let file = HostsFile::parse(&one("ca = \"m.pem\"")).unwrap();
    let file = file.with_authorities("m.pem", &[authority.der().into()]);
    let trusted = Mirrors::default().with_folder("r.example", file);
    let trusting = look(&place, &trusted, &Keyring::new()).await;
    assert_eq!(outcomes(&trusting)[0].1, MirrorOutcome::Absent);
    // What is trusted for the mirror is trusted for nobody else, and the registry stays verified.
    let other = super::net::Authority::new("Other");
    let evidence = look(&net.place([other.der()]), &trusted, &Keyring::new()).await;
    assert_eq!(ended(&evidence), (Stage::Tls, false));
}

/// The trap: a mirror that asks for a credential gets none, however it asks.
#[tokio::test(start_paused = true)]
async fn no_mirror_gets_a_credential() {
    let fake = fake();
    for challenge in [
        "Basic realm=\"m\"",
        "Bearer realm=\"http://m.example/token\",service=\"m\"",
    ] {
        let trap = Script::new(move |got| {
            if got.line.contains("/token") {
                return say(401, "");
            }
            say(401, "").with("www-authenticate", challenge)
        });
        let net = upstream(&fake)
            .name("m.example", &["10.3.0.1"])
            .there("10.3.0.1:80", trap.there());
        let keyring = with("r.example", "someone", "s3cr3t");
        let mirrors = hosts("[host.\"http://m.example\"]\n");
        let evidence = look(&net.place([fake.ca_der()]), &mirrors, &keyring).await;
        assert!(
            matches!(outcomes(&evidence)[0].1, MirrorOutcome::Refused { .. }),
            "{evidence:#?}"
        );
        assert_eq!(ended(&evidence), (Stage::Blob, true));
        let sent = format!("{:?}", trap.got());
        assert!(
            trap.got().iter().all(|got| got.authorization.is_none()),
            "{sent}"
        );
        assert!(
            !sent.contains("s3cr3t") && !sent.contains("someone"),
            "{sent}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn crio_goes_on_without_tls_where_told_and_stops_where_blocked() {
    let plain = Script::new(|_| say(404, ""));
    let net = TestNet::default()
        .name("m.example", &["10.3.0.1"])
        .there("10.3.0.1:443", plain.there());
    let text =
        "[[registry]]\nprefix = \"r.example\"\nlocation = \"m.example/x\"\ninsecure = true\n";
    let evidence = look(&net.place([]), &crio(text), &Keyring::new()).await;
    assert_eq!(
        outcomes(&evidence)[0].1,
        MirrorOutcome::Absent,
        "{evidence:#?}"
    );
    assert_eq!(plain.lines()[0], "HEAD /v2/x/team/web/manifests/v1");
    assert_eq!(ended(&evidence), (Stage::Manifest, false));

    let net = TestNet::default();
    let text = "[[registry]]\nlocation = \"r.example\"\nblocked = true\n";
    let evidence = look(&net.place([]), &crio(text), &Keyring::new()).await;
    find!(&evidence, Seen::RegistryBlocked => ());
    assert_eq!(ended(&evidence), (Stage::Policy, false));
    assert!(net.dialled().is_empty());
    assert_eq!(
        seen(&evidence)
            .filter(|seen| matches!(seen, Seen::DnsFailed { .. }))
            .count(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_mirror_is_the_cause_where_nothing_stands_behind_it() {
    let fake = fake();
    let broken = || Script::new(|_| say(503, "")).there();
    let alone = "server = \"http://m.example\"\n";
    let before = "[host.\"http://m.example\"]\n";
    let table = [
        (alone, broken(), true, Some(Cause::MirrorBroken)),
        (before, broken(), false, Some(Cause::MirrorBroken)),
        (before, There::Refuses, false, Some(Cause::MirrorBroken)),
        (before, broken(), true, None),
    ];
    for (number, (text, there, open, cause)) in table.into_iter().enumerate() {
        let net = if open {
            upstream(&fake)
        } else {
            TestNet::default()
        };
        let net = net
            .name("m.example", &["10.3.0.1"])
            .there("10.3.0.1:80", there);
        let mut place = net.place([fake.ca_der()]);
        place.vantage = Vantage::Workstation;
        let world = World::new(Arc::new(TestClock::new()), place);
        let settings = Settings {
            mirrors: hosts(text),
            ..Settings::default()
        };
        let report = check_with(&world, &Request::Image(IMAGE.parse().unwrap()), &settings).await;
        assert_eq!(
            report.cause(),
            cause,
            "for {number}: {:?}",
            report.verdict()
        );
        let page = crate::report::text(&report, &crate::report::Style::default());
        assert!(
            page.contains("the mirror m.example fails"),
            "for {number}: {page}"
        );
    }
}
