//! Causes in the TLS handshake.

use super::entry::{Entry, remedy};
use crate::stage::Stage;

pub(super) static TLS_HANDSHAKE_TIMEOUT: Entry = Entry {
    stage: Stage::Tls,
    meaning: "The connection opens, but the TLS handshake is never answered.",
    detail: "The client waits ten seconds. Usually an inspection device or an overloaded server; large packets lost on the way look the same.",
    evidence: "TCP connects in normal time, then no byte arrives.",
    remedies: &[remedy(
        "Try the handshake from the node",
        &[
            "kubectl debug node/<node> -it --image=nicolaka/netshoot -- curl -sv -o /dev/null https://<host>/v2/",
        ],
        "If it hangs after `Client hello`, look at the firewall or inspection device on the way.",
    )],
};

pub(super) static TLS_UNKNOWN_CA: Entry = Entry {
    stage: Stage::Tls,
    meaning: "The registry's certificate is signed by an authority that the node does not know.",
    detail: "The registry uses a private authority, or forgets to send an intermediate certificate. The runtime on every node must know it; \
             the cluster's secrets do not matter here.",
    evidence: "The served chain ends in the registry's own authority, which is in none of the node's stores.",
    remedies: &[remedy(
        "Give the authority's certificate to the runtime on every node",
        &["openssl s_client -connect <host>:443 -servername <host> -showcerts </dev/null"],
        "containerd: put it at /etc/containerd/certs.d/HOST/ca.crt and name it in hosts.toml there; CRI-O: /etc/containers/certs.d/HOST/. New nodes need it too.",
    )],
};

pub(super) static TLS_INTERCEPTED: Entry = Entry {
    stage: Stage::Tls,
    meaning: "Something on the way opens the TLS connection and presents a certificate of its own.",
    detail: "A proxy or security device mints certificates. The message is the same as for a private authority.",
    evidence: "The issuer differs between vantage points, and the same issuer signs hosts that have nothing to do with each other.",
    remedies: &[remedy(
        "Exempt the registry from inspection, or trust the device's authority on every node",
        &["openssl s_client -connect <host>:443 -servername <host> </dev/null"],
        "Compare the issuer line here with the one from another network.",
    )],
};

pub(super) static TLS_EXPIRED: Entry = Entry {
    stage: Stage::Tls,
    meaning: "The registry's certificate has expired, or is not valid yet.",
    detail: "The certificate's dates do not include now, and the node's clock is right.",
    evidence: "The end date lies before the trusted time, and the server's own Date header agrees with the node's clock.",
    remedies: &[remedy(
        "Renew the certificate on the registry",
        &[
            "openssl s_client -connect <host>:443 -servername <host> </dev/null 2>/dev/null | openssl x509 -noout -dates -issuer",
        ],
        "Restart the registry's front if it keeps the old one in memory.",
    )],
};

pub(super) static CLOCK_SKEW: Entry = Entry {
    stage: Stage::Tls,
    meaning: "The certificate is fine; the node's clock is wrong.",
    detail: "The message is that of an expired certificate, because the node compares the dates with its own wrong time.",
    evidence: "The server's Date header is far from the node's time, and the certificate is valid at the server's time.",
    remedies: &[remedy(
        "Set the node's clock",
        &["kubectl debug node/<node> -it --image=busybox -- chroot /host timedatectl"],
        "See whether time synchronisation runs, and why not.",
    )],
};

pub(super) static TLS_HOSTNAME_MISMATCH: Entry = Entry {
    stage: Stage::Tls,
    meaning: "The certificate is for another name than the one in the image.",
    detail: "The registry is reached under an alias, an address or an old name, or a proxy answers in its place.",
    evidence: "The names in the certificate do not include the host of the reference.",
    remedies: &[remedy(
        "Use a name from the certificate, or issue one for this name",
        &[
            "openssl s_client -connect <host>:443 -servername <host> </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName",
        ],
        "A common name alone no longer counts: the name must be among the subject alternative names.",
    )],
};

pub(super) static TLS_CLIENT_CERT_REQUIRED: Entry = Entry {
    stage: Stage::Tls,
    meaning: "The registry wants a client certificate, and the runtime sends none.",
    detail: "Mutual TLS is set up on the registry. Pull secrets play no part in it.",
    evidence: "The server asks for a certificate in the handshake and then ends it.",
    remedies: &[remedy(
        "Give the runtime its client certificate on every node",
        &[
            "kubectl debug node/<node> -it --image=busybox -- ls -l /host/etc/containerd/certs.d/<host>",
        ],
        "containerd: `client = [[\"/path/client.cert\", \"/path/client.key\"]]` under the host's own table in hosts.toml.",
    )],
};

pub(super) static TLS_PLAIN_HTTP: Entry = Entry {
    stage: Stage::Tls,
    meaning: "The registry speaks plain HTTP, and the runtime speaks HTTPS to it.",
    detail: "Runtimes use HTTPS for every host that is not told otherwise.",
    evidence: "The first bytes of the answer to the handshake are `HTTP/`.",
    remedies: &[remedy(
        "Put TLS in front of the registry, or tell the runtime that this host is plain HTTP",
        &["kubectl debug node/<node> -it --image=busybox -- ls /host/etc/containerd/certs.d"],
        "containerd: `server = \"http://HOST\"` in /etc/containerd/certs.d/HOST/hosts.toml. CRI-O: `insecure = true` in registries.conf. On every node.",
    )],
};

pub(super) static TLS_VERSION_REFUSED: Entry = Entry {
    stage: Stage::Tls,
    meaning: "Client and registry have no TLS version in common.",
    detail: "An old server that knows only TLS 1.0 or 1.1, an old client against a server that wants 1.3, or a device in between that speaks for one of them.",
    evidence: "A handshake with one version succeeds, with the other it is refused.",
    remedies: &[remedy(
        "Allow TLS 1.2 and 1.3 on the registry and on whatever stands before it",
        &[
            "openssl s_client -connect <host>:443 -tls1_2 </dev/null",
            "openssl s_client -connect <host>:443 -tls1_3 </dev/null",
        ],
        "",
    )],
};
