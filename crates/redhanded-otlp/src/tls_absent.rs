//! The surface of `tls` where it is not built in: an https endpoint does not get this far.

use crate::config::Files;
use crate::endpoint::Endpoint;
use std::io;
use tokio::net::TcpStream;

/// Never encrypted.
pub(crate) type Stream = TcpStream;

/// Cannot encrypt.
pub(crate) struct Tls;

impl Tls {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "same surface as the module with TLS"
    )]
    pub(crate) fn new(_: &Files, _: &[u8]) -> Result<Self, String> {
        Ok(Self)
    }

    #[expect(clippy::unused_async, reason = "same surface as the module with TLS")]
    pub(crate) async fn wrap(
        &self,
        _endpoint: &Endpoint,
        _stream: TcpStream,
    ) -> io::Result<Stream> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}
