//! PostgreSQL: a pool of sqlx, and a driver that blocks its thread.

use crate::watch::{Case, Host, Watch, blocks, hangs};
use postgres::{Config, NoTls};
use redhanded::report::{Class, Role};
use redhanded_outbound_tests::{BlackHole, Server, go_on, stop};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use std::future::Future;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
const SLEEP: &str = "SELECT pg_sleep(3600)";
/// Over before anybody is late, where nobody is stopped.
const NAP: &str = "SELECT pg_sleep(0.1)";
const WITH_SECRET: &str = "SELECT pg_sleep(3600), 'host=db password=hunter2'";

fn host(port: u16) -> Host {
    let (kind, name) = ("postgres", "db1");
    Host { kind, name, port }
}

fn pool(port: u16, most: u32) -> PgPool {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("test")
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    PgPoolOptions::new()
        .max_connections(most)
        .connect_lazy_with(options)
}

async fn run(pool: PgPool, statement: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(statement).execute(&pool).await?;
    Ok(())
}

async fn take(pool: PgPool) -> Result<(), sqlx::Error> {
    let port = pool.connect_options().get_port();
    let acquiring = host(port).outbound().acquire(pool.acquire());
    let mut connection = acquiring.await?;
    sqlx::query(SLEEP).execute(&mut **connection).await?;
    Ok(())
}

/// The server's process that works for the only connection of `pool`, which is idle afterwards: it is a
/// task that gives it back.
async fn process(pool: &PgPool) -> u32 {
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(pool)
        .await
        .expect("it answers");
    let given_back = async {
        while pool.num_idle() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, given_back).await;
    waited.expect("it is given back");
    pid.unsigned_abs()
}

fn run_blocking(client: &mut postgres::Client) -> Result<u64, postgres::Error> {
    client.execute(SLEEP, &[])
}

fn connect_blocking(port: u16) -> Result<postgres::Client, postgres::Error> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("test");
    config.dbname("postgres").connect(NoTls)
}

pub(crate) async fn cases(watch: &mut Watch) {
    let server = Server::postgres().expect("it starts");
    let host = host(server.port());
    slow(watch, host).await;
    stopped(watch, host).await;
    exhausted(watch, host).await;
    held(watch, host).await;
    blocking(watch, host).await;
    stopped_before(watch, host, &server).await;
    drop(server);
    unreachable(watch).await;
}

/// A query that takes for ever.
async fn slow(watch: &mut Watch, host: Host) {
    // Each its own pool: who gives up a query gives its connection back only when that has ended.
    hangs("a slow query", run(pool(host.port, 1), SLEEP)).await;
    let pool = pool(host.port, 1);
    let case = Case::silent("postgres, a slow query", host, "postgres::run");
    let call = host.outbound().statement(WITH_SECRET);
    let caught = watch.catch(case, call.try_run(run(pool, WITH_SECRET)));
    let evidence = caught.report.as_ref().and_then(|r| r.evidence.clone());
    let calls = evidence.unwrap_or_default().outbound;
    let what = calls.first().and_then(|call| call.what.clone());
    let what = what.unwrap_or_default();
    watch.demand(
        &format!("the statement without its password, not {what}"),
        what.contains("pg_sleep(3600)") && what.contains("password=") && !what.contains("hunter2"),
    );
    let kind = calls.first().map(|call| call.kind.as_str());
    watch.demand("the kind is postgres", kind == Some("postgres"));
}

/// Stops the process `pid` once `query` has begun.
async fn stopping<F: Future>(pid: u32, query: F) -> F::Output {
    let stop = async move { stop(pid).expect("it runs") };
    tokio::join!(query, stop).0
}

/// The server's process is stopped while it works on a query.
async fn stopped(watch: &mut Watch, host: Host) {
    let bare = pool(host.port, 1);
    let pid = process(&bare).await;
    hangs("a stopped process", stopping(pid, run(bare, NAP))).await;
    go_on(pid).expect("it is there");

    let pool = pool(host.port, 1);
    let pid = process(&pool).await;
    let stopping = stopping(pid, host.outbound().try_run(run(pool, NAP)));
    let case = Case::silent("postgres, stopped in a query", host, "postgres::run");
    let caught = watch.catch(case, stopping);
    go_on(pid).expect("it is there");
    drop(caught);
}

