//! From several attempts to one answer: which attempt decides, and which is only an echo.
//!
//! - Credentials: the kubelet tries each and often goes on anonymously; a refusal of the anonymous
//!   attempt is an echo of the others' failure. Of the rest, the one that got furthest decides.
//! - Mirrors: the registry itself decides, unless it failed only by network or is blocked by
//!   configuration; then the mirror that got furthest.
//! - Searched registries that disagree between absent and denied: nobody can tell.
//! - Pasted lines: the last one that names a cause.

use super::attempts::{self, Piece};
use super::judge::{Finding, Weight, judge};
use super::layer::Role;
use super::lexer::Lexed;
use super::reading::Reading;
use super::signal::Signal;
use crate::clue::Clue;
use crate::stage::Stage;

/// Lists within lists are followed to this depth.
const DEPTH: usize = 3;

/// What a stretch of the text tells, and how it falls apart.
#[derive(Clone, Debug)]
pub(super) struct Analysis {
    pub(super) finding: Finding,
    /// The stretch itself.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The stretch of the attempt that decides.
    pub(super) decisive: (usize, usize),
    /// The attempts, where there are several.
    pub(super) parts: Vec<Part>,
    /// An anonymous refusal was left out as an echo.
    pub(super) echo: bool,
    facts: Facts,
}

/// One attempt of several.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) clue: Clue,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) decides: bool,
}

/// What combining needs to know of an attempt beside its finding.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    anonymous: bool,
    blocked: bool,
}

/// Analyses the stretch `start..end` of the text.
pub(super) fn analyse(lexed: &Lexed<'_>, start: usize, end: usize) -> Analysis {
    within(lexed, start, end, DEPTH)
}

/// Analyses several lines of which each is a message of its own.
pub(super) fn lines(lexed: &Lexed<'_>, stretches: &[(usize, usize)]) -> Analysis {
    if let [(start, end)] = stretches {
        return analyse(lexed, *start, *end);
    }
    let parts: Vec<Analysis> = stretches
        .iter()
        .map(|(start, end)| analyse(lexed, *start, *end))
        .collect();
    join(parts, Role::Line, decide_lines)
}

fn within(lexed: &Lexed<'_>, start: usize, end: usize, depth: usize) -> Analysis {
    let split = attempts::split(lexed, start, end);
    if split.pieces.is_empty() || depth == 0 {
        return single(lexed, start, split.end);
    }
    let role = split
        .pieces
        .first()
        .map_or(Role::Line, |piece: &Piece| piece.role);
    let mut parts: Vec<Analysis> = split
        .pieces
        .iter()
        .map(|piece| within(lexed, piece.start, piece.end, depth - 1))
        .collect();
    let has_primary = split
        .pieces
        .last()
        .is_some_and(|piece| piece.role == Role::Primary);
    let mut analysis = match role {
        Role::Credential => {
            settle_credentials(&mut parts);
            join(parts, role, decide_credentials)
        }
        Role::Mirror => join(
            parts,
            role,
            if has_primary {
                decide_mirrors
            } else {
                furthest
            },
        ),
        Role::Search => join(parts, role, decide_search),
        _ => join(parts, role, furthest),
    };
    for (part, piece) in analysis.parts.iter_mut().zip(&split.pieces) {
        if piece.role == Role::Primary {
            part.role = Role::Primary;
        }
    }
    analysis.start = start;
    analysis.end = end;
    analysis
}

fn single(lexed: &Lexed<'_>, start: usize, end: usize) -> Analysis {
    let reading = Reading::new(lexed, start, end);
    let facts = Facts {
        anonymous: reading.any(&[
            Signal::TokenAnonymous,
            Signal::NoCredentials,
            Signal::Unauthenticated,
        ]),
        blocked: reading.has(Signal::RegistryBlocked),
    };
    Analysis {
        finding: judge(&reading),
        start,
        end,
        decisive: (start, end),
        parts: Vec::new(),
        echo: false,
        facts,
    }
}

/// What a choice among attempts says.
struct Choice {
    decides: usize,
    finding: Finding,
    echo: bool,
}

type Decide = fn(&[Analysis]) -> Option<Choice>;

/// Joins attempts by the rule of their role.
fn join(parts: Vec<Analysis>, role: Role, decide: Decide) -> Analysis {
    let chosen = decide(&parts);
    let (decides, finding, echo) = match chosen {
        Some(choice) => (choice.decides, choice.finding, choice.echo),
        None => (0, nothing(), false),
    };
    let summary = parts
        .iter()
        .enumerate()
        .map(|(at, part)| Part {
            role: if role == Role::Credential && part.facts.anonymous {
                Role::Anonymous
            } else {
                role
            },
            clue: part.finding.clue,
            start: part.start,
            end: part.end,
            decides: at == decides,
        })
        .collect();
    let start = parts.first().map_or(0, |part| part.start);
    let end = parts.last().map_or(0, |part| part.end);
    let decisive = parts
        .get(decides)
        .map_or((start, end), |part| part.decisive);
    let echo = echo || parts.iter().any(|part| part.echo);
    let inner = parts.into_iter().nth(decides);
    let facts = inner.as_ref().map(|part| part.facts).unwrap_or_default();
    // Of pasted lines the attempts within the deciding line are what matters.
    let parts = match inner {
        Some(line) if role == Role::Line && !line.parts.is_empty() => line.parts,
        _ => summary,
    };
    Analysis {
        finding,
        start,
        end,
        decisive,
        parts,
        echo,
        facts,
    }
}

