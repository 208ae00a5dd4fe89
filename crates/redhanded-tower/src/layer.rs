//! The layer: what a user puts on a router or service.

use crate::copy::Copier;
use crate::service::Watch;
use redhanded_core::Engine;
use tower_layer::Layer;

/// Gives every request of a tower HTTP service a slot that the watchdog watches.
///
/// Cheap to clone: two words.
#[derive(Clone, Copy, Debug)]
pub struct WatchLayer {
    copier: &'static Copier,
}

impl WatchLayer {
    /// A layer that opens its tickets with `engine`.
    ///
    /// Call it once per install: the table of allowed headers that it makes is never freed.
    pub fn new(engine: &'static Engine) -> Self {
        Self {
            copier: Box::leak(Box::new(Copier::new(engine))),
        }
    }
}

impl<S> Layer<S> for WatchLayer {
    type Service = Watch<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Watch::new(inner, self.copier)
    }
}
