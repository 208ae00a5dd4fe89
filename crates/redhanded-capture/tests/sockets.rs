//! Which host a waiting future waits for, asked of tokio's own sockets: in dev builds and with optimisation
//! (`cargo test --release -p redhanded-capture --test sockets`), because what lies on the stack differs.
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]

use redhanded_capture::{SocketSeen, Waiting, capture_poll, sockets_behind};
use redhanded_report::Peer;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

const LIMIT: Duration = Duration::from_secs(20);

type Handler = Pin<Box<dyn Future<Output = ()> + Send>>;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("starts")
    })
}

/// A request that is polled by hand, as deep in other futures as one is in a server.
struct Request(Handler);

impl Request {
    /// Polled until `begun` is set and once more: then it waits.
    fn waiting(begun: &AtomicBool, handler: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut request = Self(Box::pin(async { middleware(handler).await }));
        let since = Instant::now();
        loop {
            let was_there = begun.load(Ordering::Acquire);
            assert!(request.poll().is_pending(), "it should wait");
            if was_there {
                return request;
            }
            assert!(since.elapsed() < LIMIT, "it never came to wait");
            std::thread::yield_now();
        }
    }

    fn poll(&mut self) -> Poll<()> {
        let _runtime = runtime().enter();
        self.0
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    fn capture(&mut self) -> Waiting {
        let _runtime = runtime().enter();
        let mut seen = None;
        let future = self.0.as_mut();
        let poll = capture_poll(
            &mut Context::from_waker(Waker::noop()),
            |waiting| seen = Some(waiting),
            |cx| future.poll(cx),
        );
        assert!(poll.is_pending());
        seen.expect("delivered")
    }

    fn sockets(&mut self) -> Vec<SocketSeen> {
        let waiting = self.capture();
        let words: Vec<u64> = waiting
            .leaves
            .iter()
            .flat_map(|l| l.words.clone())
            .collect();
        sockets_behind(&words)
    }
}

async fn middleware(handler: impl Future<Output = ()>) {
    handler.await;
}

/// Sets the flag when it is polled for the last time before the wait.
fn begun() -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    (flag.clone(), flag)
}

/// A server that reads and says nothing, and hangs up when its client does: descriptors must not pile up.
fn silent(at: &str) -> SocketAddr {
    let listener = std::net::TcpListener::bind(at).expect("binds");
    let address = listener.local_addr().expect("bound");
    let keep = |stream: std::net::TcpStream| {
        while stream.peek(&mut [0]).is_ok_and(|bytes| bytes > 0) {
            std::thread::park_timeout(LIMIT);
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || keep(stream));
        }
    });
    address
}

/// A listener whose queue is full: the next SYN is dropped.
fn black_hole() -> (std::net::TcpListener, SocketAddr, [std::net::TcpStream; 2]) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound");
    // SAFETY: a second listen on our own socket only changes the length of its queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0);
    let full = [(); 2].map(|()| std::net::TcpStream::connect(address).expect("there is room"));
    (listener, address, full)
}

/// Leaves the addresses of other sockets all over this thread's stack.
fn litter() {
    thread_local!(static OTHERS: std::cell::RefCell<Vec<Request>> = const { std::cell::RefCell::new(Vec::new()) });
    OTHERS.with_borrow_mut(|others| {
        if others.is_empty() {
            let address = silent("127.0.0.1:0");
            others.extend((0..4).map(|_| reader(address)));
        }
        others
            .iter_mut()
            .for_each(|other| assert!(other.poll().is_pending()));
        others.iter_mut().for_each(|other| drop(other.capture()));
    });
}

fn reader(address: SocketAddr) -> Request {
    let (flag, begun) = begun();
    Request::waiting(&begun, async move {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        flag.store(true, Ordering::Release);
        let _ = stream.read(&mut [0; 16]).await;
    })
}

fn peer(address: SocketAddr, state: Option<&str>, phase: Option<&str>) -> Peer {
    let mut peer = Peer::default();
    peer.address = Some(address.ip().to_string());
    peer.port = Some(address.port());
    peer.state = state.map(str::to_owned);
    peer.phase = phase.map(str::to_owned);
    peer
}

