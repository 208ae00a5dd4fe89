//! A body that is made while it is sent.

use axum::body::Body;
use axum::extract::Path;
use axum::response::IntoResponse;
use futures_util::stream;
use std::convert::Infallible;

/// The lines of an order, one by one.
pub(crate) async fn lines(Path(number): Path<u64>) -> impl IntoResponse {
    let lines = stream::unfold(0, move |line| async move {
        (line < 1 + number % 4).then(|| {
            let text = format!("{line} of {number}\n");
            (Ok::<_, Infallible>(text), line + 1)
        })
    });
    Body::from_stream(lines)
}
