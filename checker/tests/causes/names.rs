//! References and names: what is asked for is written wrongly, is not there, or has no address.

use fake_registry::{
    Accounts, AcrRegistry, Action, FakeRegistry, HostSpec, ManagedCluster, Match, Principal, Route,
    Rule, Scope, Tenant,
};
use pullcheck::report::Report;

use crate::Expect::{Blocked, Open};
use crate::api::{Node, Pod, State};
use crate::lab::{HERE, Lab, NODE, OTHER, open, registry};
use crate::net::{Fate, Record, ip};
use crate::{Row, row};

pub(crate) const IMAGE: &str = "registry.example/shop/api:1.9";
pub(crate) const ACR: &str = "shop.azurecr.io/team/web:v1";

pub(crate) fn rows() -> Vec<Row> {
    use pullcheck::cause::Cause as C;
    vec![
        row!(ImageNameInvalid, Blocked, image_name_invalid),
        row!(RegistryHostTypo, Blocked, registry_host_typo),
        row!(RegistryNameUnknown, Blocked, registry_name_unknown),
        row!(CloudSuffixWrong, Blocked, cloud_suffix_wrong),
        row!(DefaultRegistryAssumed, Blocked, default_registry_assumed),
        row!(
            DefaultRegistryAssumed,
            Open(&[C::CredentialsMissing, C::RepositoryNotFound]),
            short_name_of_a_team
        ),
        row!(RepositoryNotFound, Blocked, repository_not_found),
        row!(TagNotFound, Blocked, tag_not_found),
        row!(DigestNotFound, Blocked, digest_not_found),
        row!(TagDigestGone, Blocked, tag_digest_gone),
        row!(AcrImageLocked, Blocked, acr_image_locked),
        row!(DnsNxdomain, Blocked, dns_nxdomain),
        row!(DnsServfail, Blocked, dns_servfail),
        row!(DnsTimeout, Blocked, dns_timeout),
        row!(PrivateDnsZoneUnlinked, Blocked, private_dns_zone_unlinked),
        row!(
            DnsStalePrivateRecord,
            Open(&[C::VnetPeeringMissing, C::FirewallDrop]),
            dns_stale_private_record
        ),
        row!(DnsDataEndpointMissing, Blocked, dns_data_endpoint_missing),
    ]
}

/// One registry, one cluster whose kubelet may pull from it, a user who may read everything.
pub(crate) fn tenant(acr: AcrRegistry) -> Tenant {
    bare_tenant(acr).assign(
        Principal::kubelet("aks1"),
        "AcrPull",
        Scope::registry("shop"),
    )
}

/// The same before any role for the kubelet.
pub(crate) fn bare_tenant(acr: AcrRegistry) -> Tenant {
    Tenant::new("contoso")
        .registry(acr)
        .cluster(ManagedCluster::new("aks1", "shop").node(NODE).node(OTHER))
        .user("operator")
        .assign(Principal::user("operator"), "Reader", Scope::Subscription)
}

pub(crate) fn acr() -> AcrRegistry {
    AcrRegistry::new("shop", "shared")
}

pub(crate) fn azure(tenant: Tenant) -> FakeRegistry {
    registry(|with| {
        with.azure(tenant)
            .image("shop.azurecr.io", "team/web:v1 linux/amd64 2x1KiB")
    })
}

/// What containerd says of a lookup that failed.
pub(crate) fn lookup(image: &str, host: &str, why: &str) -> String {
    format!(
        "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": failed to do request: \
         Head \"https://{host}/v2/x/manifests/1\": dial tcp: lookup {host} on 10.0.0.10:53: {why}"
    )
}

pub(crate) fn resolved(image: &str, text: &str) -> String {
    format!(
        "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {text}"
    )
}

async fn image_name_invalid(broken: bool) -> Report {
    let image = "registry.example/Shop/API:1";
    let text = format!(
        "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": invalid reference format: \
         repository name (Shop/API) must be lowercase"
    );
    let pod = if broken {
        Pod::waits(NODE, image, "InvalidImageName", &text)
    } else {
        Pod::runs(NODE, IMAGE)
    };
    Lab::new(open()).pod(pod).check().await
}

