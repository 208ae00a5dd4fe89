//! The Collector is killed, stopped, or swallows what it is sent; the service is killed as well. Every runaway is in
//! Jaeger in the end.

use crate::http::{Caller, Open};
use crate::servers::{Servers, Span};
use crate::toy::Toy;
use crate::wait::{SOON, until};
use crate::{caught_as_ever, marker};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) fn nothing_is_lost(servers: &mut Servers, directory: &Path) {
    fs::create_dir(directory).expect("a directory in one of ours");
    both_are_killed(servers, directory);
    stopped_and_continued(servers, directory);
    a_black_hole(servers, directory);
    killed_again_and_again(servers, directory);
}

/// Requests that wait in a spool.
fn files(spool: &Path) -> Vec<PathBuf> {
    let slots = fs::read_dir(spool).into_iter().flatten().flatten();
    let files = slots.flat_map(|slot| fs::read_dir(slot.path()).into_iter().flatten().flatten());
    let paths = files.map(|file| file.path());
    paths
        .filter(|path| path.extension().is_some_and(|is| is == "otlp"))
        .collect()
}

fn waits_on_disk(spool: &Path) {
    until("it waits on disk", SOON, || {
        Some(files(spool)).filter(|files| !files.is_empty())
    });
}

/// A toy that spools, and speaks to the Collector as said.
fn spooling(directory: &Path, name: &str, spool: &Path, more: &[(&str, &str)]) -> Toy {
    let spool = spool.display().to_string();
    let all = [&[("REDHANDED_SPOOL", spool.as_str())], more].concat();
    Toy::told(&directory.join(name), &all)
}

/// How many spans tell that this request was caught.
fn markers(servers: &Servers, caller: &Caller) -> usize {
    let is_it =
        |span: &&Span| span.name() == "redhanded.caught" && span.trace_id() == caller.trace_id;
    servers.runaways().iter().filter(is_it).count()
}

fn both_are_killed(servers: &mut Servers, directory: &Path) {
    eprintln!("kill -9 the Collector, then the service");
    let spool = directory.join("spool-killed");
    let grpc = servers.otlp_grpc();
    let to = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", grpc.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ];
    servers.kill_collector();
    let mut toy = spooling(directory, "killed", &spool, &to);
    let callers = [10, 11, 12].map(Caller::new);
    let mut open = Vec::new();
    for (at, caller) in callers.iter().enumerate() {
        caught_as_ever(&mut toy, &mut open, caller);
        until("it waits on disk", SOON, || {
            (files(&spool).len() > at).then_some(())
        });
    }
    toy.kill();
    assert!(callers.iter().all(|caller| markers(servers, caller) == 0));
    servers.restart_collector();
    let _next = spooling(directory, "next", &spool, &to);
    for caller in &callers {
        marker(servers, caller);
    }
    until("nothing waits any more", SOON, || {
        files(&spool).is_empty().then_some(())
    });
    for caller in &callers {
        assert_eq!(markers(servers, caller), 1, "told once");
    }
}

fn stopped_and_continued(servers: &Servers, directory: &Path) {
    eprintln!("kill -STOP the Collector");
    let spool = directory.join("spool-stopped");
    let to = [("OTEL_EXPORTER_OTLP_ENDPOINT", servers.otlp())];
    let to = to.each_ref().map(|(key, value)| (*key, value.as_str()));
    let mut toy = spooling(directory, "stopped", &spool, &to);
    let (caller, mut open) = (Caller::new(13), Vec::new());
    servers.stop_collector();
    caught_as_ever(&mut toy, &mut open, &caller);
    waits_on_disk(&spool);
    assert_eq!(markers(servers, &caller), 0);
    servers.continue_collector();
    marker(servers, &caller);
    open.iter_mut().for_each(Open::still_hangs);
}

fn a_black_hole(servers: &mut Servers, directory: &Path) {
    eprintln!("a host that accepts and never answers");
    let spool = directory.join("spool-hole");
    let otlp = servers.otlp();
    let to = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.as_str()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
    ];
    servers.kill_collector();
    let hole = servers.black_hole();
    let mut toy = spooling(directory, "hole", &spool, &to);
    let (caller, mut open) = (Caller::new(14), Vec::new());
    caught_as_ever(&mut toy, &mut open, &caller);
    waits_on_disk(&spool);
    drop(hole);
    servers.restart_collector();
    marker(servers, &caller);
    open.iter_mut().for_each(Open::still_hangs);
}

/// No spool: what the Collector has not taken waits in memory, and what it has taken waits on its own disk.
fn killed_again_and_again(servers: &mut Servers, directory: &Path) {
    eprintln!("kill -9 the Collector while runaways come");
    let mut toy = Toy::watched(&directory.join("again"), &servers.otlp());
    let mut open = Vec::new();
    // Of one fingerprint five lines a minute are written; more would be counted only.
    let callers = [20, 21, 22, 23, 24].map(Caller::new);
    for caller in &callers {
        caught_as_ever(&mut toy, &mut open, caller);
        // At any moment of its way.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(u64::from(caller.number() % 3) * 40) {
            std::thread::yield_now();
        }
        servers.kill_collector();
        servers.restart_collector();
    }
    for caller in &callers {
        marker(servers, caller);
    }
    open.iter_mut().for_each(Open::still_hangs);
}
