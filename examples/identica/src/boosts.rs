//! Culprit 3: a lock that is held across an await of something that never comes.

use crate::notices::{AUTHORS, one};
use crate::site::{Site, unavailable};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Mutex;

/// How often an author was boosted, under one lock per author.
pub(crate) struct Timelines([Mutex<u64>; AUTHORS.len()]);

impl Timelines {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(0)))
    }

    fn of(&self, author: &str) -> &Mutex<u64> {
        let at = AUTHORS.iter().position(|a| *a == author);
        &self.0[at.unwrap_or_default()]
    }
}

#[derive(Deserialize)]
pub(crate) struct Boost {
    notice: u64,
}

/// `POST /boost?notice=…`
pub(crate) async fn boost(
    State(site): State<Arc<Site>>,
    Query(Boost { notice }): Query<Boost>,
) -> Result<String, StatusCode> {
    let notice = one(&site, notice).await?;
    let mut boosts = site.timelines.of(&notice.author).lock().await;
    // The lock should be given back before this: when the receipt does not come, everybody else
    // who boosts this author waits for the lock. They are slow, but the culprit is this request.
    let receipt = site.jobs.deliver(notice.id).await.map_err(unavailable)?;
    receipt.await.map_err(unavailable)?;
    *boosts += 1;
    Ok(format!("{} was boosted {} times", notice.author, *boosts))
}
