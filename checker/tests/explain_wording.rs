//! Wording that programs use beside what the corpus holds: one line a wording, and what it tells.
//!
//! The corpus shows what users quoted; this table shows what the programs can say. `|` separates the
//! clues that are right.

#![allow(
    clippy::needless_raw_string_hashes,
    reason = "one form for the whole table"
)]

use pullcheck::clue::Clue;
use pullcheck::explain::explain;
use std::fmt::Write as _;

const TABLE: &[(&str, &str)] = &[
    // The reference and the node.
    (
        "invalid-reference",
        r#"Failed to apply default image tag "r.test/Team/App": couldn't parse image name "r.test/Team/App": invalid reference format: repository name (Team/App) must be lowercase"#,
    ),
    (
        "invalid-reference",
        r#"docker: invalid reference format: repository name must be lowercase."#,
    ),
    (
        "invalid-reference",
        r#"failed to parse image reference "r.test/a:b:c": invalid reference format"#,
    ),
    (
        "invalid-reference",
        r#"Error: short-name "web" did not resolve to an alias and no unqualified-search registries are defined in "/etc/containers/registries.conf""#,
    ),
    (
        "never-pull-absent",
        r#"Error response from daemon: No such image: web:local"#,
    ),
    (
        "secret-missing",
        r#"MountVolume failed: secrets "regcred" not found"#,
    ),
    (
        "secret-malformed",
        r#"unable to parse auth field, must be formatted as base64(username:password)"#,
    ),
    (
        "secret-malformed",
        r#"json: cannot unmarshal string into Go struct field DockerConfigJSON.auths of type credentialprovider.DockerConfig"#,
    ),
    (
        "pull-qps-exceeded",
        r#"Back-off pulling image "r.test/a:1": ErrImagePull: pull QPS exceeded"#,
    ),
    ("back-off-only", r#"Back-off pulling image "r.test/a:1""#),
    (
        "pull-cancelled",
        r#"rpc error: code = Canceled desc = failed to pull and unpack image "r.test/a:1": failed to resolve reference "r.test/a:1": failed to do request: Head "https://r.test/v2/a/manifests/1": context canceled"#,
    ),
    ("unknown", r#"Error: ErrImagePull"#),
    ("unknown", r#"rpc error: code = Unknown desc ="#),
    ("unknown", r#"hello world"#),
    ("unknown", ""),
    // Names.
    (
        "dns-not-found",
        r#"Get "https://r.test/v2/": dial tcp: lookup r.test: no such host"#,
    ),
    (
        "dns-not-found",
        r#"pinging container registry r.test: Get "https://r.test/v2/": dial tcp: lookup r.test on [fd00::10]:53: no such host"#,
    ),
    (
        "dns-not-found",
        r#"dial tcp: lookup r.test: Name or service not known"#,
    ),
    (
        "dns-not-found",
        r#"curl: (6) Could not resolve host: r.test"#,
    ),
    ("dns-not-found", r#"getaddrinfo ENOTFOUND r.test"#),
    (
        "dns-not-found",
        r#"dial tcp: lookup r.test: getaddrinfow: No such host is known."#,
    ),
    (
        "dns-server-failed",
        r#"dial tcp: lookup r.test on 10.0.0.2:53: read udp 10.1.1.1:1->10.0.0.2:53: read: connection refused"#,
    ),
    (
        "dns-server-failed",
        r#"dial tcp: lookup r.test on 10.0.0.2:53: dial udp 10.0.0.2:53: connect: network is unreachable"#,
    ),
    (
        "dns-server-failed",
        r#"dial tcp: lookup r.test on 10.0.0.2:53: server misbehaving"#,
    ),
    (
        "dns-timeout",
        r#"dial tcp: lookup r.test on 10.0.0.2:53: dial tcp 10.0.0.2:53: i/o timeout"#,
    ),
    ("dns-timeout", r#"dial tcp: lookup r.test: i/o timeout"#),
    // Connections.
    (
        "tcp-refused",
        r#"failed to do request: Head "https://r.test:8443/v2/a/manifests/1": dial tcp 10.0.0.9:8443: connect: connection refused"#,
    ),
    (
        "tcp-timeout",
        r#"Get "https://r.test/v2/": dial tcp 10.0.0.9:443: connect: operation timed out"#,
    ),
    (
        "tcp-timeout",
        r#"Get "https://r.test/v2/": dial tcp [2001:db8::1]:443: i/o timeout"#,
    ),
    (
        "network-unreachable",
        r#"Get "https://r.test/v2/": dial tcp [2001:db8::1]:443: connect: cannot assign requested address"#,
    ),
    (
        "network-unreachable",
        r#"dial tcp 10.0.0.9:443: connect: no route to host"#,
    ),
    (
        "connection-reset",
        r#"failed to do request: Head "https://r.test/v2/a/manifests/1": write tcp 10.0.0.1:1->10.0.0.2:443: write: broken pipe"#,
    ),
    (
        "connection-reset",
        r#"Get "https://r.test/v2/": read tcp 10.0.0.1:1->10.0.0.2:443: wsarecv: An existing connection was forcibly closed by the remote host."#,
    ),
    (
        "connection-reset",
        r#"failed to do request: Head "https://r.test/v2/a/manifests/1": http: server closed idle connection"#,
    ),
    (
        "proxy-failed",
        r#"Get "https://r.test/v2/": proxyconnect tcp: dial tcp 10.0.0.3:3128: connect: connection refused"#,
    ),
    (
        "proxy-failed",
        r#"Get "https://r.test/v2/": proxyconnect tcp: tls: first record does not look like a TLS handshake"#,
    ),
    (
        "proxy-failed",
        r#"pinging container registry r.test: Get "https://r.test/v2/": Bad Gateway"#,
    ),
    (
        "proxy-failed",
        r#"failed to do request: Head "https://r.test/v2/a/manifests/1": Unsupported method ('CONNECT')"#,
    ),
    (
        "proxy-failed",
        r#"rpc error: code = Unknown desc = pinging container registry r.test: Get "https://r.test/v2/": Internal Server Error"#,
    ),
    (
        "response-timeout",
        r#"Error response from daemon: Get "https://r.test/v2/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"#,
    ),
    (
        "response-timeout",
        r#"failed to do request: Head "https://r.test/v2/a/manifests/1": net/http: timeout awaiting response headers"#,
    ),
    (
        "response-timeout",
        r#"rpc error: code = DeadlineExceeded desc = context deadline exceeded"#,
    ),
    // TLS.
    (
        "tls-unknown-ca",
        r#"Get "https://r.test/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority"#,
    ),
    (
        "tls-unknown-ca",
        r#"Get "https://r.test/v2/": x509: “r.test” certificate is not trusted"#,
    ),
    (
        "tls-unknown-ca",
        r#"SSL certificate problem: unable to get local issuer certificate"#,
    ),
    (
        "tls-expired",
        r#"tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-01-02T03:04:05Z is before 2026-05-31T00:00:00Z"#,
    ),
    (
        "tls-name-mismatch",
        r#"x509: certificate is valid for ingress.local, *.svc, not r.test"#,
    ),
    (
        "tls-name-mismatch",
        r#"x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs"#,
    ),
    (
        "tls-handshake-failed",
        r#"Get "https://r.test/v2/": remote error: tls: handshake failure"#,
    ),
    (
        "tls-handshake-failed",
        r#"Get "https://r.test/v2/": tls: server selected unsupported protocol version 301"#,
    ),
    (
        "tls-handshake-failed",
        r#"Get "https://r.test/v2/": tls: first record does not look like a TLS handshake"#,
    ),
    (
        "tls-handshake-failed",
        r#"tls: failed to parse certificate from server: x509: negative serial number"#,
    ),
    (
        "http-to-https",
        r#"failed to do request: Head "https://r.test:5000/v2/a/manifests/1": http: server gave HTTP response to HTTPS client"#,
    ),
    (
        "https-to-http",
        r#"error: unexpected status code 400 Bad Request: Client sent an HTTP request to an HTTPS server."#,
    ),
    // Sign-in.
    (
        "auth-required-no-credentials",
        r#"failed to resolve reference "r.test/a:1": pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"#,
    ),
    (
        "auth-required-no-credentials",
        r#"Error: initializing source docker://alpine:latest: reading manifest latest in docker.io/library/alpine: authentication required"#,
    ),
    (
        "auth-required-no-credentials",
        r#"Error: fetching "r.test/a:1": GET https://r.test/v2/a/manifests/1: UNAUTHORIZED: authentication required; [map[Action:pull Class: Name:a Type:repository]]"#,
    ),
    (
        "auth-required-no-credentials",
        r#"failed calling webhook "pods.injector.test": an error on the server ("{\"message\":\"failed to get auto cmd, error: GET https://x.azurecr.io/oauth2/token?scope=repository%3Aa%3Apull\\u0026service=x.azurecr.io: UNAUTHORIZED: authentication required, visit https://aka.ms/acr/authorization for more information.\"}")"#,
    ),
    (
        "credentials-rejected",
        r#"Error response from daemon: Get "https://registry-1.docker.io/v2/": unauthorized: incorrect username or password"#,
    ),
    (
        "credentials-rejected",
        r#"Requesting bearer token: invalid status code from registry 401 (Unauthorized): unable to retrieve auth token: invalid username/password: unauthorized"#,
    ),
    (
        "credentials-rejected",
        r#"failed to authorize: failed to fetch oauth token: unexpected status from POST request to https://auth.test/token: 401 Unauthorized: unexpected EOF"#,
    ),
    (
        "credentials-rejected",
        r#"Error response from daemon: Get "https://registry.gitlab.com/v2/": denied: access forbidden: HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect"#,
    ),
    (
        "permission-denied",
        r#"denied: User: arn:aws:sts::123456789012:assumed-role/node/i-1 is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:eu-west-1:123456789012:repository/a because no resource-based policy allows the ecr:BatchGetImage action"#,
    ),
    (
        "permission-denied",
        r#"pull access denied for 123456789012.dkr.ecr.eu-west-1.amazonaws.com/a, repository does not exist or may require 'docker login': denied: User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ecr:BatchGetImage"#,
    ),
    (
        "permission-denied",
        r#"reading manifest 1 in quay.io/team/a: unauthorized: access to the requested resource is not authorized"#,
    ),
    (
        "permission-denied",
        r#"unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 403 Forbidden"#,
    ),
    (
        "manifest-or-auth-ambiguous",
        r#"denied: Permission "artifactregistry.repositories.downloadArtifacts" denied on resource "projects/p/locations/l/repositories/r" (or it may not exist)"#,
    ),
    (
        "manifest-or-auth-ambiguous",
        r#"Error response from daemon: pull access denied for team/a, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"#,
    ),
    (
        "manifest-or-auth-ambiguous",
        r#"image pull failed for r.test/a, this may be because there are no credentials on this request.  details: (Tag v2 not found in repository r.test/a)"#,
    ),
    (
        "ecr-token-expired",
        r#"denied: Your authorization token has expired. Reauthenticate and try again."#,
    ),
    (
        "token-service-failed",
        r#"failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://auth.test/token?scope=a&service=b: 503 Service Unavailable"#,
    ),
    (
        "token-service-failed",
        r#"failed to fetch anonymous token: authorization server did not include a token in the response"#,
    ),
    (
        "azure-identity-failed",
        r#"ACR x.azurecr.io rejected token exchange: ACR token exchange endpoint returned error status: 401. body: {}"#,
    ),
    (
        "azure-identity-failed",
        r#"error execing credential provider plugin acr-credential-provider for image x.azurecr.io/a: exit status 1: failed to get credentials: ManagedIdentityCredential authentication failed"#,
    ),
    (
        "azure-identity-failed",
        r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
    ),
    (
        "azure-identity-failed",
        r#"AADSTS7000222: The provided client secret keys for app 'x' are expired."#,
    ),
    (
        "credential-provider-failed",
        r#"error getting credentials - err: exec: "docker-credential-desktop.exe": executable file not found in $PATH, out: """#,
    ),
    (
        "credential-provider-failed",
        r#"error execing credential provider plugin ecr-credential-provider for image 1.dkr.ecr.eu-west-1.amazonaws.com/a: exit status 1"#,
    ),
    (
        "firewall-denied-403",
        r#"unexpected status from GET request to https://x.azurecr.io/v2/a/manifests/sha256:00: 403 Forbidden denied: client with IP '1.2.3.4' is not allowed access. Refer https://aka.ms/acr/firewall to grant access. CorrelationId: 5f3e"#,
    ),
    (
        "quota-or-billing",
        r#"Cloud API (artifactregistry.googleapis.com) has not been used in project 1 before or it is disabled."#,
    ),
    (
        "policy-blocked",
        r#"admission webhook "validation.gatekeeper.sh" denied the request: [allowed-repos] container <web> has an invalid image repo <docker.io/nginx>, allowed repos are ["r.test/"]"#,
    ),
    (
        "policy-blocked",
        r#"Source image rejected: Signature for identity "r.test/a:1" is not accepted"#,
    ),
    (
        "policy-blocked",
        r#"pods "web" is forbidden: image policy webhook backend denied one or more images: nope"#,
    ),
    (
        "rate-limited",
        r#"unexpected status from HEAD request to https://registry-1.docker.io/v2/library/nginx/manifests/latest: 429 Too Many Requests"#,
    ),
    (
        "rate-limited",
        r#"toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"#,
    ),
    (
        "rate-limited",
        r#"denied: Quota exceeded for quota metric 'Requests per project per region' and limit 'x'"#,
    ),
    // What is there.
    (
        "tag-not-found",
        r#"manifest unknown: manifest tagged by "v9" is not found"#,
    ),
    (
        "tag-not-found",
        r#"GET https://gcr.io/v2/p/a/manifests/9: MANIFEST_UNKNOWN: Failed to fetch "9" from request "/v2/p/a/manifests/9"."#,
    ),
    (
        "tag-not-found",
        r#"reading manifest 9 in r.test/team/a: unknown: artifact team/a:9 not found"#,
    ),
    (
        "tag-not-found",
        r#"unexpected status from HEAD request to https://r.test/v2/a/manifests/9: 404 Not Found"#,
    ),
    ("tag-not-found", r#"docker.io/library/web:9: not found"#),
    (
        "tag-not-found",
        r#"failed to solve: r.test/a:9: failed to resolve source metadata for r.test/a:9: r.test/a:9: not found"#,
    ),
    (
        "repository-not-found",
        r#"reading manifest 9 in r.test/team/a: name unknown: repository name not known to registry"#,
    ),
    (
        "repository-not-found",
        r#"name unknown: The repository with name 'a' does not exist in the registry with id '1'"#,
    ),
    (
        "repository-not-found",
        r#"NAME_UNKNOWN: Repository "a" not found"#,
    ),
    (
        "manifest-digest-not-found",
        r#"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref 1.dkr.ecr.eu-west-1.amazonaws.com/a:1@sha256:00aa: not found"#,
    ),
    (
        "manifest-digest-not-found",
        r#"failed to copy: httpReadSeeker: failed open: content at https://r.test/v2/a/manifests/sha256:00aa not found: not found"#,
    ),
    (
        "blob-not-found",
        r#"failed to copy: httpReadSeeker: failed open: content at https://r.test/v2/a/blobs/sha256:00aa not found: not found"#,
    ),
    (
        "blob-not-found",
        r#"reading blob sha256:00aa: fetching blob: blob unknown to registry"#,
    ),
    (
        "platform-mismatch",
        r#"no image found in image index for architecture "arm64", variant "v8", OS "linux""#,
    ),
    (
        "platform-mismatch",
        r#"no child with platform linux/arm64 in index r.test/a:1"#,
    ),
    (
        "platform-mismatch",
        r#"image operating system "windows" cannot be used on this platform"#,
    ),
    (
        "platform-mismatch",
        r#"rpc error: code = NotFound desc = get image config descriptor: no match for platform in manifest sha256:00aa: not found"#,
    ),
    (
        "unsupported-manifest",
        r#"not implemented: media type "application/vnd.docker.distribution.manifest.v1+prettyjws" is no longer supported since containerd v2.1, please rebuild the image as "application/vnd.oci.image.manifest.v1+json""#,
    ),
    (
        "unsupported-manifest",
        r#"failed to pull and unpack image "r.test/a:1": unable to fetch descriptor (sha256:00aa) which reports content size of zero: invalid argument"#,
    ),
    // The registry's side.
    (
        "registry-5xx",
        r#"reading manifest 1 in r.test/a: received unexpected HTTP status: 502 Bad Gateway"#,
    ),
    (
        "registry-5xx",
        r#"unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 504 Gateway Timeout"#,
    ),
    (
        "registry-5xx",
        r#"unexpected status code https://r.test/v2/a/manifests/1: 500 Internal Server Error - Server message: unknown: unknown error"#,
    ),
    (
        "registry-unavailable",
        r#"image pull failed for r.test/a:1 because the registry is unavailable"#,
    ),
    (
        "redirect-or-storage-failed",
        r#"failed to do request: Head "/v2/a/manifests/1": stopped after 10 redirects"#,
    ),
    (
        "redirect-or-storage-failed",
        r#"error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code></Error>""#,
    ),
    (
        "mirror-misconfigured",
        r#"failed to load hosts configuration: failed to decode hosts.toml: (2, 1): unexpected token"#,
    ),
    (
        "mirror-misconfigured",
        r#"rpc error: code = NotFound desc = failed to pull and unpack image "r.test/a:1": failed to resolve reference "r.test/a:1": no resolve hosts: not found"#,
    ),
    // Bytes and disk.
    (
        "blob-corrupt",
        r#"failed commit on ref "layer-sha256:00aa": unexpected commit digest sha256:11bb, expected sha256:00aa: failed precondition"#,
    ),
    (
        "blob-corrupt",
        r#"failed commit on ref "layer-sha256:00aa": "layer-sha256:00aa" failed size validation: 10 != 20: failed precondition"#,
    ),
    (
        "blob-corrupt",
        r#"writing blob: storing blob to file "/var/tmp/x": Digest did not match, expected sha256:00aa, got sha256:11bb"#,
    ),
    (
        "truncated-transfer",
        r#"failed to pull and unpack image "r.test/a:1": short read: expected 10 bytes but got 5: unexpected EOF"#,
    ),
    (
        "truncated-transfer",
        r#"failed to copy: httpReadSeeker: failed open: unexpected EOF"#,
    ),
    (
        "unpack-failed",
        r#"writing blob: adding layer with blob "sha256:00aa": Error processing tar file(exit status 1): operation not permitted"#,
    ),
    (
        "unpack-failed",
        r#"potentially insufficient UIDs or GIDs available in user namespace (requested 0:42 for /etc/shadow): lchown /etc/shadow: invalid argument"#,
    ),
    (
        "unpack-failed|blob-corrupt",
        r#"failed to extract layer sha256:00aa: wrong diff id calculated on extraction "sha256:11bb""#,
    ),
    (
        "disk-full",
        r#"writing blob: adding layer with blob "sha256:00aa": Error processing tar file(exit status 1): write /usr/lib/x: no space left on device"#,
    ),
    (
        "disk-full",
        r#"The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 100Mi."#,
    ),
    (
        "runtime-error",
        r#"rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: connection refused""#,
    ),
    (
        "runtime-error",
        r#"failed to pull and unpack image "r.test/a:1": failed to prepare extraction snapshot "extract-1 sha256:00aa": parent snapshot sha256:11bb does not exist: not found"#,
    ),
    (
        "runtime-error",
        r#"locating image with ID "00aa": image not known"#,
    ),
    (
        "runtime-error",
        r#"failed to create snapshot: missing parent "k8s.io/1/sha256:00aa" bucket: not found"#,
    ),
    // Found in the wild after the table was made.
    (
        "tag-not-found",
        r#"Failed to pull image "r.test/a": rpc error: code 2 desc Error: image t/a:latest not found"#,
    ),
    (
        "runtime-error",
        r#"Error response from daemon: dial unix /mnt/wsl/docker.sock: connect: no such file or directory"#,
    ),
    (
        "runtime-error",
        r#"Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"#,
    ),
    (
        "runtime-error",
        r#"rpc error: code = Unavailable desc = error reading from server: EOF"#,
    ),
    (
        "connection-reset",
        r#"docker: error pulling image configuration: download failed after attempts=6: EOF."#,
    ),
    (
        "connection-reset",
        r#"failed to copy: httpReadSeeker: failed open: EOF"#,
    ),
    (
        "platform-mismatch",
        r#"CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'"#,
    ),
    (
        "response-timeout",
        r#"failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://r.test/v2/a/blobs/sha256:00": net/http: timeout awaiting response headers: context deadline exceeded"#,
    ),
    (
        "dns-server-failed",
        r#"failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://x.s3.test/containers/images/sha256:00": dial tcp: lookup x.s3.test on 127.0.0.1:53: server misbehaving"#,
    ),
    (
        "tls-name-mismatch",
        r#"Get "https://x.test/…": tls: failed to verify certificate: x509: certificate is not valid for any names"#,
    ),
    (
        "tag-not-found",
        r#"failed to resolve reference "docker.io/library/web:1.16": not found"#,
    ),
    (
        "auth-required-no-credentials",
        r#"ErrImagePull: rpc error: code = Unknown desc = failed to pull and unpack image "r.test/a:1": failed to resolve reference "r.test/a:1": unexpected status code [manifests 1]: 401 Unauthorized"#,
    ),
    (
        "permission-denied",
        r#"CannotPullECRContainerError: AccessDeniedException: User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ecr:GetAuthorizationToken on resource: *"#,
    ),
    (
        "credential-provider-failed",
        r#"NoCredentialProviders: no valid providers in chain. Deprecated."#,
    ),
    (
        "repository-not-found",
        r#"unknown: project shop not found: project shop not found"#,
    ),
    (
        "repository-not-found",
        r#"error parsing HTTP 404 response body: invalid character 'p' after top-level value: "404 page not found\n""#,
    ),
    (
        "registry-5xx",
        r#"error parsing HTTP 502 response body: invalid character '<' looking for beginning of value: "<html>Bad Gateway</html>""#,
    ),
    (
        "permission-denied",
        r#"denied: permission_denied: read_package"#,
    ),
    (
        "credentials-rejected",
        r#"unauthorized: Application not registered with AAD."#,
    ),
    (
        "registry-5xx",
        r#"Failed to pull image "r.test/a": [rpc error: code = Unknown desc = Error response from daemon: Get https://r.test/v2/: received unexpected HTTP status: 500 Internal Server Error, rpc error: code = Unknown desc = Error response from daemon: Get https://r.test/v2/: unauthorized: authentication required]"#,
    ),
    (
        "mirror-misconfigured|token-service-failed|unsupported-manifest",
        r#"Error initializing image from source docker://registry:5000/base/alpine:latest: invalid character '<' looking for beginning of value"#,
    ),
    (
        "tcp-timeout",
        r#"Failed to pull image "web:latest": dial tcp 10.0.0.1:443: i/o timeout; dial tcp 10.0.0.2:443: i/o timeout"#,
    ),
    (
        "manifest-or-auth-ambiguous",
        r#"Error: 2 errors occurred while pulling:
 * Error initializing source docker://registry.test/team/a:latest: Error reading manifest latest in registry.test/team/a: name unknown
 * Error initializing source docker://team/a:latest: Error reading manifest latest in docker.io/team/a: errors:
denied: requested access to the resource is denied
unauthorized: authentication required"#,
    ),
    (
        "tag-not-found",
        r#"Trying to pull r.test/a...
  manifest unknown: manifest unknown
Error: error pulling image "r.test/a": unable to pull r.test/a: unable to pull image: Error initializing source docker://r.test/a:latest: Error reading manifest latest in r.test/a: manifest unknown: manifest unknown"#,
    ),
];

#[test]
fn programs_are_understood_beyond_the_corpus() {
    let mut wrong = String::new();
    for (want, message) in TABLE {
        let told = explain(message);
        let right = want
            .split('|')
            .any(|id| Some(told.clue) == Clue::from_id(id));
        assert!(
            want.split('|').all(|id| Clue::from_id(id).is_some()),
            "{want}"
        );
        if !right {
            let _ = writeln!(
                wrong,
                "told {} (certain {}), not {want}: {message:.200}",
                told.clue, told.certain
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
