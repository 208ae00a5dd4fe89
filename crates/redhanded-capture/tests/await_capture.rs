//! The stack of a waiting future, for every kind of leaf that a server waits at: the right `async fn`s, the right leaf, the right kind of
//! thing; and afterwards the future completes as if nobody had looked.

use redhanded_capture::{
    LeafKind, PollOutcome, Sampler, Symbolizer, Waiting, capture_poll, classify_leaf, original,
    trim_await,
};
use redhanded_report::{Frame, WaitKind};
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};

const LIMIT: Duration = Duration::from_secs(20);

type Handler = Pin<Box<dyn Future<Output = u32> + Send>>;

/// Wakes the test's own thread.
struct Alarm {
    thread: Thread,
    rung: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

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

/// The three levels of a request: the leaf is awaited in the third.
async fn handler(query: impl Future<Output = u32> + Send) -> u32 {
    load_profile(query).await + 1
}

async fn load_profile(query: impl Future<Output = u32> + Send) -> u32 {
    query.await + 1
}

/// A future that is polled by hand, so that each poll is where the test wants it.
struct Request {
    future: Handler,
    alarm: Arc<Alarm>,
    waker: Waker,
}

impl Request {
    fn new(query: impl Future<Output = u32> + Send + 'static) -> Self {
        let alarm = Arc::new(Alarm {
            thread: std::thread::current(),
            rung: AtomicBool::new(false),
        });
        Self {
            future: Box::pin(handler(query)),
            waker: Waker::from(alarm.clone()),
            alarm,
        }
    }

    fn poll(&mut self) -> Poll<u32> {
        let _runtime = runtime().enter();
        self.future
            .as_mut()
            .poll(&mut Context::from_waker(&self.waker))
    }

    fn capture(&mut self) -> Waiting {
        let _runtime = runtime().enter();
        let mut seen = None;
        let future = self.future.as_mut();
        let poll = capture_poll(
            &mut Context::from_waker(&self.waker),
            |waiting| seen = Some(waiting),
            |cx| future.poll(cx),
        );
        let waiting = seen.expect("delivered");
        assert_eq!(waiting.outcome == PollOutcome::Ready, poll.is_ready());
        waiting
    }

    /// Runs to the end on wake-ups alone, as a runtime would; then nobody may hold the waker any more.
    fn complete(mut self) -> u32 {
        let begun = Instant::now();
        let answer = loop {
            if let Poll::Ready(answer) = self.poll() {
                break answer;
            }
            while !self.alarm.rung.swap(false, Ordering::AcqRel) {
                assert!(begun.elapsed() < LIMIT, "it was never woken");
                std::thread::park_timeout(Duration::from_millis(50));
            }
        };
        let Self {
            future,
            alarm,
            waker,
        } = self;
        drop((future, waker));
        while Arc::strong_count(&alarm) > 1 {
            assert!(
                begun.elapsed() < LIMIT,
                "the waker leaked: {} references",
                Arc::strong_count(&alarm)
            );
            std::thread::yield_now(); // a runtime's thread may be about to drop its clone
        }
        answer
    }
}

fn named(ips: &[usize]) -> (Vec<Frame>, Option<String>) {
    let stack = Sampler::new().locate(ips);
    trim_await(Symbolizer::new().symbolize(&stack))
}

fn users(frames: &[Frame]) -> Vec<&str> {
    frames
        .iter()
        .filter(|frame| frame.user)
        .filter_map(|frame| frame.function.as_deref())
        .collect()
}

/// Captures a pending request, checks each of its leaves, then releases and completes it.
#[track_caller]
fn check(
    query: impl Future<Output = u32> + Send + 'static,
    leaves: &[(&str, WaitKind)],
    release: impl FnOnce(),
) {
    let mut request = Request::new(query);
    assert!(request.poll().is_pending());
    let waiting = request.capture();
    assert_eq!(waiting.outcome, PollOutcome::Pending);
    assert_eq!(waiting.leaves.len(), leaves.len(), "{waiting:?}");
    for (leaf, (label, kind)) in waiting.leaves.iter().zip(leaves) {
        assert!(
            leaf.complete && leaf.kind == LeafKind::Registered,
            "{leaf:?}"
        );
        let (frames, found) = named(&leaf.ips);
        let users = users(&frames);
        let path: Vec<&str> = users
            .iter()
            .map(|name| name.rsplit("::").next().unwrap_or_default())
            .collect();
        assert!(
            path.ends_with(&["load_profile", "handler", "capture"]),
            "{users:#?}"
        );
        assert!(users[0].starts_with("await_capture::"), "{users:#?}");
        let found = found.expect("labelled");
        assert_eq!(found, *label, "{frames:#?}");
        assert_eq!(
            classify_leaf(&found, &frames).expect("known").kind,
            *kind,
            "{found}"
        );
        let top = frames
            .iter()
            .find(|frame| frame.user)
            .expect("a user's frame");
        assert!(
            top.file
                .as_deref()
                .is_some_and(|file| file.ends_with("tests/await_capture.rs"))
                && top.line.is_some()
        );
    }
    release();
    assert_eq!(request.complete(), 42);
}

#[test]
fn sleep() {
    let query = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        40
    };
    check(query, &[("tokio::time::Sleep", WaitKind::Timer)], || {});
}