/// Asks many times, with other sockets' addresses left on the stack in between: the same answer each time.
#[track_caller]
fn always(what: &str, mut request: Request, expected: &[Peer]) {
    const ROUNDS: u32 = 300;
    let [mut right, mut ambiguous, mut missed, mut wrong] = [0; 4];
    let mut last = Vec::new();
    for _ in 0..ROUNDS {
        litter();
        let seen = request.sockets();
        let peers: Vec<Peer> = seen
            .into_iter()
            .map(|mut socket| {
                socket.peer.elapsed_ms = None;
                socket.peer
            })
            .collect();
        let all = expected.iter().all(|peer| peers.contains(peer));
        let only = peers.iter().all(|peer| expected.contains(peer));
        match (all, only) {
            (true, true) => right += 1,
            (true, false) => ambiguous += 1,
            (false, true) => missed += 1,
            (false, false) => wrong += 1,
        }
        last = peers;
    }
    eprintln!(
        "{what}: of {ROUNDS} looks {right} right, {ambiguous} ambiguous, {missed} missed, {wrong} wrong"
    );
    assert_eq!(
        right, ROUNDS,
        "{ambiguous} ambiguous, {missed} missed, {wrong} wrong; the last one saw {last:?}"
    );
}

#[test]
fn a_connect_that_is_not_answered() {
    let (_listener, address, _full) = black_hole();
    let (flag, begun) = begun();
    let request = Request::waiting(&begun, async move {
        flag.store(true, Ordering::Release);
        let _ = TcpStream::connect(address).await;
    });
    always(
        "connect",
        request,
        &[peer(address, Some("SYN_SENT"), Some("connect"))],
    );
}

#[test]
fn a_read_that_is_not_answered() {
    let address = silent("127.0.0.1:0");
    always(
        "read",
        reader(address),
        &[peer(address, Some("ESTABLISHED"), None)],
    );
}

#[test]
fn a_read_over_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return; // no IPv6 here
    }
    let address = silent("[::1]:0");
    always(
        "read over IPv6",
        reader(address),
        &[peer(address, Some("ESTABLISHED"), None)],
    );
}

#[test]
fn an_ipv4_host_behind_an_ipv6_socket_is_an_ipv4_host() {
    let address = silent("127.0.0.1:0");
    let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().expect("valid"), address.port());
    let (flag, begun) = begun();
    let request = Request::waiting(&begun, async move {
        let socket = TcpSocket::new_v6().expect("a socket");
        let mut stream = socket.connect(mapped).await.expect("connects");
        flag.store(true, Ordering::Release);
        let _ = stream.read_u8().await;
    });
    always(
        "read of a mapped address",
        request,
        &[peer(address, Some("ESTABLISHED"), None)],
    );
}

#[test]
fn a_wait_for_readability_without_a_read() {
    let address = silent("127.0.0.1:0");
    let (flag, begun) = begun();
    let request = Request::waiting(&begun, async move {
        let stream = TcpStream::connect(address).await.expect("connects");
        flag.store(true, Ordering::Release);
        let _ = stream.readable().await;
    });
    always(
        "readable",
        request,
        &[peer(address, Some("ESTABLISHED"), None)],
    );
}

#[test]
fn a_read_of_half_a_stream_in_a_timeout() {
    let address = silent("127.0.0.1:0");
    let (flag, begun) = begun();
    let request = Request::waiting(&begun, async move {
        let stream = TcpStream::connect(address).await.expect("connects");
        let (read, _write) = stream.into_split();
        let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(read));
        flag.store(true, Ordering::Release);
        let _ = tokio::time::timeout(LIMIT * 100, lines.next_line()).await;
    });
    always(
        "lines in a timeout",
        request,
        &[peer(address, Some("ESTABLISHED"), None)],
    );
}

#[test]
fn a_write_that_nobody_takes() {
    let address = silent("127.0.0.1:0");
    let (flag, begun) = begun();
    let request = Request::waiting(&begun, async move {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let block = vec![0; 64 << 10];
        while stream.try_write(&block).is_ok() || stream.writable().now_or_never() {}
        flag.store(true, Ordering::Release);
        loop {
            stream.write_all(&block).await.expect("open");
        }
    });
    // What the kernel can still move it moves within a moment.
    std::thread::sleep(Duration::from_millis(100));
    always(
        "write",
        request,
        &[peer(address, Some("ESTABLISHED"), Some("write"))],
    );
}

trait NowOrNever: Future + Sized {
    fn now_or_never(self) -> bool {
        let mut this = std::pin::pin!(self);
        this.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }
}
impl<F: Future> NowOrNever for F {}

#[test]
fn an_answer_to_a_datagram() {
    let address: SocketAddr = "127.0.0.1:9999".parse().expect("valid");
    let dns: SocketAddr = "127.0.0.1:53".parse().expect("valid");
    for (address, phase) in [(address, None), (dns, Some("dns"))] {
        let (flag, begun) = begun();
        let request = Request::waiting(&begun, async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
            socket.connect(address).await.expect("connects");
            flag.store(true, Ordering::Release);
            let _ = socket.recv(&mut [0; 16]).await;
        });
        always("datagram", request, &[peer(address, None, phase)]);
    }
}

