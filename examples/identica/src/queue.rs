//! The queue of deliveries: a STOMP broker if one was given, otherwise a channel in this process.

use crate::servers::{IN_PROCESS, peer, reach};
use crate::stomp::Stomp;
use std::io::ErrorKind;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Its name at a broker.
const NAME: &str = "/queue/identica-deliveries";

/// The end that messages are put in at.
pub(crate) struct Queue {
    kind: &'static str,
    peer: String,
    backend: Backend,
}

enum Backend {
    Channel(UnboundedSender<String>),
    Stomp(Stomp),
}

impl Queue {
    /// Both ends. The messages end when nothing can come any more.
    pub(crate) async fn open(
        url: Option<&str>,
    ) -> std::io::Result<(Self, UnboundedReceiver<String>)> {
        let (kind, peer, backend, messages) = match url {
            None => {
                let (sender, messages) = unbounded_channel();
                ("queue", IN_PROCESS, Backend::Channel(sender), messages)
            }
            Some(url) => {
                let (stomp, messages) = reach(url, Stomp::connect(url, NAME)).await?;
                ("stomp", peer(url), Backend::Stomp(stomp), messages)
            }
        };
        let queue = Self {
            kind,
            peer: peer.to_owned(),
            backend,
        };
        Ok((queue, messages))
    }

    /// Comes back when the message is in the queue, which is not yet when it is delivered.
    pub(crate) async fn send(&self, message: &str) -> std::io::Result<()> {
        redhanded::outbound(self.kind, self.peer.as_str())
            .key(format!("SEND {NAME}"))
            .try_run(self.backend.send(message))
            .await
    }
}

impl Backend {
    async fn send(&self, message: &str) -> std::io::Result<()> {
        match self {
            Self::Channel(sender) => sender
                .send(message.to_owned())
                .map_err(|_| ErrorKind::BrokenPipe.into()),
            Self::Stomp(stomp) => stomp.send(NAME, message).await,
        }
    }
}
