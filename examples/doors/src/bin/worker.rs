//! A queue's worker: each message is a job, watched like a request. One of them hangs in a child; the
//! lesson ends when it has been caught.

use doors::SLOW_AFTER;
use redhanded::Redhanded;
use redhanded::report::{Report, Style, page};
use std::time::Duration;

async fn deliver(notice: u64, to: &'static str) {
    if to == "far.example" {
        std::future::poll_fn(|_: &mut std::task::Context<'_>| -> std::task::Poll<()> {
            std::thread::sleep(SLOW_AFTER * 3); // a driver that blocks
            std::task::Poll::Ready(())
        })
        .await;
    }
    redhanded::current()
        .set("last_delivered", notice)
        .progress();
}

async fn distribute(notice: u64) {
    let near = redhanded::spawn(deliver(notice, "near.example"));
    let far = redhanded::spawn(deliver(notice, "far.example"));
    let _ = tokio::join!(near, far);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let redhanded = Redhanded::builder("worker")
        .slow_after(SLOW_AFTER)
        .on_caught(|report: &Report| eprintln!("{}", page(report, Style::Plain)))
        .install()?;
    for notice in [41, 42] {
        redhanded::job("distribute")
            .param("notice", notice)
            .run(distribute(notice))
            .await;
    }
    redhanded.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
