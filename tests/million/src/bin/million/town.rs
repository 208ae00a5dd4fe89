//! What the shop needs around it: a directory of pictures, and two warehouses.

use crate::Error;
use crate::mix::{PICTURES, left, picture};
use axum::Router;
use axum::extract::Path as Item;
use axum::routing::get;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use tempfile::TempDir;

pub(crate) struct Town {
    directory: TempDir,
    /// Answers at once.
    pub(crate) north: SocketAddr,
    /// Takes connections, since its kernel does, and says nothing.
    south: TcpListener,
}

impl Town {
    pub(crate) fn new() -> Result<Self, Error> {
        let directory = tempfile::tempdir()?;
        std::fs::create_dir(directory.path().join("pictures"))?;
        for number in 0..PICTURES {
            let path = directory.path().join(format!("pictures/p{number}"));
            std::fs::write(path, picture(number))?;
        }
        Ok(Self {
            directory,
            north: warehouse()?,
            south: TcpListener::bind("127.0.0.1:0")?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn south(&self) -> Result<SocketAddr, Error> {
        Ok(self.south.local_addr()?)
    }

    /// Makes a picture that is a pipe: whoever opens it waits for somebody who writes.
    pub(crate) fn make_pipe(&self, name: &str) -> Result<(), Error> {
        let path = self.path().join("pictures").join(name);
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(mknodat(CWD, path, FileType::Fifo, mode, 0)?)
    }
}

/// A server on a thread of its own.
fn warehouse() -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let app = Router::new().route("/{item}", get(async |Item(item)| left(item)));
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, app).await
        })
    });
    Ok(address)
}
