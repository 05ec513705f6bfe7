//! Connections that are not made, or break: TCP, routes, proxies, and hosts behind the registry.

use fake_registry::{
    Accounts, Action, AuthPolicy, End, FakeRegistry, HostSpec, Match, Route, Rule, TokenService,
};
use pullcheck::report::Report;

use crate::Expect::{Blocked, Open};
use crate::api::{Pod, State};
use crate::lab::{HERE, Lab, NODE, OTHER, open, registry};
use crate::names::{IMAGE, pod, resolved};
use crate::net::{Fate, Record, ip, proxy};
use crate::{Row, row};

const REGISTRY: &str = "registry.example";
const PRIVATE: &str = "10.3.0.4";

pub(crate) fn rows() -> Vec<Row> {
    use pullcheck::cause::Cause as C;
    vec![
        row!(FirewallDrop, Blocked, firewall_drop),
        row!(
            FirewallDrop,
            Open(&[C::ProxyMissingOnNode, C::SnatExhaustion]),
            firewall_drop_alone
        ),
        row!(TcpRefused, Blocked, tcp_refused),
        row!(TcpReset, Blocked, tcp_reset),
        row!(
            VnetPeeringMissing,
            Open(&[C::FirewallDrop]),
            vnet_peering_missing
        ),
        row!(SnatExhaustion, Open(&[C::StaleBackoff]), snat_exhaustion),
        row!(MtuBlackhole, Open(&[C::TlsHandshakeTimeout]), mtu_blackhole),
        row!(DataEndpointBlocked, Blocked, data_endpoint_blocked),
        row!(
            TokenEndpointUnreachable,
            Blocked,
            token_endpoint_unreachable
        ),
        row!(ProxyUnreachable, Blocked, proxy_unreachable),
        row!(ProxyAuthRequired, Blocked, proxy_auth_required),
        row!(
            ProxyMissingOnNode,
            Open(&[C::FirewallDrop]),
            proxy_missing_on_node
        ),
        row!(NoProxyMissing, Blocked, no_proxy_missing),
        row!(PullHanging, Blocked, pull_hanging),
        row!(
            SerializedQueue,
            Open(&[C::PullHanging, C::RegistrySlow]),
            pulling_without_an_end
        ),
        row!(
            RegistrySlow,
            Open(&[C::PullHanging]),
            pulling_without_an_end
        ),
    ]
}

fn dial(address: &str, why: &str) -> String {
    resolved(
        IMAGE,
        &format!(
            "failed to do request: Head \"https://{REGISTRY}/v2/shop/api/manifests/1.9\": dial tcp {address}:443: {why}"
        ),
    )
}

/// One node is cut off from the registry, another one is not.
async fn firewall_drop(broken: bool) -> Report {
    let lab = Lab::new(open()).other_node();
    let address = lab.address(REGISTRY);
    let lab = if broken {
        lab.fate(NODE, address, Fate::Drops)
    } else {
        lab
    };
    lab.told(broken, IMAGE, &dial("203.0.113.1", "i/o timeout"))
        .pod(Pod::runs(OTHER, IMAGE))
        .check()
        .await
}

/// Nobody reaches it: a firewall, a proxy that is missing, or ports that ran out.
async fn firewall_drop_alone(broken: bool) -> Report {
    let lab = Lab::new(open());
    let address = lab.address(REGISTRY);
    let lab = if broken {
        lab.fate_of_all(address, Fate::Drops)
    } else {
        lab
    };
    // Only one failure is written down, so it may be one of many that succeed.
    let told = pod(
        State::Waits {
            reason: "ErrImagePull",
            text: "rpc error: code = Canceled desc = context canceled".into(),
        },
        IMAGE,
    );
    let running = Pod::runs(NODE, IMAGE);
    lab.pod(if broken { told } else { running }).check().await
}

async fn tcp_refused(broken: bool) -> Report {
    let lab = Lab::new(open());
    let address = lab.address(REGISTRY);
    let lab = if broken {
        lab.fate_of_all(address, Fate::Refuses)
    } else {
        lab
    };
    let text = dial("203.0.113.1", "connect: connection refused");
    lab.told(broken, IMAGE, &text).check().await
}

/// The connection is made, and cut in the handshake.
async fn tcp_reset(broken: bool) -> Report {
    let lab = Lab::new(open());
    let address = lab.address(REGISTRY);
    let lab = if broken {
        lab.fate(NODE, address, Fate::Resets(0))
    } else {
        lab
    };
    let text = resolved(
        IMAGE,
        "failed to do request: Head \"https://registry.example/v2/shop/api/manifests/1.9\": read tcp \
         10.1.0.4:41000->203.0.113.1:443: read: connection reset by peer",
    );
    lab.told(broken, IMAGE, &text).check().await
}

/// A private address to which no route leads: a firewall on the way looks the same.
async fn vnet_peering_missing(broken: bool) -> Report {
    let lab = Lab::new(open()).also_at(REGISTRY, PRIVATE);
    let lab = if broken {
        lab.fate(NODE, ip(PRIVATE), Fate::NoRoute)
            .fate(HERE, ip(PRIVATE), Fate::NoRoute)
    } else {
        lab
    };
    let text = dial(PRIVATE, "connect: no route to host");
    lab.told(broken, IMAGE, &text).check().await
}

/// Dials of the kubelet time out again and again, and the probe's do not: ports may run out.
async fn snat_exhaustion(broken: bool) -> Report {
    Lab::new(open())
        .told(broken, IMAGE, &dial("203.0.113.1", "i/o timeout"))
        .check()
        .await
}

