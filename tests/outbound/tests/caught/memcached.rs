//! memcached: a client whose socket is the request's own, and one of r2d2's pools that blocks its thread.

use crate::watch::{Case, Host, Watch, blocks, hangs};
use async_memcached::{AsciiProtocol, Client, Error};
use memcache::MemcacheError;
use redhanded::report::{Class, Role};
use redhanded_outbound_tests::{BlackHole, Server};

fn host(port: u16) -> Host {
    let (kind, name) = ("memcached", "cache2");
    Host { kind, name, port }
}

async fn connect(port: u16) -> Result<Client, Error> {
    Client::new(format!("tcp://127.0.0.1:{port}")).await
}

async fn get(mut client: Client) -> Result<(), Error> {
    client.get("avatar:7").await.map(drop)
}

async fn connect_and_get(port: u16) -> Result<(), Error> {
    let mut client = connect(port).await?;
    client.get("avatar:7").await.map(drop)
}

fn blocking(port: u16) -> Result<memcache::Client, MemcacheError> {
    memcache::connect(format!("memcache://127.0.0.1:{port}"))
}

fn get_blocking(client: &memcache::Client) -> Result<Option<String>, MemcacheError> {
    client.get("avatar:7")
}

pub(crate) async fn cases(watch: &mut Watch) {
    let server = Server::memcached().expect("it starts");
    let host = host(server.port());
    let connected = || async { connect(host.port).await.expect("it answers") };
    let (first, second) = (connected().await, connected().await);
    let sync = blocking(host.port).expect("it answers");
    let same = sync.clone();
    let bare = blocking(host.port).expect("it answers");
    server.stop().expect("it runs");

    hangs("get", get(first)).await;
    let case = Case::silent("memcached, stopped before get", host, "memcached::get")
        .with_state("ESTABLISHED");
    watch.catch(case, host.outbound().key("avatar:7").try_run(get(second)));

    hangs("to connect and get", connect_and_get(host.port)).await;
    let case = Case::silent(
        "memcached, stopped before it connects",
        host,
        "memcached::connect_and_get",
    )
    .with_state("ESTABLISHED");
    watch.catch(case, host.outbound().try_run(connect_and_get(host.port)));

    blocks("get", move || get_blocking(&bare)).await;
    let case = Case::silent(
        "memcached, blocking, stopped",
        host,
        "memcached::get_blocking",
    )
    .with_state("ESTABLISHED");
    let caught = watch.catch(case, async move {
        let get = move || host.outbound().try_run_blocking(|| get_blocking(&sync));
        redhanded::spawn_blocking(case.name, get).await
    });
    let bare = same.clone();
    blocks("a pool of one", move || get_blocking(&bare)).await;
    // The client has a pool of one, and its connection is in use.
    let case = Case {
        class: Class::PoolWait,
        role: Role::Victim,
        phase: "pool",
        // Whom its child makes a victim has no line of its own to blame.
        ..Case::silent("memcached, blocking, waits in the pool", host, "")
    };
    let late = watch.catch(case, async move {
        let get = move || host.outbound().try_run_blocking(|| get_blocking(&same));
        redhanded::spawn_blocking(case.name, get).await
    });
    watch.demand_victim(&late, &caught);
    drop((late, caught, server));
    unreachable(watch).await;
}

fn connect_blocking(port: u16) -> Result<(), MemcacheError> {
    blocking(port).map(drop)
}

async fn unreachable(watch: &mut Watch) {
    let hole = BlackHole::open().expect("a socket");
    let host = host(hole.port());
    hangs("to connect", connect_and_get(host.port)).await;
    let case = Case::unreachable("memcached, unreachable", host, "memcached::connect")
        .with_state("SYN_SENT");
    watch.catch(case, host.outbound().try_run(connect_and_get(host.port)));

    let port = host.port;
    blocks("to connect", move || connect_blocking(port)).await;
    // Its pool connects on a thread of the pool's own, and who makes it waits for that.
    let case = Case {
        class: Class::PoolWait,
        phase: "pool",
        ..Case::silent(
            "memcached, blocking, its pool does not begin",
            host,
            "memcached::blocking",
        )
    };
    watch.catch(case, async move {
        let connect = move || {
            host.outbound()
                .try_run_blocking(|| connect_blocking(host.port))
        };
        redhanded::spawn_blocking(case.name, connect).await
    });
}
