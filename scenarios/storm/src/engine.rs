//! The storm: nodes, requests and transfers, one event after the other.
//!
//! Decisions are the full simulation's own steps. What a pull asks for, and in which order, is what its
//! runtime does: the tag, what is behind it, the platform's manifest, the config, the layers three at a
//! time; where a registry wants a token, one for resolving and one for fetching. Small documents take
//! their time on the way, layers their share of the line as well.

use std::time::Duration;

use fake_registry::Window;
use sim_cluster::clock::{Generator, Seed};
use sim_cluster::credential;
use sim_cluster::events::limit::TokenBucket;
use sim_cluster::kubelet::back_off::Failure;
use sim_cluster::kubelet::puller::PullQueue;
use sim_cluster::kubelet::timing;
use sim_cluster::runtime::steps;

use crate::events::{Ask, Event, Events, PullId, What};
use crate::link::Link;
use crate::mirror::{Mirror, Served};
use crate::outcome::{Second, Storm};
use crate::plan::{Auth, Plan, PlanError};

/// The window of a registry's quota, in seconds.
const MINUTE: u64 = 60;
/// Round trips of a new connection: name, TCP, TLS.
const CONNECT: u64 = 3;
const TOO_MANY_REQUESTS: u16 = 429;

/// Plays a plan to its end: until all nodes are done, or the horizon.
pub fn run(plan: &Plan) -> Result<Storm, PlanError> {
    plan.check()?;
    let mut engine = Engine::new(plan);
    engine.begin();
    engine.play();
    Ok(engine.finish())
}

/// Bytes on their way.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Transfer {
    /// A layer to a node, which cannot have it before its own line lets it.
    Node {
        pull: PullId,
        attempt: u32,
        not_before: u64,
    },
    /// A layer to a mirror.
    Mirror {
        mirror: usize,
        image: u32,
        layer: u16,
    },
}

#[derive(Debug, Clone, Default)]
struct Pull {
    failure: Option<Failure>,
    /// Counts its failed attempts; what belongs to an older one does not happen.
    attempt: u32,
    next_layer: u16,
    layers_there: u16,
    /// Its transfers on a line.
    moving: u16,
}

#[derive(Debug)]
struct Node {
    queue: PullQueue<PullId>,
    rate: Option<TokenBucket>,
    /// Its looks at the work queue are whole seconds after this.
    phase: u64,
    signed_in_until: u64,
    left: u32,
    moving: u32,
    hit: bool,
}

struct Engine<'a> {
    plan: &'a Plan,
    latency: u64,
    layers: u16,
    chance: Generator,
    events: Events,
    nodes: Vec<Node>,
    pulls: Vec<Pull>,
    registry: Link<Transfer>,
    mirrors: Vec<Mirror>,
    reads: Window,
    tokens: Window,
    done: Vec<u64>,
    storm: Storm,
}

