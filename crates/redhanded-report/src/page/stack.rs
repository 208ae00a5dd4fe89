//! A stack: the user's own frames are bright, those in between are folded.

use super::brush::{Brush, Ink};
use super::format::{call, place};
use crate::{Frame, Stack, StackKind};

pub(super) fn part(page: &mut Brush, stack: &Stack) {
    let kind = match stack.kind {
        StackKind::Thread => "stack of the thread",
        StackKind::Await => "stack of the waiting future",
        StackKind::Task => "stack of a child",
    };
    let samples = match stack.samples {
        0 | 1 => String::new(),
        samples => format!(", {samples} samples"),
    };
    page.title(&format!("{kind}{samples}, innermost first"));
    let mut chunks = stack
        .frames
        .chunk_by(|one, next| one.user == next.user)
        .peekable();
    // Without a frame of the user's own, the others are all there is to see.
    let nothing_to_fold_around = !stack.frames.iter().any(|frame| frame.user);
    while let Some(frames) = chunks.next() {
        if nothing_to_fold_around {
            frames
                .iter()
                .for_each(|frame| page.line(&format!("    {}", line(frame))));
        } else if frames.iter().any(|frame| frame.user) {
            frames
                .iter()
                .for_each(|frame| page.inked(Ink::Bright, &format!("  > {}", line(frame))));
        } else {
            folded(page, frames, chunks.peek().is_some());
        }
    }
    if !stack.complete {
        page.inked(Ink::Faint, "    … deeper frames could not be taken");
    }
}

/// Runtime and dependencies in one line; what the user's own code called is worth its name.
fn folded(page: &mut Brush, frames: &[Frame], called_by_user: bool) {
    let plural = if frames.len() == 1 { "frame" } else { "frames" };
    let called = frames
        .last()
        .filter(|_| called_by_user)
        .and_then(|frame| frame.function.as_deref());
    let called = called.map(|function| format!(", called as {function}"));
    page.inked(
        Ink::Faint,
        &format!(
            "    … {} runtime {plural}{}",
            frames.len(),
            called.unwrap_or_default()
        ),
    );
}

fn line(frame: &Frame) -> String {
    let place = place(frame.file.as_deref(), frame.line, frame.column);
    match (&frame.function, frame.offset) {
        (Some(function), _) => call(function, &place),
        // Without symbols: what `redhanded show --symbols` needs to find the name.
        (None, Some(offset)) => format!("{}+{offset:#x}", frame.module.as_deref().unwrap_or("?")),
        (None, None) => "?".to_owned(),
    }
}