/// Small packets come through, the server's certificate does not.
async fn mtu_blackhole(broken: bool) -> Report {
    let lab = Lab::new(open());
    let address = lab.address(REGISTRY);
    let lab = if broken {
        lab.fate(NODE, address, Fate::Stalls(600))
    } else {
        lab
    };
    let text = resolved(
        IMAGE,
        "failed to do request: Head \"https://registry.example/v2/shop/api/manifests/1.9\": net/http: TLS handshake timeout",
    );
    lab.told(broken, IMAGE, &text).check().await
}

/// Layers come from a storage host, to which the firewall lets nobody.
async fn data_endpoint_blocked(broken: bool) -> Report {
    let fake = registry(|with| {
        with.host(HostSpec::new(REGISTRY).blobs_at("storage.example"))
            .image(REGISTRY, "shop/api:1.9 linux/amd64 2x1KiB")
    });
    let lab = Lab::new(fake);
    let storage = lab.address("storage.example");
    let lab = if broken {
        lab.fate(NODE, storage, Fate::Drops)
    } else {
        lab
    };
    let text = format!(
        "failed to pull and unpack image \"{IMAGE}\": failed to copy: httpReadSeeker: failed open: failed to do request: \
         Get \"https://storage.example/x\": dial tcp 203.0.113.2:443: i/o timeout"
    );
    lab.told(broken, IMAGE, &text).check().await
}

fn with_token_service() -> FakeRegistry {
    let tokens = TokenService::new(Accounts::new().anonymous(&["*"]))
        .realm("https://auth.docker.io/token")
        .service(REGISTRY);
    registry(|with| {
        with.host(HostSpec::new("registry-1.docker.io").auth(AuthPolicy::Token(tokens)))
            .image("registry-1.docker.io", "shop/api:1.9 linux/amd64 1x1KiB")
    })
}

/// The registry answers, the host that it sends to for a token does not.
async fn token_endpoint_unreachable(broken: bool) -> Report {
    let image = "docker.io/shop/api:1.9";
    let lab = Lab::new(with_token_service());
    let realm = lab.address("auth.docker.io");
    let lab = if broken {
        lab.fate(NODE, realm, Fate::Drops)
    } else {
        lab
    };
    let text = resolved(
        image,
        "failed to authorize: failed to fetch anonymous token: Get \"https://auth.docker.io/token?scope=x\": \
         dial tcp 203.0.113.1:443: i/o timeout",
    );
    lab.told(broken, image, &text).check().await
}

const PROXY: &str = "http://proxy.example:3128";
const PROXY_ADDRESS: &str = "10.9.0.1";

fn behind_a_proxy(refusal: Option<&'static str>) -> Lab {
    let fake = open();
    let at = format!("{PROXY_ADDRESS}:3128");
    let there = proxy(&fake, refusal);
    Lab::new(fake)
        .name("proxy.example", Record::at(&[PROXY_ADDRESS]))
        .server(&at, there)
        .proxy(NODE, PROXY)
}

fn through_the_proxy(why: &str) -> String {
    resolved(
        IMAGE,
        &format!(
            "failed to do request: Head \"https://registry.example/v2/shop/api/manifests/1.9\": {why}"
        ),
    )
}

async fn proxy_unreachable(broken: bool) -> Report {
    let lab = behind_a_proxy(None);
    let lab = if broken {
        lab.fate(NODE, ip(PROXY_ADDRESS), Fate::Drops)
            .fate(NODE, ip("203.0.113.1"), Fate::Drops)
    } else {
        lab
    };
    let text = through_the_proxy("proxyconnect tcp: dial tcp 10.9.0.1:3128: i/o timeout");
    lab.told(broken, IMAGE, &text).check().await
}

async fn proxy_auth_required(broken: bool) -> Report {
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let lab = behind_a_proxy(broken.then_some(refusal));
    let text = through_the_proxy("Proxy Authentication Required");
    lab.told(broken, IMAGE, &text).check().await
}

/// The workstation goes through a proxy; the node does not, and reaches nothing.
async fn proxy_missing_on_node(broken: bool) -> Report {
    let fake = open();
    let there = proxy(&fake, None);
    let lab = Lab::new(fake)
        .name("proxy.example", Record::at(&[PROXY_ADDRESS]))
        .server(&format!("{PROXY_ADDRESS}:3128"), there)
        .proxy(HERE, PROXY)
        .fate(NODE, ip("203.0.113.1"), Fate::Drops);
    let lab = if broken { lab } else { lab.proxy(NODE, PROXY) };
    lab.told(broken, IMAGE, &dial("203.0.113.1", "i/o timeout"))
        .check()
        .await
}

/// The proxy refuses a private registry that could be reached without it.
async fn no_proxy_missing(broken: bool) -> Report {
    let refusal = "HTTP/1.1 403 Forbidden\r\n\r\n";
    let lab = behind_a_proxy(broken.then_some(refusal));
    let text = through_the_proxy("Forbidden");
    lab.told(broken, IMAGE, &text).check().await
}

/// The manifest is asked for, and never answered.
async fn pull_hanging(broken: bool) -> Report {
    let fake = open();
    if broken {
        let manifest = Match::any().route(&[Route::Manifest]);
        let hang = Rule::new(Action::end(End::Hang)).when(manifest);
        fake.faults().add(hang);
    }
    let state = if broken {
        State::Pulls { minutes: 12 }
    } else {
        State::Runs
    };
    Lab::new(fake).pod(pod(state, IMAGE)).check().await
}

/// The pull goes on and on; from the same node a probe finds nothing wrong.
async fn pulling_without_an_end(broken: bool) -> Report {
    let state = if broken {
        State::Pulls { minutes: 12 }
    } else {
        State::Runs
    };
    Lab::new(open()).pod(pod(state, IMAGE)).check().await
}
