//! A websocket's request is over with the upgrade. Its task goes on, and is a child by `redhanded::spawn`:
//! it may rest for hours, and is caught, with the request it came from, when one of its polls hangs.

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{any, get};
use doors::{SLOW_AFTER, ask_the_archive, listen};
use redhanded::Redhanded;

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    // In here the request is still current; in the callback it no longer is, so the child is made now.
    let (hand_over, socket) = tokio::sync::oneshot::channel();
    redhanded::spawn(async move {
        if let Ok(socket) = socket.await {
            echo(socket).await;
        }
    });
    upgrade.on_upgrade(async move |socket| drop(hand_over.send(socket)))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let redhanded = Redhanded::builder("websocket")
        .slow_after(SLOW_AFTER)
        .install()?;
    let app = Router::new()
        .route("/chat", any(chat))
        .route("/slow", get(ask_the_archive))
        .layer(redhanded.layer());
    axum::serve(redhanded.listener(listen().await?), app).await?;
    Ok(())
}
