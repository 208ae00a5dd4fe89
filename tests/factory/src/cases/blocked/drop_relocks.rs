//! A guard of our own whose `Drop` takes the lock that its function still holds: on the error path
//! alone, since elsewhere the lock is given back before.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use redhanded::report::Class;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type Tickets = Arc<Mutex<BTreeSet<u32>>>;

pub(super) fn case() -> Case {
    Case {
        code: "C4",
        title: "a Drop that takes a lock which is held on the error path",
        source: include_str!("drop_relocks.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::BlockedThread],
            function: Some("Ticket as core::ops::drop::Drop>::drop"),
            param: Some(("host", "bad_name")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let tickets: Tickets = Arc::default();
    Router::new().route("/open", get(move |query| open(tickets.clone(), query)))
}

fn play(play: &mut Play) {
    let well = play.innocent("/open?host=db-1");
    well.is_answered(Duration::from_secs(5));
    play.culprit("/open?host=bad_name");
}

async fn open(tickets: Tickets, Query(query): Query<HashMap<String, String>>) -> String {
    let host = query.get("host").map_or("", String::as_str);
    match connect(&tickets, host) {
        Ok(ticket) => format!("ticket {}", ticket.number),
        Err(error) => error.to_owned(),
    }
}

fn connect(tickets: &Tickets, host: &str) -> Result<Ticket, &'static str> {
    let mut open = tickets.lock().unwrap_or_else(PoisonError::into_inner);
    let number = open.last().map_or(0, |last| last + 1);
    open.insert(number);
    let ticket = Ticket {
        number,
        tickets: tickets.clone(),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    if !host.chars().all(is_name) {
        // The ticket is dropped first, and then the guard
        return Err("no name of a host");
    }
    Ok(ticket)
}

struct Ticket {
    number: u32,
    tickets: Tickets,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let lock = self.tickets.lock(); // <- here
        let mut open = lock.unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.number);
    }
}
