//! Batches: so many requests of one kind, one end, one protocol.

use crate::client::{Client, Protocol};
use crate::frames::Frames;
use crate::gate::Gate;
use crate::install::Watched;
use crate::kind::Kind;
use crate::serve::{Address, Flavour, Server};
use crate::table::{End, Table, Wanted, counted};
use crate::{PATIENCE, comes};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redhanded::Redhanded;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

/// What a run of the whole matrix is made of, unless `REDHANDED_LIVES_REQUESTS` says otherwise.
const REQUESTS: u64 = 100_000;

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={value:?} is not a whole number")))
}

/// What chance begins with: `REDHANDED_SEED`, or another number in every run.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| variable("REDHANDED_SEED").unwrap_or_else(rand::random))
}

/// `requests` of a whole run, or the same part of a smaller or greater one; at least two.
pub fn scale(requests: u64) -> u64 {
    static ALL: OnceLock<u64> = OnceLock::new();
    let all = ALL.get_or_init(|| variable("REDHANDED_LIVES_REQUESTS").unwrap_or(REQUESTS));
    (requests * all).div_ceil(REQUESTS).max(2)
}

/// Chance that can be repeated.
#[derive(Debug)]
pub struct Chance(SmallRng);

impl Chance {
    /// The chance of this name under the seed of the run.
    pub fn of(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed(), name).hash(&mut hasher);
        Self(SmallRng::seed_from_u64(hasher.finish()))
    }

    /// One of these.
    pub fn among(&mut self, range: Range<u64>) -> u64 {
        self.0.random_range(range)
    }

    /// Yes, once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.among(0..times) == 0
    }

    /// Another one that begins here.
    pub fn fork(&mut self) -> Self {
        Self(SmallRng::seed_from_u64(self.0.random()))
    }
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// It closes its connection in good order.
    Close,
    /// It resets its connection.
    Reset,
    /// It resets the stream of HTTP/2 and goes on with the connection.
    Stream,
}

/// One install, its server, and what is known of them.
#[derive(Debug)]
pub struct Lane {
    /// The install.
    pub watched: Watched,
    /// Where handlers say that they hang.
    pub gate: Gate,
    /// The server that runs all the while.
    pub server: Server,
    /// This lane's chance.
    pub chance: Chance,
    name: String,
    /// Whether the connections of its servers are watched.
    pub proved: bool,
    table: Arc<Table>,
    before: [u64; 5],
}

impl Lane {
    /// A lane with a server of this flavour, whose connections are watched or not.
    pub async fn new(flavour: Flavour, proved: bool, table: &Arc<Table>) -> Self {
        let watching = if proved { "watching " } else { "" };
        let name = format!("{watching}{flavour:?}").to_lowercase();
        // Short, so that some of what hangs is caught and its slot kept: both lives are lived.
        let watched = Watched::new(&name, Duration::from_millis(100));
        let gate = Gate::default();
        let server = Server::start(flavour, proved, &watched, &gate).await;
        Self {
            chance: Chance::of(&name),
            before: counted(&watched.redhanded.stats().ended),
            watched,
            gate,
            server,
            name,
            proved,
            table: table.clone(),
        }
    }

    /// How many requests had ended at the last settlement.
    pub fn ended(&self) -> u64 {
        self.before.iter().sum()
    }

    /// Where the server listens.
    pub fn address(&self) -> Address {
        self.server.address.clone()
    }

    /// Waits until nothing is in flight, and compares how requests ended since the last time with
    /// how they should have.
    ///
    /// # Panics
    ///
    /// If a slot is leaked: nothing that follows would be right.
    pub async fn settle(&mut self, kind: &str, wanted: Wanted) {
        let redhanded = &self.watched.redhanded;
        let empty = comes(|| redhanded.in_flight() == 0).await;
        let stats = redhanded.stats();
        let after = counted(&stats.ended);
        let got: [u64; 5] = std::array::from_fn(|way| after[way] - self.before[way]);
        self.before = after;
        let expected = wanted.ends(self.proved);
        let batch = format!("{}: {kind}", self.name);
        if !empty {
            let leaked = redhanded.in_flight() as u64;
            self.table.leaked(leaked);
            self.table.wrong(format!("{batch}: {leaked} slots leaked"));
        }
        if got != expected {
            self.table.wrong(format!(
                "{batch}: wanted {expected:?}, got {got:?} (completed, dropped, client gone, cancelled, panicked)"
            ));
        }
        if stats.unwatched + stats.internal_errors > 0 {
            self.table.wrong(format!("{batch}: {stats:?}"));
        }
        self.table.add(kind, &wanted);
        assert!(empty, "{}", self.table);
    }

