//! A queue: ActiveMQ through STOMP.

use crate::watch::{Case, Host, Watch, hangs};
use redhanded_outbound_tests::stomp::Session;
use redhanded_outbound_tests::{BlackHole, Server};
use std::io;

fn host(port: u16) -> Host {
    let (kind, name) = ("activemq", "queue1");
    Host { kind, name, port }
}

async fn receive(port: u16) -> io::Result<String> {
    let mut session = Session::open(port).await?;
    session.subscribe("inbox").await?;
    session.message().await
}

async fn send(mut session: Session) -> io::Result<()> {
    session.send("inbox", "Hello").await
}

pub(crate) async fn cases(watch: &mut Watch) {
    let server = Server::activemq().expect("it starts");
    let host = host(server.port());
    let session = || async { Session::open(host.port).await.expect("it answers") };

    hangs("an empty queue", receive(host.port)).await;
    let case =
        Case::silent("activemq, an empty queue", host, "Session::expect").with_state("ESTABLISHED");
    let call = host.outbound().key("inbox");
    watch.catch(case, call.try_run(receive(host.port)));

    let (first, second) = (session().await, session().await);
    server.stop().expect("it runs");
    hangs("SEND", send(first)).await;
    let case = Case::silent(
        "activemq, stopped before a receipt",
        host,
        "Session::expect",
    )
    .with_state("ESTABLISHED");
    watch.catch(case, host.outbound().key("inbox").try_run(send(second)));
    unreachable(watch).await;
}

async fn unreachable(watch: &mut Watch) {
    let hole = BlackHole::open().expect("a socket");
    let host = host(hole.port());
    hangs("to connect", receive(host.port)).await;
    let case =
        Case::unreachable("activemq, unreachable", host, "Session::open").with_state("SYN_SENT");
    watch.catch(case, host.outbound().try_run(receive(host.port)));
}
