//! The site: what its handlers share, its routes, and the one layer that has them watched.

use crate::avatars::{Thumbnails, avatar};
use crate::boosts::{Timelines, boost};
use crate::cache::Cache;
use crate::database::Database;
use crate::federation::{Remotes, federate};
use crate::jobs::Jobs;
use crate::notices::{generate, home, notice, user};
use crate::outside::{Hosts, thumbnail_store};
use crate::queue::Queue;
use crate::search::{Search, search};
use crate::servers::Servers;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use redhanded::Redhanded;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};

pub(crate) struct Site {
    pub(crate) database: Database,
    pub(crate) cache: Cache,
    pub(crate) search: Search,
    pub(crate) thumbnails: Thumbnails,
    pub(crate) timelines: Timelines,
    pub(crate) remotes: Remotes,
    pub(crate) jobs: Jobs,
}

impl Site {
    async fn open(servers: &Servers) -> Result<Self, Box<dyn std::error::Error>> {
        let (queue, deliveries) = Queue::open(servers.queue.as_deref()).await?;
        Ok(Self {
            database: Database::open(servers.database.as_deref(), generate()).await?,
            cache: Cache::open(servers.cache.as_deref()).await?,
            search: Search::new()?,
            thumbnails: Thumbnails::new(thumbnail_store()?),
            timelines: Timelines::new(),
            remotes: Remotes::new(Hosts::start()?),
            jobs: Jobs::start(queue, deliveries),
        })
    }
}

/// What is answered when something that the site needs does not do its work.
pub(crate) fn unavailable(_: impl std::error::Error) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// Everything the site offers.
fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/notice/{id}", get(notice))
        .route("/users/{name}", get(user))
        .route("/search", get(search))
        .route("/avatar/{user}", get(avatar))
        .route("/boost", post(boost))
        .route("/federate", get(federate))
        .with_state(Arc::new(site))
}

/// Starts to serve on a loopback port, and gives the address. The site has a runtime of its own, so
/// that its visitors do not suffer when its workers are gone.
pub(crate) fn start(
    redhanded: &Redhanded,
    port: u16,
    servers: &Servers,
) -> Result<SocketAddr, Box<dyn std::error::Error>> {
    // Two of the culprits keep a worker each: the others carry the site on.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(4))
        .enable_all()
        .build()?;
    // Never dropped: that would wait for the workers, and two of them will not come back.
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    let _inside = runtime.enter();
    let site = runtime.block_on(Site::open(servers))?;
    let app = router(site).layer(redhanded.layer()); // every request is watched
    let bound = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    let listener = bound.map_err(|why| format!("port {port} cannot be used: {why}"))?;
    let address = listener.local_addr()?;
    let app = app.into_make_service_with_connect_info::<SocketAddr>(); // the reports name the client
    runtime.spawn(async move { axum::serve(listener, app).await });
    keep_the_driver_going(runtime.handle().clone())?;
    Ok(address)
}

/// Wakes a worker now and then. In tokio the worker that waits for sockets also runs the first
/// task that its sockets wake; if that one never comes back and the others sleep, nobody waits for
/// sockets any more: one culprit on a quiet site stops it whole. (`enable_eager_driver_handoff` of
/// tokio's runtime builder cures that, but is unstable.)
fn keep_the_driver_going(runtime: Handle) -> std::io::Result<()> {
    let pulse = move || {
        loop {
            std::thread::sleep(Duration::from_millis(20));
            runtime.spawn(std::future::ready(()));
        }
    };
    std::thread::Builder::new()
        .name("pulse".to_owned())
        .spawn(pulse)
        .map(drop)
}
