//! Changes of a managed cluster: an update puts its identities back, a reset changes whom it signs
//! in as.

use http::StatusCode;
use serde_json::Value;

use super::resources::CLUSTERS;
use super::shapes::cluster_json;
use super::{ArmError, Outcome, Request, not_allowed, operations};
use crate::azure::state::State;
use crate::azure::tenant::Principal;

/// What a cluster's traffic to the outside can go through.
const OUTBOUND: &[&str] = &[
    "loadBalancer",
    "userDefinedRouting",
    "managedNATGateway",
    "userAssignedNATGateway",
    "none",
];

pub(super) fn change(
    request: &Request<'_>,
    id: &str,
    rest: &[&str],
    not_found: impl Fn(&str) -> ArmError,
) -> Outcome {
    let mut state = request.azure.write();
    let action = match (request.call.method.as_str(), rest) {
        ("PUT", []) => "write",
        ("POST", ["resetserviceprincipalprofile"]) => "resetServicePrincipalProfile/action",
        _ => return Err(not_allowed(request.call.method)),
    };
    request.need(&state, id, &format!("{CLUSTERS}/{action}"))?;
    let position = state
        .clusters
        .iter()
        .position(|cluster| cluster.id.eq_ignore_ascii_case(id))
        .ok_or_else(|| not_found(CLUSTERS))?;
    if rest.is_empty() {
        update(&mut state, position, &request.body)?;
    } else {
        reset(&mut state, position, &request.body)?;
    }
    let cluster = state
        .clusters
        .get(position)
        .ok_or_else(|| not_found(CLUSTERS))?;
    let place = format!(
        "/subscriptions/{}/providers/Microsoft.ContainerService/locations/{}",
        cluster.subscription, cluster.spec.location
    );
    let body = rest.is_empty().then(|| cluster_json(&state, cluster));
    Ok(operations::accepted(
        request,
        &mut state,
        &place,
        body.as_ref(),
    ))
}

/// An update of whatever kind reconciles: the kubelet's identity is attached to every machine.
fn update(state: &mut State, position: usize, body: &Value) -> Result<(), ArmError> {
    let outbound = match body.pointer("/properties/networkProfile/outboundType") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            OUTBOUND
                .iter()
                .find(|known| value.as_str() == Some(known))
                .ok_or_else(|| {
                    ArmError::bad_request(
                        "InvalidParameter",
                        format!("The value of parameter networkProfile.outboundType is invalid: {value}."),
                    )
                })?,
        ),
    };
    let Some(cluster) = state.clusters.get_mut(position) else {
        return Ok(());
    };
    if let Some(outbound) = outbound {
        (*outbound).clone_into(&mut cluster.outbound);
    }
    if cluster.spec.service_principal.is_some() {
        return Ok(());
    }
    cluster.spec.attached = true;
    let (kubelet, scale_set) = (cluster.kubelet.clone(), cluster.scale_set.clone());
    for machine in state.machines.values_mut() {
        if machine.scale_set == scale_set && !machine.identities.contains(&kubelet) {
            machine.identities.push(kubelet.clone());
        }
    }
    Ok(())
}

/// Takes a service principal whose secret is right; nodes sign in as it from then on.
fn reset(state: &mut State, position: usize, body: &Value) -> Result<(), ArmError> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let (client_id, secret) = (text("clientId"), text("secret"));
    let found = state.principals.values().find(|who| {
        who.client_id.eq_ignore_ascii_case(client_id)
            && who.secret.as_ref().is_some_and(|(known, _)| {
                crate::auth::accounts::equal(known.as_bytes(), secret.as_bytes())
            })
    });
    let Some(name) = found.map(|who| who.name.clone()) else {
        return Err(ArmError::new(
            StatusCode::BAD_REQUEST,
            "ServicePrincipalValidationClientError",
            format!(
                "The credentials in ServicePrincipalProfile were invalid: the secret of '{client_id}' is not accepted. Please see https://aka.ms/aks-sp-help for more details."
            ),
        ));
    };
    let kubelet = state
        .object_id(&Principal::ServicePrincipal(name.clone()))
        .unwrap_or_default();
    if let Some(cluster) = state.clusters.get_mut(position) {
        cluster.kubelet.clone_from(&kubelet);
        cluster.control_plane = kubelet;
        cluster.spec.service_principal = Some(name);
    }
    Ok(())
}
