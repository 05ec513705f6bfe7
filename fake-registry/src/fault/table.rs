//! Every key of a fault rule, with an example and the requests that show it.
//!
//! The page of the documentation is made from this table by running each example against a
//! registry and writing down what a raw client sees; a test holds the table complete and the
//! page fresh. So an action without an example, or with one that does nothing, does not exist.

/// Where in a rule a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// Beside `match` and `action`.
    Rule,
    /// In `match`: when the rule is meant.
    Match,
    /// In `action`: what it does.
    Action,
}

/// A key of a fault rule.
#[derive(Clone, Copy, Debug)]
pub struct FaultKey {
    /// Where it stands.
    pub kind: KeyKind,
    /// As it is spelt.
    pub key: &'static str,
    /// What it means, in one line.
    pub says: &'static str,
    /// A rule that uses it, YAML on one line.
    pub example: &'static str,
    /// Requests that show it: method, path and headers separated by ` | `; or `wait 10s`.
    pub requests: &'static [&'static str],
}

/// Every key, in the order of the documentation.
pub fn fault_table() -> &'static [FaultKey] {
    TABLE
}

const fn rule(
    key: &'static str,
    says: &'static str,
    example: &'static str,
    requests: &'static [&'static str],
) -> FaultKey {
    FaultKey {
        kind: KeyKind::Rule,
        key,
        says,
        example,
        requests,
    }
}

const fn when(
    key: &'static str,
    says: &'static str,
    example: &'static str,
    requests: &'static [&'static str],
) -> FaultKey {
    FaultKey {
        kind: KeyKind::Match,
        key,
        says,
        example,
        requests,
    }
}

const fn action(
    key: &'static str,
    says: &'static str,
    example: &'static str,
    requests: &'static [&'static str],
) -> FaultKey {
    FaultKey {
        kind: KeyKind::Action,
        key,
        says,
        example,
        requests,
    }
}

const MANIFEST: &str = "GET /v2/team/web/manifests/v1";
const OTHER: &str = "GET /v2/team/web/manifests/v2";
const HEAD: &str = "HEAD /v2/team/web/manifests/v1";
const PING: &str = "GET /v2/";
const TAGS: &str = "GET /v2/team/web/tags/list";
const TOKEN: &str =
    "GET /token?service=registry&scope=repository:team/web:pull | Host: private.example";
const RANGE: &str = "GET /v2/team/web/blobs/{config} | Range: bytes=1-8";
const BLOB: &str = "GET /v2/team/web/blobs/{config}";

