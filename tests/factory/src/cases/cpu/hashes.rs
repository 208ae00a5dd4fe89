//! Passwords hashed on the workers: each takes its time, and all others wait until they are through.

use crate::{Case, Ground, Hang, Needs, Part, Play, Truth};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::Router;
use axum::routing::post;
use redhanded::report::Class;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PASSWORD: &[u8] = b"correct horse";
const SALT: &[u8] = b"0123456789abcdef";

pub(super) fn case() -> Case {
    Case {
        code: "A8",
        title: "forty passwords hashed on the workers at once",
        source: include_str!("hashes.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::CpuLoop],
            function: Some("hashes::login"),
            hang: Hang::Late,
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let hasher = Arc::new(hasher(Duration::from_millis(200)));
    Router::new().route("/login", post(move |body| login(hasher.clone(), body)))
}

fn play(play: &mut Play) {
    for user in 0..40 {
        let target = format!("/login?user={user}");
        play.send(Part::Either, "POST", &target, &[], PASSWORD);
    }
    play.wait(Duration::from_millis(50));
    play.victim("/health");
}

async fn login(hasher: Arc<Argon2<'static>>, password: String) -> String {
    // The row of the user
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut hash = [0; 32];
    let hashed = hasher.hash_password_into(password.as_bytes(), SALT, &mut hash); // <- here
    format!("{hashed:?}")
}

/// Argon2 with parameters that cost about `wanted` on this machine, in this build: its default of 19 MiB
/// costs 30 ms where it is optimized, and seconds where it is not. So first less memory, then more passes.
pub(crate) fn hasher(wanted: Duration) -> Argon2<'static> {
    let (tried_kib, default_kib) = (256, 19 * 1024);
    let took = |_| {
        let begun = Instant::now();
        let tried = with(tried_kib, 1).hash_password_into(PASSWORD, SALT, &mut [0; 32]);
        tried.expect("a hash");
        begun.elapsed()
    };
    // The best of some: on a busy machine the others tell how busy it is.
    let took = (0..8).map(took).min().unwrap_or(wanted);
    let affordable_kib = f64::from(tried_kib) * wanted.as_secs_f64() / took.as_secs_f64();
    let passes = (affordable_kib / f64::from(default_kib)).clamp(1.0, 32.0);
    with((affordable_kib as u32).clamp(8, default_kib), passes as u32)
}

fn with(memory_kib: u32, passes: u32) -> Argon2<'static> {
    let params = Params::new(memory_kib, passes, 1, None).expect("within limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}
