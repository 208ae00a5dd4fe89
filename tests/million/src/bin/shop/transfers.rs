//! Transfers: one task keeps the book, and answers when both halves of a transfer are in it. Nobody
//! thought of a transfer from an account to itself: its other half never comes.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

const ACCOUNTS: usize = 1024;
/// Transfers that wait to be booked.
const QUEUE: usize = 256;

#[derive(Clone, Copy, Deserialize)]
struct Between {
    from: usize,
    to: usize,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
struct Amount {
    amount: i64,
}

#[derive(Serialize)]
struct Done {
    from: usize,
    to: usize,
    amount: i64,
}

struct Transfer {
    between: Between,
    amount: i64,
    booked: oneshot::Sender<()>,
}

/// Within a runtime, for the task that keeps the book.
pub(crate) fn routes() -> Router {
    let (book, transfers) = mpsc::channel(QUEUE);
    tokio::spawn(keep(transfers));
    Router::new()
        .route("/transfer", post(transfer))
        .with_state(book)
}

/// Keeps the book.
async fn keep(transfers: mpsc::Receiver<Transfer>) {
    let (mut transfers, mut balances) = (transfers, vec![0_i64; ACCOUNTS]);
    let mut halves = Vec::new();
    while let Some(transfer) = transfers.recv().await {
        let Between { from, to } = transfer.between;
        if from == to {
            halves.push(transfer);
            continue;
        }
        for (account, amount) in [(from, -transfer.amount), (to, transfer.amount)] {
            if let Some(balance) = balances.get_mut(account) {
                *balance += amount;
            }
        }
        // Who asked may have gone.
        let _ = transfer.booked.send(());
    }
}

async fn transfer(
    State(book): State<mpsc::Sender<Transfer>>,
    Query(between): Query<Between>,
    Json(Amount { amount }): Json<Amount>,
) -> Result<Json<Done>, StatusCode> {
    move_money(&book, between, amount)
        .await
        .ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let Between { from, to } = between;
    Ok(Json(Done { from, to, amount }))
}

async fn move_money(book: &mpsc::Sender<Transfer>, between: Between, amount: i64) -> Option<()> {
    let (booked, answer) = oneshot::channel();
    let transfer = Transfer {
        between,
        amount,
        booked,
    };
    book.send(transfer).await.ok()?;
    answer.await.ok() // here: the answer
}