static TABLE: &[FaultKey] = &[
    rule(
        "name",
        "Shown in the journal, in metrics and in reports.",
        "{ name: maintenance, action: { status: 503 } }",
        &[MANIFEST],
    ),
    rule(
        "match",
        "When the rule is meant; without it, for every request.",
        "{ match: { route: manifest }, action: { status: 503 } }",
        &[MANIFEST, PING],
    ),
    rule(
        "times",
        "The rule fires at most so often; after that the next rule, or the registry, has its turn.",
        "{ times: 1, action: { status: 503 } }",
        &[PING, PING],
    ),
    rule(
        "action",
        "What happens; the keys below can be combined.",
        "{ action: { delay: 1s, status: 503 } }",
        &[PING],
    ),
    when(
        "host",
        "The host that the request is for, without a port (`*` stands for anything, here and below).",
        "{ match: { host: 'registry.*' }, action: { status: 503 } }",
        &[PING, "GET /v2/ | Host: mirror.example"],
    ),
    when(
        "route",
        "One operation or a list: `ping`, `catalog`, `tags`, `manifest`, `blob`, `upload-start`, `upload`, `referrers`, `token`, `exchange`, `arm`, `entra`, `imds`, `other`.",
        "{ match: { route: [tags, blob] }, action: { status: 503 } }",
        &[TAGS, MANIFEST],
    ),
    when(
        "method",
        "One method or a list.",
        "{ match: { method: HEAD }, action: { status: 503 } }",
        &[HEAD, MANIFEST],
    ),
    when(
        "repository",
        "The repository.",
        "{ match: { repository: 'team/*' }, action: { status: 503 } }",
        &[MANIFEST, PING],
    ),
    when(
        "reference",
        "The tag, the digest or the upload session.",
        "{ match: { reference: v1 }, action: { status: 503 } }",
        &[MANIFEST, OTHER],
    ),
    when(
        "client",
        "Who dialled: the address on a socket, the node's name in a simulation.",
        "{ match: { client: node-1 }, action: { status: 503 } }",
        &[PING, "GET /v2/ | (client) node-2"],
    ),
    when(
        "path",
        "The path, decoded.",
        "{ match: { path: '*/tags/*' }, action: { status: 503 } }",
        &[TAGS, PING],
    ),
    when(
        "ranged",
        "With or without a `Range`.",
        "{ match: { ranged: true }, action: { status: 503 } }",
        &[RANGE, BLOB],
    ),
    when(
        "authorized",
        "With or without an `Authorization`.",
        "{ match: { authorized: true }, action: { status: 403 } }",
        &["GET /v2/ | Authorization: Bearer x", PING],
    ),
    when(
        "nth",
        "Which of the requests that the rule is meant for: `3`, `[1, 3]`, `2..4`, `3..`, `every 2`.",
        "{ match: { nth: every 2 }, action: { status: 503 } }",
        &[PING, PING, PING, PING],
    ),
    when(
        "probability",
        "By chance, 0 to 1, drawn from the run's seed: the same run meets the same faults.",
        "{ match: { probability: 0.5 }, action: { status: 503 } }",
        &[PING, PING, PING, PING, PING, PING],
    ),
    when(
        "from",
        "Not before this time since the start.",
        "{ match: { from: 30s }, action: { status: 503 } }",
        &[PING, "wait 30s", PING],
    ),
    when(
        "until",
        "Only before this time since the start.",
        "{ match: { until: 30s }, action: { status: 503 } }",
        &[PING, "wait 30s", PING],
    ),
    when(
        "flap",
        "Flapping: of stretches of time this long (`every`), this share is bad; which ones follows from the run's seed.",
        "{ match: { flap: { every: 10s, share: 0.5 } }, action: { status: 503 } }",
        &[
            PING, "wait 10s", PING, "wait 10s", PING, "wait 10s", PING, "wait 10s", PING,
            "wait 10s", PING,
        ],
    ),
    action(
        "status",
        "The answer's status; with one of 400 and above goes the error envelope that fits it. 405 on `HEAD`, 416, 500: any from 200 to 999.",
        "{ match: { method: HEAD }, action: { status: 405 } }",
        &[HEAD, MANIFEST],
    ),
    action(
        "code",
        "The error code of the envelope.",
        "{ action: { status: 403, code: DENIED_BY_POLICY } }",
        &[MANIFEST],
    ),
    action(
        "message",
        "The message of the envelope.",
        "{ action: { status: 404, message: gone fishing } }",
        &[MANIFEST],
    ),
    action(
        "detail",
        "The detail of the envelope, any JSON.",
        "{ action: { status: 400, detail: { Tag: v1 } } }",
        &[MANIFEST],
    ),
    action(
        "body",
        "A body instead of the envelope: HTML, plain text, JSON, or nothing at all.",
        "{ action: { status: 502, content-type: text/html, body: '<h1>502 Bad Gateway</h1>' } }",
        &[MANIFEST],
    ),
    action(
        "body-size",
        "A huge body: so many bytes, made while they are sent (at most 1 TiB).",
        "{ action: { status: 200, body-size: 5000000 } }",
        &[MANIFEST],
    ),
    action(
        "content-type",
        "Another `Content-Type` than the registry's.",
        "{ match: { route: manifest }, action: { content-type: text/html } }",
        &[MANIFEST],
    ),
    action(
        "headers",
        "Sets headers.",
        "{ action: { headers: { Server: nginx, X-Cache: HIT } } }",
        &[PING],
    ),
    action(
        "remove-headers",
        "Leaves headers out, such as `Docker-Content-Digest` or `Content-Length` (the body is then chunked).",
        "{ action: { remove-headers: [Content-Length, Docker-Content-Digest] } }",
        &[MANIFEST, HEAD],
    ),
    action(
        "challenge",
        "401 with a well-known kind of `WWW-Authenticate`: `none`, `basic`, `several`, `joined`, `missing-realm`, `empty-realm`, `relative-realm`, `dead-realm`, `malformed`, `negotiate`.",
        "{ action: { challenge: missing-realm } }",
        &[PING],
    ),
    action(
        "challenges",
        "`WWW-Authenticate` word for word, one header each.",
        "{ action: { status: 401, challenges: ['Basic realm=\"a\"', 'Bearer realm=\"http://b/token\"'] } }",
        &[PING],
    ),
    action(
        "token",
        "An answer of the token endpoint that has no token: `refused` (401), `missing`, `empty`, `bad-json`, `forged`.",
        "{ match: { route: token }, action: { token: missing } }",
        &[TOKEN],
    ),
    action(
        "retry-after",
        "`Retry-After` in whole seconds.",
        "{ action: { status: 503, retry-after: 2m } }",
        &[PING],
    ),
    action(
        "quota",
        "Lets `limit` requests through in each window `per`, counted for everybody or `by: client` or `by: address`; answers 429 beyond it, with a `Retry-After` that counts down. By name as registries publish it: `acr-basic`, `acr-standard`, `acr-premium` (reads, writes, deletes, referrers and tokens a minute, for the registry and for each address), `docker-hub-anonymous`, `docker-hub-user` (GETs of manifests in six hours, for each address).",
        "{ action: { quota: { limit: 1, per: 1m } } }",
        &[PING, PING, "wait 45s", PING, "wait 15s", PING],
    ),
    action(
        "redirect",
        "307 to an address (`{path}`, `{scheme}` and `{host}` stand for those of the request); `loop`: to where the request came in, without end; `downgrade`: to plain HTTP.",
        "{ match: { route: manifest }, action: { redirect: 'https://cdn.example{path}' } }",
        &[MANIFEST],
    ),
    action(
        "redirect",
        "A loop.",
        "{ match: { route: manifest }, action: { redirect: loop, status: 302 } }",
        &[MANIFEST],
    ),
    action(
        "redirect",
        "A downgrade.",
        "{ match: { route: blob }, action: { redirect: downgrade } }",
        &["GET /v2/team/web/blobs/{config} | (scheme) https"],
    ),
    action(
        "end",
        "No answer at all: `close` (FIN), `reset` (RST) or `hang`.",
        "{ action: { end: close } }",
        &[PING],
    ),
    action("end", "A reset.", "{ action: { end: reset } }", &[PING]),
    action("end", "Silence.", "{ action: { end: hang } }", &[PING]),
    action(
        "delay",
        "Waits before the headers.",
        "{ action: { delay: 30s } }",
        &[PING],
    ),
    action(
        "pace",
        "Waits before each byte of the body.",
        "{ match: { route: tags }, action: { pace: 500ms } }",
        &[TAGS],
    ),
    action(
        "bandwidth",
        "Bytes a second.",
        "{ match: { route: tags }, action: { bandwidth: 10 } }",
        &[TAGS],
    ),
    action(
        "cut-after",
        "Ends the body after so many bytes, though more were announced.",
        "{ match: { route: tags }, action: { cut-after: 10 } }",
        &[TAGS],
    ),
    action(
        "cut",
        "How `cut-after` ends it: `close`, `reset` or `hang`.",
        "{ match: { route: tags }, action: { cut-after: 10, cut: hang } }",
        &[TAGS],
    ),
    action(
        "corrupt",
        "Flips a bit of the byte at this offset of the body (the last byte if there are fewer).",
        "{ match: { route: tags }, action: { corrupt: 2 } }",
        &[TAGS],
    ),
    action(
        "bad-json",
        "Keeps the first half of a JSON body, and announces no more than that.",
        "{ match: { route: tags }, action: { bad-json: true } }",
        &[TAGS],
    ),
    action(
        "wrong-digest",
        "Announces a digest that is not that of the bytes.",
        "{ action: { wrong-digest: true } }",
        &[HEAD],
    ),
    action(
        "ignore-range",
        "Answers a request for a range with everything.",
        "{ action: { ignore-range: true } }",
        &[RANGE],
    ),
    action(
        "wrong-content-range",
        "Announces another range than is sent.",
        "{ action: { wrong-content-range: true } }",
        &[RANGE],
    ),
];
