//! Passwords hashed on the workers: each takes its time, and all others wait until they are through.

use crate::{Case, Ground, Hang, Needs, Part, Play, Truth};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::Router;
use axum::routing::post;
use redhanded::report::Class;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
        play.send(Part::Either, "POST", &target, &[], b"correct horse");
    }
    play.wait(Duration::from_millis(50));
    play.victim("/health");
}

async fn login(hasher: Arc<Argon2<'static>>, password: String) -> String {
    // The row of the user
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut hash = [0; 32];
    let hashed = hasher.hash_password_into(password.as_bytes(), b"0123456789abcdef", &mut hash); // <- here
    format!("{hashed:?}")
}

/// Argon2 with parameters that cost about `wanted` on this machine, in this build: its defaults
/// cost 30 ms where it is optimized, and seconds where it is not.
pub(crate) fn hasher(wanted: Duration) -> Argon2<'static> {
    let with = |memory_kib| {
        let params = Params::new(memory_kib, 1, 1, None).expect("within limits");
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
    };
    let tried_kib = 256;
    let begun = Instant::now();
    let tried = with(tried_kib).hash_password_into(b"password", b"0123456789abcdef", &mut [0; 32]);
    tried.expect("a hash");
    let times = wanted.as_secs_f64() / begun.elapsed().as_secs_f64();
    with(((f64::from(tried_kib) * times) as u32).clamp(8, 19 * 1024))
}
