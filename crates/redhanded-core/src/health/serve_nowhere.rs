//! Where there is no `poll` there are no listeners.

use super::Ask;
use crate::config::Error;
use std::net::SocketAddr;

/// Where the listeners are bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bound {
    pub(crate) http: Option<SocketAddr>,
    pub(crate) agent: Option<SocketAddr>,
}

/// Nothing, or an error that says so.
pub(crate) fn serve(
    http: Option<SocketAddr>,
    agent: Option<SocketAddr>,
    _: Ask,
) -> Result<Bound, Error> {
    if http.is_some() || agent.is_some() {
        return Err(Error::setting("health and agent-check listeners need Unix"));
    }
    Ok(Bound::default())
}
