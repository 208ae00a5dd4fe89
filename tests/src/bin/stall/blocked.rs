//! Polls that do not return because their thread sleeps in the kernel.

use crate::peers;
use axum::extract::Path;
use axum::routing::{MethodRouter, any};
use std::io::Read;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn stall(name: &str) -> Option<MethodRouter> {
    Some(match name {
        "std_sleep" => any(sleep),
        "std_read" => any(read),
        "std_connect" => any(connect),
        "std_mutex" => any(lock_twice),
        "std_pipe" => any(read_pipe),
        "locked_read" => any(locked_read),
        "std_pool" => any(wait_for_pool),
        "block_on" => any(block_on),
        "closure" => any(closure),
        "unwatched" => any(unwatched),
        "unwatched_loops" => any(unwatched_loops),
        _ => return None,
    })
}

async fn sleep() {
    crate::stalls_in_the_next_lines!(1);
    std::thread::sleep(DAY);
}

async fn read() {
    let mut stream =
        TcpStream::connect(peers::silent().expect("a listener")).expect("a listener accepts");
    let mut answer = [0; 16];
    crate::stalls_in_the_next_lines!(1);
    let _ = stream.read(&mut answer);
}

async fn connect() {
    let address = peers::black_hole().expect("a listener");
    crate::stalls_in_the_next_lines!(1);
    let _ = TcpStream::connect(address);
}

/// The first has a lock and waits for a host; the others wait for the lock.
async fn locked_read() {
    static SESSION: Mutex<()> = Mutex::new(());
    let _session = SESSION.lock().expect("not poisoned");
    let mut stream =
        TcpStream::connect(peers::silent().expect("a listener")).expect("a listener accepts");
    let _ = stream.read(&mut [0; 16]);
}

/// A blocking pool of connections that has none, and waits for one with a timeout.
async fn wait_for_pool() {
    static NONE: Mutex<()> = Mutex::new(());
    static RETURNED: Condvar = Condvar::new();
    let none = NONE.lock().expect("not poisoned");
    let _ = RETURNED.wait_timeout(none, DAY);
}

async fn lock_twice() {
    static ACCOUNT: Mutex<u32> = Mutex::new(0);
    let from = ACCOUNT.lock().expect("not poisoned");
    crate::stalls_in_the_next_lines!(1);
    let to = ACCOUNT.lock().expect("not poisoned");
    drop((from, to));
}

async fn read_pipe() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut text = String::new();
    crate::stalls_in_the_next_lines!(1);
    let _ = reader.read_to_string(&mut text);
    drop(writer);
}

/// On one thread nobody is left to wake what it waits for.
async fn block_on() {
    let soon = tokio::time::sleep(Duration::from_millis(10));
    crate::stalls_in_the_next_lines!(1);
    futures_executor::block_on(soon);
}

/// A closure on the blocking pool that never ends.
async fn closure() {
    let asleep = redhanded::spawn_blocking("thumbnail", || std::thread::sleep(DAY));
    let _ = asleep.await;
}

/// Two tasks that nobody watches keep two workers for so many milliseconds.
async fn unwatched(Path(ms): Path<u64>) {
    for _ in 0..2 {
        tokio::spawn(async move { std::thread::sleep(Duration::from_millis(ms)) });
    }
}

/// The same, but they loop, and begin when nobody has been in flight for so long that the watchdog sleeps.
async fn unwatched_loops(Path(ms): Path<u64>) {
    for _ in 0..2 {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            let until = std::time::Instant::now() + Duration::from_millis(ms);
            while std::time::Instant::now() < until {
                std::hint::black_box(ms);
            }
        });
    }
}
