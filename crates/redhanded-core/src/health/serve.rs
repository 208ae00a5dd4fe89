//! The listeners of health checks: one thread of their own for all, which no client can hold up.
//!
//! It sleeps in `poll` until somebody comes, reads and writes only what is ready, and gives each connection a fixed
//! time. When there are too many, the oldest makes room: a check asks at once, and who does not has had its time.

use super::answer::{Connection, Kind};
use super::{Ask, plain};
use crate::config::Error;
use crate::memory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Connections at once.
const CONNECTIONS: usize = 64;
/// Answers in memory that are larger than those of health checks: numbers may be megabytes, and a client may not read.
const LARGE: usize = 4;
/// Connections that are accepted before those that are there have their turn.
const ACCEPTS: usize = 32;
/// After an error of accept, such as too many open files, it rests for so long.
const RESTS: Duration = Duration::from_millis(100);

/// Where the listeners are bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bound {
    pub(crate) http: Option<SocketAddr>,
    pub(crate) agent: Option<SocketAddr>,
}

/// Binds what is asked for, and answers there what `ask` says. Without any address nothing is started.
///
/// # Errors
///
/// An address that cannot be bound; the thread that cannot be started.
pub(crate) fn serve(
    http: Option<SocketAddr>,
    agent: Option<SocketAddr>,
    ask: Ask,
) -> Result<Bound, Error> {
    let mut listeners = Vec::new();
    let mut bind = |address: Option<SocketAddr>, kind, what: &str| {
        let Some(address) = address else {
            return Ok(None);
        };
        let refused = |e| {
            let address = plain(address.to_string().as_bytes());
            let text = format!(
                "the {what} listener cannot be bound to {address}; give a free address of this machine, such as 127.0.0.1:9901, or port 0"
            );
            Error::io(text, e)
        };
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        listeners.push((listener, kind));
        Ok(Some(bound))
    };
    let bound = Bound {
        http: bind(http, Kind::Http, "health")?,
        agent: bind(agent, Kind::Agent, "agent-check")?,
    };
    if listeners.is_empty() {
        return Ok(bound);
    }
    let server = Server {
        listeners,
        connections: VecDeque::new(),
        rests_until: None,
        ask,
    };
    std::thread::Builder::new()
        .name("redhanded-probe".to_owned())
        .spawn(move || server.run())
        .map_err(|e| Error::io("the thread redhanded-probe could not be started", e))?;
    Ok(bound)
}

struct Server {
    listeners: Vec<(TcpListener, Kind)>,
    /// The oldest first.
    connections: VecDeque<Connection>,
    rests_until: Option<Instant>,
    ask: Ask,
}

impl Server {
    fn run(mut self) {
        memory::keep_own_books();
        loop {
            let round = catch_unwind(AssertUnwindSafe(|| self.round()));
            if round.is_err() {
                self.connections.clear();
            }
        }
    }

    /// Waits until something can be done, and does it.
    fn round(&mut self) {
        let (accepting, ready) = self.wait();
        let now = Instant::now();
        self.rests_until = self.rests_until.filter(|until| *until > now);
        let mut large = self.large();
        for (connection, is_ready) in self.connections.iter_mut().zip(ready) {
            if is_ready {
                let was_large = connection.is_large();
                connection.go_on(&self.ask, large < LARGE);
                large = large + usize::from(connection.is_large()) - usize::from(was_large);
            }
        }
        self.connections.retain(|c| !c.is_over(now));
        for at in accepting {
            self.accept(at, now);
        }
    }

