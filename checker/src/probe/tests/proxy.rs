//! Proxies: what goes through them, what they refuse, and who sees their password.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use fake_registry::{Clock, FakeRegistry, HostSpec, Scheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::net::{Script, TestClock, TestNet, There, registry, say};
use super::{ended, find, names, plain, probe, seen, with};
use crate::cause::Cause;
use crate::check::{Request, check};
use crate::evidence::{Evidence, HttpFailure, Role, Seen};
use crate::keyring::Keyring;
use crate::probe::Options;
use crate::stage::Stage;
use crate::world::{Place, Proxies, Vantage, World};

const IMAGE: &str = "r.example/a/b:1";
const SECRET: &str = "pr0xy-s3cr3t";

#[derive(Clone, Default)]
struct Heads(Arc<Mutex<Vec<String>>>);

impl Heads {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A proxy that answers CONNECT with `answer`, and with a tunnel to `behind` if that is none.
fn proxy(answer: Option<&'static str>, behind: There) -> (There, Heads) {
    let heads = Heads::default();
    let kept = heads.clone();
    let there = There::Answers(Arc::new(move |mut stream: DuplexStream| {
        let (behind, kept) = (behind.clone(), kept.clone());
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            kept.0
                .lock()
                .unwrap()
                .push(String::from_utf8(head).unwrap());
            if let Some(answer) = answer {
                let _ = stream.write_all(answer.as_bytes()).await;
                return;
            }
            let There::Answers(accept) = behind else {
                let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
                return;
            };
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
            accept(theirs);
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut ours).await;
        });
    }));
    (there, heads)
}

fn fake() -> FakeRegistry {
    let clock = Clock::starting_at("2026-01-15T09:00:00Z".parse().unwrap());
    FakeRegistry::builder()
        .clock(clock)
        .host(HostSpec::new("r.example"))
        .image("r.example", "a/b:1 linux/amd64 1x1KiB")
        .build()
        .unwrap()
}

fn through(net: &TestNet, roots: Vec<Vec<u8>>, no_proxy: Option<&str>) -> Place {
    let url = format!("http://user:{SECRET}@proxy.example:3128");
    net.place(roots)
        .with_proxies(Proxies::new(Some(&url), Some(&url), no_proxy))
}

async fn look(place: &Place) -> Evidence {
    probe(place, IMAGE, &Keyring::new(), &Options::default()).await
}

fn refused(evidence: &Evidence) -> (u16, bool) {
    find!(evidence, Seen::ProxyRefused { status, signed_in, .. } => (*status, *signed_in))
}

fn direct(evidence: &Evidence) -> bool {
    find!(evidence, Seen::WithoutProxy { reached, .. } => *reached)
}