/// A pool of one, whose connection is in use.
async fn exhausted(watch: &mut Watch, host: Host) {
    let pool = pool(host.port, 1);
    let case = Case::silent("postgres, has the only connection", host, "postgres::run");
    let first = watch.catch(case, host.outbound().try_run(run(pool.clone(), SLEEP)));
    hangs("an empty pool", run(pool.clone(), "SELECT 1")).await;
    let case = Case {
        class: Class::PoolWait,
        role: Role::Victim,
        phase: "pool",
        ..Case::silent(
            "postgres, waits in the pool of a query",
            host,
            "postgres::run",
        )
    };
    let second = watch.catch(case, host.outbound().try_run(run(pool, "SELECT 1")));
    watch.demand_victim(&second, &first);
}

/// The same, where both say that they take a connection.
async fn held(watch: &mut Watch, host: Host) {
    let pool = pool(host.port, 1);
    let case = Case::silent(
        "postgres, holds the only connection",
        host,
        "postgres::take",
    );
    let first = watch.catch(case, take(pool.clone()));
    hangs("an empty pool", take(pool.clone())).await;
    let case = Case {
        class: Class::PoolWait,
        role: Role::Victim,
        phase: "pool",
        ..Case::silent("postgres, waits to take one", host, "postgres::take")
    };
    let second = watch.catch(case, take(pool));
    watch.demand_victim(&second, &first);
}

/// All of the server is stopped, and then asked: over a connection that the pool tries first, and over a new one.
async fn stopped_before(watch: &mut Watch, host: Host, server: &Server) {
    let used = pool(host.port, 1);
    process(&used).await;
    server.stop().expect("it runs");
    hangs("a stopped server", run(pool(host.port, 1), "SELECT 1")).await;
    let case = Case::silent("postgres, stopped before a query", host, "postgres::run");
    watch.catch(case, host.outbound().try_run(run(used, "SELECT 1")));
    let case = Case::silent("postgres, stopped before the first", host, "postgres::run");
    let fresh = pool(host.port, 1);
    watch.catch(case, host.outbound().try_run(run(fresh, "SELECT 1")));
    server.go_on().expect("it is there");
}

/// A driver with a runtime of its own, which waits for its socket within that.
async fn blocking(watch: &mut Watch, host: Host) {
    let connect = move || connect_blocking(host.port).expect("it answers");
    let connected = || tokio::task::spawn_blocking(connect);
    let mut bare = connected().await.expect("no panic");
    blocks("a slow query", move || run_blocking(&mut bare)).await;
    let mut client = connected().await.expect("no panic");
    let case = Case::silent(
        "postgres, blocking, a slow query",
        host,
        "postgres::run_blocking",
    );
    watch.catch(case, async move {
        let run = move || {
            host.outbound()
                .try_run_blocking(|| run_blocking(&mut client))
        };
        redhanded::spawn_blocking(case.name, run).await
    });
}

async fn unreachable(watch: &mut Watch) {
    let hole = BlackHole::open().expect("a socket");
    let host = host(hole.port());
    let pool = pool(host.port, 1);
    hangs("a host that swallows packets", run(pool.clone(), SLEEP)).await;
    let case = Case::unreachable("postgres, unreachable", host, "postgres::run");
    watch.catch(case, host.outbound().try_run(run(pool, SLEEP)));

    let port = host.port;
    blocks("to connect", move || connect_blocking(port).map(drop)).await;
    let case = Case::unreachable(
        "postgres, blocking, unreachable",
        host,
        "postgres::connect_blocking",
    );
    watch.catch(case, async move {
        let connect = move || {
            host.outbound()
                .try_run_blocking(|| connect_blocking(host.port).map(drop))
        };
        redhanded::spawn_blocking(case.name, connect).await
    });
}
