//! Calls to other hosts: the guard for any client, and what is known of the hosts.

use crate::Redhanded;
pub use redhanded_core::{
    Acquiring, CallPhase, Calling, Failure, Held, Outbound, PeerStats, Peers, PhaseStats,
};
use std::borrow::Cow;

/// A call of some `kind` (`postgres`, `redis`, `smtp`, …) to `peer`, such as `db1:5432`, for any client
/// that makes it: what runs within is seen by the watchdog as a call of the request that it is made for.
///
/// A report then names the host even where the connection is another task's, as with every pool:
/// which phase the call is in (name, connection, handshake, pool, answer) is concluded from the
/// process's sockets and the names on the stack, and marked as `inferred`.
///
/// ```
/// # async fn query(_: u64) -> Result<u64, std::io::Error> { Ok(1) }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), std::io::Error> {
/// # let id = 7;
/// let notice = redhanded::outbound("postgres", "db1:5432")
///     .statement("SELECT * FROM notice WHERE id = $1")
///     .try_run(query(id))
///     .await?;
/// # let _ = notice; Ok(()) }
/// ```
///
/// A connection that is taken from a pool and kept: who waits for one meanwhile is told who has it.
///
/// ```
/// # struct Pool; impl Pool { async fn acquire(&self) -> Result<u32, std::io::Error> { Ok(1) } }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), std::io::Error> {
/// # let pool = Pool;
/// let mut connection = redhanded::outbound("postgres", "db1:5432")
///     .acquire(pool.acquire())
///     .await?;
/// *connection += 1; // it is the pool's connection, and noted as held until it is dropped
/// # Ok(()) }
/// ```
///
/// A driver that blocks its thread:
///
/// ```
/// # fn lookup() -> u32 { 1 }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let found = redhanded::spawn_blocking("lookup", || {
///     redhanded::outbound("ldap", "directory:389").run_blocking(lookup)
/// });
/// # found.await.unwrap();
/// # }
/// ```
pub fn outbound(kind: impl Into<Cow<'static, str>>, peer: impl Into<String>) -> Outbound {
    Outbound::new(kind, peer)
}

impl Redhanded {
    /// What is known of the hosts that this process calls: attempts, failures by kind, calls in flight,
    /// percentiles of each phase, the last error and the last success. Shared by all installs.
    ///
    /// At most 10,000 hosts have a row of their own; the others share one. Looks at every row: for
    /// people, metrics and tests, not for a hot path.
    ///
    /// ```no_run
    /// # fn example(redhanded: &redhanded::Redhanded) {
    /// use redhanded::CallPhase;
    /// for peer in redhanded.peers().known {
    ///     let connect = peer.phase(CallPhase::Connect).map(|stats| stats.p99);
    ///     println!("{}: {} calls, {} failed, {connect:?}", peer.peer, peer.attempts, peer.failed());
    /// }
    /// # }
    /// ```
    pub fn peers(&self) -> Peers {
        redhanded_core::peers()
    }

    /// Watches the connections of the reqwest client that is built of `builder`; feature `reqwest`.
    ///
    /// A report then names host, port and phase of a call that hangs. What of it is measured and what is
    /// concluded stands in [`connect::reqwest`](redhanded_connect::reqwest).
    ///
    /// Names are resolved by the system: a resolver that `builder` was given before is replaced. Who has one of their own hands it
    /// to [`watched_with_resolver`](redhanded_connect::reqwest::watched_with_resolver). Overrides of single names stay.
    ///
    /// ```no_run
    /// # fn build(redhanded: redhanded::Redhanded) -> Result<reqwest::Client, reqwest::Error> {
    /// let client = redhanded.reqwest(reqwest::Client::builder()).build()?;
    /// # Ok(client) }
    /// ```
    #[cfg(feature = "reqwest")]
    pub fn reqwest(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        redhanded_connect::reqwest::watched(builder)
    }
}
