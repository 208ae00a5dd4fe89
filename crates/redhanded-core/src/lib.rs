//! The engine of redhanded: one slot per request in flight, a watchdog outside of every runtime, a
//! clerk that files what it finds.
//!
//! Applications use the `redhanded` crate; this one is for the crates that open tickets (the tower
//! layer) or receive reports (exporters).
//!
//! The stages, in the order of a request's way: [`Ticket`] ① opens a slot in the registry ②; the
//! watchdog ③ compares and looks ④; rules judge ⑤; the clerk assembles ⑥ and files ⑦. Stages
//! do not import each other; `tests/imports.rs` of the test crate holds them to that.

mod accepting;
mod ask;
mod baseline;
mod calls;
mod case;
mod child;
mod clerk;
mod closures;
mod config;
pub mod connection;
mod copied;
mod current;
mod engine;
mod facts;
mod family;
mod health;
mod install;
mod keep;
mod memory;
pub mod metrics;
mod outbound;
mod pulse;
mod recorder;
mod redact;
mod referred;
mod registry;
mod runtimes;
pub mod sink;
mod slow_log;
pub mod story;
mod sync;
mod ticket;
mod told;
pub mod verdict;
mod watchdog;
mod work;
mod worker;

pub use accepting::{Accepting, InAccept};
pub use calls::{Authority, CallPhase, Failure, PeerStats, Peers, PhaseStats, peers};
pub use child::{Child, attach, spawn, spawn_blocking};
pub use config::{
    Config, DEFAULT_LOG, Diagnostics, Error, FlightRecorder, HealthRules, Log, RouteRule, Scrape,
};
pub use current::Current;
pub use engine::{BaselineStats, Ends, Engine, Stats};
pub use health::{Health, Holder};
pub use install::{Installed, Numbers, install};
pub use keep::{Kept, Why};
pub use outbound::{
    Acquiring, Always, Call, CallHandle, Calling, Ending, Fallible, Held, Outbound,
};
pub use registry::Place;
pub use story::{Level, StoryStats};
pub use ticket::{BodyStage, Copying, Inside, Ticket};
pub use told::{Source, Told, ToldEvent, ToldSpan, ToldValue};
pub use work::{Asked, Job, Watched};
