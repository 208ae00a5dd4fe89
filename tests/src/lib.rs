//! Every way to hang, and the proof that it is caught.
//!
//! The binary `stall` serves handlers that hang, one process per stall; [`Stall`] starts it, sends
//! requests and ends it; [`caught`] follows the slow-request log of that process until a record says
//! what it should, while the request still hangs.
//!
//! ```no_run
//! use redhanded_tests::{Stall, caught, hangs_without};
//! use redhanded::report::{Class, Role};
//!
//! hangs_without(&["spin"], "/spin/42");
//! let stall = Stall::of(&["spin"]).start();
//! let request = stall.get("/spin/42?q=needle");
//! caught(&stall, "/spin/42").as_class(Class::CpuLoop).by_role(Role::Culprit).at("stall::cpu::spin");
//! # drop(request);
//! ```

mod caught;
mod client;
mod health;
mod quota;
mod stall;
mod supervisor;

pub use caught::{Caught, caught, show};
pub use client::Asked;
pub use health::{asked_http, free_port, is_ready, told_agent};
pub use quota::{Group, Quota};
pub use stall::{Stall, Start, finish, hangs_without};
pub use supervisor::Supervisor;

use std::time::{Duration, Instant};

/// How long a test waits for what must come; machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The threshold of every stall that does not say otherwise.
pub const SLOW_AFTER: Duration = Duration::from_millis(500);

/// Asks again and again until there is an answer or `deadline` has passed.
pub fn until<T>(deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
