//! Causes on the way to the registry: name resolution, TCP, routing, proxies.

use super::entry::{Entry, remedy};
use crate::stage::Stage;

pub(super) static DNS_NXDOMAIN: Entry = Entry {
    stage: Stage::Dns,
    meaning: "The node's resolver says that the registry's name does not exist.",
    detail: "The node resolves names, not the cluster's CoreDNS: a pull happens outside of every pod. \
             The record is missing in the zone that this resolver sees, or the name is misspelt.",
    evidence: "The resolver answers NXDOMAIN for this name and answers other names.",
    remedies: &[remedy(
        "Ask the node's own resolver",
        &["kubectl debug node/<node> -it --image=busybox -- nslookup <host>"],
        "A private zone must be linked to the node's network. Debugging needs an image that the node can pull or has.",
    )],
};

pub(super) static DNS_SERVFAIL: Entry = Entry {
    stage: Stage::Dns,
    meaning: "The node's resolver could not answer: it failed itself.",
    detail: "`server misbehaving` is the resolver's SERVFAIL. Its forwarder, or the zone's own name servers, are broken.",
    evidence: "The resolver answers SERVFAIL (rcode 2), for this zone or for all.",
    remedies: &[remedy(
        "Ask the node's resolver, then another one",
        &[
            "kubectl debug node/<node> -it --image=busybox -- nslookup <host>",
            "kubectl debug node/<node> -it --image=busybox -- nslookup <host> <address>",
        ],
        "If only the second works, mend the forwarder of the first.",
    )],
};

pub(super) static DNS_TIMEOUT: Entry = Entry {
    stage: Stage::Dns,
    meaning: "The node's resolver does not answer.",
    detail: "Questions leave the node on port 53 and nothing comes back. The resolver is down, or a rule drops the packets. \
             CoreDNS has no part in it: the node resolves.",
    evidence: "No answer of any kind from the resolver, for all names; a second resolver may answer.",
    remedies: &[remedy(
        "Open port 53 from the nodes to their resolver",
        &["kubectl debug node/<node> -it --image=busybox -- nslookup <host>"],
        "Look at security groups for UDP and TCP 53, and at the resolvers in the node's /etc/resolv.conf.",
    )],
};

pub(super) static PRIVATE_DNS_ZONE_UNLINKED: Entry = Entry {
    stage: Stage::Dns,
    meaning: "The registry has a private endpoint, but this network resolves its public address.",
    detail: "The private zone `privatelink.azurecr.io` is not linked to the node's network, so the node goes to the public door, which is closed: 403.",
    evidence: "The name's alias goes through `privatelink`, the answer is a public address, and the registry refuses it with 403.",
    remedies: &[remedy(
        "Link the private zone to the nodes' network",
        &[
            "az network private-dns link vnet create --resource-group <resource-group> --zone-name privatelink.azurecr.io --name acr-link --virtual-network <vnet-id> --registration-enabled false",
        ],
        "With a DNS server of your own, forward the zone to 168.63.129.16 from inside the linked network.",
    )],
};

pub(super) static DNS_STALE_PRIVATE_RECORD: Entry = Entry {
    stage: Stage::Dns,
    meaning: "The private record points to an endpoint that is not this network's.",
    detail: "Two private endpoints share one zone, or an endpoint was deleted: the last one to write the record won. \
             Connections then end in a time-out or are cut.",
    evidence: "The record's address is none of the addresses of the approved endpoints of this network.",
    remedies: &[remedy(
        "Compare the record with the endpoints, then repair it",
        &[
            "az network private-dns record-set a list --resource-group <resource-group> --zone-name privatelink.azurecr.io --output table",
            "az network private-endpoint list --query \"[].{name:name, addresses:customDnsConfigs[].ipAddresses}\"",
        ],
        "Use one zone for each group of networks that share an endpoint.",
    )],
};