#[test]
fn timeout_around_nothing() {
    let query = async {
        let _ =
            tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>()).await;
        40
    };
    check(query, &[("tokio::time::Timeout", WaitKind::Timer)], || {});
}

#[test]
fn mutex() {
    let mutex = Arc::new(Mutex::new(40));
    let guard = mutex.clone().try_lock_owned().expect("free");
    check(
        async move { *mutex.lock().await },
        &[("tokio::sync::Mutex::lock", WaitKind::Lock)],
        || drop(guard),
    );
}

#[test]
fn rwlock() {
    let lock = Arc::new(RwLock::new(40));
    let guard = lock.clone().try_write_owned().expect("free");
    check(
        async move { *lock.read().await },
        &[("tokio::sync::RwLock::read", WaitKind::Lock)],
        || drop(guard),
    );
}

#[test]
fn semaphore() {
    let semaphore = Arc::new(Semaphore::new(0));
    let permits = semaphore.clone();
    let query = async move {
        let _permit = semaphore.acquire().await;
        40
    };
    check(
        query,
        &[("tokio::sync::Semaphore::acquire", WaitKind::Semaphore)],
        || permits.add_permits(1),
    );
}

#[test]
fn mpsc_receive() {
    let (send, mut receive) = mpsc::channel(1);
    let query = async move { receive.recv().await.expect("sent") };
    check(
        query,
        &[(
            "tokio::sync::mpsc::bounded::Receiver::recv",
            WaitKind::Channel,
        )],
        || send.try_send(40).expect("room"),
    );
}

#[test]
fn mpsc_send_to_a_full_channel() {
    let (send, mut receive) = mpsc::channel(1);
    send.try_send(0).expect("room");
    let query = async move { send.send(1).await.map_or(0, |()| 40) };
    check(
        query,
        &[(
            "tokio::sync::mpsc::bounded::Sender::send",
            WaitKind::Channel,
        )],
        || assert_eq!(receive.try_recv(), Ok(0)),
    );
}

#[test]
fn oneshot_receive() {
    let (send, receive) = oneshot::channel();
    let query = async move { receive.await.expect("sent") };
    check(
        query,
        &[("tokio::sync::oneshot::Receiver", WaitKind::Channel)],
        || send.send(40).expect("somebody waits"),
    );
}

#[test]
fn watch_changed() {
    let (send, mut receive) = watch::channel(0);
    let query = async move {
        receive.changed().await.expect("open");
        *receive.borrow()
    };
    check(
        query,
        &[("tokio::sync::watch::Receiver::changed", WaitKind::Channel)],
        || send.send(40).expect("open"),
    );
}

#[test]
fn broadcast_receive() {
    let (send, mut receive) = broadcast::channel(4);
    let query = async move { receive.recv().await.expect("sent") };
    check(
        query,
        &[("tokio::sync::broadcast::Receiver::recv", WaitKind::Channel)],
        || drop(send.send(40)),
    );
}

#[test]
fn notify() {
    let notify = Arc::new(Notify::new());
    let waiting = notify.clone();
    let query = async move {
        waiting.notified().await;
        40
    };
    check(
        query,
        &[("tokio::sync::notify::Notified", WaitKind::Channel)],
        || notify.notify_one(),
    );
}

#[test]
fn join_handle() {
    let (send, receive) = oneshot::channel();
    let task = runtime().spawn(async move { receive.await.expect("sent") });
    let query = async move { task.await.expect("no panic") };
    check(
        query,
        &[("tokio::runtime::task::join::JoinHandle", WaitKind::Task)],
        || send.send(40).expect("somebody waits"),
    );
}