#[test]
fn a_unix_socket_by_its_path_and_a_pair_not_at_all() {
    let path = std::env::temp_dir().join(format!("redhanded-sockets-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let entered = runtime().enter();
    let _listener = UnixListener::bind(&path).expect("binds");
    drop(entered);
    let (flag, begun_) = begun();
    let connect = path.clone();
    let request = Request::waiting(&begun_, async move {
        let mut stream = UnixStream::connect(connect).await.expect("connects");
        flag.store(true, Ordering::Release);
        let _ = stream.read_u8().await;
    });
    let mut named = Peer::default();
    named.address = path.to_str().map(str::to_owned);
    always("Unix socket", request, &[named]);
    let _ = std::fs::remove_file(&path);

    let (flag, begun_) = begun();
    let request = Request::waiting(&begun_, async move {
        let (mut ours, _theirs) = UnixStream::pair().expect("pairs");
        flag.store(true, Ordering::Release);
        let _ = ours.read_u8().await;
    });
    always("Unix pair", request, &[]);
}

#[test]
fn two_branches_that_wait_for_two_hosts() {
    let (one, other) = (silent("127.0.0.1:0"), silent("127.0.0.1:0"));
    let (flag, begun) = begun();
    let request = Request::waiting(&begun, async move {
        let mut first = TcpStream::connect(one).await.expect("connects");
        let mut second = TcpStream::connect(other).await.expect("connects");
        flag.store(true, Ordering::Release);
        let _ = tokio::join!(first.read_u8(), second.read_u8());
    });
    let established = |address| peer(address, Some("ESTABLISHED"), None);
    always("join!", request, &[established(one), established(other)]);
}

#[test]
fn the_socket_of_another_task_is_not_accused() {
    let address = silent("127.0.0.1:0");
    let (flag, begun) = begun();
    let request = Request::waiting(&begun, async move {
        let (ask, mut asked) = mpsc::channel::<oneshot::Sender<u8>>(1);
        let task = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("connects");
            while let Some(answer) = asked.recv().await {
                if let Ok(byte) = stream.read_u8().await {
                    let _ = answer.send(byte);
                }
            }
        });
        let (answer, answered) = oneshot::channel();
        ask.send(answer).await.expect("runs");
        flag.store(true, Ordering::Release);
        let _ = answered.await;
        drop(task);
    });
    always("another task's socket", request, &[]);
}

/// It was polled in this very request a moment ago, and is still open.
#[test]
fn a_socket_that_was_used_before_is_not_accused() {
    let address = silent("127.0.0.1:0");
    let (flag, begun) = begun();
    let request = Request::waiting(&begun, async move {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let brief = Duration::from_millis(5);
        let _ = tokio::time::timeout(brief, stream.read_u8()).await;
        let (_never, answer) = oneshot::channel::<()>();
        flag.store(true, Ordering::Release);
        let _ = answer.await;
        drop(stream);
    });
    always("a socket of before", request, &[]);
}

/// A leaf may have at hand what an earlier one of the same poll had, and nothing else.
#[test]
fn a_branch_beside_a_read_adds_no_other_socket() {
    let address = silent("127.0.0.1:0");
    let (flag, begun) = begun();
    let mut request = Request::waiting(&begun, async move {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let lock = tokio::sync::Mutex::new(());
        let _kept = lock.try_lock().expect("free");
        flag.store(true, Ordering::Release);
        let _ = tokio::join!(biased; stream.read_u8(), lock.lock());
    });
    let mut inherited = 0;
    for _ in 0..300 {
        litter();
        let waiting = request.capture();
        let [read, lock] = waiting.leaves.as_slice() else {
            panic!("two leaves: {waiting:?}");
        };
        let ports = |words: &[u64]| -> Vec<Option<u16>> {
            let seen = sockets_behind(words);
            seen.iter().map(|socket| socket.peer.port).collect()
        };
        assert_eq!(ports(&read.words), [Some(address.port())]);
        let beside = ports(&lock.words);
        assert!(beside.iter().all(|port| *port == Some(address.port())));
        inherited += beside.len();
    }
    eprintln!("a lock after a read in one poll: {inherited} of 300 inherit the socket");
}

