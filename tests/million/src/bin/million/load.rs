//! The load: connections that are kept, each asks again when it has its answer.

use crate::client::Client;
use crate::culprits::Culprit;
use crate::mix::Visitor;
use crate::{Error, SLOW_AFTER};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, LocalSet};

const CONNECTIONS: u64 = 64;
/// Far more than it takes, and an end all the same.
const LIMIT: Duration = Duration::from_secs(60);
const LIMIT_A_REQUEST: Duration = Duration::from_millis(1);

/// So many requests, with the culprits among them.
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) requests: u64,
    pub(crate) seed: u64,
    pub(crate) culprits: &'a [Culprit],
}

/// A request that tokio leaves behind a loop, on a worker that does not come back, is given up: this
/// happens in the bare shop as well.
const STRANDED: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    /// Innocents that were given up, see [`STRANDED`].
    pub(crate) stranded: u64,
    wrong: u64,
    /// The first wrong answer.
    example: Option<String>,
    /// Innocents that took longer than the threshold.
    pub(crate) over: u64,
    pub(crate) slowest: Duration,
    /// What that one asked for.
    pub(crate) slowest_target: String,
    pub(crate) took: Duration,
    /// At which places the culprits were hidden.
    pub(crate) hidden: Vec<u64>,
    /// Culprits that had an answer when every innocent had one.
    not_hanging: usize,
}

impl Tally {
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn troubles(&self, shop: &str) -> Vec<String> {
        let mut troubles = Vec::new();
        if self.wrong > 0 {
            let example = self.example.as_deref().unwrap_or_default();
            troubles.push(format!(
                "{} innocents of the {shop} shop had no right answer, such as {example}",
                self.wrong
            ));
        }
        if self.not_hanging > 0 {
            troubles.push(format!(
                "{} culprits of the {shop} shop did not hang",
                self.not_hanging
            ));
        }
        troubles
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.wrong += other.wrong;
        self.stranded += other.stranded;
        self.example = self.example.take().or(other.example);
        self.over += other.over;
        if other.slowest > self.slowest {
            (self.slowest, self.slowest_target) = (other.slowest, other.slowest_target);
        }
    }

    fn count(&mut self, visitor: &Visitor, answer: std::io::Result<(u16, &[u8])>, took: Duration) {
        match answer {
            Ok((200, body)) if body == visitor.expected => self.answered += 1,
            other => {
                self.wrong += 1;
                let said = other
                    .map(|(status, body)| format!("{status} {:?}", String::from_utf8_lossy(body)));
                let said = said.unwrap_or_else(|error| error.to_string());
                self.example
                    .get_or_insert_with(|| format!("{}: {said}", visitor.target));
            }
        }
        self.over += u64::from(took > SLOW_AFTER);
        if took > self.slowest {
            self.slowest = took;
            self.slowest_target.clone_from(&visitor.target);
        }
    }
}

/// What the connections of a load share.
struct Crowd {
    address: SocketAddr,
    requests: u64,
    next: Cell<u64>,
    hidden: BTreeMap<u64, Vec<u8>>,
}

impl Load<'_> {
    /// Asks everything; comes back when every innocent has an answer.
    pub(crate) async fn run(&self) -> Result<Tally, Error> {
        let limit = LIMIT + LIMIT_A_REQUEST * u32::try_from(self.requests)?;
        let local = LocalSet::new();
        tokio::time::timeout(limit, local.run_until(self.all()))
            .await
            .map_err(|_| format!("innocents had no answer within {limit:?}"))?
    }

    async fn all(&self) -> Result<Tally, Error> {
        let hidden = self.hidden();
        let mut tally = Tally {
            hidden: hidden.keys().copied().collect(),
            ..Tally::default()
        };
        let crowd = Rc::new(Crowd {
            address: self.address,
            requests: self.requests,
            next: Cell::new(0),
            hidden,
        });
        let begun = Instant::now();
        let visits: Vec<_> = (0..CONNECTIONS)
            .map(|n| {
                let visitor = Visitor::new(self.seed.wrapping_mul(CONNECTIONS).wrapping_add(n));
                tokio::task::spawn_local(visit(crowd.clone(), visitor))
            })
            .collect();
        let mut hanging = Vec::new();
        for one in visits {
            let (its, started) = one.await??;
            tally.add(its);
            hanging.extend(started);
        }
        tally.took = begun.elapsed();
        // Those go on after their handles, and keep their connections until the shop is closed.
        tally.not_hanging = hanging.iter().filter(|h| h.is_finished()).count();
        Ok(tally)
    }

    /// The culprits at random places, neither among the first nor the last.
    fn hidden(&self) -> BTreeMap<u64, Vec<u8>> {
        let mut random = SmallRng::seed_from_u64(self.seed);
        let mut hidden = BTreeMap::new();
        let (first, last) = (self.requests / 20, self.requests / 10 * 9);
        for culprit in self.culprits {
            let mut at = random.random_range(first..last);
            while hidden.contains_key(&at) {
                at += 1;
            }
            hidden.insert(at, culprit.request.clone());
        }
        hidden
    }
}

type Visit = (Tally, Vec<JoinHandle<std::io::Result<()>>>);

async fn visit(crowd: Rc<Crowd>, visitor: Visitor) -> std::io::Result<Visit> {
    let (mut tally, mut hanging, mut visitor) = (Tally::default(), Vec::new(), visitor);
    let mut client = Client::connect(crowd.address).await?;
    loop {
        let number = crowd.next.get();
        if number >= crowd.requests {
            return Ok((tally, hanging));
        }
        crowd.next.set(number + 1);
        if let Some(request) = crowd.hidden.get(&number) {
            hanging.push(tokio::spawn(hang(crowd.address, request.clone())));
            continue;
        }
        visitor.next();
        let begun = Instant::now();
        let answer = tokio::time::timeout(STRANDED, client.ask(&visitor.request)).await;
        let Ok(answer) = answer else {
            tally.stranded += 1;
            eprintln!("stranded behind a culprit: {}", visitor.target);
            client = Client::connect(crowd.address).await?;
            continue;
        };
        let failed = answer.is_err();
        tally.count(&visitor, answer, begun.elapsed());
        if failed {
            client = Client::connect(crowd.address).await?;
        }
    }
}

/// On a connection of its own, so that nobody waits behind it.
async fn hang(address: SocketAddr, request: Vec<u8>) -> std::io::Result<()> {
    Client::connect(address).await?.ask(&request).await?;
    Ok(())
}