#[test]
fn tcp_read() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let stream =
        std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
    let mut other = listener.accept().expect("accepts").0;
    stream.set_nonblocking(true).expect("sets");
    let query = async move {
        use tokio::io::AsyncReadExt;
        let mut stream = tokio::net::TcpStream::from_std(stream).expect("registers");
        u32::from(stream.read_u8().await.expect("reads"))
    };
    check(
        query,
        &[("tokio::io::util::read_int::ReadU8", WaitKind::Socket)],
        || other.write_all(&[40]).expect("writes"),
    );
}

#[test]
fn child_wait() {
    let query = async {
        let mut child = tokio::process::Command::new("sleep")
            .arg("0.3")
            .spawn()
            .expect("starts");
        child.wait().await.map_or(0, |_| 40)
    };
    check(
        query,
        &[("tokio::process::Child::wait", WaitKind::Child)],
        || {},
    );
}

#[test]
fn join_of_two_shows_both() {
    let (first, one) = oneshot::channel::<u32>();
    let notify = Arc::new(Notify::new());
    let waiting = notify.clone();
    let query = async move {
        let (number, ()) = tokio::join!(biased; one, waiting.notified());
        number.expect("sent")
    };
    let leaves = [
        ("tokio::sync::oneshot::Receiver", WaitKind::Channel),
        ("tokio::sync::notify::Notified", WaitKind::Channel),
    ];
    check(query, &leaves, || {
        first.send(40).expect("somebody waits");
        notify.notify_one();
    });
}

#[test]
fn select_shows_every_branch() {
    let (send, receive) = oneshot::channel::<u32>();
    let query = async move {
        tokio::select! {
            biased;
            number = receive => number.expect("sent"),
            () = tokio::time::sleep(Duration::from_secs(1000)) => 0,
        }
    };
    let leaves = [
        ("tokio::sync::oneshot::Receiver", WaitKind::Channel),
        ("tokio::time::Sleep", WaitKind::Timer),
    ];
    check(query, &leaves, || send.send(40).expect("somebody waits"));
}

#[test]
fn a_boxed_trait_object_is_seen_through() {
    let (send, receive) = oneshot::channel::<u32>();
    let boxed: Handler = Box::pin(async move { receive.await.expect("sent") });
    check(
        boxed,
        &[("tokio::sync::oneshot::Receiver", WaitKind::Channel)],
        || send.send(40).expect("waits"),
    );
}

#[test]
#[cfg(target_os = "linux")]
fn tcp_connect() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&listener);
    // SAFETY: a second listen on our own socket only changes the length of its queue.
    let failed = unsafe { libc::listen(fd, 1) } != 0;
    assert!(!failed);
    let _full = [(); 2].map(|()| std::net::TcpStream::connect(address).expect("there is room"));
    let query = async move {
        tokio::net::TcpStream::connect(address)
            .await
            .map_or(0, |_| 40)
    };
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    check(
        query,
        &[(
            "tokio::net::tcp::stream::TcpStream::connect",
            WaitKind::Socket,
        )],
        || {
            std::thread::spawn(move || {
                let _kept: Vec<_> = listener.incoming().take(3).collect();
                let _ = stopped.recv_timeout(LIMIT);
            });
        },
    );
    drop(stop);
}

#[test]
fn a_yielding_future_is_told_from_a_waiting_one() {
    let mut request = Request::new(async {
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        })
        .await;
        0
    });
    assert!(request.poll().is_pending());
    assert_eq!(request.capture().leaves[0].kind, LeafKind::WokeItself);
}

#[test]
fn a_poll_that_completes_says_so() {
    let mut request = Request::new(async { 40 });
    let waiting = request.capture();
    assert_eq!(
        (waiting.outcome, waiting.leaves.len()),
        (PollOutcome::Ready, 0)
    );
}

#[test]
fn a_stored_waker_is_the_original() {
    let alarm = Arc::new(Alarm {
        thread: std::thread::current(),
        rung: AtomicBool::new(false),
    });
    let waker = Waker::from(alarm.clone());
    let mut stored = None;
    let poll = |cx: &mut Context<'_>| {
        stored = Some(original(cx.waker()).clone());
        Poll::<()>::Pending
    };
    assert!(capture_poll(&mut Context::from_waker(&waker), |_| {}, poll).is_pending());
    assert!(stored.take().expect("polled").will_wake(&waker));
    drop(waker);
    assert_eq!(Arc::strong_count(&alarm), 1);
}
