//! `axum::serve` on a watched listener.

use super::{ClientAddress, Listener, Listening, WatchedIo};
use axum::extract::connect_info::Connected;
use axum::serve::{self, IncomingStream};
use redhanded_core::{Diagnostics, Engine};
use std::io::{self, ErrorKind};
use std::time::Duration;

/// How long axum waits where accepting fails for a reason that will not go away at once.
const BACK_OFF: Duration = Duration::from_secs(1);

impl<L: Listening> serve::Listener for Listener<L> {
    type Io = WatchedIo<L::Io>;
    type Addr = L::Address;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match Listener::accept(self).await {
                Ok(accepted) => return accepted,
                Err(error) => back_off(&error, self.engine).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Listener::local_addr(self)
    }
}

/// As axum's own listeners do: a client that has gone already is no reason to wait, everything else
/// is said and waited for.
async fn back_off(error: &io::Error, engine: &'static Engine) {
    let of_one_client = [
        ErrorKind::ConnectionRefused,
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionReset,
    ];
    if of_one_client.contains(&error.kind()) {
        return;
    }
    if engine.config().diagnostics >= Diagnostics::Warn {
        eprintln!("redhanded: no connection can be accepted ({error}); tried again in a second");
    }
    tokio::time::sleep(BACK_OFF).await;
}

impl<L: Listening> Connected<IncomingStream<'_, Listener<L>>> for ClientAddress {
    fn connect_info(stream: IncomingStream<'_, Listener<L>>) -> Self {
        stream.io().client()
    }
}
