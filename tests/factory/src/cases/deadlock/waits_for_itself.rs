//! A lock held while awaiting the task that needs it.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use redhanded::report::Class;
use std::sync::Arc;
use tokio::sync::Mutex;

pub(super) fn case() -> Case {
    Case {
        code: "E4",
        title: "a lock held while awaiting the task that needs it",
        source: include_str!("waits_for_itself.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::StuckAwait],
            function: Some("waits_for_itself::transfer"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

type Ledger = Arc<Mutex<Vec<u64>>>;

fn app(_: &Ground) -> Router {
    Router::new()
        .route("/transfer", get(transfer))
        .with_state(Ledger::default())
}

fn play(play: &mut Play) {
    play.culprit("/transfer");
}

async fn transfer(State(ledger): State<Ledger>) -> String {
    let mut entries = ledger.lock().await;
    entries.push(7);
    let audit = tokio::spawn(audit(ledger.clone()));
    let sum = audit.await; // <- here
    format!("{} entries, {sum:?}", entries.len())
}

async fn audit(ledger: Ledger) -> u64 {
    ledger.lock().await.iter().sum()
}