    /// What a client has to complain of stands in the table, too.
    fn done(&self, kind: &str, done: Option<Result<(), JoinError>>) {
        let Some(Err(error)) = done else { return };
        let why = match error.try_into_panic() {
            Ok(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        self.table.wrong(format!("{}: {kind}: {why}", self.name));
    }

    /// `count` requests over several connections, each with a whole answer.
    pub async fn whole(&mut self, kind: &Kind, protocol: Protocol, count: u64, end: End) {
        let mut tasks = JoinSet::new();
        let connections = if kind.alone {
            count
        } else {
            self.chance.among(1..9).min(count)
        };
        for at in 0..connections {
            let share = count / connections + u64::from(at < count % connections);
            let (address, kind) = (self.address(), *kind);
            let chance = self.chance.fork();
            tasks.spawn(async move {
                match protocol {
                    Protocol::H1 => one_by_one(address, kind, share, chance).await,
                    Protocol::H2 => side_by_side(address, kind, share, chance).await,
                }
            });
            // As many connections at once as a client may have
            if tasks.len() >= 32 {
                self.done(kind.name, tasks.join_next().await);
            }
        }
        let name = format!("{} {protocol:?}", kind.name);
        while let Some(done) = tasks.join_next().await {
            self.done(&name, Some(done));
        }
        self.settle(&name, Wanted::of(end, count)).await;
    }

    /// `count` requests, each on a connection of its own, whose clients hear no good end.
    pub async fn broken(&mut self, kind: &Kind, protocol: Protocol, count: u64, end: End) {
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (address, request) = (self.address(), kind.request(&mut self.chance));
            let name = kind.name;
            tasks.spawn(async move {
                let mut client = Client::connect(&address, protocol, false).await;
                let answer = timeout(PATIENCE, read(client.send(request))).await;
                let answer = answer.unwrap_or_else(|_| panic!("{name}: no answer"));
                assert!(answer.is_err(), "{name}: a whole answer: {answer:?}");
            });
            if tasks.len() >= 32 {
                self.done(kind.name, tasks.join_next().await);
            }
        }
        let name = format!("{} {protocol:?}", kind.name);
        while let Some(done) = tasks.join_next().await {
            self.done(&name, Some(done));
        }
        self.settle(&name, Wanted::of(end, count)).await;
    }

    /// `count` requests that hang until their client leaves them.
    pub async fn left(&mut self, kind: &Kind, protocol: Protocol, leaves: Leaves, count: u64) {
        let end = if leaves == Leaves::Stream {
            End::Reset
        } else {
            End::Gone
        };
        self.left_with(kind, protocol, leaves, count, end).await;
    }

    /// The same, with another end.
    pub async fn left_with(
        &mut self,
        kind: &Kind,
        protocol: Protocol,
        leaves: Leaves,
        count: u64,
        end: End,
    ) {
        let (mut left, mut more) = (count, 0);
        while left > 0 {
            let wave = self.chance.among(1..100).min(left);
            let hanging = self.hang(kind, protocol, leaves, wave).await;
            let redhanded = self.watched.redhanded.clone();
            more += hanging.leave(leaves, &redhanded).await;
            left -= wave;
        }
        let wanted = Wanted::of(end, count).and(End::Completed, more);
        let name = format!("{} {protocol:?} {leaves:?}", kind.name);
        self.settle(&name, wanted).await;
    }

    /// `count` requests that hang; returns when all do.
    pub async fn hang(
        &mut self,
        kind: &Kind,
        protocol: Protocol,
        leaves: Leaves,
        count: u64,
    ) -> Hanging {
        self.hang_at(&self.address(), kind, protocol, leaves, count)
            .await
    }

    /// The same on another server of this install.
    pub async fn hang_at(
        &mut self,
        address: &Address,
        kind: &Kind,
        protocol: Protocol,
        leaves: Leaves,
        count: u64,
    ) -> Hanging {
        let arrived = self.gate.arrived();
        let mut hanging = Hanging::default();
        for at in 0..count {
            let room = protocol == Protocol::H2 && at % 40 != 0;
            if !room {
                let reset = leaves == Leaves::Reset;
                let client = Client::connect(address, protocol, reset).await;
                hanging.clients.push(client);
            }
            let client = hanging.clients.last_mut().expect("one");
            let answer = client.send(kind.request(&mut self.chance));
            let reads = kind.path != "/flood";
            hanging.requests.spawn(async move {
                let Ok(answer) = answer.await else { return };
                if reads {
                    drop(answer.into_body().collect().await);
                } else {
                    std::future::pending::<()>().await;
                }
            });
        }
        self.gate.wait(arrived + count, kind.name).await;
        hanging
    }
}

impl Lane {
    /// `count` clients in this one process, at most so many at once; what one of them panics with
    /// stands in the table.
    pub async fn each<F>(
        &mut self,
        kind: &str,
        count: u64,
        at_once: usize,
        one: impl Fn(Chance) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn(one(self.chance.fork()));
            if tasks.len() >= at_once {
                self.done(kind, tasks.join_next().await);
            }
        }
        while let Some(done) = tasks.join_next().await {
            self.done(kind, Some(done));
        }
    }
}

