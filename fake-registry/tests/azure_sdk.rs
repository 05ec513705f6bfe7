//! Azure's own Python SDKs, with their defaults, against the fake.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::path::Path;

use common::tenant::LOGIN;
use common::witness::{Cloud, prepared};
use fake_registry::{FakeRegistry, Principal, Scope};
use serde_json::{Value, json};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn the_sdks_read_exchange_and_write() {
    let Some(python) = prepared("sdk") else {
        return;
    };
    let kubelet = Principal::kubelet("aks1");
    let tenant = common::tenant::tenant()
        .service_principal("ops", "s3cret", None)
        .management_group("corp")
        .page_size(2)
        .assign(
            Principal::service_principal("ops"),
            "Owner",
            Scope::Subscription,
        )
        .assign(kubelet.clone(), "Reader", Scope::management_group("corp"));
    let registry = FakeRegistry::builder()
        .seed(1)
        .azure(tenant)
        .image(LOGIN, "team/web:v1 linux/arm64 1x4KiB")
        .image(LOGIN, "team/web:v2 1x4KiB")
        .image(LOGIN, "other/app:v1 1x4KiB")
        .build()
        .unwrap();
    let home = TempDir::new().unwrap();
    let ca = home.path().join("ca.pem");
    let cloud = Cloud::start(registry, &ca).await;
    let azure = cloud.registry.azure();
    let scope = azure.scope_id(&Scope::registry("contoso1")).unwrap();
    let output = tokio::process::Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/witness/sdk.py"))
        .arg(azure.tenant_id().unwrap())
        .arg(azure.subscription_id().unwrap())
        .arg(
            azure
                .client_id(&Principal::service_principal("ops"))
                .unwrap(),
        )
        .args(["s3cret", LOGIN, &scope])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(cloud.settings(home.path(), &ca))
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let got: Value = serde_json::from_slice(&output.stdout).unwrap();
    let corp = "/providers/Microsoft.Management/managementGroups/corp";
    let subscription = azure.scope_id(&Scope::Subscription).unwrap();
    let want = json!({
        "kubelet": azure.object_id(&kubelet).unwrap(),
        "clusters": ["aks1"],
        "node_group": "MC_apps_aks1_eastus",
        "at_scope": [scope, subscription, corp],
        "assigned": [scope, corp],
        "pages": [2, 1],
        "roles": ["AcrPull", "Reader"],
        "registry": {
            "login": LOGIN, "sku": "Standard", "network": "Enabled", "rules": [],
            "mode": "LegacyRegistryPermissions", "endpoints": [],
        },
        "registries": ["contoso1", "contoso2"],
        "missing": "ResourceNotFound",
        "no_group": "ResourceGroupNotFound",
        "repositories": ["other/app", "team/web"],
        "tags": ["v1", "v2"],
        "same": true,
        "platform": ["linux", "arm64"],
        "layer": 4096,
        "pushed": true,
        "locked": 405,
        "unlocked": true,
        "no_tag": 404,
        "left": [],
        "given": true,
        "updated": "Premium",
        "reconciled": "Succeeded",
    });
    assert_eq!(got, want, "{errors}");
}
