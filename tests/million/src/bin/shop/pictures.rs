//! Pictures: read from disk by a worker, as too many handlers do. One of them is no file but a
//! pipe into which nobody writes.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) fn routes(directory: PathBuf) -> Router {
    Router::new()
        .route("/pictures/{name}", get(picture))
        .with_state(Arc::new(directory))
}

async fn picture(
    State(directory): State<Arc<PathBuf>>,
    Path(name): Path<String>,
) -> Result<Vec<u8>, StatusCode> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric());
    if !plain {
        return Err(StatusCode::BAD_REQUEST);
    }
    load(&directory.join(name)).map_err(|_| StatusCode::NOT_FOUND)
}

fn load(picture: &std::path::Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(picture) // here: the picture
}
