//! The app: `/hello` tells nothing, `/spans` tells of ten nested async fns and five events, in the words of `tracing` or of fastrace.

use axum::Router;
use axum::routing::get;
use std::hint::black_box;

/// Functions that call each other in their order, each under the attribute; every other one says something. The number is named
/// by who calls this macro, so that the attribute may name it too.
macro_rules! nested {
    ($number:ident, [$($span:tt)*], $say:ident, $talks:ident $calls:ident $next:ident $($rest:ident)*) => {
        nested!(@talks $number, [$($span)*], $say, $talks $calls);
        $($span)*
        async fn $calls($number: u64) -> u64 {
            $next($number + 1).await + 1
        }
        nested!($number, [$($span)*], $say, $next $($rest)*);
    };
    ($number:ident, [$($span:tt)*], $say:ident, $talks:ident $last:ident) => {
        nested!(@talks $number, [$($span)*], $say, $talks $last);
        $($span)*
        async fn $last($number: u64) -> u64 {
            black_box($number)
        }
    };
    (@talks $number:ident, [$($span:tt)*], $say:ident, $talks:ident $calls:ident) => {
        $($span)*
        pub(super) async fn $talks($number: u64) -> u64 {
            $say!($number, $talks);
            $calls($number + 1).await + 1
        }
    };
}

macro_rules! by_tracing {
    ($number:ident, $name:ident) => {
        tracing::debug!($number, stringify!($name))
    };
}

macro_rules! by_fastrace {
    ($number:ident, $name:ident) => {
        fastrace::local::LocalSpan::add_event(
            fastrace::Event::new(stringify!($name)).with_property(|| ("id", $number.to_string())),
        )
    };
}

mod traced {
    use super::*;
    nested!(id, [#[tracing::instrument]], by_tracing, l1 l2 l3 l4 l5 l6 l7 l8 l9 l10);
}

mod fast {
    use super::*;
    // As much as the others know: what the function was called with.
    nested!(id, [#[fastrace::trace(properties = { "id": "{id}" })]], by_fastrace, l1 l2 l3 l4 l5 l6 l7 l8 l9 l10);
}

/// As most applications are.
pub(crate) fn with_tracing() -> Router {
    app().route("/spans", get(|| async { traced::l1(1).await.to_string() }))
}

/// The same for fastrace.
pub(crate) fn with_fastrace() -> Router {
    app().route("/spans", get(|| async { fast::l1(1).await.to_string() }))
}

fn app() -> Router {
    Router::new().route("/hello", get(|| async { "hello" }))
}