pub(super) static DNS_DATA_ENDPOINT_MISSING: Entry = Entry {
    stage: Stage::Blob,
    meaning: "The registry's name resolves, the name of its data endpoint does not.",
    detail: "Layers come from another host (`NAME.REGION.data.azurecr.io`, or a storage host). Manifests arrive, then the layers fail.",
    evidence: "The first host in the pull's way that does not resolve is the redirect target, not the login server.",
    remedies: &[remedy(
        "Add a record for the data endpoint of each region",
        &["az acr show-endpoints --name <acr>"],
        "A private endpoint needs both records: the login server and one data endpoint a region.",
    )],
};

pub(super) static FIREWALL_DROP: Entry = Entry {
    stage: Stage::Tcp,
    meaning: "Packets to the registry vanish: something between the node and the registry drops them.",
    detail: "The name resolves, but the connection is never answered: no refusal, no error, only a time-out after 30 seconds. \
             That is how a firewall or a network security group looks from inside.",
    evidence: "The first packet of the connection stays unanswered for the whole connect time, while another host or port on the same path answers.",
    remedies: &[remedy(
        "Allow the registry through the firewall",
        &["kubectl debug node/<node> -it --image=busybox -- nc -zv -w 5 <host> 443"],
        "Allow the registry and the hosts that its layers come from: a rule for the registry alone moves the failure to the layers.",
    )],
};

pub(super) static TCP_REFUSED: Entry = Entry {
    stage: Stage::Tcp,
    meaning: "The machine is there, but nothing listens on that port.",
    detail: "The answer is a refusal, so routing works. The port is wrong, the registry is down, or a mirror on the node itself is dead. \
             A firewall that rejects instead of dropping looks the same.",
    evidence: "The connection is refused within one round trip.",
    remedies: &[remedy(
        "Check the port and the service behind it",
        &["kubectl debug node/<node> -it --image=busybox -- nc -zv -w 5 <host> 443"],
        "If the address is 127.0.0.1 or the node's own, look for a mirror in the runtime's registry configuration.",
    )],
};

pub(super) static TCP_RESET: Entry = Entry {
    stage: Stage::Tcp,
    meaning: "The connection was made and then cut.",
    detail: "A reset or an early end comes from the server or from a box in between. When it always comes after the same number of bytes, \
             or right after the first TLS message, a box in between does it by policy.",
    evidence: "The connection is established, then reset or closed before an answer; bytes before the cut are counted.",
    remedies: &[remedy(
        "Compare with another place, then look at the box in between",
        &["pullcheck image <image>"],
        "From elsewhere it works: a proxy, a firewall or an inspection device on the node's path cuts it.",
    )],
};

pub(super) static VNET_PEERING_MISSING: Entry = Entry {
    stage: Stage::Tcp,
    meaning: "The registry has a private address, and there is no route from the node to that network.",
    detail: "The name resolves to a private endpoint in another virtual network. The networks are not peered, or only from one side.",
    evidence: "The address is private, the connection is not answered, and nothing else in that subnet answers either.",
    remedies: &[remedy(
        "Peer the networks from both sides",
        &[
            "az network vnet peering list --resource-group <resource-group> --vnet-name <vnet> --query \"[].{name:name, state:peeringState}\" --output table",
        ],
        "Both sides must say `Connected`.",
    )],
};

pub(super) static SNAT_EXHAUSTION: Entry = Entry {
    stage: Stage::Tcp,
    meaning: "The node's outbound address has run out of ports.",
    detail: "New connections fail now and then while existing ones go on. Many pods that open many connections to one address use up the ports.",
    evidence: "The share of failed dials grows with the number of parallel dials; a reused connection never fails.",
    remedies: &[remedy(
        "Give the cluster more outbound ports",
        &[
            "az aks update --resource-group <resource-group> --name <cluster> --outbound-type managedNATGateway",
        ],
        "Changing the outbound type changes the addresses that others may have allow-listed. More outbound addresses on the load balancer help too.",
    )],
};