#[tokio::test(start_paused = true)]
async fn a_pull_goes_through_the_proxy_and_the_name_is_the_proxys_to_resolve() {
    let fake = fake();
    let (there, heads) = proxy(None, registry(&fake, Scheme::Https));
    let net = TestNet::default()
        .name("proxy.example", &["10.9.0.1"])
        .there("10.9.0.1:3128", there);
    let evidence = look(&through(&net, vec![fake.ca_der()], None)).await;
    assert_eq!(ended(&evidence), (Stage::Blob, true), "{evidence:#?}");
    assert_eq!(net.dialled(), ["10.9.0.1:3128"]);
    assert_eq!(
        names(&evidence, Role::Proxy),
        ["resolved", "connected", "proxied"]
    );
    let heads = heads.all();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("CONNECT r.example:443 HTTP/1.1\r\nHost: r.example:443\r\n"));
    assert!(heads[0].contains("Proxy-Authorization: Basic "));
    // The registry saw none of it, and the record holds none of it.
    assert!(
        !format!("{:?}", fake.journal())
            .to_lowercase()
            .contains("proxy-auth")
    );
    let record = serde_json::to_string(&evidence).unwrap();
    assert!(
        !record.contains(SECRET) && !record.contains("user:"),
        "{record}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_no_proxy_names_is_dialled_directly() {
    let fake = fake();
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:443", registry(&fake, Scheme::Https));
    let evidence = look(&through(
        &net,
        vec![fake.ca_der()],
        Some(".example,r.example"),
    ))
    .await;
    assert_eq!(ended(&evidence), (Stage::Blob, true));
    assert_eq!(names(&evidence, Role::Proxy), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn refusals_are_kept_with_what_a_direct_dial_gives() {
    let fake = fake();
    let wants = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\n\r\n";
    let forbids = "HTTP/1.1 403 Forbidden\r\n\r\n";
    for (answer, status) in [(wants, 407), (forbids, 403)] {
        for open in [false, true] {
            let (there, _) = proxy(Some(answer), There::Drops);
            let mut net = TestNet::default()
                .name("proxy.example", &["10.9.0.1"])
                .there("10.9.0.1:3128", there);
            if open {
                net = net
                    .name("r.example", &["10.2.0.1"])
                    .there("10.2.0.1:443", registry(&fake, Scheme::Https));
            }
            let evidence = look(&through(&net, vec![fake.ca_der()], None)).await;
            assert_eq!(ended(&evidence), (Stage::Proxy, false));
            assert_eq!(refused(&evidence), (status, true));
            assert_eq!(direct(&evidence), open, "for {status}");
        }
    }
    assert!(
        format!("{:?}", fake.journal()).find("/v2/").is_none(),
        "nothing is asked on the direct way"
    );
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_not_there_or_says_nothing() {
    let net = TestNet::default();
    let evidence = look(&through(&net, vec![], None)).await;
    assert_eq!(ended(&evidence), (Stage::Proxy, false));
    assert_eq!(names(&evidence, Role::Proxy), ["dns-failed"]);

    let net = net.name("proxy.example", &["10.9.0.1"]);
    let refusing = net.clone().there("10.9.0.1:3128", There::Refuses);
    let evidence = look(&through(&refusing, vec![], None)).await;
    assert_eq!(ended(&evidence), (Stage::Proxy, false));
    assert_eq!(names(&evidence, Role::Proxy), ["resolved", "dial-failed"]);
    assert!(!direct(&evidence));

    let silent = There::Answers(Arc::new(|stream| {
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_hours(1)).await;
            drop(stream);
        });
    }));
    let evidence = look(&through(&net.there("10.9.0.1:3128", silent), vec![], None)).await;
    find!(&evidence, Seen::HttpFailed { reason: HttpFailure::Timeout, .. } => ());
    assert_eq!(ended(&evidence), (Stage::Proxy, false));
}

#[tokio::test(start_paused = true)]
async fn plain_http_is_forwarded_by_the_whole_url() {
    let script = Script::new(|got| {
        if got.line.ends_with("/v2/") {
            say(200, "{}")
        } else {
            say(407, "").with("proxy-authenticate", "Basic")
        }
    });
    let net = TestNet::default()
        .name("proxy.example", &["10.9.0.1"])
        .there("10.9.0.1:3128", script.there());
    let place = through(&net, vec![], None);
    let evidence = probe(&place, IMAGE, &Keyring::new(), &plain("r.example")).await;
    assert_eq!(script.lines()[0], "GET http://r.example/v2/");
    assert_eq!(ended(&evidence), (Stage::Proxy, false), "{evidence:#?}");
    assert_eq!(refused(&evidence), (407, true));
}

