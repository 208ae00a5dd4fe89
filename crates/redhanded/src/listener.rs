//! Listeners whose connections are watched.

use crate::install::Redhanded;
use redhanded_tower::{Listener, Listening};

impl Redhanded {
    /// Watches the connections of a tokio `TcpListener` or `UnixListener`.
    ///
    /// With it, reports name the client without `ConnectInfo`, say `client_gone` where the socket
    /// proves that, and tell of clients that begin a request, or a TLS handshake, and do not finish
    /// it within [`slow_after`](crate::Builder::slow_after).
    ///
    /// A service manager is told that the application can be asked now; see [`ready`](Self::ready).
    ///
    /// ```no_run
    /// # async fn serve(redhanded: redhanded::Redhanded, app: axum::Router) -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// axum::serve(redhanded.listener(listener), app).await
    /// # }
    /// ```
    ///
    /// For HTTP/2 with `axum::serve` see [`ClientAddress`](crate::ClientAddress). A handler that
    /// wants the address as `ConnectInfo<SocketAddr>` gets it with axum's
    /// [`tap_io`](https://docs.rs/axum/0.8/axum/serve/trait.ListenerExt.html#method.tap_io):
    /// `axum::serve(redhanded.listener(listener).tap_io(|_| ()), app)`.
    pub fn listener<L: Listening>(&self, listener: L) -> Listener<L> {
        self.ready();
        Listener::new(self.installed.engine(), listener)
    }
}
