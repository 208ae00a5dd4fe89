//! What a case's application stands on.

use redhanded::Redhanded;
use std::io::Write;
use std::sync::Arc;
use tokio::sync::Notify;

/// What a case's application may use while it is built.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// The install that watches; `None` when nobody does.
    pub watch: Option<Redhanded>,
    /// Begins a graceful shutdown, in a case that needs one.
    pub drain: Arc<Notify>,
}

impl Ground {
    /// A reqwest client, watched if somebody watches.
    pub fn reqwest(&self, builder: reqwest::ClientBuilder) -> reqwest::Client {
        let builder = match &self.watch {
            Some(watch) => watch.reqwest(builder),
            None => builder,
        };
        builder.build().expect("a client without TLS")
    }
}

/// Tells the stage something that it cannot know, as a line `key value` on standard output.
pub fn tell(key: &str, value: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    let told = writeln!(stdout, "{key} {value}").and_then(|()| stdout.flush());
    told.expect("the stage listens");
}
