//! The real servers: which were asked for, and the clients where they are built in.

#[cfg(not(feature = "servers"))]
mod absent;
#[cfg(feature = "servers")]
mod postgres;
#[cfg(feature = "servers")]
mod redis;

#[cfg(not(feature = "servers"))]
pub(crate) use absent::{Postgres, Redis};
#[cfg(feature = "servers")]
pub(crate) use postgres::Postgres;
#[cfg(feature = "servers")]
pub(crate) use redis::Redis;

use std::io::{Error, ErrorKind};
use std::time::Duration;

/// Whether `Postgres` and `Redis` are the real ones.
pub(crate) const BUILT_IN: bool = cfg!(feature = "servers");

/// What stands in for a server that was not asked for: a table, a map or a channel.
pub(crate) const IN_PROCESS: &str = "in-process";

/// Long enough for a busy machine; without it a server that hangs would keep the site from starting.
const START_WITHIN: Duration = Duration::from_secs(10);

/// URLs of the servers to use; where there is none, something in this process stands in.
#[derive(Default)]
pub(crate) struct Servers {
    pub(crate) database: Option<String>,
    pub(crate) cache: Option<String>,
    pub(crate) queue: Option<String>,
}

/// Host and port of a URL: what may be told of it, as the rest may be a password.
pub(crate) fn peer(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// Connects; if that fails, says to which server, and why down to the last reason.
pub(crate) async fn reach<T>(
    url: &str,
    connect: impl Future<Output = std::io::Result<T>>,
) -> std::io::Result<T> {
    let late = |_| {
        let told = format!("no answer within {START_WITHIN:?}");
        Err(Error::new(ErrorKind::TimedOut, told))
    };
    let connected = tokio::time::timeout(START_WITHIN, connect)
        .await
        .unwrap_or_else(late);
    connected.map_err(|why| {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let mut told = format!("{scheme}://{} cannot be used: {why}", peer(url));
        let mut reason = std::error::Error::source(&why);
        while let Some(deeper) = reason {
            told += &format!(": {deeper}");
            reason = deeper.source();
        }
        Error::new(why.kind(), told)
    })
}

#[cfg(test)]
mod tests {
    use super::peer;

    #[test]
    fn of_a_url_only_host_and_port_are_told() {
        for (url, told) in [
            (
                "postgres://app:secret@db1:5432/shop?sslmode=disable",
                "db1:5432",
            ),
            ("redis://127.0.0.1:6379", "127.0.0.1:6379"),
            ("stomp://guest:p@ss@[::1]:61613", "[::1]:61613"),
        ] {
            assert_eq!(peer(url), told);
        }
    }
}