/// Clients whose requests hang.
#[derive(Debug, Default)]
pub struct Hanging {
    clients: Vec<Client>,
    requests: JoinSet<()>,
}

impl Hanging {
    /// The clients leave; returns how many more requests they have made to see whether their
    /// connections still live.
    async fn leave(mut self, leaves: Leaves, redhanded: &Redhanded) -> u64 {
        if leaves == Leaves::Stream {
            self.requests.shutdown().await;
            for client in &mut self.clients {
                let request = LIVES_ON.request(&mut Chance::of("lives on"));
                let answer = read(client.send(request)).await;
                assert_eq!(answer.expect("the connection lives on"), StatusCode::OK);
            }
            // It does so until the streams are gone: else the clients would be
            comes(|| redhanded.in_flight() == 0).await;
            return self.clients.len() as u64;
        }
        self.clients.clear();
        self.requests.shutdown().await;
        0
    }

    /// One more, in whatever way.
    pub fn add(&mut self, request: impl Future<Output = ()> + Send + 'static) {
        self.requests.spawn(request);
    }

    /// Ends what the clients still do, and their connections.
    pub async fn let_go(mut self) {
        self.clients.clear();
        self.requests.shutdown().await;
    }
}

const LIVES_ON: Kind = crate::kind::LIGHT;

/// One panic is as good as the next.
async fn join_one(tasks: &mut JoinSet<()>) -> bool {
    match tasks.join_next().await {
        Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        done => done.is_some(),
    }
}

/// The status of an answer that was read to its end.
///
/// # Errors
///
/// What hyper says when it does not come to that.
pub async fn read(
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
) -> hyper::Result<StatusCode> {
    let (head, body) = answer.await?.into_parts();
    body.collect().await?;
    Ok(head.status)
}

fn check(kind: &Kind, protocol: Protocol, answer: hyper::Result<StatusCode>) {
    // What has no body by its nature has one here all the same, and HTTP/2 has no way to hide it
    let strange = protocol == Protocol::H2
        && (matches!(kind.status, 204 | 304) || matches!(kind.method, "HEAD" | "CONNECT"));
    if kind.status == 0 || strange {
        return;
    }
    let status = answer.unwrap_or_else(|e| panic!("{} {protocol:?}: {e:?}", kind.name));
    assert_eq!(status.as_u16(), kind.status, "{} {protocol:?}", kind.name);
}

async fn one_by_one(address: Address, kind: Kind, count: u64, mut chance: Chance) {
    let mut client = Client::connect(&address, Protocol::H1, false).await;
    for _ in 0..count {
        if !client.ready().await {
            client = Client::connect(&address, Protocol::H1, false).await;
        }
        let request = request_of(&kind, &mut chance);
        let answer = timeout(PATIENCE, read(client.send(request))).await;
        let answer = answer.unwrap_or_else(|_| panic!("{}: no answer", kind.name));
        check(&kind, Protocol::H1, answer);
    }
}

async fn side_by_side(address: Address, kind: Kind, count: u64, mut chance: Chance) {
    let mut client = Client::connect(&address, Protocol::H2, false).await;
    let mut streams = JoinSet::new();
    let most = chance.among(1..101) as usize;
    for _ in 0..count {
        if !client.ready().await {
            client = Client::connect(&address, Protocol::H2, false).await;
        }
        let answer = client.send(request_of(&kind, &mut chance));
        streams.spawn(async move {
            let answer = timeout(PATIENCE, read(answer)).await;
            let answer = answer.unwrap_or_else(|_| panic!("{}: no answer", kind.name));
            check(&kind, Protocol::H2, answer);
        });
        while streams.len() >= most {
            join_one(&mut streams).await;
        }
    }
    while join_one(&mut streams).await {}
}

fn request_of(kind: &Kind, chance: &mut Chance) -> Request<Frames> {
    let mut request = kind.request(chance);
    if kind.method == "CONNECT" {
        *request.uri_mut() = http::Uri::from_static("shop.example:80");
    }
    request
}