impl<'a> Engine<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mirror = || Mirror::new(plan.mirror_bandwidth, plan.images, plan.layers);
        Self {
            plan,
            latency: nanos(plan.latency),
            layers: u16::try_from(plan.layers).unwrap_or(u16::MAX),
            chance: Seed::new(plan.seed).generator("storm"),
            events: Events::default(),
            nodes: Vec::with_capacity(plan.nodes as usize),
            pulls: vec![Pull::default(); plan.nodes as usize * plan.images as usize],
            registry: Link::new(plan.registry.bandwidth),
            mirrors: (0..plan.mirrors).map(|_| mirror()).collect(),
            reads: Window::default(),
            tokens: Window::default(),
            done: Vec::with_capacity(plan.nodes as usize),
            storm: Storm {
                nodes: plan.nodes,
                done: Vec::new(),
                requests: 0,
                sign_in: 0,
                refused: 0,
                mirrored: 0,
                failed_pulls: 0,
                over_qps: 0,
                nodes_hit: 0,
                most_failures: 0,
                events: 0,
                seconds: Vec::new(),
            },
        }
    }

    /// The pods are bound to their nodes; each kubelet makes the sandbox and then wants the image.
    fn begin(&mut self) {
        let spread = nanos(self.plan.spread);
        for node in 0..self.plan.nodes {
            let start = self.chance.below(spread.max(1));
            let phase = self.chance.below(1000) * 1_000_000;
            let rate = (self.plan.qps > 0.0)
                .then(|| TokenBucket::new(self.plan.qps, self.plan.burst, Duration::ZERO));
            self.nodes.push(Node {
                queue: PullQueue::new(self.plan.serial),
                rate,
                phase,
                signed_in_until: 0,
                left: self.plan.images,
                moving: 0,
                hit: false,
            });
            for image in 0..self.plan.images {
                let sandbox =
                    timing::NETWORK.draw(&mut self.chance) + timing::SANDBOX.draw(&mut self.chance);
                let pull = node * self.plan.images + image;
                self.later(start + nanos(sandbox), pull, What::Sync);
            }
        }
    }

    fn play(&mut self) {
        let horizon = nanos(self.plan.horizon);
        while self.done.len() < self.nodes.len() {
            let line = self.next_line();
            let event = self.events.next();
            let Some(now) = [line.map(|(at, _)| at), event].into_iter().flatten().min() else {
                break;
            };
            if now > horizon {
                break;
            }
            self.storm.events += 1;
            match line {
                Some((at, which)) if at == now && event != Some(now) => self.arrived(now, which),
                _ => {
                    if let Some((now, event)) = self.events.pop() {
                        self.happens(now, event);
                    }
                }
            }
        }
    }

    /// The line on which a transfer ends next: the registry's, or a mirror's.
    fn next_line(&self) -> Option<(u64, Option<usize>)> {
        let registry = self.registry.next().map(|at| (at, None));
        let mirrors = self.mirrors.iter().enumerate();
        let mirrors = mirrors.filter_map(|(n, mirror)| Some((mirror.link.next()?, Some(n))));
        registry.into_iter().chain(mirrors).min()
    }

    /// A line has transfers that have ended.
    fn arrived(&mut self, now: u64, which: Option<usize>) {
        loop {
            let pulls = &self.pulls;
            let counts = |transfer: &Transfer| match transfer {
                Transfer::Node { pull, attempt, .. } => pulls
                    .get(*pull as usize)
                    .is_some_and(|pull| pull.attempt == *attempt),
                Transfer::Mirror { .. } => true,
            };
            let link = match which {
                None => Some(&mut self.registry),
                Some(n) => self.mirrors.get_mut(n).map(|mirror| &mut mirror.link),
            };
            match link.and_then(|link| link.take(now, counts)) {
                None => return,
                Some(transfer) => self.landed(now, transfer),
            }
        }
    }

    fn landed(&mut self, now: u64, transfer: Transfer) {
        match transfer {
            Transfer::Node {
                pull,
                attempt,
                not_before,
            } => {
                let at = now.max(not_before) + self.latency;
                if let Some(state) = self.pulls.get_mut(pull as usize)
                    && state.attempt == attempt
                {
                    state.moving = state.moving.saturating_sub(1);
                    if let Some(node) = self.node(pull) {
                        node.moving = node.moving.saturating_sub(1);
                    }
                    self.later(at, pull, What::Layer);
                }
            }
            Transfer::Mirror {
                mirror,
                image,
                layer,
            } => {
                let waiting = self.mirrors.get_mut(mirror);
                let waiting = waiting.map(|m| m.came(image, Ask::Layer(layer)));
                for event in waiting.unwrap_or_default() {
                    if self.current(&event) {
                        self.send_layer(now, event.pull, Some(mirror));
                    }
                }
            }
        }
    }

    fn current(&self, event: &Event) -> bool {
        self.pulls
            .get(event.pull as usize)
            .is_some_and(|pull| pull.attempt == event.attempt)
    }

    fn happens(&mut self, now: u64, event: Event) {
        if !self.current(&event) {
            return;
        }
        let pull = event.pull;
        match event.what {
            What::Sync => self.sync(now, pull),
            What::Exchange => self.exchange(now, pull),
            What::Token(ask) => self.token(now, pull, ask),
            What::Request { ask, sent } => self.request(now, event, ask, sent),
            What::Layer => self.layer(now, pull),
            What::Unpacked => self.unpacked(now, pull),
            What::Failed => self.fail(now, pull),
        }
    }

    /// The kubelet looks at a pod whose image is missing.
    fn sync(&mut self, now: u64, pull: PullId) {
        let turn = self.node(pull).and_then(|node| node.queue.enter(pull));
        if turn.is_some() {
            self.start(now, pull);
        }
    }

    /// The next look that finds the back-off over; those before it do nothing but say so.
    fn sync_again(&mut self, now: u64, pull: PullId) {
        let phase = self.node(pull).map_or(0, |node| node.phase);
        let failure = self.pulls.get(pull as usize).and_then(|p| p.failure);
        let mut at = now;
        loop {
            let due = at + nanos(timing::sync_delay(&mut self.chance, true));
            let since = duration(due.saturating_sub(phase));
            at = phase + nanos(timing::whole_seconds(since));
            if failure.is_none_or(|failure| failure.remaining(duration(at)).is_none()) {
                break;
            }
        }
        self.later(at, pull, What::Sync);
    }

    /// Its turn has come.
    fn start(&mut self, now: u64, pull: PullId) {
        let admitted = self.node(pull).is_none_or(|node| {
            node.rate
                .as_mut()
                .is_none_or(|rate| rate.try_take(duration(now)))
        });
        if !admitted {
            self.storm.over_qps += 1;
            self.fail(now, pull);
            return;
        }
        if let Some(state) = self.pulls.get_mut(pull as usize) {
            state.next_layer = 0;
            state.layers_there = 0;
        }
        let signed_in = self
            .node(pull)
            .is_none_or(|node| node.signed_in_until > now);
        if self.plan.auth == Auth::Acr && !signed_in {
            let at = now + self.latency * (2 * CONNECT + 1);
            self.later(at, pull, What::Exchange);
        } else {
            self.ask(now + self.latency * 2 * CONNECT, pull, Ask::Tag);
        }
    }

    /// The first request of an exchange leaves the node. Tag and content are asked for by two authorizers,
    /// each of which has to be challenged before it fetches a token.
    fn ask(&mut self, now: u64, pull: PullId, ask: Ask) {
        if self.plan.auth != Auth::Open && matches!(ask, Ask::Tag | Ask::Top) {
            self.later(now + 3 * self.latency, pull, What::Token(ask));
        } else {
            self.later(now + self.latency, pull, What::Request { ask, sent: 1 });
        }
    }

    fn exchange(&mut self, now: u64, pull: PullId) {
        self.storm.sign_in += 1;
        if self.sign_in_refused(now) {
            // Without a credential the kubelet asks as nobody: challenge, and a token for nothing.
            for _ in 0..2 {
                self.storm.sign_in += 1;
                self.count(now, false);
            }
            self.later(now + 5 * self.latency, pull, What::Failed);
            return;
        }
        if let Some(node) = self.node(pull) {
            node.signed_in_until = now + nanos(credential::CACHE);
        }
        self.ask(now + self.latency, pull, Ask::Tag);
    }

    fn token(&mut self, now: u64, pull: PullId, ask: Ask) {
        // The request that was challenged, and the one for the token.
        self.storm.sign_in += 2;
        self.count(now, false);
        if self.sign_in_refused(now) {
            self.later(now + self.latency, pull, What::Failed);
        } else {
            let what = What::Request { ask, sent: 2 };
            self.later(now + 2 * self.latency, pull, what);
        }
    }

    fn sign_in_refused(&mut self, now: u64) -> bool {
        let refused = over(&mut self.tokens, self.plan.registry.tokens_a_minute, 0, now);
        self.count(now, refused);
        refused
    }

    /// Counts a read that reaches the registry; whether it refuses.
    fn read_refused(&mut self, now: u64) -> bool {
        let registry = &self.plan.registry;
        let refused = over(
            &mut self.reads,
            registry.reads_a_minute,
            registry.others,
            now,
        );
        self.count(now, refused);
        refused
    }

    fn count(&mut self, now: u64, refused: bool) {
        let second = (now / 1_000_000_000) as usize;
        if self.storm.seconds.len() <= second {
            self.storm.seconds.resize(second + 1, Second::default());
        }
        if let Some(second) = self.storm.seconds.get_mut(second) {
            second.answered += u32::from(!refused);
            second.refused += u32::from(refused);
        }
        self.storm.requests += 1;
        self.storm.refused += u64::from(refused);
    }

    /// A request reaches the registry, or the mirror in front of it.
    fn request(&mut self, now: u64, event: Event, ask: Ask, sent: u8) {
        let pull = event.pull;
        let (node, image) = (pull / self.plan.images, pull % self.plan.images);
        let which = node.checked_rem(self.plan.mirrors).map(|n| n as usize);
        let (mut now, mut refused) = (now, false);
        if let Some(n) = which
            && let Some(mirror) = self.mirrors.get_mut(n)
        {
            self.storm.mirrored += 1;
            match mirror.ask(image, ask, event) {
                Served::Now => {}
                Served::Waits => return,
                Served::Upstream => {
                    let has = mirror.has(image, ask);
                    now += self.latency;
                    refused = self.read_refused(now) && !has;
                    now += self.latency;
                    if !refused && self.fetched(now, n, image, ask, event) {
                        return;
                    }
                }
            }
        } else {
            refused = self.read_refused(now);
        }
        if refused {
            self.again(now, pull, ask, sent, which.is_none());
            return;
        }
        let back = now + self.latency;
        match ask {
            Ask::Tag => self.ask(back, pull, Ask::Top),
            Ask::Top if self.plan.index => self.ask(back, pull, Ask::Manifest),
            Ask::Top | Ask::Manifest => self.ask(back, pull, Ask::Config),
            Ask::Config => self.layers(back, pull),
            Ask::Layer(_) => self.send_layer(now, pull, which),
        }
    }

    /// A request was refused: containerd repeats it at once, and gives up after a few. A window that is full
    /// stays full, so the repetitions that fall into it need no event each; layers do, since the failure of
    /// one ends the others.
    fn again(&mut self, mut now: u64, pull: PullId, ask: Ask, mut sent: u8, direct: bool) {
        let minute = |at: u64| at / (MINUTE * 1_000_000_000);
        let alone = direct && !matches!(ask, Ask::Layer(_));
        while usize::from(sent) < steps::MOST_REQUESTS && steps::repeats_at_once(TOO_MANY_REQUESTS)
        {
            let next = now + 2 * self.latency;
            sent += 1;
            if !alone || minute(next) != minute(now) {
                self.later(next, pull, What::Request { ask, sent });
                return;
            }
            now = next;
            self.count(now, true);
        }
        self.later(now + self.latency, pull, What::Failed);
    }

    /// The registry has answered a mirror. Layers come over the line; what is small is there. Whether the
    /// request waits.
    fn fetched(&mut self, now: u64, n: usize, image: u32, ask: Ask, event: Event) -> bool {
        let Some(mirror) = self.mirrors.get_mut(n) else {
            return false;
        };
        if let Ask::Layer(layer) = ask {
            mirror.comes(image, ask, event);
            let transfer = Transfer::Mirror {
                mirror: n,
                image,
                layer,
            };
            let number = self.events.number();
            let bytes = self.plan.layer_bytes;
            if let Some(transfer) = self.registry.start(now, number, bytes, transfer) {
                self.landed(now, transfer);
            }
            return true;
        }
        if ask != Ask::Tag {
            mirror.came(image, ask);
        }
        false
    }

    /// The first layers, as many at once as containerd fetches; all but one on new connections.
    fn layers(&mut self, now: u64, pull: PullId) {
        let first = self.layers.min(steps::PARALLEL_LAYERS as u16);
        if let Some(state) = self.pulls.get_mut(pull as usize) {
            state.next_layer = first;
        }
        for layer in 0..first {
            let connect = if layer == 0 { 0 } else { 2 * CONNECT };
            let at = now + self.latency * connect;
            self.ask(at, pull, Ask::Layer(layer));
        }
    }

    /// A layer's bytes start to flow to a node.
    fn send_layer(&mut self, now: u64, pull: PullId, mirror: Option<usize>) {
        let bytes = self.plan.layer_bytes;
        let bandwidth = self.plan.node_bandwidth;
        let mut not_before = now;
        if let Some(node) = self.node(pull) {
            node.moving += 1;
            if let Some(bandwidth) = bandwidth {
                let share = u128::from(bytes) * u128::from(node.moving) * 1_000_000_000;
                let takes = share / u128::from(bandwidth.max(1));
                not_before += u64::try_from(takes).unwrap_or(u64::MAX / 4);
            }
        }
        let Some(state) = self.pulls.get_mut(pull as usize) else {
            return;
        };
        state.moving += 1;
        let transfer = Transfer::Node {
            pull,
            attempt: state.attempt,
            not_before,
        };
        let number = self.events.number();
        let link = match mirror.and_then(|n| self.mirrors.get_mut(n)) {
            Some(mirror) => &mut mirror.link,
            None => &mut self.registry,
        };
        if let Some(transfer) = link.start(now, number, bytes, transfer) {
            self.landed(now, transfer);
        }
    }

    /// A layer is there: the next one, or unpacking.
    fn layer(&mut self, now: u64, pull: PullId) {
        let layers = self.layers;
        let Some(state) = self.pulls.get_mut(pull as usize) else {
            return;
        };
        state.layers_there += 1;
        if state.next_layer < layers {
            let layer = state.next_layer;
            state.next_layer += 1;
            self.ask(now, pull, Ask::Layer(layer));
        } else if state.layers_there == layers {
            let unpacking = steps::unpacking(self.plan.layer_bytes) * u32::from(layers);
            self.later(now + nanos(unpacking), pull, What::Unpacked);
        }
    }

    fn unpacked(&mut self, now: u64, pull: PullId) {
        self.leave(now, pull);
        let start = timing::CREATE.draw(&mut self.chance) + timing::START.draw(&mut self.chance);
        let done = self.node(pull).is_some_and(|node| {
            node.left = node.left.saturating_sub(1);
            node.left == 0
        });
        if done {
            self.done.push(now + nanos(start));
        }
    }

    /// An attempt failed: what else it had under way is given up, and the kubelet backs off.
    fn fail(&mut self, now: u64, pull: PullId) {
        let n = self.plan.mirrors;
        let which = (pull / self.plan.images).checked_rem(n).map(|n| n as usize);
        let Some(state) = self.pulls.get_mut(pull as usize) else {
            return;
        };
        state.attempt += 1;
        state.failure = Some(Failure::after(state.failure, duration(now)));
        let (moving, failures) = (std::mem::take(&mut state.moving), state.attempt);
        let link = match which.and_then(|n| self.mirrors.get_mut(n)) {
            Some(mirror) => &mut mirror.link,
            None => &mut self.registry,
        };
        for _ in 0..moving {
            link.give_up(now);
        }
        self.storm.failed_pulls += 1;
        self.storm.most_failures = self.storm.most_failures.max(failures);
        let newly = self.node(pull).is_some_and(|node| {
            node.moving = node.moving.saturating_sub(u32::from(moving));
            !std::mem::replace(&mut node.hit, true)
        });
        self.storm.nodes_hit += u32::from(newly);
        self.sync_again(now, pull);
        self.leave(now, pull);
    }

    /// The node's next pull has its turn.
    fn leave(&mut self, now: u64, pull: PullId) {
        if let Some(next) = self.node(pull).and_then(|node| node.queue.leave()) {
            self.start(now, next);
        }
    }

    fn node(&mut self, pull: PullId) -> Option<&mut Node> {
        self.nodes.get_mut((pull / self.plan.images) as usize)
    }

    fn later(&mut self, at: u64, pull: PullId, what: What) {
        if let Some(state) = self.pulls.get(pull as usize) {
            let attempt = state.attempt;
            self.events.push(
                at,
                Event {
                    pull,
                    attempt,
                    what,
                },
            );
        }
    }

    fn finish(mut self) -> Storm {
        self.done.sort_unstable();
        self.storm.done = self.done.into_iter().map(duration).collect();
        self.storm
    }
}

/// Counts one more against a quota of which others have their share; whether it is too many.
fn over(window: &mut Window, limit: Option<u64>, others: u64, now: u64) -> bool {
    let Some(limit) = limit else {
        return false;
    };
    let limit = limit.saturating_sub(others);
    let refused = window.refuses(limit, MINUTE, duration(now)).is_some();
    if !refused {
        window.count(MINUTE, duration(now));
    }
    refused
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

fn duration(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}
