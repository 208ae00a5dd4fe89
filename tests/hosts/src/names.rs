//! A name server of our own: what a name means, or that nobody answers.

use hyper_util::client::legacy::connect::dns::Name;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{LazyLock, Mutex};
use std::task::{Context, Poll};
use tower_service::Service;

static KNOWN: LazyLock<Mutex<HashMap<String, Vec<SocketAddr>>>> = LazyLock::new(Mutex::default);

/// From now on `name` means these addresses. One that is not known is never answered.
pub fn set(name: &str, addresses: &[SocketAddr]) {
    let mut known = KNOWN.lock().unwrap();
    known.insert(name.to_owned(), addresses.to_vec());
}

async fn resolve(name: String) -> Vec<SocketAddr> {
    let found = KNOWN.lock().unwrap().get(&name).cloned();
    match found {
        Some(addresses) => addresses,
        None => std::future::pending().await,
    }
}

/// For hyper-util.
#[derive(Clone, Copy, Debug)]
pub struct Names;

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move { Ok(resolve(name.as_str().to_owned()).await.into_iter()) })
    }
}

/// For reqwest.
impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let addresses = resolve(name.as_str().to_owned()).await;
            let addresses: reqwest::dns::Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}