async fn registry_host_typo(broken: bool) -> Report {
    let image = if broken {
        "shop.azureacr.io/team/web:v1"
    } else {
        ACR
    };
    let text = lookup(image, "shop.azureacr.io", "no such host");
    Lab::new(azure(tenant(acr())))
        .told(broken, image, &text)
        .check()
        .await
}

async fn registry_name_unknown(broken: bool) -> Report {
    let image = if broken {
        "gone.azurecr.io/team/web:v1"
    } else {
        ACR
    };
    let text = lookup(image, "gone.azurecr.io", "no such host");
    Lab::new(azure(tenant(acr())))
        .with_arm("operator")
        .told(broken, image, &text)
        .check()
        .await
}

/// The node is in a sovereign cloud, and the name that is written belongs to the public one.
async fn cloud_suffix_wrong(broken: bool) -> Report {
    let fake = registry(|with| {
        with.host(HostSpec::new("shop.azurecr.us"))
            .image("shop.azurecr.us", "team/web:v1 linux/amd64 1x1KiB")
    });
    let image = if broken {
        ACR
    } else {
        "shop.azurecr.us/team/web:v1"
    };
    let node = Node {
        region: Some("usgovvirginia"),
        ..Node::default()
    };
    Lab::new(fake)
        .node(NODE, node)
        .told(
            broken,
            image,
            &lookup(image, "shop.azurecr.io", "no such host"),
        )
        .check()
        .await
}

fn hub() -> FakeRegistry {
    registry(|with| {
        with.host(HostSpec::docker_hub(
            Accounts::new().anonymous(&["library/*:pull", "team/public:pull"]),
        ))
        .image(
            "registry-1.docker.io",
            "library/alpine:3 linux/amd64 1x1KiB",
        )
        .image("registry-1.docker.io", "team/public:3 linux/amd64 1x1KiB")
    })
}

fn not_there(image: &str) -> String {
    resolved(
        image,
        "pull access denied, repository does not exist or may require authorization: server message: \
         insufficient_scope: authorization failed",
    )
}

async fn default_registry_assumed(broken: bool) -> Report {
    let image = if broken { "api:1.9" } else { "alpine:3" };
    Lab::new(hub())
        .told(broken, image, &not_there("docker.io/library/api:1.9"))
        .check()
        .await
}

async fn short_name_of_a_team(broken: bool) -> Report {
    let image = if broken {
        "team/api:1.9"
    } else {
        "team/public:3"
    };
    Lab::new(hub())
        .told(broken, image, &not_there("docker.io/team/api:1.9"))
        .check()
        .await
}

async fn repository_not_found(broken: bool) -> Report {
    let image = if broken {
        "registry.example/shop/apj:1.9"
    } else {
        IMAGE
    };
    let text = resolved(image, &format!("{image}: not found"));
    Lab::new(open()).told(broken, image, &text).check().await
}

async fn tag_not_found(broken: bool) -> Report {
    let image = if broken {
        "registry.example/shop/api:1.91"
    } else {
        IMAGE
    };
    let text = resolved(image, &format!("{image}: not found"));
    Lab::new(open()).told(broken, image, &text).check().await
}

async fn digest_not_found(broken: bool) -> Report {
    let fake = open();
    let there = fake.digest("registry.example", "shop/api:1.9");
    let gone = format!("sha256:{}", "0".repeat(64));
    let digest = if broken { Some(gone) } else { there };
    let image = format!("registry.example/shop/api@{}", digest.expect("it is there"));
    let text = resolved(&image, &format!("{image}: not found"));
    Lab::new(fake).told(broken, &image, &text).check().await
}

/// The tag is answered, and the manifest behind it is not there.
async fn tag_digest_gone(broken: bool) -> Report {
    let fake = open();
    if broken {
        let gone = Match::any().route(&[Route::Manifest]).reference("sha256:*");
        fake.faults().add(Rule::new(Action::status(404)).when(gone));
    }
    let text = format!(
        "failed to pull and unpack image \"{IMAGE}\": failed to copy: httpReadSeeker: failed open: content at \
         https://registry.example/v2/shop/api/manifests/sha256:00 not found: not found"
    );
    Lab::new(fake).told(broken, IMAGE, &text).check().await
}

