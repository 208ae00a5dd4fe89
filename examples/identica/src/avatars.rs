//! Culprit 2: a driver that blocks its thread, called from an async handler.

use crate::site::Site;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::io::{BufRead, BufReader, Error, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// `GET /avatar/{user}`
pub(crate) async fn avatar(
    State(site): State<Arc<Site>>,
    Path(user): Path<String>,
) -> Result<String, StatusCode> {
    // It answers within microseconds, so nobody noticed that it blocks a worker of the runtime.
    // One day the store does not answer, there is no time-out, and the worker is gone.
    site.thumbnails
        .of(&user)
        .map_err(|_| StatusCode::BAD_GATEWAY)
}

/// The driver of the thumbnail store, with a pool, as such drivers have.
pub(crate) struct Thumbnails {
    store: SocketAddr,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
}

impl Thumbnails {
    pub(crate) fn new(store: SocketAddr) -> Self {
        Self {
            store,
            idle: Mutex::new(Vec::new()),
        }
    }

    fn of(&self, user: &str) -> std::io::Result<String> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let pooled = idle().pop();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(self.store)?),
        };
        let answer = ask_store(&mut connection, user)?;
        idle().push(connection);
        Ok(answer)
    }
}

fn ask_store(connection: &mut BufReader<TcpStream>, user: &str) -> std::io::Result<String> {
    connection
        .get_mut()
        .write_all(format!("THUMBNAIL {user}\n").as_bytes())?;
    let mut answer = String::new();
    if connection.read_line(&mut answer)? == 0 {
        return Err(Error::from(ErrorKind::UnexpectedEof));
    }
    Ok(answer)
}
