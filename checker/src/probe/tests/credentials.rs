//! Credentials that programs hand out: used, named in the answer, and never given to whom they are not for.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::net::{Authority, Script, TestClock, TestNet, say};
use crate::cause::Cause;
use crate::check::{Request, Settings, check_with};
use crate::keyring::{DockerConfig, Providers};
use crate::report::{self, Style};
use crate::world::{Call, Programs, Ran, RunError, World};

const IMAGE: &str = "r.example/a/b:1";

/// A helper and a provider that both know `hunter2`, and print it where they should not.
struct Loose;

impl Programs for Loose {
    fn run<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Ran, RunError>> {
        let name = call.program.to_string_lossy().into_owned();
        let output = if name.starts_with("docker-credential-") {
            r#"{"Username":"someone","Secret":"hunter2"}"#
        } else if name.ends_with("broken") {
            return Box::pin(async {
                Ok(Ran {
                    code: Some(1),
                    output: "hunter2".into(),
                    errors: "no luck with password=hunter2".into(),
                })
            });
        } else {
            r#"{"kind":"CredentialProviderResponse","apiVersion":"credentialprovider.kubelet.k8s.io/v1","cacheKeyType":"Image","auth":{"r.example":{"username":"someone","password":"hunter2"}}}"#
        };
        Box::pin(async move {
            Ok(Ran {
                code: Some(0),
                output: output.into(),
                errors: "used hunter2".into(),
            })
        })
    }
}

fn helper() -> Settings {
    let body = br#"{"credHelpers":{"r.example":"loose"}}"#;
    Settings {
        docker_config: Some(DockerConfig::parse("config.json", body).unwrap()),
        ..Settings::default()
    }
}

fn provider(name: &str) -> Settings {
    let text = format!(
        "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n- name: {name}\n  matchImages: [r.example]\n  defaultCacheDuration: 1m\n  apiVersion: credentialprovider.kubelet.k8s.io/v1\n"
    );
    let providers = Providers::parse([text.as_str()], std::path::Path::new("/plugins")).unwrap();
    Settings {
        providers: Some(Arc::new(providers)),
        ..Settings::default()
    }
}

/// A registry that sends to `realm` for a token, with a trap behind other names.
async fn look(realm: &'static str, trap: &Script, settings: &Settings) -> report::Report {
    let authority = Authority::new("CA");
    let dates = ((2026, 1, 1), (2027, 1, 1));
    let registry = Script::new(move |_| {
        say(401, "").with(
            "www-authenticate",
            format!(r#"Bearer realm="{realm}",service="s""#),
        )
    });
    let tls = |names: &[&str]| authority.server(names, dates.0, dates.1);
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there(
            "10.2.0.1:443",
            registry.with_tls(tls(&["r.example"])).there(),
        )
        .name("trap.example", &["10.2.0.66"])
        .there(
            "10.2.0.66:443",
            trap.clone().with_tls(tls(&["trap.example"])).there(),
        )
        .there("10.2.0.66:80", trap.there())
        .there("169.254.169.254:80", trap.there())
        .there("127.0.0.1:80", trap.there());
    let world = World::new(Arc::new(TestClock::new()), net.place([authority.der()]))
        .with_programs(Arc::new(Loose));
    let request = Request::Image(IMAGE.parse().unwrap());
    check_with(&world, &request, settings).await
}

#[tokio::test(start_paused = true)]
async fn what_programs_hand_out_goes_to_no_trap_and_into_no_report() {
    for settings in [helper(), provider("good"), provider("broken")] {
        for realm in [
            "https://trap.example/token",
            "http://trap.example/token",
            "http://r.example/token",
            "http://169.254.169.254/token",
            "http://127.0.0.1/token",
        ] {
            let trap = Script::new(|_| say(200, r#"{"token":"t"}"#));
            let report = look(realm, &trap, &settings).await;
            for got in trap.got() {
                let whole = format!("{got:?}");
                assert!(
                    !whole.contains("hunter2") && !whole.contains("c29tZW9uZTpodW50ZXIy"),
                    "{whole}"
                );
            }
            let style = Style {
                width: 100,
                colour: false,
                verbose: false,
            };
            let pages = format!(
                "{} {} {report:?}",
                report::json(&report),
                report::text(&report, &style)
            );
            assert!(!pages.contains("hunter2"), "{pages}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_is_the_cause_where_nobody_else_has_a_credential() {
    let trap = Script::new(|_| say(404, ""));
    let report = look("https://r.example/token", &trap, &provider("broken")).await;
    assert_eq!(
        report.verdict().cause(),
        Some(Cause::CredentialProviderBroken),
        "{report:#?}"
    );
    let style = Style {
        width: 100,
        colour: false,
        verbose: false,
    };
    let page = report::text(&report, &style);
    assert!(page.contains("password=[hidden]"), "{page}");
}