async fn acr_image_locked(broken: bool) -> Report {
    let fake = azure(tenant(acr()));
    if broken {
        let action = Action::status(405).code("UNSUPPORTED").message(
            "The operation is disallowed on this registry, repository or image. View troubleshooting steps at https://aka.ms/acr/faq",
        );
        let manifest = Match::any().route(&[Route::Manifest]).authorized(true);
        fake.faults().add(Rule::new(action).when(manifest));
    }
    let text = resolved(
        ACR,
        "unexpected status from HEAD request to https://shop.azurecr.io/v2/team/web/manifests/v1: 405 Method Not Allowed",
    );
    Lab::new(fake).told(broken, ACR, &text).check().await
}

async fn no_answer(broken: bool, record: Record, why: &str) -> Report {
    let mut lab = Lab::new(open());
    if broken {
        lab = lab.name_at(NODE, "registry.example", record);
    }
    let text = lookup(IMAGE, "registry.example", why);
    lab.told(broken, IMAGE, &text).check().await
}

async fn dns_nxdomain(broken: bool) -> Report {
    no_answer(broken, Record::NoName, "no such host").await
}

async fn dns_servfail(broken: bool) -> Report {
    no_answer(broken, Record::ServerFails, "server misbehaving").await
}

async fn dns_timeout(broken: bool) -> Report {
    no_answer(broken, Record::Silent, "i/o timeout").await
}

/// A private endpoint exists, and the node is sent to the public address, where nobody is let in.
async fn private_dns_zone_unlinked(broken: bool) -> Report {
    let acr = acr()
        .sku(fake_registry::Sku::Premium)
        .public_network(!broken)
        .private_endpoint("pe-shop", "Approved", &["10.0.1.0/24"]);
    let text = resolved(
        ACR,
        "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to \
         https://shop.azurecr.io/oauth2/token?scope=repository%3Ateam%2Fweb%3Apull&service=shop.azurecr.io: 403 Forbidden",
    );
    Lab::new(azure(tenant(acr)))
        .with_arm("operator")
        .told(broken, ACR, &text)
        .check()
        .await
}

/// The zone still has the address of an endpoint that is gone.
async fn dns_stale_private_record(broken: bool) -> Report {
    let mut lab = Lab::new(open());
    if broken {
        let stale = ip("10.0.7.9");
        lab = lab
            .name("registry.example", Record::At(vec![stale]))
            .fate(NODE, stale, Fate::Drops)
            .fate(HERE, stale, Fate::Drops);
    }
    let text = resolved(
        IMAGE,
        "failed to do request: Head \"https://registry.example/v2/shop/api/manifests/1.9\": dial tcp 10.0.7.9:443: i/o timeout",
    );
    lab.told(broken, IMAGE, &text).check().await
}

/// Layers come from the registry's data endpoint, whose name was forgotten in the private zone.
async fn dns_data_endpoint_missing(broken: bool) -> Report {
    let acr = acr().sku(fake_registry::Sku::Premium).data_endpoint(true);
    let fake = azure(tenant(acr));
    let data = fake
        .hosts()
        .into_iter()
        .find(|host| host.contains(".data."))
        .expect("a data endpoint");
    let mut lab = Lab::new(fake);
    if broken {
        lab = lab.name(&data, Record::NoName);
    }
    let text = format!(
        "failed to pull and unpack image \"{ACR}\": failed to copy: httpReadSeeker: failed open: failed to do request: \
         Get \"https://{data}/x\": dial tcp: lookup {data} on 10.0.0.10:53: no such host"
    );
    lab.told(broken, ACR, &text).check().await
}

/// A pod that failed in another way: see the state.
pub(crate) fn pod(state: State, image: &str) -> Pod {
    Pod {
        name: "api-5d9-a",
        state,
        ..Pod::runs(NODE, image)
    }
}
