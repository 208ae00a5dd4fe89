//! Which socket a future waits for whose answer comes through a channel, from a task that has the socket.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

use redhanded_capture::{Reach, Sampler};
use std::future::{Future, poll_fn};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// A host that accepts and says nothing.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// A client: its task has the connection, and answers through a channel.
async fn ask(host: SocketAddr) -> oneshot::Receiver<u8> {
    let mut stream = TcpStream::connect(host).await.expect("it accepts");
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        let byte = stream.read_u8().await.unwrap_or_default();
        let _ = answer.send(byte);
    });
    // Let it come to its read
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    answered
}

/// Its own: what others may own as well holds what is left of others.
fn words(reach: &Reach) -> Vec<u64> {
    let owned = reach.objects.iter().filter(|object| object.is_owned);
    owned.flat_map(|object| &object.words).copied().collect()
}

/// The hosts that tasks wait for which share something with `future`.
async fn hosts(future: &Pin<Box<impl Future>>) -> Vec<Option<u16>> {
    let vtable = poll_fn(|cx| Poll::Ready(std::ptr::from_ref(cx.waker().vtable()) as u64)).await;
    let mut sampler = Sampler::new();
    let address = std::ptr::from_ref(&**future) as *const () as usize;
    let reach = sampler.reach(address, size_of_val(&**future));
    let found = sampler.sockets_of_tasks(&words(&reach), &[], vtable);
    found.into_iter().map(|socket| socket.peer.port).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_leads_to_the_socket_of_the_task_at_its_other_end() {
    let found = tokio::spawn(async {
        let ((_one, first), (_other, second)) = (silent(), silent());
        let waits = Box::pin(ask(first).await);
        let others = Box::pin(ask(second).await);
        assert_eq!(hosts(&waits).await, [Some(first.port())]);
        assert_eq!(hosts(&others).await, [Some(second.port())]);
    });
    found.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shares_nothing_with_a_connection_waits_for_none() {
    let found = tokio::spawn(async {
        let (_listener, host) = silent();
        let _elsewhere = ask(host).await;
        let (_never, answered) = oneshot::channel::<u8>();
        assert_eq!(hosts(&Box::pin(answered)).await, []);
    });
    found.await.expect("no panic");
}

/// The state of an application, which everybody refers to, tells of no channel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_share_leads_nowhere() {
    let found = tokio::spawn(async {
        let (_listener, host) = silent();
        let state = Arc::new(7_u64);
        let clones = [state.clone(), state.clone(), state.clone()];
        let theirs = state.clone();
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(host).await.expect("it accepts");
            let _ = stream.read_u8().await;
            drop(theirs);
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let waits = Box::pin(async move {
            std::future::pending::<()>().await;
            drop(state);
        });
        assert_eq!(hosts(&waits).await, []);
        drop(clones);
    });
    found.await.expect("no panic");
}
