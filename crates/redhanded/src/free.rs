//! Functions that find their request by themselves: the one that this thread polls now.
//!
//! They use the install of that request, else the first of the process that has not ended; without
//! any they do nothing but run what they are given. [`Redhanded`](crate::Redhanded) has those that
//! need no request as methods.

pub use redhanded_core::{Child, Current, Job, Watched, spawn, spawn_blocking};
use redhanded_core::{Engine, attach};
use std::future::Future;

/// The request that this thread works for, to say more about it. Empty outside of one: everything
/// is then accepted, and nothing done.
///
/// ```
/// # let (tenant, rows) = ("acme", vec![1, 2, 3]);
/// redhanded::current().set("tenant", tenant);
/// for row in rows {
///     redhanded::current().progress(); // it takes long, and moves
///     # let _ = row;
/// }
/// assert_eq!(redhanded::current().id(), None); // no request here
/// ```
pub fn current() -> Current {
    Current::here()
}

/// A background job called `name`: a queue worker's message, a cron run. Watched like a request.
///
/// ```
/// # async fn distribute(_: u64) {}
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let id = 7;
/// redhanded::job("distribute").param("notice", id).run(distribute(id)).await;
/// # }
/// ```
pub fn job(name: impl AsRef<str>) -> Job {
    Job::new(Engine::here(), name)
}

/// Futures that work for a request, wherever they are polled.
pub trait InCurrentRequest: Future + Sized {
    /// Makes this future a child of the request that this thread polls now: its stack stands in the
    /// reports of that request, and [`current`] is that request inside of it. Outside of a request
    /// it runs unwatched.
    ///
    /// For what [`spawn`] cannot start: the futures of a `JoinSet`, a `FuturesUnordered` or a
    /// `join_all`.
    ///
    /// ```
    /// use redhanded::InCurrentRequest;
    /// # async fn fetch(_: u32) {}
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let mut set = tokio::task::JoinSet::new();
    /// for part in 0..3 {
    ///     set.spawn(fetch(part).in_current_request());
    /// }
    /// set.join_all().await;
    /// # }
    /// ```
    #[track_caller]
    fn in_current_request(self) -> Child<Self> {
        attach(self)
    }
}

impl<F: Future> InCurrentRequest for F {}
