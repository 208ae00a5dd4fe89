//! A row that was written here and is read there, again and again until it is visible: the replica has
//! stopped.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use redhanded::report::Class;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::yield_now;

type Rows = Arc<Mutex<HashMap<String, String>>>;

pub(super) fn case() -> Case {
    Case {
        code: "B8b",
        title: "a row that is read until a stopped replica has it",
        source: include_str!("replica.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::SpinLoop],
            function: Some("replica::visible"),
            param: Some(("key", "order-7")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let (primary, replica) = (Rows::default(), Rows::default());
    Router::new().route(
        "/order",
        get(move |query| order(primary.clone(), replica.clone(), query)),
    )
}

fn play(play: &mut Play) {
    play.culprit("/order?key=order-7");
}

async fn order(primary: Rows, replica: Rows, query: Query<HashMap<String, String>>) -> String {
    let key = query.get("key").cloned().unwrap_or_default();
    write(&primary, &key);
    visible(&replica, &key).await
}

async fn visible(replica: &Rows, key: &str) -> String {
    loop {
        let row = read(replica, key);
        match row {
            Some(row) => return row,
            None => yield_now().await, // <- here
        }
    }
}

fn write(rows: &Rows, key: &str) {
    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
    rows.insert(key.to_owned(), "ordered".to_owned());
}

fn read(rows: &Rows, key: &str) -> Option<String> {
    let rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
    rows.get(key).cloned()
}
