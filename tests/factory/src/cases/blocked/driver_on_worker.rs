//! A blocking database driver in async handlers, and a database that takes its time: the workers
//! stand in `recv`, and all others wait.

use crate::{Case, Needs, Play, Truth, peers};
use axum::Router;
use axum::routing::get;
use r2d2::{ManageConnection, Pool};
use redhanded::report::Class;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "C5",
        title: "a blocking database driver on the workers",
        source: include_str!("driver_on_worker.rs"),
        file: file!(),
        app: |_| app(8),
        play,
        truth: Truth {
            // The thread is blocked, and the database says nothing: both are true
            classes: &[Class::BlockedThread, Class::SilentPeer],
            function: Some("driver_on_worker::Connection::query"),
            peer: Some("database"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

/// One connection for all: who waits for it blocks a worker as well.
pub(super) fn case_of_one() -> Case {
    Case {
        code: "C5b",
        title: "a blocking pool whose only connection is taken",
        app: |_| app(1),
        play: |play| {
            play.culprit("/orders?customer=0");
            play.wait(Duration::from_millis(200));
            play.victim("/orders?customer=1");
        },
        needs: Needs {
            workers: Some(2),
            ..Needs::default()
        },
        ..case()
    }
}

fn app(connections: u32) -> Router {
    let host = peers::silent("database");
    let pool = Pool::builder().max_size(connections).min_idle(Some(0));
    let pool = pool
        .test_on_check_out(false)
        .build_unchecked(Database(host));
    let quick = async || {
        sleep(Duration::from_millis(300)).await;
        "quick"
    };
    Router::new()
        .route("/orders", get(move || orders(pool.clone())))
        .route("/quick", get(quick))
}

/// One slow query for every worker, while others are under way and when it is too late for them.
fn play(play: &mut Play) {
    for id in 0..3 {
        play.victim(&format!("/quick?id={id}"));
    }
    play.wait(Duration::from_millis(100));
    for customer in 0..play.workers().max(1) {
        play.culprit(&format!("/orders?customer={customer}"));
    }
    play.wait(Duration::from_millis(300));
    play.victim("/health");
}

async fn orders(pool: Pool<Database>) -> String {
    let mut connection = pool.get().expect("a connection");
    let rows = connection.query("select * from orders");
    format!("{rows:?}")
}

#[derive(Debug)]
struct Database(SocketAddr);

impl ManageConnection for Database {
    type Connection = Connection;
    type Error = io::Error;

    fn connect(&self) -> io::Result<Connection> {
        TcpStream::connect(self.0).map(Connection)
    }

    fn is_valid(&self, _: &mut Connection) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

struct Connection(TcpStream);

impl Connection {
    fn query(&mut self, statement: &str) -> io::Result<Vec<u8>> {
        writeln!(self.0, "{statement}")?;
        let mut rows = vec![0; 256];
        let n = self.0.read(&mut rows)?; // <- here
        rows.truncate(n);
        Ok(rows)
    }
}
