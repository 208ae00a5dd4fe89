//! Redis: one connection for all, which a task of its own drives, and one that blocks its thread.

use crate::watch::{Case, Host, Watch, blocks, hangs};
use redhanded_outbound_tests::{BlackHole, Server};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, cmd};

fn host(port: u16) -> Host {
    let (kind, name) = ("redis", "cache1");
    Host { kind, name, port }
}

fn client(port: u16) -> Client {
    Client::open(("127.0.0.1", port)).expect("an address")
}

async fn connect(client: Client) -> Result<MultiplexedConnection, RedisError> {
    // Its own time-outs would hide what is tested here.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

async fn get(mut connection: MultiplexedConnection) -> Result<Option<String>, RedisError> {
    cmd("GET")
        .arg("notice:7")
        .query_async(&mut connection)
        .await
}

async fn pop(mut connection: MultiplexedConnection) -> Result<Option<String>, RedisError> {
    let mut pop = cmd("BLPOP");
    pop.arg("inbox").arg(0).query_async(&mut connection).await
}

fn get_blocking(connection: &mut redis::Connection) -> Result<Option<String>, RedisError> {
    cmd("GET").arg("notice:7").query(connection)
}

fn connect_blocking(client: &Client) -> Result<(), RedisError> {
    client.get_connection().map(drop)
}

pub(crate) async fn cases(watch: &mut Watch) {
    let server = Server::redis().expect("it starts");
    let host = host(server.port());
    let connected = || async { connect(client(host.port)).await.expect("it answers") };

    let connection = connected().await;
    hangs("BLPOP", pop(connection.clone())).await;
    let case = Case::silent("redis, BLPOP", host, "redis::pop");
    watch.catch(case, host.outbound().key("inbox").try_run(pop(connection)));

    let connection = connected().await;
    let blocking = || client(host.port).get_connection().expect("it answers");
    let (mut bare, mut blocking) = (blocking(), blocking());
    server.stop().expect("it runs");
    hangs("GET", get(connection.clone())).await;
    let case = Case::silent("redis, stopped before GET", host, "redis::get");
    watch.catch(
        case,
        host.outbound().key("notice:7").try_run(get(connection)),
    );

    // Its connection is answered by the kernel, and what it says then by nobody.
    hangs("to connect", connect(client(host.port))).await;
    let case = Case::silent("redis, stopped before it connects", host, "redis::connect");
    watch.catch(case, host.outbound().try_run(connect(client(host.port))));

    blocks("GET", move || get_blocking(&mut bare)).await;
    let case = Case::silent("redis, blocking, stopped", host, "redis::get_blocking")
        .with_state("ESTABLISHED");
    let caught = watch.catch(case, async move {
        let get = move || {
            host.outbound()
                .try_run_blocking(|| get_blocking(&mut blocking))
        };
        redhanded::spawn_blocking(case.name, get).await
    });
    drop((caught, server));
    unreachable(watch).await;
}

async fn unreachable(watch: &mut Watch) {
    let hole = BlackHole::open().expect("a socket");
    let host = host(hole.port());
    hangs("to connect", connect(client(host.port))).await;
    let case =
        Case::unreachable("redis, unreachable", host, "redis::connect").with_state("SYN_SENT");
    watch.catch(case, host.outbound().try_run(connect(client(host.port))));

    let bare = client(host.port);
    blocks("to connect", move || connect_blocking(&bare)).await;
    let case = Case::unreachable(
        "redis, blocking, unreachable",
        host,
        "redis::connect_blocking",
    )
    .with_state("SYN_SENT");
    watch.catch(case, async move {
        let client = client(host.port);
        let connect = move || {
            host.outbound()
                .try_run_blocking(|| connect_blocking(&client))
        };
        redhanded::spawn_blocking(case.name, connect).await
    });
}
