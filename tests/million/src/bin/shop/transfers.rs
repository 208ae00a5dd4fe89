//! Transfers: both accounts are locked, in order, so that no two transfers wait for each other.
//! Nobody thought of a transfer from an account to itself.

use axum::Json;
use axum::extract::Query;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use tokio::sync::Mutex;

const ACCOUNTS: usize = 1024;

static ACCOUNTS_OF_ALL: LazyLock<Vec<Mutex<i64>>> =
    LazyLock::new(|| (0..ACCOUNTS).map(|_| Mutex::new(0)).collect());

#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Between {
    from: usize,
    to: usize,
}

#[derive(Deserialize)]
pub(crate) struct Amount {
    amount: i64,
}

#[derive(Serialize)]
pub(crate) struct Done {
    from: usize,
    to: usize,
    amount: i64,
}

pub(crate) async fn transfer(
    Query(Between { from, to }): Query<Between>,
    Json(Amount { amount }): Json<Amount>,
) -> Result<Json<Done>, StatusCode> {
    move_money(from, to, amount)
        .await
        .ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(Done { from, to, amount }))
}

async fn move_money(from: usize, to: usize, amount: i64) -> Option<()> {
    let (first, second) = (from.min(to), from.max(to));
    let mut first_balance = ACCOUNTS_OF_ALL.get(first)?.lock().await;
    let second = ACCOUNTS_OF_ALL.get(second)?;
    let mut second_balance = second.lock().await; // here: the second lock
    let moved = if first == from { amount } else { -amount };
    *first_balance -= moved;
    *second_balance += moved;
    Some(())
}
