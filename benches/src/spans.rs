//! A handler that tells much: ten nested `#[instrument]`ed async fns, five debug events.

use tracing::{debug, instrument};

macro_rules! level {
    ($name:ident, $inner:ident, $text:literal) => {
        #[instrument]
        async fn $name(id: u64) -> u64 {
            debug!(id, $text);
            $inner(id + 1).await + 1
        }
    };
    ($name:ident, $inner:ident) => {
        #[instrument]
        async fn $name(id: u64) -> u64 {
            $inner(id + 1).await + 1
        }
    };
}

level!(l1, l2, "l1");
level!(l2, l3);
level!(l3, l4, "l3");
level!(l4, l5);
level!(l5, l6, "l5");
level!(l6, l7);
level!(l7, l8, "l7");
level!(l8, l9);
level!(l9, l10, "l9");

#[instrument]
async fn l10(id: u64) -> u64 {
    std::hint::black_box(id)
}

pub(crate) async fn handler() -> String {
    l1(1).await.to_string()
}
