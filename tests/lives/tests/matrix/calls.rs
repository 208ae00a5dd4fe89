//! gRPC, with tonic on both sides.

use redhanded_lives::{
    End, Flavour, Hanging, Lane, Table, Wanted, call_greeter, channel, follow_greeter, scale,
};
use std::sync::Arc;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

pub(crate) async fn calls(table: Arc<Table>) {
    let mut lane = Lane::new(Flavour::Tonic, false, &table).await;
    for _ in 0..4 {
        unary(&mut lane, scale(100)).await;
        streaming(&mut lane, scale(50)).await;
    }
    refused(&mut lane, scale(100)).await;
    health(&mut lane, scale(100)).await;
    given_up(&mut lane, scale(100)).await;
    lost(&mut lane, scale(100)).await;
}

async fn unary(lane: &mut Lane, count: u64) {
    let channel = channel(&lane.address()).await;
    lane.each("gRPC unary", count, 100, |mut chance| {
        let channel = channel.clone();
        async move {
            let name = "n".repeat(chance.among(0..3000) as usize);
            let answer = call_greeter(channel, "Greet", &name).await;
            assert_eq!(answer.expect("an answer"), format!("hello {name}"));
        }
    })
    .await;
    lane.settle("gRPC unary", Wanted::of(End::Completed, count))
        .await;
}

async fn streaming(lane: &mut Lane, count: u64) {
    let channel = channel(&lane.address()).await;
    lane.each("gRPC streaming", count, 100, |mut chance| {
        let channel = channel.clone();
        async move {
            let rows = chance.among(0..20);
            let stream = follow_greeter(channel, "Follow", rows).await;
            let mut stream = stream.expect("a stream");
            for row in 0..rows {
                let message = stream.message().await.expect("no error");
                assert_eq!(message, Some(row.to_string()));
            }
            assert_eq!(stream.message().await.expect("no error"), None);
        }
    })
    .await;
    lane.settle("gRPC streaming", Wanted::of(End::Completed, count))
        .await;
}

/// Nothing but trailers; and a method that does not exist.
async fn refused(lane: &mut Lane, count: u64) {
    let channel = channel(&lane.address()).await;
    lane.each("gRPC error", count, 100, |mut chance| {
        let channel = channel.clone();
        async move {
            let answer = call_greeter(channel, "Refuse", &chance.among(0..9).to_string()).await;
            let status = answer.expect_err("an error");
            assert_eq!(status.code(), Code::PermissionDenied);
        }
    })
    .await;
    lane.settle("gRPC error", Wanted::of(End::Completed, count))
        .await;
}

/// tonic's own service: one call, and a watch that never ends by itself.
async fn health(lane: &mut Lane, count: u64) {
    let channel = channel(&lane.address()).await;
    lane.each("gRPC health, watched", count, 50, |_| {
        let mut health = HealthClient::new(channel.clone());
        let of = || HealthCheckRequest {
            service: "lives.Greeter".to_owned(),
        };
        async move {
            let checked = health.check(of()).await.expect("an answer");
            assert_eq!(checked.into_inner().status, 1, "it serves");
            let watched = health.watch(of()).await.expect("a stream");
            let mut watched = watched.into_inner();
            let first = watched.message().await.expect("no error");
            assert_eq!(first.expect("a message").status, 1, "it serves");
        }
    })
    .await;
    let wanted = Wanted::of(End::Completed, count).and(End::Reset, count);
    lane.settle("gRPC health, checked and watched", wanted)
        .await;
}

/// Calls that hang, and whose callers give them up one by one; the channel lives on.
async fn given_up(lane: &mut Lane, count: u64) {
    let channel = channel(&lane.address()).await;
    hang(lane, &channel, count).await.let_go().await;
    lane.settle("gRPC given up", Wanted::of(End::Reset, 2 * count))
        .await;
    let alive = call_greeter(channel, "Greet", "again").await;
    assert_eq!(alive.expect("it lives on"), "hello again");
    lane.settle("gRPC unary", Wanted::of(End::Completed, 1))
        .await;
}

/// Calls that hang, and whose connection goes.
async fn lost(lane: &mut Lane, count: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let address = lane.address();
    let channel = runtime.spawn(async move { channel(&address).await });
    let channel = channel.await.expect("a channel");
    let hanging = hang(lane, &channel, count).await;
    // With the runtime goes the task that has the connection
    runtime.shutdown_background();
    lane.settle("gRPC connection lost", Wanted::of(End::Gone, 2 * count))
        .await;
    hanging.let_go().await;
}

/// `count` unary calls and `count` streams that hang.
async fn hang(lane: &Lane, channel: &tonic::transport::Channel, count: u64) -> Hanging {
    let arrived = lane.gate.arrived();
    let mut hanging = Hanging::default();
    for rows in 0..count {
        let (one, other) = (channel.clone(), channel.clone());
        hanging.add(async move { drop(call_greeter(one, "Hang", "").await) });
        hanging.add(async move {
            let stream = follow_greeter(other, "FollowForEver", rows % 5).await;
            let Ok(mut stream) = stream else { return };
            while matches!(stream.message().await, Ok(Some(_))) {}
        });
    }
    lane.gate.wait(arrived + 2 * count, "gRPC").await;
    hanging
}
