//! PostgreSQL through sqlx.

use crate::watch::{Case, Host, Watch, hangs};
use redhanded::report::{Class, Role};
use redhanded_outbound_tests::{BlackHole, Server, stop};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};

const SLEEP: &str = "SELECT pg_sleep(3600)";
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

async fn process(pool: &PgPool) -> u32 {
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(pool)
        .await
        .expect("it answers");
    pid.unsigned_abs()
}

pub(crate) async fn cases(watch: &mut Watch) {
    let server = Server::postgres().expect("it starts");
    let host = host(server.port());
    slow(watch, host).await;
    stopped(watch, host).await;
    exhausted(watch, host).await;
    held(watch, host).await;
    stopped_before(watch, host, &server).await;
    unreachable(watch).await;
}

/// A query that takes for ever.
async fn slow(watch: &mut Watch, host: Host) {
    let pool = pool(host.port, 1);
    hangs("a slow query", run(pool.clone(), SLEEP)).await;
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

/// The process of the server is stopped while it works on a query.
async fn stopped(watch: &mut Watch, host: Host) {
    let pool = pool(host.port, 1);
    let pid = process(&pool).await;
    let case = Case::silent("postgres, stopped in a query", host, "postgres::run");
    let running = watch.catch(case, host.outbound().try_run(run(pool, SLEEP)));
    stop(pid).expect("it runs");
    // TODO
    drop(running);
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
    let verdict = second.report.as_ref().and_then(|r| r.verdict.clone());
    let victim_of = verdict.and_then(|v| v.victim_of);
    let holder = first.report.as_ref().map(|r| r.id.clone());
    watch.demand(
        &format!("a victim of {holder:?}, not of {victim_of:?}"),
        victim_of.is_some() && victim_of == holder,
    );
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
    let verdict = second.report.as_ref().and_then(|r| r.verdict.clone());
    let victim_of = verdict.and_then(|v| v.victim_of);
    let holder = first.report.as_ref().map(|r| r.id.clone());
    watch.demand(
        &format!("a victim of {holder:?}, not of {victim_of:?}"),
        victim_of.is_some() && victim_of == holder,
    );
}

/// All of the server is stopped, and then asked: over a connection that the pool tries first, and over a new one.
async fn stopped_before(watch: &mut Watch, host: Host, server: &Server) {
    let used = pool(host.port, 1);
    run(used.clone(), "SELECT 1").await.expect("it answers");
    server.stop().expect("it runs");
    hangs("a stopped server", run(pool(host.port, 1), "SELECT 1")).await;
    let case = Case::silent("postgres, stopped before a query", host, "postgres::run");
    watch.catch(case, host.outbound().try_run(run(used, "SELECT 1")));
    let case = Case::silent("postgres, stopped before the first", host, "postgres::run");
    let fresh = pool(host.port, 1);
    watch.catch(case, host.outbound().try_run(run(fresh, "SELECT 1")));
    server.go_on().expect("it is there");
}

async fn unreachable(watch: &mut Watch) {
    let hole = BlackHole::open().expect("a socket");
    let host = host(hole.port());
    let pool = pool(host.port, 1);
    hangs("a host that swallows packets", run(pool.clone(), SLEEP)).await;
    let case = Case::unreachable("postgres, unreachable", host, "postgres::run");
    watch.catch(case, host.outbound().try_run(run(pool, SLEEP)));
}
