//! Redis, asked through the crate `redis`.

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, cmd};
use std::io::Error;

/// A page that is older is made anew.
const FRESH_SECONDS: u32 = 60;

pub(crate) struct Redis(MultiplexedConnection);

impl Redis {
    pub(crate) async fn connect(url: &str) -> std::io::Result<Self> {
        let client = Client::open(url).map_err(Error::other)?;
        // Shared by all requests and driven by a task of its own; it has no time-out.
        let connection = client.get_multiplexed_async_connection().await;
        connection.map(Self).map_err(Error::other)
    }

    pub(crate) async fn get(&self, key: &str) -> std::io::Result<Option<String>> {
        cmd("GET")
            .arg(key)
            .query_async(&mut self.0.clone())
            .await
            .map_err(Error::other)
    }

    pub(crate) async fn set(&self, key: &str, value: &str) -> std::io::Result<()> {
        cmd("SET")
            .arg(key)
            .arg(value)
            .arg("EX")
            .arg(FRESH_SECONDS)
            .query_async(&mut self.0.clone())
            .await
            .map_err(Error::other)
    }
}
