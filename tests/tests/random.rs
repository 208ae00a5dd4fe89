//! Ten thousand requests that end in every way there is, while the watchdog looks at them: no slot
//! stays behind, nothing goes wrong inside, nobody runs unwatched.

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redhanded::{Redhanded, WatchLayer};
use redhanded_tests::{PATIENCE, until};
use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

const REQUESTS: u64 = 10_000;
const TASKS: u64 = 16;

type Answer = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

/// What one request does; a number of 0 to 99 for each decision.
#[derive(Clone, Copy, Debug)]
struct Fate {
    wait: u32,
    end: u32,
    body: u32,
    frames: u32,
    reader: u32,
}

impl Fate {
    fn draw(rng: &mut SmallRng) -> Self {
        let mut decide = || rng.random_range(0..100);
        Self {
            wait: decide(),
            end: decide(),
            body: decide(),
            frames: decide(),
            reader: decide(),
        }
    }
}

/// Nobody waits long, and some long enough to be caught.
async fn wait(fate: u32) {
    match fate {
        0..70 => {}
        70..85 => tokio::task::yield_now().await,
        85..97 => sleep(Duration::from_millis(2)).await,
        _ => sleep(Duration::from_millis(40)).await,
    }
}

async fn handle(fate: Fate) -> Result<Response<Answer>, io::Error> {
    wait(fate.wait).await;
    match fate.end {
        0..5 => panic!("on purpose"),
        5..15 => Err(io::ErrorKind::Other.into()),
        15..20 => std::future::pending().await,
        _ => Ok(Response::new(body(fate))),
    }
}

fn body(fate: Fate) -> Answer {
    let whole = |bytes| Full::new(Bytes::from_static(bytes)).map_err(|never| match never {});
    match fate.body {
        0..20 => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        20..50 => whole(b"an exact length").boxed_unsync(),
        _ => BodyExt::boxed_unsync(StreamBody::new(Box::pin(frames(fate)))),
    }
}

fn frames(fate: Fate) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, io::Error>> {
    futures_util::stream::unfold(0, move |n| async move {
        wait(fate.wait).await;
        match (n == fate.frames / 20, fate.body) {
            (false, _) => Some((Ok(Frame::data(Bytes::from_static(b"frame"))), n + 1)),
            (true, 50..90) => None,
            (true, 90..95) => Some((Err(io::ErrorKind::BrokenPipe.into()), n + 1000)),
            (true, _) => panic!("on purpose, in the body"),
        }
    })
}

/// One request, by a client that may go away at any time.
async fn ask(layer: WatchLayer, number: u64, fate: Fate) {
    let service = layer.layer(service_fn(move |_: Request<()>| handle(fate)));
    let request = Request::get(format!("/random/{number}?fate={fate:?}")).body(());
    let request = request.unwrap_or_else(|_| Request::new(()));
    let answer = service.oneshot(request);
    match fate.reader {
        0..5 => drop(answer),
        5..10 => drop(answer.now_or_never()),
        _ => {
            let patience = Duration::from_millis(60);
            if let Ok(Ok(response)) = timeout(patience, answer).await {
                read(response.into_body(), fate.reader).await;
            }
        }
    }
}

async fn read(body: impl Body<Data = Bytes, Error = io::Error>, reader: u32) {
    let mut body = Box::pin(body);
    let frames = if reader < 40 {
        usize::from(reader > 20)
    } else {
        usize::MAX
    };
    for _ in 0..frames {
        if !matches!(body.frame().await, Some(Ok(_))) {
            break;
        }
    }
}

#[test]
fn ten_thousand_requests_leave_nothing_behind() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("slow.jsonl");
    let builder = Redhanded::builder("random")
        .slow_after(Duration::from_millis(20))
        .slow_log(&log);
    let redhanded = builder.install().expect("good settings");
    let loud = std::panic::take_hook();
    // Some hundred panics on purpose are not worth their words.
    std::panic::set_hook(Box::new(move |panic| {
        if !panic
            .payload_as_str()
            .is_some_and(|text| text.starts_with("on purpose"))
        {
            loud(panic);
        }
    }));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let layer = redhanded.layer();
        let client = |task: u64| async move {
            let mut rng = SmallRng::seed_from_u64(task);
            for number in 0..REQUESTS / TASKS {
                let fate = Fate::draw(&mut rng);
                let _ = AssertUnwindSafe(ask(layer, number, fate))
                    .catch_unwind()
                    .await;
            }
        };
        let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(client(task))).collect();
        for task in tasks {
            task.await.expect("panics were caught");
        }
        assert!(redhanded.flush(PATIENCE).await, "everything is on disk");
    });
    let gone = until(PATIENCE, || (redhanded.in_flight() == 0).then_some(()));
    let stats = redhanded.stats();
    assert!(
        gone.is_some(),
        "{} requests are still there: {stats:?}",
        redhanded.in_flight()
    );
    assert_eq!(
        (stats.unwatched, stats.internal_errors),
        (0, 0),
        "{stats:?}"
    );
    assert!(
        stats.caught > 100,
        "the watchdog had something to do: {stats:?}"
    );
    let text = std::fs::read_to_string(log).expect("a log");
    for line in text.lines() {
        let record: redhanded::report::Report = serde_json::from_str(line).expect("a record");
        assert!(!record.id.is_empty());
    }
}
