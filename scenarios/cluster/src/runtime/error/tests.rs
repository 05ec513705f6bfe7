use super::*;
use crate::profile::{ContainerdVersion, KubernetesVersion};

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

fn profiles() -> [Profile; 3] {
    let new = KubernetesVersion::new(36);
    let old = KubernetesVersion::new(20);
    [
        Profile::default(),
        Profile::new(new, ContainerdVersion::new(2, 1), PullPath::Local),
        Profile::new(old, ContainerdVersion::new(1, 6), PullPath::Local),
    ]
}

fn refused(status: &str, errors: &[&str]) -> Box<Refused> {
    let url = "http://stub.pk.test:5010/v2/x/manifests/1.0".to_owned();
    Box::new(Refused {
        method: "HEAD".into(),
        url: url.clone(),
        status: status.into(),
        asked: (url, "manifests 1.0".into()),
        errors: errors.iter().map(|&e| e.to_owned()).collect(),
    })
}

fn head(error: TransportError) -> FetchError {
    let url = "https://drop.pk.test:5006/v2/x/manifests/1.0?sig=a".to_owned();
    FetchError::Request(Box::new(UrlError {
        operation: "Head",
        url,
        error,
    }))
}

/// One failure in the words of the transfer service, of the local path, and of containerd 1.6 under an
/// old kubelet. The wrapper around the image's name is written once.
#[test]
fn one_failure_in_three_tongues() {
    let dial = |deadline| {
        let to = "172.19.0.2:5006".parse().unwrap();
        Failure::Resolve(head(TransportError::Dial {
            to,
            failure: DialFailure::Timeout { deadline },
        }))
    };
    let get = |errors: &[&str]| {
        Failure::Open(FetchError::Refused(Box::new(Refused {
            method: "GET".into(),
            ..*refused("429 Too Many Requests", errors)
        })))
    };
    let certificate = || {
        Failure::Resolve(head(TransportError::Certificate(
            "x509: certificate signed by unknown authority".into(),
        )))
    };
    let r = "failed to resolve image: ";
    let l = "failed to resolve reference \"stub.pk.test:5010/x:1.0\": ";
    let u = "rpc error: code = Unknown desc = ";
    let stub = "http://stub.pk.test:5010/v2/x/manifests/1.0";
    let drop_hidden = "failed to do request: Head \"https://drop.pk.test:5006/v2/x/manifests/1.0?sig=%5BREDACTED%5D\": ";
    let drop_plain =
        "failed to do request: Head \"https://drop.pk.test:5006/v2/x/manifests/1.0?sig=a\": ";
    let timeout = "dial tcp 172.19.0.2:5006: i/o timeout";
    let x509 = "x509: certificate signed by unknown authority";
    let table = [
        (
            Failure::Resolve(FetchError::Refused(refused("403 Forbidden", &[]))),
            [
                format!("P{r}unexpected status from HEAD request to {stub}: 403 Forbidden"),
                format!("P{l}unexpected status from HEAD request to {stub}: 403 Forbidden"),
                format!(
                    "{u}P{l}pulling from host stub.pk.test:5010 failed with status code [manifests 1.0]: 403 Forbidden"
                ),
            ],
        ),
        (
            Failure::Resolve(FetchError::NotFound("stub.pk.test:5010/x:1.0".into())),
            [
                format!("rpc error: code = NotFound desc = P{r}stub.pk.test:5010/x:1.0: not found"),
                format!("rpc error: code = NotFound desc = P{l}stub.pk.test:5010/x:1.0: not found"),
                format!("rpc error: code = NotFound desc = P{l}stub.pk.test:5010/x:1.0: not found"),
            ],
        ),
        (
            dial(true),
            [
                format!("rpc error: code = DeadlineExceeded desc = P{r}{drop_hidden}{timeout}"),
                format!("rpc error: code = DeadlineExceeded desc = P{l}{drop_hidden}{timeout}"),
                format!("rpc error: code = DeadlineExceeded desc = P{l}{drop_plain}{timeout}"),
            ],
        ),
        (
            dial(false),
            [
                format!("P{r}{drop_hidden}{timeout}"),
                format!("P{l}{drop_hidden}{timeout}"),
                format!("{u}P{l}{drop_plain}{timeout}"),
            ],
        ),
        (
            certificate(),
            [
                format!("P{r}{drop_hidden}tls: failed to verify certificate: {x509}"),
                format!("P{l}{drop_hidden}tls: failed to verify certificate: {x509}"),
                format!("{u}P{l}{drop_plain}{x509}"),
            ],
        ),
        (
            get(&["toomanyrequests"]),
            [
                format!(
                    "Pfailed to copy: httpReadSeeker: failed open: unexpected status from GET request to {stub}: 429 Too Many Requests\ntoomanyrequests"
                ),
                format!(
                    "Pfailed to copy: httpReadSeeker: failed open: unexpected status from GET request to {stub}: 429 Too Many Requests\ntoomanyrequests"
                ),
                format!(
                    "{u}Pfailed to copy: httpReadSeeker: failed open: unexpected status code {stub}: 429 Too Many Requests - Server message: toomanyrequests"
                ),
            ],
        ),
        (
            Failure::NoPlatform(DIGEST.into()),
            [
                format!(
                    "rpc error: code = NotFound desc = get image config descriptor: no match for platform in manifest {DIGEST}: not found"
                ),
                "rpc error: code = NotFound desc = Pno match for platform in manifest: not found"
                    .into(),
                "rpc error: code = NotFound desc = Pno match for platform in manifest: not found"
                    .into(),
            ],
        ),
        (
            Failure::ShortRead { want: 10, got: 5 },
            [
                "Pshort read: expected 10 bytes but got 5: unexpected EOF".into(),
                "Pshort read: expected 10 bytes but got 5: unexpected EOF".into(),
                format!("{u}Pfailed to read expected number of bytes: unexpected EOF"),
            ],
        ),
        (
            Failure::Resolve(FetchError::NoBasicCredentials),
            [
                format!(
                    "P{r}pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"
                ),
                format!(
                    "P{l}pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"
                ),
                format!(
                    "{u}P{l}pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"
                ),
            ],
        ),
        (
            Failure::Canceled,
            [
                "rpc error: code = Canceled desc = Pcontext canceled".into(),
                "rpc error: code = Canceled desc = Pcontext canceled".into(),
                "rpc error: code = Canceled desc = Pcontext canceled".into(),
            ],
        ),
    ];
    let image = Named::parse("stub.pk.test:5010/x:1.0").ok();
    for (failure, wants) in table {
        let error = PullError {
            image: image.clone(),
            failure,
        };
        for (profile, want) in profiles().iter().zip(wants) {
            let want = want.replacen(
                'P',
                "failed to pull and unpack image \"stub.pk.test:5010/x:1.0\": ",
                1,
            );
            assert_eq!(
                error.status(profile).as_kubelet_prints(profile),
                want,
                "{profile:?}"
            );
        }
    }
}
