//! A mailer, through lettre.

use crate::watch::{Case, Host, Watch, hangs};
use lettre::transport::smtp::Error;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use redhanded_outbound_tests::{BlackHole, Server};

fn host(port: u16) -> Host {
    let (kind, name) = ("smtp", "mail1");
    Host { kind, name, port }
}

async fn send(port: u16) -> Result<(), Error> {
    let mailer = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(port)
        .timeout(None)
        .build();
    let letter = Message::builder()
        .from("sender@example.org".parse().expect("an address"))
        .to("reader@example.org".parse().expect("an address"))
        .body("Hello".to_owned())
        .expect("a letter");
    mailer.send(letter).await.map(drop)
}

pub(crate) async fn cases(watch: &mut Watch) {
    let server = Server::smtp().expect("it starts");
    let host = host(server.port());
    send(host.port).await.expect("it takes letters");
    server.stop().expect("it runs");
    hangs("a letter", send(host.port)).await;
    let case = Case::silent("smtp, stopped before it greets", host, "smtp::send")
        .with_state("ESTABLISHED");
    let call = host.outbound().key("reader@example.org");
    watch.catch(case, call.try_run(send(host.port)));
    unreachable(watch).await;
}

async fn unreachable(watch: &mut Watch) {
    let hole = BlackHole::open().expect("a socket");
    let host = host(hole.port());
    hangs("a letter", send(host.port)).await;
    let case = Case::unreachable("smtp, unreachable", host, "smtp::send").with_state("SYN_SENT");
    watch.catch(case, host.outbound().try_run(send(host.port)));
}
