//! A world in which a cause is made to happen: a registry, a network, a cluster, and the question.
//!
//! A test describes it in a few lines, changes one thing, and asks once. The checker is handed what a
//! user hands it: a client for the cluster, places to look from, a token for Azure where the test
//! says that the user has one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use fake_registry::{Builder, Clock, FakeRegistry, Principal};
use jiff::{SignedDuration, Timestamp};
use pullcheck::check::{Request, Settings, WorkloadKind, check_with};
use pullcheck::keyring::Secret as Hidden;
use pullcheck::report::Report;
use pullcheck::world::{Arm, FixedToken, Place, Proxies, Trust, Vantage, WallClock, World};

use crate::api::{Cluster, NOW, Node, Pod, Secret};
use crate::net::{Acceptor, Fate, Map, Record, View, ip};

pub(crate) const NODE: &str = "node-1";
pub(crate) const OTHER: &str = "node-2";
pub(crate) const HERE: &str = "workstation";
/// Where the instance metadata service is.
pub(crate) const METADATA: &str = "169.254.169.254";

/// The clock of a place, with what it is wrong by.
struct PlaceClock(Clock, SignedDuration);

impl WallClock for PlaceClock {
    fn now(&self) -> Timestamp {
        self.0.now() + self.1
    }
}

pub(crate) fn clock() -> Clock {
    Clock::starting_at(NOW.parse().expect("a date"))
}

/// A registry that is built with the clock of the test and one seed.
pub(crate) fn registry(with: impl FnOnce(Builder) -> Builder) -> FakeRegistry {
    with(FakeRegistry::builder().clock(clock()).seed(1))
        .build()
        .expect("a registry")
}

/// An open registry `registry.example` with two tags of one image.
pub(crate) fn open() -> FakeRegistry {
    registry(|with| {
        with.image(
            "registry.example",
            "shop/api:1.8 linux/amd64,linux/arm64 2x1KiB",
        )
        .image(
            "registry.example",
            "shop/api:1.9 linux/amd64,linux/arm64 2x1KiB",
        )
    })
}

pub(crate) struct Lab {
    pub(crate) fake: FakeRegistry,
    map: Map,
    names: BTreeMap<&'static str, BTreeMap<String, Record>>,
    fates: BTreeMap<&'static str, BTreeMap<IpAddr, Fate>>,
    proxies: BTreeMap<&'static str, Proxies>,
    /// Nodes that the checker can look from.
    places: Vec<&'static str>,
    pub(crate) cluster: Cluster,
    trusts: bool,
    skew: SignedDuration,
    arm: Option<&'static str>,
    pub(crate) settings: Settings,
}

impl Lab {
    /// Every host of the registry has a public address; nothing is wrong yet.
    pub(crate) fn new(fake: FakeRegistry) -> Self {
        let mut names = BTreeMap::new();
        let mut registry = vec![ip(METADATA)];
        for (at, host) in fake.hosts().into_iter().enumerate() {
            let address = ip(&format!("203.0.113.{}", at + 1));
            names.insert(host, Record::At(vec![address]));
            registry.push(address);
        }
        Self {
            map: Map {
                fake: fake.clone(),
                names,
                servers: BTreeMap::new(),
                registry,
            },
            fake,
            names: BTreeMap::new(),
            fates: BTreeMap::new(),
            proxies: BTreeMap::new(),
            places: vec![NODE],
            cluster: Cluster::default(),
            trusts: true,
            skew: SignedDuration::ZERO,
            arm: None,
            settings: Settings::default(),
        }
    }

    /// The address of a host of the registry.
    pub(crate) fn address(&self, host: &str) -> IpAddr {
        let first = match self.map.names.get(host) {
            Some(Record::At(addresses)) => addresses.first().copied(),
            _ => None,
        };
        first.unwrap_or_else(|| panic!("{host} is no host of the registry"))
    }

    /// What everybody is told about a name.
    pub(crate) fn name(mut self, name: &str, record: Record) -> Self {
        self.map.names.insert(name.into(), record);
        self
    }

    /// The registry answers at this address, too.
    pub(crate) fn also_at(mut self, host: &str, address: &str) -> Self {
        self.map.registry.push(ip(address));
        self.name(host, Record::at(&[address]))
    }

    /// What one place is told about a name.
    pub(crate) fn name_at(mut self, place: &'static str, name: &str, record: Record) -> Self {
        let of = self.names.entry(place).or_default();
        of.insert(name.into(), record);
        self
    }

