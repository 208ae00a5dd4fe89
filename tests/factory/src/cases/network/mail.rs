//! A mail server that accepts and never greets; the time-out that is set is not honoured there.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use redhanded::report::Class;
use std::time::Duration;

pub(super) fn case() -> Case {
    Case {
        code: "F8",
        title: "a mail server that never greets",
        source: include_str!("mail.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::SilentPeer],
            function: Some("mail::remind"),
            peer: Some("peer"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

type Mailer = AsyncSmtpTransport<Tokio1Executor>;

fn app(_: &Ground) -> Router {
    let server = peers::silent("peer");
    let mailer = Mailer::builder_dangerous(server.ip().to_string())
        .port(server.port())
        .timeout(Some(Duration::from_secs(5)))
        .build();
    Router::new()
        .route("/remind", get(remind))
        .with_state(mailer)
}

fn play(play: &mut Play) {
    play.told("peer");
    play.culprit("/remind");
}

async fn remind(State(mailer): State<Mailer>) -> String {
    let who: Mailbox = "shop@example.com".parse().expect("an address");
    let message = Message::builder()
        .from(who.clone())
        .to(who)
        .body("a bill".to_owned());
    let sent = mailer.send(message.expect("a message")).await; // <- here
    format!("{sent:?}")
}
