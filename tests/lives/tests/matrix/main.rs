//! Every kind of request, every way to end, every server: no slot leaked, no end wrong.
//!
//! `REDHANDED_SEED` repeats a run; `REDHANDED_LIVES_REQUESTS` makes it smaller or greater.

mod calls;
mod outside;
mod server_ends;
mod socket;
mod wire;

use redhanded_lives::Protocol::{H1, H2};
use redhanded_lives::{Address, End, Flavour, Lane, Leaves, Protocol, Table, kind, scale, seed};
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

/// Goes past the harness, which would keep it.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_kind_and_every_end() {
    say(&format!("REDHANDED_SEED={}", seed()));
    let (begun, table) = (Instant::now(), Arc::new(Table::default()));
    let lanes = [
        tokio::spawn(axum(true, table.clone())),
        tokio::spawn(axum(false, table.clone())),
        tokio::spawn(bare(true, table.clone())),
        tokio::spawn(bare(false, table.clone())),
        tokio::spawn(unix(true, table.clone())),
        tokio::spawn(tls(true, table.clone())),
        tokio::spawn(calls::calls(table.clone())),
        tokio::spawn(server_ends::server_ends(true, table.clone())),
        tokio::spawn(server_ends::server_ends(false, table.clone())),
        tokio::spawn(outside::outside(true, table.clone())),
    ];
    for lane in lanes {
        lane.await.expect("no panic");
    }
    let took = begun.elapsed();
    say(&format!("{table}"));
    say(&format!("REDHANDED_SEED={}, {took:.1?}", seed()));
    assert!(table.faults().is_empty(), "see the table above");
    if std::env::var_os("REDHANDED_LIVES_REQUESTS").is_none() {
        assert!(table.requests() >= 100_000, "the run has shrunk");
    }
}

/// What every server of HTTP has to do right, in one protocol.
async fn whole(lane: &mut Lane, protocol: Protocol, each: u64) {
    let bulk = scale(20 * each);
    lane.whole(&kind::LIGHT, protocol, bulk, End::Completed)
        .await;
    for kind in &kind::WHOLE {
        lane.whole(kind, protocol, scale(each), End::Completed)
            .await;
    }
    for kind in &kind::PANICS {
        lane.broken(kind, protocol, scale(each / 4), End::Panicked)
            .await;
    }
    for kind in &kind::DROPPED {
        lane.broken(kind, protocol, scale(each / 4), End::Dropped)
            .await;
    }
}

/// Every place where a client can leave a request, and every way.
async fn leave(lane: &mut Lane, protocol: Protocol, each: u64) {
    let ways: &[Leaves] = match (protocol, &lane.server.address) {
        // A Unix socket has no reset
        (H1, Address::Unix(_)) => &[Leaves::Close],
        (H2, Address::Unix(_)) => &[Leaves::Close, Leaves::Stream],
        (H1, _) => &[Leaves::Close, Leaves::Reset],
        (H2, _) => &[Leaves::Close, Leaves::Reset, Leaves::Stream],
    };
    for kind in &kind::CLIENT_GOES {
        for way in ways {
            lane.left(kind, protocol, *way, scale(each)).await;
        }
    }
    for way in ways {
        match protocol {
            H1 => {
                let (kind, count) = (&kind::UPLOAD_ANSWERED, scale(each));
                lane.left_with(kind, protocol, *way, count, End::Completed)
                    .await;
            }
            // Whether hyper asks the handler first or the stream's state is a race of two threads,
            // so that only one that does not answer has a certain end
            H2 => lane.left(&kind::UPLOAD, protocol, *way, scale(each)).await,
        }
    }
}

async fn axum(proved: bool, table: Arc<Table>) {
    let mut lane = Lane::new(Flavour::Axum, proved, &table).await;
    for protocol in [H1, H2] {
        whole(&mut lane, protocol, 100).await;
        leave(&mut lane, protocol, 100).await;
        lane.whole(&kind::LATE, protocol, scale(100), End::Dropped)
            .await;
        lane.broken(&kind::LIMITED, protocol, scale(100), End::Dropped)
            .await;
        lane.whole(&kind::EVENTS, protocol, scale(100), End::Completed)
            .await;
        lane.left(&kind::EVENTS_REST, protocol, Leaves::Close, scale(100))
            .await;
    }
    lane.left(&kind::EVENTS_REST, H2, Leaves::Stream, scale(100))
        .await;
    wire::by_hand(&mut lane, 100).await;
    socket::sockets(&mut lane, 100).await;
    lane.whole(&kind::REFUSED, H1, scale(100), End::Completed)
        .await;
}

async fn bare(proved: bool, table: Arc<Table>) {
    let mut lane = Lane::new(Flavour::Bare, proved, &table).await;
    for protocol in [H1, H2] {
        whole(&mut lane, protocol, 100).await;
        leave(&mut lane, protocol, 100).await;
        lane.broken(&kind::LATE, protocol, scale(100), End::Dropped)
            .await;
        lane.broken(&kind::FAILS, protocol, scale(100), End::Completed)
            .await;
        lane.broken(&kind::PANIC_CALL, protocol, scale(100), End::Panicked)
            .await;
        lane.whole(&kind::CONNECT, protocol, scale(100), End::Completed)
            .await;
    }
    wire::by_hand(&mut lane, 100).await;
}

async fn unix(proved: bool, table: Arc<Table>) {
    let mut lane = Lane::new(Flavour::Unix, proved, &table).await;
    for protocol in [H1, H2] {
        whole(&mut lane, protocol, 40).await;
        leave(&mut lane, protocol, 40).await;
    }
}

async fn tls(proved: bool, table: Arc<Table>) {
    let mut lane = Lane::new(Flavour::Tls, proved, &table).await;
    for protocol in [H1, H2] {
        whole(&mut lane, protocol, 40).await;
        leave(&mut lane, protocol, 40).await;
    }
}
