"""Azure's own Python SDKs against the fake; one line of JSON comes out.

Nothing here knows that it is a fake: the clients have their defaults, and the proxy and the CA
come from the environment as they would in a company.
"""

import io
import json
import sys

from azure.containerregistry import ContainerRegistryClient
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.containerservice import ContainerServiceClient

tenant, subscription, client_id, secret, login, registry_id = sys.argv[1:]
group, registry = registry_id.split("/")[4], registry_id.split("/")[8]
credential = ClientSecretCredential(tenant, client_id, secret)
out = {}

clusters = ContainerServiceClient(credential, subscription)
cluster = clusters.managed_clusters.get("apps", "aks1")
kubelet = cluster.identity_profile["kubeletidentity"]
out["kubelet"] = kubelet.object_id
out["clusters"] = [one.name for one in clusters.managed_clusters.list()]
out["node_group"] = cluster.node_resource_group

# Lists, filtered, page by page, with what is inherited.
roles = AuthorizationManagementClient(credential, subscription, api_version="2022-04-01")
found = roles.role_assignments
out["at_scope"] = [one.scope for one in found.list_for_scope(registry_id, filter="atScope()")]
assigned = f"assignedTo('{kubelet.object_id}')"
out["assigned"] = [one.scope for one in found.list_for_scope(registry_id, filter=assigned)]
pages = list(found.list_for_subscription().by_page())
out["pages"] = [len(list(page)) for page in pages]
names = []
for one in found.list_for_scope(registry_id, filter=f"principalId eq '{kubelet.object_id}'"):
    names.append(roles.role_definitions.get_by_id(one.role_definition_id).role_name)
out["roles"] = names

registries = ContainerRegistryManagementClient(credential, subscription)
shown = registries.registries.get(group, registry)
out["registry"] = {
    "login": shown.login_server,
    "sku": shown.sku.name,
    "network": shown.public_network_access,
    "rules": [rule.ip_address_or_range for rule in shown.network_rule_set.ip_rules],
    "mode": shown.role_assignment_mode,
    "endpoints": [one.name for one in shown.private_endpoint_connections],
}
out["registries"] = sorted(one.name for one in registries.registries.list())

# Refusals in the words of Resource Manager.
try:
    registries.registries.get(group, "nowhere")
except ResourceNotFoundError as error:
    out["missing"] = error.error.code
try:
    clusters.managed_clusters.get("no-such-group", "aks1")
except ResourceNotFoundError as error:
    out["no_group"] = error.error.code

# The exchange: an Entra token, a refresh token, an access token, then content.
with ContainerRegistryClient(
    f"https://{login}", credential, audience="https://containerregistry.azure.net"
) as data:
    out["repositories"] = list(data.list_repository_names())
    out["tags"] = [one.name for one in data.list_tag_properties("team/web")]
    tag = data.get_tag_properties("team/web", "v1")
    manifest = data.get_manifest("team/web", "v1")
    out["same"] = manifest.digest == tag.digest
    properties = data.get_manifest_properties("team/web", "v1")
    out["platform"] = [properties.operating_system.value, properties.architecture.value]
    layer = manifest.manifest["layers"][0]
    out["layer"] = sum(len(chunk) for chunk in data.download_blob("team/web", layer["digest"]))
    # Pushed back under another name.
    config = data.download_blob("team/web", manifest.manifest["config"]["digest"])
    blob = b"".join(config)
    data.upload_blob("team/copy", io.BytesIO(blob))
    body = b"".join(data.download_blob("team/web", layer["digest"]))
    data.upload_blob("team/copy", io.BytesIO(body))
    pushed = data.set_manifest("team/copy", manifest.manifest, tag="v9")
    out["pushed"] = data.get_manifest("team/copy", "v9").digest == pushed
    # A lock, seen by the next pull, and taken away again.
    data.update_tag_properties("team/copy", "v9", can_read=False)
    try:
        data.get_manifest("team/copy", "v9")
    except HttpResponseError as error:
        out["locked"] = error.status_code
    data.update_tag_properties("team/copy", "v9", can_read=True)
    out["unlocked"] = data.get_manifest("team/copy", "v9").digest == pushed
    try:
        data.get_manifest("team/web", "nothing")
    except ResourceNotFoundError as error:
        out["no_tag"] = error.status_code
    data.delete_tag("team/copy", "v9")
    out["left"] = [one.name for one in data.list_tag_properties("team/copy")]

# A role is given and taken, as the remedies do.
definition = next(
    iter(roles.role_definitions.list(registry_id, filter="roleName eq 'AcrPush'"))
)
given = found.create(
    registry_id,
    "22222222-2222-2222-2222-222222222222",
    RoleAssignmentCreateParameters(
        role_definition_id=definition.id,
        principal_id=kubelet.object_id,
        principal_type="ServicePrincipal",
    ),
)
out["given"] = given.principal_id == kubelet.object_id
found.delete_by_id(given.id)

# Long-running work, to its end.
updated = registries.registries.begin_update(
    group, registry, {"sku": {"name": "Premium"}}
).result()
out["updated"] = updated.sku.name
cluster = clusters.managed_clusters.begin_create_or_update("apps", "aks1", cluster).result()
out["reconciled"] = cluster.provisioning_state
json.dump(out, sys.stdout)