/// The traps: a registry's credential never goes to the proxy, the proxy's never to the registry.
#[tokio::test(start_paused = true)]
async fn credentials_do_not_cross() {
    let behind = Script::new(|got| match got.authorization {
        None => say(401, "").with("www-authenticate", "Basic realm=\"r\""),
        Some(_) => say(404, ""),
    });
    let authority = super::net::Authority::new("CA");
    let tls = authority.server(&["r.example"], (2026, 1, 1), (2027, 1, 1));
    let behind = behind.with_tls(tls);
    let (there, heads) = proxy(None, behind.there());
    let net = TestNet::default()
        .name("proxy.example", &["10.9.0.1"])
        .there("10.9.0.1:3128", there);
    let place = through(&net, vec![authority.der()], None);
    let keyring = with("r.example", "someone", "registry-s3cr3t");
    let evidence = probe(&place, IMAGE, &keyring, &Options::default()).await;
    let sent = format!("{:?}", behind.got());
    assert!(sent.contains("Basic "), "the credential was used");
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let (ours, theirs) = (
        encode("someone:registry-s3cr3t"),
        encode(&format!("user:{SECRET}")),
    );
    assert!(sent.contains(&ours) && !sent.contains(&theirs));
    let heads = heads.all().concat();
    assert!(heads.contains(&theirs) && !heads.contains(&ours));
    let record = serde_json::to_string(&evidence).unwrap();
    for secret in [SECRET, "registry-s3cr3t", &ours, &theirs] {
        assert!(!record.contains(secret));
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_the_nodes_own_addresses_is_not_passed_to_the_proxy() {
    let script = Script::new(|got| {
        if got.line.contains("/manifests/") && got.line.starts_with("HEAD") {
            return say(405, "");
        }
        say(307, "").with("location", "http://169.254.169.254/metadata")
    });
    let net = TestNet::default()
        .name("proxy.example", &["10.9.0.1"])
        .there("10.9.0.1:3128", script.there());
    let place = through(&net, vec![], None);
    let evidence = probe(&place, IMAGE, &Keyring::new(), &plain("r.example")).await;
    assert!(seen(&evidence).any(|seen| matches!(seen, Seen::RedirectRefused { .. })));
    assert!(script.lines().iter().all(|line| !line.contains("169.254")));
}

#[tokio::test(start_paused = true)]
async fn some_addresses_dead_is_a_fact() {
    let fake = fake();
    let closing = There::Answers(Arc::new(|mut stream| {
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 64]).await;
        });
    }));
    let net = TestNet::default()
        .name(
            "r.example",
            &["10.2.0.1", "10.2.0.2", "10.2.0.3", "fd00::1"],
        )
        .there("10.2.0.1:443", closing)
        .there("10.2.0.2:443", There::Refuses)
        .there("10.2.0.3:443", registry(&fake, Scheme::Https));
    let evidence = look(&net.place([fake.ca_der()])).await;
    assert_eq!(ended(&evidence), (Stage::Blob, true), "{evidence:#?}");
    let dead: Vec<(usize, String, bool)> = seen(&evidence)
        .filter_map(|seen| match seen {
            Seen::Flapping { working, dead } => Some((*working, dead)),
            _ => None,
        })
        .flat_map(|(working, dead)| {
            dead.iter()
                .map(move |one| (working, one.address.to_string(), one.accepts))
        })
        .collect();
    assert_eq!(
        dead,
        [
            (2, "10.2.0.2:443".to_owned(), false),
            (1, "10.2.0.1:443".to_owned(), true),
        ]
    );
}

/// The whole check: what each failure at a proxy proves.
#[tokio::test(start_paused = true)]
async fn each_failure_at_a_proxy_has_its_cause() {
    let fake = fake();
    let wants = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    let forbids = "HTTP/1.1 403 Forbidden\r\n\r\n";
    let broken = "HTTP/1.1 502 Bad Gateway\r\n\r\n";
    let answer = |text| proxy(Some(text), There::Drops).0;
    let table = [
        (There::Refuses, false, Some(Cause::ProxyUnreachable)),
        (There::Drops, true, Some(Cause::ProxyUnreachable)),
        (answer(wants), false, Some(Cause::ProxyAuthRequired)),
        (answer(wants), true, Some(Cause::ProxyAuthRequired)),
        (answer(forbids), false, Some(Cause::ProxyAuthRequired)),
        (answer(forbids), true, Some(Cause::NoProxyMissing)),
        (answer(broken), true, Some(Cause::NoProxyMissing)),
        (answer(broken), false, None),
        (answer("HTTP/1.1 "), true, Some(Cause::NoProxyMissing)),
    ];
    for (number, (there, open, cause)) in table.into_iter().enumerate() {
        let mut net = TestNet::default()
            .name("proxy.example", &["10.9.0.1"])
            .there("10.9.0.1:3128", there);
        if open {
            net = net
                .name("r.example", &["10.2.0.1"])
                .there("10.2.0.1:443", registry(&fake, Scheme::Https));
        }
        let mut place = through(&net, vec![fake.ca_der()], None);
        place.vantage = Vantage::Workstation;
        let world = World::new(Arc::new(TestClock::new()), place);
        let request = Request::Image(IMAGE.parse().unwrap());
        let report = check(&world, &request).await;
        assert_eq!(
            report.cause(),
            cause,
            "for {number}: {:?}",
            report.verdict()
        );
        let style = crate::report::Style::default();
        let page = crate::report::text(&report, &style);
        assert!(page.contains("proxy.example:3128"), "for {number}: {page}");
        assert!(!page.contains(SECRET));
    }
}
