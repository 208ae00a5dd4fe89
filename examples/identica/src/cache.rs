//! The cache of whole pages: Redis if one was given, otherwise a map in this process.

use crate::servers::{IN_PROCESS, Redis, peer, reach};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) struct Cache {
    kind: &'static str,
    peer: String,
    backend: Backend,
}

enum Backend {
    /// Nothing in it grows old: the notices never change.
    Map(Mutex<HashMap<String, String>>),
    Redis(Redis),
}

impl Cache {
    pub(crate) async fn open(url: Option<&str>) -> std::io::Result<Self> {
        Ok(match url {
            None => Self {
                kind: "cache",
                peer: IN_PROCESS.to_owned(),
                backend: Backend::Map(Mutex::default()),
            },
            Some(url) => Self {
                kind: "redis",
                peer: peer(url).to_owned(),
                backend: Backend::Redis(reach(url, Redis::connect(url)).await?),
            },
        })
    }

    pub(crate) async fn get(&self, key: &str) -> std::io::Result<Option<String>> {
        let call = redhanded::outbound(self.kind, self.peer.as_str()).key(format!("GET {key}"));
        call.try_run(self.backend.get(key)).await
    }

    pub(crate) async fn set(&self, key: &str, value: &str) -> std::io::Result<()> {
        let call = redhanded::outbound(self.kind, self.peer.as_str()).key(format!("SET {key}"));
        call.try_run(self.backend.set(key, value)).await
    }
}

impl Backend {
    async fn get(&self, key: &str) -> std::io::Result<Option<String>> {
        match self {
            Self::Map(map) => Ok(locked(map).get(key).cloned()),
            Self::Redis(redis) => redis.get(key).await,
        }
    }

    async fn set(&self, key: &str, value: &str) -> std::io::Result<()> {
        match self {
            Self::Map(map) => {
                locked(map).insert(key.to_owned(), value.to_owned());
                Ok(())
            }
            Self::Redis(redis) => redis.set(key, value).await,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