    /// The listeners where somebody waits, and which of the connections can go on.
    fn wait(&self) -> (Vec<usize>, Vec<bool>) {
        let listening = if self.rests_until.is_some() {
            &[]
        } else {
            self.listeners.as_slice()
        };
        let mut sets: Vec<PollFd<'_>> = listening
            .iter()
            .map(|(listener, _)| PollFd::new(listener, PollFlags::IN))
            .chain(self.connections.iter().map(Connection::interest))
            .collect();
        let timeout = self.next_deadline().map(|at| {
            // A whole millisecond at least: what is due in less would be asked for again and again.
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        if poll(&mut sets, timeout.as_ref()).is_err() {
            // Interrupted, or out of memory for a moment: nothing is ready, and it does not spin on that.
            std::thread::sleep(Duration::from_millis(1));
            return (Vec::new(), Vec::new());
        }
        let (first, rest) = sets.split_at(listening.len());
        let is_ready = |set: &PollFd<'_>| !set.revents().is_empty();
        let accepting = (0..first.len()).filter(|at| is_ready(&first[*at]));
        (accepting.collect(), rest.iter().map(is_ready).collect())
    }

    fn large(&self) -> usize {
        let connections = self.connections.iter();
        connections
            .filter(|connection| connection.is_large())
            .count()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let first = self.connections.front().map(Connection::until);
        first.into_iter().chain(self.rests_until).min()
    }

    fn accept(&mut self, at: usize, now: Instant) {
        let Some((listener, kind)) = self.listeners.get(at) else {
            return;
        };
        for _ in 0..ACCEPTS {
            match listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_err() {
                        continue;
                    }
                    let mut connection = Connection::new(stream, *kind, now);
                    connection.go_on(&self.ask, self.large() < LARGE);
                    if self.connections.len() == CONNECTIONS {
                        self.connections.pop_front();
                    }
                    self.connections.push_back(connection);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if is_of_the_client(e.kind()) => {}
                Err(_) => {
                    self.rests_until = Some(now + RESTS);
                    return;
                }
            }
        }
    }
}

/// An error that says something about one connection only.
fn is_of_the_client(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use crate::health::Health;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn well() -> Health {
        Health {
            ready: true,
            alive: true,
            shutting_down: false,
            free_workers_percent: 100,
            reason: None,
            culprit: None,
        }
    }

    fn ask() -> Ask {
        Ask {
            health: Box::new(well),
            scrape: None,
        }
    }

    fn serving() -> (SocketAddr, SocketAddr) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = serve(Some(any), Some(any), ask()).expect("ports");
        (bound.http.expect("bound"), bound.agent.expect("bound"))
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    /// What comes back until the end.
    fn told(mut stream: TcpStream, bytes: &[u8]) -> String {
        stream.write_all(bytes).expect("a socket");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    fn is_ready(http: SocketAddr) -> Duration {
        let asked = Instant::now();
        let answer = told(connect(http), b"GET /ready HTTP/1.1\r\n\r\n");
        assert!(answer.ends_with("\r\n\r\nready\n"), "{answer}");
        asked.elapsed()
    }

    #[test]
    fn an_agent_is_told_whether_it_says_something_first_or_not() {
        let (_, agent) = serving();
        assert_eq!(told(connect(agent), b""), "up 100%\n");
        assert_eq!(told(connect(agent), b"node1\n"), "up 100%\n");
    }

    #[test]
    fn a_request_that_comes_byte_by_byte_is_answered() {
        let (http, _) = serving();
        let mut stream = connect(http);
        for byte in b"GET /live HTTP/1.1\r\nhost: x\r\n\r" {
            stream.write_all(&[*byte]).expect("a socket");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(told(stream, b"\n").ends_with("\r\n\r\nalive\n"));
    }

    #[test]
    fn nobody_who_is_idle_slow_or_rude_holds_up_the_others() {
        let (http, agent) = serving();
        let idle: Vec<_> = (0..1_000)
            .map(|n| {
                let mut stream = connect(if n % 2 == 0 { http } else { agent });
                // Half of a request, and no more.
                let _ = stream.write_all(b"GET /rea");
                stream
            })
            .collect();
        assert!(is_ready(http) < Duration::from_secs(2));
        assert_eq!(told(connect(agent), b""), "up 100%\n");
        for _ in 0..200 {
            drop(connect(http)); // closes at once
            drop(connect(agent));
        }
        let long = std::thread::spawn(move || {
            let _ = connect(http).write_all(&vec![b'x'; 1 << 20]);
        });
        let garbage = told(connect(http), b"\x16\x03\x01\x00\xa5\n\n");
        assert!(garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
        assert!(is_ready(http) < Duration::from_secs(2));
        long.join().expect("no panic");
        drop(idle);
        is_ready(http);
    }

    #[test]
    fn who_asks_for_numbers_and_does_not_read_them_takes_no_more_memory_than_a_few() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let ask = Ask {
            scrape: Some(Box::new(|_: &str| {
                Some(("text/plain", "x".repeat(32 << 20)))
            })),
            ..ask()
        };
        let http = serve(Some(any), None, ask).expect("a port").http;
        let http = http.expect("bound");
        let scrape = b"GET /metrics HTTP/1.1\r\n\r\n";
        let begin = || {
            let mut stream = connect(http);
            stream.write_all(scrape).expect("a socket");
            let mut status = [0; 12];
            stream.read_exact(&mut status).expect("an answer");
            (stream, status == *b"HTTP/1.1 200")
        };
        let told: Vec<_> = (0..12).map(|_| begin()).collect();
        assert_eq!(told.iter().filter(|(_, told)| *told).count(), LARGE);
        is_ready(http);
        drop(told);
        let again = Instant::now();
        while !begin().1 {
            assert!(again.elapsed() < PATIENCE, "there is room again");
        }
    }

    #[test]
    fn who_asks_for_nothing_has_its_time_and_no_more() {
        let (http, _) = serving();
        let asked = Instant::now();
        assert_eq!(told(connect(http), b"GET"), "");
        assert!(asked.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn an_address_that_is_taken_is_an_error_that_names_it() {
        let (http, _) = serving();
        let error = serve(Some(http), None, ask()).expect_err("taken");
        let text = error.to_string();
        assert!(
            text.contains(&http.to_string()) && text.contains("port 0"),
            "{text}"
        );
    }
}