fn nothing() -> Finding {
    Finding {
        clue: Clue::Unknown,
        also: Vec::new(),
        certain: false,
        stage: Stage::Kubelet,
        weight: Weight::Nothing,
    }
}

/// How far a pull got that ended so.
fn progress(finding: &Finding) -> u8 {
    match finding.clue {
        Clue::Unknown => 0,
        Clue::BackOffOnly => 1,
        Clue::InvalidReference | Clue::SecretMissing | Clue::SecretMalformed => 2,
        Clue::CredentialProviderFailed | Clue::AzureIdentityFailed => 3,
        Clue::RegistryUnavailable => 4,
        Clue::DnsServerFailed | Clue::DnsTimeout => 10,
        Clue::DnsNotFound => 11,
        Clue::ProxyFailed => 12,
        Clue::NetworkUnreachable | Clue::TcpTimeout => 20,
        Clue::TcpRefused => 21,
        Clue::ResponseTimeout | Clue::ConnectionReset => 25,
        Clue::HttpToHttps | Clue::HttpsToHttp | Clue::TlsHandshakeFailed => 28,
        Clue::TlsUnknownCa | Clue::TlsExpired | Clue::TlsNameMismatch => 30,
        Clue::TokenServiceFailed => 40,
        Clue::AuthRequiredNoCredentials => 44,
        Clue::CredentialsRejected | Clue::EcrTokenExpired => 45,
        Clue::FirewallDenied403 | Clue::Registry5xx | Clue::RateLimited | Clue::QuotaOrBilling => {
            50
        }
        Clue::ManifestOrAuthAmbiguous => 51,
        Clue::PermissionDenied => 52,
        Clue::RepositoryNotFound => 60,
        Clue::TagNotFound => 61,
        Clue::ManifestDigestNotFound => 62,
        Clue::UnsupportedManifest | Clue::MirrorMisconfigured => 70,
        Clue::PlatformMismatch => 75,
        Clue::BlobNotFound | Clue::RedirectOrStorageFailed => 80,
        Clue::TruncatedTransfer | Clue::BlobCorrupt | Clue::PullCancelled => 85,
        _ => 90,
    }
}

/// A refusal to let the caller in, or to say what is there.
fn is_refusal(clue: Clue) -> bool {
    matches!(
        clue,
        Clue::AuthRequiredNoCredentials
            | Clue::CredentialsRejected
            | Clue::PermissionDenied
            | Clue::ManifestOrAuthAmbiguous
    )
}

fn is_absence(clue: Clue) -> bool {
    matches!(
        clue,
        Clue::TagNotFound | Clue::RepositoryNotFound | Clue::ManifestDigestNotFound
    )
}

/// The network between here and there failed, whatever is there.
fn is_network(clue: Clue) -> bool {
    matches!(
        clue,
        Clue::DnsNotFound
            | Clue::DnsServerFailed
            | Clue::DnsTimeout
            | Clue::TcpRefused
            | Clue::TcpTimeout
            | Clue::NetworkUnreachable
            | Clue::ConnectionReset
            | Clue::ProxyFailed
            | Clue::ResponseTimeout
            | Clue::TlsHandshakeFailed
            | Clue::RegistryUnavailable
    )
}

/// The attempt among `among` that got furthest; the first of equals.
fn furthest_of(parts: &[Analysis], among: &[usize]) -> Option<usize> {
    let mut best: Option<(usize, u8)> = None;
    for at in among {
        let Some(part) = parts.get(*at) else { continue };
        let reached = progress(&part.finding);
        if best.is_none_or(|(_, most)| reached > most) {
            best = Some((*at, reached));
        }
    }
    best.map(|(at, _)| at)
}

/// The finding of one attempt, with the others' clues as other readings.
fn chosen(parts: &[Analysis], decides: usize, leave_out: impl Fn(usize) -> bool) -> Option<Choice> {
    let mut finding = parts.get(decides)?.finding.clone();
    let mut echo = false;
    for (at, part) in parts.iter().enumerate() {
        if at == decides || part.finding.clue == finding.clue {
            continue;
        }
        if leave_out(at) {
            echo = true;
            continue;
        }
        if part.finding.weight >= Weight::Hint {
            finding.certain = false;
            finding.admit(&[part.finding.clue]);
        }
    }
    Some(Choice {
        decides,
        finding,
        echo,
    })
}

