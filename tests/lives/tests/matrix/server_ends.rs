//! The server is the one that goes.

use redhanded_lives::Protocol::{H1, H2};
use redhanded_lives::{
    Chance, Client, End, Flavour, Kind, Lane, Leaves, Protocol, Raw, Server, Table, Wanted, kind,
    scale,
};
use std::sync::Arc;

pub(crate) async fn server_ends(proved: bool, table: Arc<Table>) {
    let mut lane = Lane::new(Flavour::Axum, proved, &table).await;
    for protocol in [H1, H2] {
        for kind in kind::CLIENT_GOES.iter().chain([&kind::UPLOAD]) {
            aborted(&mut lane, kind, protocol, scale(60)).await;
            runtime_gone(&mut lane, kind, protocol, scale(60)).await;
        }
        finished(&mut lane, protocol, scale(60)).await;
    }
    deserted(&mut lane, scale(60)).await;
}

/// A second server of the lane's install.
async fn another(lane: &Lane, flavour: Flavour) -> Server {
    Server::start(flavour, lane.proved, &lane.watched, &lane.gate).await
}

/// A shutdown that has lost its patience: the tasks of the connections are aborted.
async fn aborted(lane: &mut Lane, kind: &Kind, protocol: Protocol, count: u64) {
    let server = another(lane, Flavour::Bare).await;
    let address = server.address.clone();
    let hanging = lane
        .hang_at(&address, kind, protocol, Leaves::Close, count)
        .await;
    server.abort();
    let name = format!("{} {protocol:?}, server aborted", kind.name);
    lane.settle(&name, Wanted::of(End::Dropped, count)).await;
    hanging.let_go().await;
}

/// The runtime goes, and every task with it, in whatever order.
async fn runtime_gone(lane: &mut Lane, kind: &Kind, protocol: Protocol, count: u64) {
    let server = Server::start_apart(&lane.watched, &lane.gate);
    let address = server.address.clone();
    let hanging = lane
        .hang_at(&address, kind, protocol, Leaves::Close, count)
        .await;
    server.end_runtime();
    let name = format!("{} {protocol:?}, runtime gone", kind.name);
    lane.settle(&name, Wanted::of(End::Dropped, count)).await;
    hanging.let_go().await;
}

/// A graceful shutdown lets what is in flight come to its end.
async fn finished(lane: &mut Lane, protocol: Protocol, count: u64) {
    let server = another(lane, Flavour::Axum).await;
    let poll = kind::WHOLE
        .iter()
        .find(|k| k.path == "/poll")
        .expect("a kind");
    let mut clients = Vec::new();
    let mut chance = Chance::of("finished");
    for _ in 0..count {
        let mut client = Client::connect(&server.address, protocol, false).await;
        let answer = tokio::spawn(client.send(poll.request(&mut chance)));
        clients.push((client, answer));
    }
    // All are on their way
    let redhanded = lane.watched.redhanded.clone();
    let begun = redhanded_lives::comes(|| {
        let stats = redhanded.stats().ended.total();
        stats + redhanded.in_flight() as u64 >= lane.ended() + count
    });
    assert!(begun.await, "requests begin");
    let server = tokio::spawn(server.finish());
    for (client, answer) in clients {
        let answer = answer.await.expect("no panic");
        let status = redhanded_lives::read(async { answer })
            .await
            .expect("a whole answer");
        assert_eq!(status.as_u16(), 200);
        drop(client);
    }
    server.await.expect("the server finishes");
    let name = format!("graceful shutdown {protocol:?}");
    lane.settle(&name, Wanted::of(End::Completed, count)).await;
}

/// By HTTP/1.1, hyper keeps a handler whose client has gone, if it went in the middle of its upload
/// or with more requests said than were asked for: the request is in flight, and rightly so, until
/// something on our side ends it. Then the client is known to have gone where hyper has read on.
async fn deserted(lane: &mut Lane, count: u64) {
    let server = another(lane, Flavour::Bare).await;
    let address = server.address.clone();
    let (gate, before) = (lane.gate.clone(), lane.gate.deserted());
    let hanging = lane
        .hang_at(&address, &kind::UPLOAD, H1, Leaves::Close, count)
        .await;
    hanging.let_go().await;
    // Before hyper has heard of it, nobody knows
    assert!(redhanded_lives::comes(|| gate.deserted() == before + count).await);
    assert_eq!(lane.watched.redhanded.in_flight() as u64, count);
    server.abort();
    let name = "deserted upload H1, server aborted";
    lane.settle(name, Wanted::of(End::Gone, count)).await;

    let server = another(lane, Flavour::Bare).await;
    let arrived = lane.gate.arrived();
    let ask = |word| format!("GET /{word} HTTP/1.1\r\nhost: lives\r\n\r\n");
    let (hang, plain) = (ask("hang"), ask("plain"));
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut raw = Raw::connect(server.port(), false).await;
        raw.say(&[hang.as_str(), &plain, &plain].concat()).await;
        clients.push(raw);
    }
    lane.gate.wait(arrived + count, "pipelining").await;
    drop(clients);
    assert_eq!(lane.watched.redhanded.in_flight() as u64, count);
    server.abort();
    let name = "deserted pipeline H1, server aborted";
    lane.settle(name, Wanted::of(End::Dropped, count)).await;
}