#[test]
fn a_timer_and_a_listener_have_no_peer() {
    let (flag, begun_) = begun();
    let request = Request::waiting(&begun_, async move {
        flag.store(true, Ordering::Release);
        tokio::time::sleep(LIMIT * 100).await;
    });
    always("timer", request, &[]);
    let (flag, begun_) = begun();
    let request = Request::waiting(&begun_, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        flag.store(true, Ordering::Release);
        let _ = listener.accept().await;
    });
    always("accept", request, &[]);
}

#[test]
fn what_has_come_and_was_not_read_is_told_and_so_is_a_closed_peer() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let mut request = reader(listener.local_addr().expect("bound"));
    let (mut other, _) = listener.accept().expect("accepts");
    let waiting = request.capture();
    let words = &waiting.leaves[0].words;
    let wait = |what: &str, done: &dyn Fn(&SocketSeen) -> bool| {
        let since = Instant::now();
        while !sockets_behind(words).iter().any(done) {
            assert!(since.elapsed() < LIMIT, "{what}");
        }
    };
    wait("nothing yet", &|s| s.unread_bytes == 0);
    std::io::Write::write_all(&mut other, b"hello").expect("writes");
    wait("five bytes", &|s| s.unread_bytes == 5);
    drop(other);
    wait("closed", &|s| s.peer.state.as_deref() == Some("CLOSE_WAIT"));
}

#[test]
fn how_long_nothing_has_come_is_told() {
    let mut request = reader(silent("127.0.0.1:0"));
    std::thread::sleep(Duration::from_millis(300));
    let seen = request.sockets();
    let quiet_ms = seen[0].peer.elapsed_ms.expect("TCP tells");
    assert!((290.0..10_000.0).contains(&quiet_ms), "{quiet_ms}");
}

#[test]
fn a_socket_that_was_closed_is_not_found() {
    let mut request = reader(silent("127.0.0.1:0"));
    let waiting = request.capture();
    let words = &waiting.leaves[0].words;
    assert_eq!(sockets_behind(words).len(), 1);
    let runtime = runtime().enter();
    drop(request);
    drop(runtime);
    assert_eq!(sockets_behind(words), []);
    assert_eq!(sockets_behind(&[]), []);
}

/// 10,000 captures while other threads open, poll and close sockets as fast as they can: each finds its own host or, never,
/// another one's.
#[test]
fn hammer() {
    const CAPTURES: u32 = 10_000;
    const THREADS: u32 = 2;
    let foreign = silent("127.0.0.1:0");
    let stop = AtomicBool::new(false);
    let [opened, unique, missed, innocent] = [const { AtomicU32::new(0) }; 4];
    std::thread::scope(|scope| {
        let churn = || {
            while !stop.load(Ordering::Acquire) {
                let mut other = reader(foreign);
                drop(other.capture());
                let _runtime = runtime().enter();
                drop(other);
                opened.fetch_add(1, Ordering::Relaxed);
            }
        };
        scope.spawn(churn);
        let look = || {
            let address = silent("127.0.0.1:0");
            for round in 0..CAPTURES / THREADS {
                if round % 2 == 0 {
                    let mut request = reader(address);
                    match request.sockets().as_slice() {
                        [] => missed.fetch_add(1, Ordering::Relaxed),
                        [one] if one.peer.port == Some(address.port()) => {
                            unique.fetch_add(1, Ordering::Relaxed)
                        }
                        other => panic!("a socket that is not its own: {other:?}"),
                    };
                    let _runtime = runtime().enter();
                    drop(request);
                } else {
                    let (flag, begun) = begun();
                    let (never, answer) = oneshot::channel::<()>();
                    let mut request = Request::waiting(&begun, async move {
                        flag.store(true, Ordering::Release);
                        let _ = answer.await;
                    });
                    let seen = request.sockets();
                    assert_eq!(seen, [], "it waits for a channel");
                    innocent.fetch_add(1, Ordering::Relaxed);
                    drop(never);
                }
            }
        };
        let lookers: Vec<_> = (0..THREADS).map(|_| scope.spawn(look)).collect();
        let ended: Vec<_> = lookers.into_iter().map(|looker| looker.join()).collect();
        stop.store(true, Ordering::Release);
        ended
            .into_iter()
            .for_each(|end| end.expect("no wrong answer"));
    });
    eprintln!(
        "{CAPTURES} captures, {} foreign sockets opened and closed meanwhile: {} unique, {} missed, {} innocents left alone",
        opened.load(Ordering::Relaxed),
        unique.load(Ordering::Relaxed),
        missed.load(Ordering::Relaxed),
        innocent.load(Ordering::Relaxed)
    );
    assert_eq!(missed.load(Ordering::Relaxed), 0);
}
