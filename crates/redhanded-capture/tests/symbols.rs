//! Names: function, file and line of code that is known, whose it is, and what remains when there is nothing to read.
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]

use redhanded_capture::{RawFrame, RawStack, Sampler, Symbolizer, Thread};
use redhanded_report::Frame;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[inline(never)]
fn outer_known() {
    inlined_known();
    std::hint::black_box(());
}

#[inline(always)]
fn inlined_known() {
    std::thread::sleep(Duration::from_secs(1000)); // the line that is looked for
    std::hint::black_box(());
}

/// The stack of a thread that sleeps in [`outer_known`].
fn sleeping_stack() -> RawStack {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        send.send(Thread::current()).expect("somebody waits");
        outer_known();
    });
    let thread = receive.recv().expect("registers");
    let mut sampler = Sampler::new();
    let begun = Instant::now();
    loop {
        match sampler.sample(&thread, Duration::from_secs(1)) {
            Ok(sample)
                if sample
                    .syscall
                    .is_some_and(|syscall| syscall.name() == "clock_nanosleep") =>
            {
                return sample.stack;
            }
            other => assert!(begun.elapsed() < Duration::from_secs(20), "{other:?}"),
        }
    }
}

fn find<'a>(frames: &'a [Frame], name: &str) -> &'a Frame {
    let found = frames
        .iter()
        .find(|frame| frame.function.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("no {name} in {frames:#?}"))
}

#[test]
fn a_known_function_has_its_name_file_and_line() {
    let stack = sleeping_stack();
    let frames = Symbolizer::new().symbolize(&stack);
    let outer = find(&frames, "symbols::outer_known");
    let inlined = find(&frames, "symbols::inlined_known");
    let source = include_str!("symbols.rs");
    let line = source
        .lines()
        .position(|line| line.ends_with("// the line that is looked for"))
        .expect("there") as u32
        + 1;
    assert!(inlined.inlined && inlined.user && !outer.inlined && outer.user);
    assert_eq!(inlined.line, Some(line));
    assert!(
        inlined
            .file
            .as_deref()
            .is_some_and(|file| file.ends_with("tests/symbols.rs"))
    );
    assert!(
        outer
            .file
            .as_deref()
            .is_some_and(|file| file.ends_with("tests/symbols.rs"))
    );
    assert!(
        outer.build_id.is_some()
            && outer.offset.is_some()
            && outer
                .module
                .as_deref()
                .is_some_and(|name| name.starts_with("symbols-"))
    );
    let std = frames.iter().find(|frame| {
        frame
            .function
            .as_deref()
            .is_some_and(|name| name.starts_with("std::thread::"))
    });
    assert!(std.is_some_and(|frame| !frame.user), "{std:?}");
    let libc = frames.iter().find(|frame| {
        frame
            .module
            .as_deref()
            .is_some_and(|name| name.starts_with("libc.so"))
    });
    assert!(
        libc.is_some_and(|frame| !frame.user
            && frame
                .function
                .as_deref()
                .is_some_and(|name| name.contains("nanosleep"))),
        "{libc:?}"
    );
}

#[test]
fn the_cache_answers_the_second_time() {
    let stack = sleeping_stack();
    let mut symbolizer = Symbolizer::new();
    assert!(!symbolizer.is_warm(&stack));
    let first = symbolizer.symbolize(&stack);
    assert!(symbolizer.is_warm(&stack));
    symbolizer.release_files();
    assert_eq!(symbolizer.symbolize(&stack), first);
}

#[test]
fn the_raw_form_carries_what_a_later_look_needs() {
    let stack = sleeping_stack();
    let raw = Symbolizer::new().raw(&stack);
    assert_eq!(raw.len(), stack.frames.len());
    assert!(
        raw.iter().all(|frame| frame.function.is_none()
            && frame.module.is_some()
            && frame.offset.is_some())
    );
    assert!(raw.iter().any(|frame| frame.build_id.is_some()));
}

#[test]
fn an_address_in_no_module_keeps_its_number() {
    let stack = RawStack {
        frames: vec![RawFrame {
            address: 0x1234,
            ..RawFrame::default()
        }],
        complete: false,
    };
    let frames = Symbolizer::new().symbolize(&stack);
    assert_eq!(
        (frames.len(), frames[0].offset, &frames[0].function),
        (1, Some(0x1234), &None)
    );
}

#[test]
fn a_module_whose_file_is_not_there_costs_only_its_names() {
    let mut stack = sleeping_stack();
    let known = Symbolizer::new().symbolize(&stack).len();
    for frame in &mut stack.frames {
        let module = frame.module.as_deref().expect("a module");
        if !module.is_main {
            let mut gone = module.clone();
            gone.path = "/nowhere/at/all.so".into();
            frame.module = Some(gone.into());
        }
    }
    let frames = Symbolizer::new().symbolize(&stack);
    assert!(frames.len() <= known);
    find(&frames, "symbols::outer_known");
    assert!(frames.iter().any(|frame| {
        frame.function.is_none()
            && frame
                .module
                .as_deref()
                .is_some_and(|name| name.starts_with("libc"))
    }));
}

/// The child of the two tests below: a copy of this file, deleted or stripped, that looks at itself.
#[test]
fn child_looks_at_itself() {
    let Ok(mode) = std::env::var("REDHANDED_SYMBOLS_CHILD") else {
        return;
    };
    if mode == "deleted" {
        std::fs::remove_file(std::env::current_exe().expect("known")).expect("removes");
    }
    let frames = Symbolizer::new().symbolize(&sleeping_stack());
    if mode == "stripped" {
        assert!(
            frames
                .iter()
                .all(|frame| frame.offset.is_some() || frame.inlined),
            "{frames:#?}"
        );
        assert!(frames.iter().any(|frame| frame.build_id.is_some()));
    } else {
        find(&frames, "symbols::inlined_known");
    }
}

fn copy_of_this_file(mode: &str) -> std::path::PathBuf {
    let copy =
        std::env::temp_dir().join(format!("redhanded-symbols-{mode}-{}", std::process::id()));
    std::fs::copy(std::env::current_exe().expect("known"), &copy).expect("copies");
    copy
}

fn run_child(copy: &std::path::Path, mode: &str) {
    let output = Command::new(copy)
        .args(["--exact", "child_looks_at_itself"])
        .env("REDHANDED_SYMBOLS_CHILD", mode)
        .output()
        .expect("starts");
    let _ = std::fs::remove_file(copy);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_deleted_executable_still_has_names() {
    run_child(&copy_of_this_file("deleted"), "deleted");
}

#[test]
fn a_stripped_executable_still_has_places() {
    let copy = copy_of_this_file("stripped");
    let stripped = Command::new("strip").arg(&copy).status();
    if stripped.is_ok_and(|status| status.success()) {
        run_child(&copy, "stripped");
    }
    let _ = std::fs::remove_file(&copy);
}