    /// What becomes of connections from one place to an address.
    pub(crate) fn fate(mut self, place: &'static str, to: IpAddr, fate: Fate) -> Self {
        self.fates.entry(place).or_default().insert(to, fate);
        self
    }

    /// The same from everywhere.
    pub(crate) fn fate_of_all(self, to: IpAddr, fate: Fate) -> Self {
        self.fate(NODE, to, fate)
            .fate(OTHER, to, fate)
            .fate(HERE, to, fate)
    }

    pub(crate) fn server(mut self, at: &str, acceptor: Acceptor) -> Self {
        let at: SocketAddr = at.parse().expect("an address with a port");
        self.map.servers.insert(at, acceptor);
        self
    }

    pub(crate) fn proxy(mut self, place: &'static str, url: &str) -> Self {
        self.proxies
            .insert(place, Proxies::new(Some(url), Some(url), None));
        self
    }

    /// The checker can look from no node.
    pub(crate) fn without_nodes(mut self) -> Self {
        self.places.clear();
        self
    }

    /// A second node that the checker can look from.
    pub(crate) fn other_node(mut self) -> Self {
        self.places.push(OTHER);
        self
    }

    /// The authority of the registry is trusted nowhere.
    pub(crate) fn distrusted(mut self) -> Self {
        self.trusts = false;
        self
    }

    /// The clocks of all places are wrong by so much.
    pub(crate) fn wrong_clock(mut self, by: SignedDuration) -> Self {
        self.skew = by;
        self
    }

    /// The user has a token of this user for Azure Resource Manager.
    pub(crate) fn with_arm(mut self, user: &'static str) -> Self {
        self.arm = Some(user);
        self
    }

    pub(crate) fn node(mut self, name: &str, node: Node) -> Self {
        self.cluster.nodes.insert(name.into(), node);
        self
    }

    pub(crate) fn secret(mut self, secret: Secret) -> Self {
        self.cluster.secrets.push(secret);
        self
    }

    pub(crate) fn pod(mut self, pod: Pod) -> Self {
        let provider = self.fake.azure().provider_id(pod.node).ok();
        let node = self.cluster.nodes.entry(pod.node.into()).or_default();
        node.provider = node.provider.take().or(provider);
        self.cluster.pods.push(pod);
        self
    }

    /// One pod: failing with `text` where the world is broken, else running.
    pub(crate) fn told(self, broken: bool, image: &str, text: &str) -> Self {
        self.pod(if broken {
            Pod::fails(NODE, image, text)
        } else {
            Pod::runs(NODE, image)
        })
    }

    fn place(&self, who: &'static str, map: &Arc<Map>, number: usize) -> Place {
        let vantage = if who == HERE {
            Vantage::Workstation
        } else {
            Vantage::node(who)
        };
        let mut fates = self.fates.get(who).cloned().unwrap_or_default();
        if who == HERE {
            fates.insert(ip(METADATA), Fate::NoRoute);
        }
        let view = View {
            who: who.into(),
            address: format!("20.1.0.{}:40000", number + 5)
                .parse()
                .expect("an address"),
            map: Arc::clone(map),
            names: self.names.get(who).cloned().unwrap_or_default(),
            fates,
        };
        let roots = self.trusts.then(|| self.fake.ca_der());
        let place = Place::new(vantage, Arc::new(view), Trust::roots(roots));
        match self.proxies.get(who) {
            Some(proxies) => place.with_proxies(proxies.clone()),
            None => place,
        }
    }

    fn world(&self) -> World {
        let map = Arc::new(self.map.clone());
        let places = self.places.iter().enumerate();
        let nodes: Vec<Place> = places
            .map(|(number, who)| self.place(who, &map, number))
            .collect();
        let clock = PlaceClock(self.fake.clock(), self.skew);
        let mut world = World::new(Arc::new(clock), self.place(HERE, &map, 100)).with_nodes(nodes);
        if let Some(user) = self.arm {
            let id = self.fake.azure().object_id(&Principal::user(user));
            let token = self.fake.arm_token(&id.expect("a user of the tenant"));
            world = world.with_arm(Arm::new(Arc::new(FixedToken(Hidden::new(token)))));
        }
        world
    }

    /// Asks about the Deployment `api`.
    pub(crate) async fn check(self) -> Report {
        let world = self.world().with_cluster(self.cluster.clone().client());
        let request = Request::Workload {
            kind: WorkloadKind::Deployment,
            namespace: crate::api::NAMESPACE.into(),
            name: "api".into(),
        };
        check_with(&world, &request, &self.settings).await
    }
}