fn furthest(parts: &[Analysis]) -> Option<Choice> {
    let all: Vec<usize> = (0..parts.len()).collect();
    chosen(parts, furthest_of(parts, &all)?, |_| false)
}

/// A bare 401 before an anonymous attempt was made with credentials: they were refused.
fn settle_credentials(parts: &mut [Analysis]) {
    let anonymous = parts.iter().any(|part| part.facts.anonymous);
    for part in parts.iter_mut() {
        if anonymous
            && !part.facts.anonymous
            && part.finding.clue == Clue::AuthRequiredNoCredentials
        {
            part.finding.clue = Clue::CredentialsRejected;
            part.finding.also = vec![Clue::AuthRequiredNoCredentials, Clue::PermissionDenied];
        }
    }
}

fn decide_credentials(parts: &[Analysis]) -> Option<Choice> {
    let last = parts.len().checked_sub(1)?;
    let is_echo = |at: usize| {
        parts.get(at).is_some_and(|part| {
            let refused = is_refusal(part.finding.clue);
            // The last attempt is the anonymous one, also where its words do not say so.
            refused
                && (part.facts.anonymous
                    || (at == last && parts.iter().any(|other| !is_refusal(other.finding.clue))))
        })
    };
    let mut among: Vec<usize> = (0..parts.len()).filter(|at| !is_echo(*at)).collect();
    if among.is_empty() {
        among = (0..parts.len()).collect();
    }
    let decides = furthest_of(parts, &among)?;
    chosen(parts, decides, is_echo)
}

fn decide_mirrors(parts: &[Analysis]) -> Option<Choice> {
    let primary = parts.len().checked_sub(1)?;
    let mirrors: Vec<usize> = (0..primary).collect();
    let part = parts.get(primary)?;
    let silent = part.finding.weight <= Weight::Hint && part.finding.clue == Clue::Unknown;
    let passes = is_network(part.finding.clue) || part.facts.blocked || silent;
    let mirror = furthest_of(parts, &mirrors).filter(|at| {
        parts
            .get(*at)
            .is_some_and(|m| m.finding.weight > Weight::Hint)
    });
    match mirror {
        Some(mirror) if passes => {
            let better = parts
                .get(mirror)
                .is_some_and(|m| !is_network(m.finding.clue) || !is_network(part.finding.clue));
            let decides = if better { mirror } else { primary };
            let mut choice = chosen(parts, decides, |_| false)?;
            if part.facts.blocked {
                choice.finding.admit(&[Clue::MirrorMisconfigured]);
            }
            if silent {
                choice.finding.admit(&part.finding.also);
            }
            Some(choice)
        }
        _ => chosen(parts, primary, |_| false),
    }
}

fn decide_search(parts: &[Analysis]) -> Option<Choice> {
    let all: Vec<usize> = (0..parts.len()).collect();
    let first = parts.first()?.finding.clue;
    let speak_of_absence = parts
        .iter()
        .all(|part| is_refusal(part.finding.clue) || is_absence(part.finding.clue));
    if parts.iter().all(|part| part.finding.clue == first) || !speak_of_absence {
        return chosen(parts, furthest_of(parts, &all)?, |_| false);
    }
    // The registries disagree: the image may be in any of them.
    let mut finding = Finding {
        clue: Clue::ManifestOrAuthAmbiguous,
        also: Vec::new(),
        certain: false,
        stage: Stage::Manifest,
        weight: Weight::Status,
    };
    for part in parts {
        finding.admit(&[part.finding.clue]);
    }
    let decides = parts
        .iter()
        .position(|part| is_refusal(part.finding.clue))
        .unwrap_or(0);
    Some(Choice {
        decides,
        finding,
        echo: false,
    })
}

fn decide_lines(parts: &[Analysis]) -> Option<Choice> {
    let names_cause =
        |part: &Analysis| part.finding.weight >= Weight::Hint && part.finding.clue != Clue::Unknown;
    let missing_secret = parts
        .iter()
        .rposition(|part| part.finding.clue == Clue::SecretMissing);
    let cause = parts
        .iter()
        .rposition(|part| names_cause(part) && part.finding.clue != Clue::SecretMissing);
    let decides = match (cause, missing_secret) {
        // The missing secret is why nobody was let in.
        (Some(cause), Some(secret))
            if parts
                .get(cause)
                .is_some_and(|part| is_refusal(part.finding.clue)) =>
        {
            secret
        }
        (Some(cause), _) => cause,
        (None, Some(secret)) => secret,
        (None, None) => parts
            .iter()
            .rposition(|part| part.finding.weight >= Weight::Hint)
            .or_else(|| {
                parts
                    .iter()
                    .rposition(|part| part.finding.clue == Clue::BackOffOnly)
            })
            .unwrap_or(0),
    };
    chosen(parts, decides, |_| false)
}
