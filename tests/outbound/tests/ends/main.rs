//! Calls to real servers that end otherwise than well: each is counted for its host, and nothing of it stays.

use redhanded::test_util;
use redhanded::{Failure, PeerStats, Redhanded};
use redhanded_outbound_tests::{Server, kill};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use std::future::Future;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
/// As long as a call is waited for by one who gives up.
const GIVES_UP: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs servers: cargo xtask outbound"]
async fn a_call_that_ends_badly_is_counted_and_leaves_nothing() {
    let (builder, reports) = test_util::builder("ends");
    let redhanded = builder.install().expect("the only install");
    postgres_is_killed(&redhanded, &reports).await;
    redis_is_killed(&redhanded, &reports).await;
    a_name_is_not_known(&redhanded).await;
    the_caller_gives_up(&redhanded).await;
    nothing_stays(&redhanded).await;
}

fn pool(host: &str, port: u16) -> PgPool {
    let options = PgConnectOptions::new_without_pgpass()
        .host(host)
        .port(port)
        .username("test")
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options)
}

async fn sleeps(pool: PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_sleep(3600)").execute(&pool).await?;
    Ok(())
}

/// The kernel ends the process that works on a query.
async fn postgres_is_killed(redhanded: &Redhanded, reports: &test_util::Memory) {
    let server = Server::postgres().expect("it starts");
    let peer = format!("db1:{}", server.port());
    let pool = pool("127.0.0.1", server.port());
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&pool)
        .await
        .expect("it answers");
    let call = redhanded::outbound("postgres", &*peer).try_run(sleeps(pool));
    let running = tokio::spawn(redhanded.job("killed").run(call));
    let _ = reports.assert_caught("killed");
    assert_eq!(stats(redhanded, &peer).in_flight, 1);
    kill(pid.unsigned_abs()).expect("it runs");
    let ended = within(running).await.expect("no panic");
    let error = ended.expect_err("its server is gone");
    let failures = ended_so(redhanded, &peer);
    let expected = [Failure::Closed, Failure::Reset];
    assert!(
        expected.iter().any(|kind| failures == [(*kind, 1)]),
        "{failures:?}: {error:?}"
    );
}

/// A whole server is ended, while a task of the client's drives its connection.
async fn redis_is_killed(redhanded: &Redhanded, reports: &test_util::Memory) {
    let mut server = Server::redis().expect("it starts");
    let peer = format!("cache1:{}", server.port());
    let client = redis::Client::open(("127.0.0.1", server.port())).expect("an address");
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .expect("it answers");
    let pops = async move {
        let mut pop = redis::cmd("BLPOP");
        let pop = pop.arg("inbox").arg(0);
        pop.query_async::<Option<String>>(&mut connection).await
    };
    let call = redhanded::outbound("redis", &*peer).try_run(pops);
    let running = tokio::spawn(redhanded.job("redis killed").run(call));
    let _ = reports.assert_caught("redis killed");
    server.kill().expect("it runs");
    let ended = within(running).await.expect("no panic");
    let error = ended.expect_err("its server is gone");
    let failures = ended_so(redhanded, &peer);
    let expected = [Failure::Closed, Failure::Reset];
    assert!(
        expected.iter().any(|kind| failures == [(*kind, 1)]),
        "{failures:?}: {error:?}"
    );
}

/// `.invalid` is a name that nobody has (RFC 6761).
async fn a_name_is_not_known(redhanded: &Redhanded) {
    const PEER: &str = "db1.invalid:5432";
    let call = redhanded::outbound("postgres", PEER).try_run(sleeps(pool("db1.invalid", 5432)));
    let ended = within(redhanded.job("nobody").run(call)).await;
    let error = ended.expect_err("nobody has it");
    let failures = ended_so(redhanded, PEER);
    let expected = [Failure::Dns, Failure::Other];
    assert!(
        expected.iter().any(|kind| failures == [(*kind, 1)]),
        "{failures:?}: {error:?}"
    );
}

/// A time-out around the call drops it in the middle.
async fn the_caller_gives_up(redhanded: &Redhanded) {
    let server = Server::postgres().expect("it starts");
    let peer = format!("db2:{}", server.port());
    let pool = pool("127.0.0.1", server.port());
    let call = redhanded::outbound("postgres", &*peer).try_run(sleeps(pool));
    let job = redhanded.job("gives up");
    let ended = job.run(tokio::time::timeout(GIVES_UP, call)).await;
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(ended_so(redhanded, &peer), [(Failure::Dropped, 1)]);
}

/// No slot, no call, no error of our own.
async fn nothing_stays(redhanded: &Redhanded) {
    let begun = Instant::now();
    while redhanded.in_flight() > 0 {
        assert!(begun.elapsed() < PATIENCE, "{}", redhanded.in_flight());
        tokio::task::yield_now().await;
    }
    let stats = redhanded.stats();
    assert_eq!(stats.internal_errors, 0, "{stats:?}");
    assert_eq!(stats.unwatched, 0, "{stats:?}");
    let ended = stats.ended;
    assert_eq!((ended.completed, ended.dropped), (4, 0), "{stats:?}");
}

fn stats(redhanded: &Redhanded, peer: &str) -> PeerStats {
    let known = redhanded.peers().known;
    let mut found = known.into_iter().filter(|stats| stats.peer == peer);
    found.next().expect("it was called")
}

/// The failures of a host that was called once, in vain.
fn ended_so(redhanded: &Redhanded, peer: &str) -> Vec<(Failure, u64)> {
    let stats = stats(redhanded, peer);
    assert_eq!((stats.attempts, stats.in_flight), (1, 0), "{stats:?}");
    assert!(
        stats.last_error.is_some() && stats.last_success.is_none(),
        "{stats:?}"
    );
    stats.failures
}

async fn within<F: Future>(future: F) -> F::Output {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.expect("it ends")
}