pub(super) static MTU_BLACKHOLE: Entry = Entry {
    stage: Stage::Tcp,
    meaning: "Small packets pass, full-size packets vanish.",
    detail: "A tunnel or VPN on the way takes smaller packets than the node sends, and nobody tells the node. \
             The connection opens, then the first large answer stalls.",
    evidence: "A small answer arrives; one of more than about 1.4 kB stalls, always at the same point.",
    remedies: &[remedy(
        "Find the largest packet that passes",
        &[
            "kubectl debug node/<node> -it --image=nicolaka/netshoot -- ping -M do -s 1372 -c 3 <host>",
        ],
        "Then lower the interface's MTU or clamp the MSS on the tunnel.",
    )],
};

pub(super) static DATA_ENDPOINT_BLOCKED: Entry = Entry {
    stage: Stage::Blob,
    meaning: "The registry answers, but the host that holds the layers cannot be reached.",
    detail: "Layers come by a redirect from another host: a data endpoint, a storage account, a content network. \
             The firewall knows the registry's name only.",
    evidence: "Token and manifest are fine; the failing host is the redirect target of a layer.",
    remedies: &[
        remedy(
            "Allow the data endpoints through the firewall",
            &["az acr show-endpoints --name <acr>"],
            "",
        ),
        remedy(
            "Or switch on dedicated data endpoints, so that the names are few and known",
            &["az acr update --name <acr> --data-endpoint-enabled"],
            "Needs the Premium tier.",
        ),
    ],
};

pub(super) static PROXY_UNREACHABLE: Entry = Entry {
    stage: Stage::Proxy,
    meaning: "The HTTP proxy that the runtime is told to use cannot be reached.",
    detail: "`proxyconnect` in the message means: the connection to the proxy failed, not the one to the registry.",
    evidence: "A dial to the proxy's address fails; without the proxy the registry may or may not answer.",
    remedies: &[remedy(
        "Correct the proxy's address, or remove it",
        &[
            "kubectl debug node/<node> -it --image=busybox -- chroot /host systemctl show containerd --property=Environment",
        ],
        "The runtime reads HTTPS_PROXY at its start: restart it after a change.",
    )],
};

pub(super) static PROXY_AUTH_REQUIRED: Entry = Entry {
    stage: Stage::Proxy,
    meaning: "The HTTP proxy wants a user and password, or does not let this host through.",
    detail: "The proxy answers before TLS begins. Some clients print only its phrase, for example `Proxy Authentication Required` or `Forbidden`.",
    evidence: "The proxy answers CONNECT with 407.",
    remedies: &[remedy(
        "Allow the nodes at the proxy, or bypass it for this registry",
        &[
            "kubectl debug node/<node> -it --image=busybox -- chroot /host systemctl show containerd --property=Environment",
        ],
        "To bypass, add the registry and its data hosts to NO_PROXY of the runtime and restart it.",
    )],
};

pub(super) static PROXY_MISSING_ON_NODE: Entry = Entry {
    stage: Stage::Tcp,
    meaning: "The nodes must go through a proxy, and the runtime on this node does not know it.",
    detail: "Elsewhere the pull works because a proxy is set there. Here the direct way is closed, so the connection times out.",
    evidence: "A direct dial from the node is dropped, a dial through the proxy is not, and the runtime's environment names no proxy.",
    remedies: &[remedy(
        "Set the proxy for the runtime and restart it",
        &[
            "kubectl debug node/<node> -it --image=busybox -- chroot /host systemctl show containerd --property=Environment",
        ],
        "On AKS use `az aks update --http-proxy-config`. Variables of a login shell do not reach the runtime.",
    )],
};

pub(super) static NO_PROXY_MISSING: Entry = Entry {
    stage: Stage::Proxy,
    meaning: "A private registry is reached through the proxy, which does not let it through.",
    detail: "The registry is on your own network; the proxy refuses or cuts connections to it.",
    evidence: "A direct dial from the node works, the same through the proxy fails.",
    remedies: &[remedy(
        "Add the registry to NO_PROXY",
        &[
            "kubectl debug node/<node> -it --image=busybox -- chroot /host systemctl show containerd --property=Environment",
        ],
        "Restart the runtime afterwards.",
    )],
};
