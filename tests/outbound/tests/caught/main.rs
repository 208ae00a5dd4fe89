//! Calls to real servers that hang: each is seen to hang without us, and is caught with us, with its
//! host, its port and its phase.

mod activemq;
mod memcached;
mod postgres;
mod redis;
mod smtp;
mod watch;

use std::io::Write;
use watch::Watch;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs servers: cargo xtask outbound"]
async fn every_call_that_hangs_is_caught_with_its_host_port_and_phase() {
    let mut watch = Watch::install();
    postgres::cases(&mut watch).await;
    redis::cases(&mut watch).await;
    memcached::cases(&mut watch).await;
    smtp::cases(&mut watch).await;
    activemq::cases(&mut watch).await;
    // Goes past the harness, which would keep it.
    let _ = writeln!(std::io::stderr().lock(), "{}", watch.table());
    assert_eq!(watch.wrong(), 0, "see the table above");
}
