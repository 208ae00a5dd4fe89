//! Stacks as text, one frame a line.

use redhanded_report::{Frame, Stack, StackKind};
use std::fmt::Write;

/// The longest `code.stacktrace`.
pub(crate) const LIMIT: usize = 32 * 1024;

/// All stacks, innermost frame first, the most frequent stack first; `None` when there is none.
///
/// Not more than [`LIMIT`] bytes: frames that do not fit are counted in the last line.
pub(crate) fn render(stacks: &[Stack]) -> Option<String> {
    if stacks.is_empty() {
        return None;
    }
    let mut text = String::new();
    let mut left_out = 0;
    for stack in stacks {
        // Once something did not fit, nothing follows it: a gap would read like a call.
        let heading = heading(stack, text.is_empty());
        if left_out > 0 || !push(&mut text, &heading) {
            left_out += stack.frames.len();
            continue;
        }
        for frame in &stack.frames {
            if left_out > 0 || !push(&mut text, &line(frame)) {
                left_out += 1;
            }
        }
    }
    if left_out > 0 {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "… {left_out} more frames");
    }
    Some(text)
}

/// Appends what leaves room for the last line; says whether it did.
fn push(text: &mut String, line: &str) -> bool {
    let fits = text.len() + line.len() <= LIMIT - 64;
    if fits {
        text.push_str(line);
    }
    fits
}

fn heading(stack: &Stack, first: bool) -> String {
    let kind = match stack.kind {
        StackKind::Await => "await",
        StackKind::Task => "task",
        _ => "thread",
    };
    let blank = if first { "" } else { "\n" };
    let cut = if stack.complete { "" } else { ", incomplete" };
    format!("{blank}{kind}, {} samples{cut}:\n", stack.samples)
}

fn line(frame: &Frame) -> String {
    let mut text = frame
        .function
        .as_deref()
        .map_or_else(|| address(frame), |name| crate::text::bounded(name, 1024));
    if let Some(file) = &frame.file {
        let _ = write!(text, " ({}", crate::text::bounded(file, 512));
        if let Some(line) = frame.line {
            let _ = write!(text, ":{line}");
        }
        text.push(')');
    }
    text.push('\n');
    text
}

/// A frame without a name is still worth its address: a symbolizer with the file finds the rest.
fn address(frame: &Frame) -> String {
    let module = crate::text::bounded(frame.module.as_deref().unwrap_or("?"), 512);
    frame
        .offset
        .map_or_else(|| module.clone(), |offset| format!("{module}+{offset:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: Option<&str>, module: Option<&str>, offset: Option<u64>) -> Frame {
        let mut frame = Frame::default();
        frame.function = function.map(str::to_owned);
        frame.module = module.map(str::to_owned);
        frame.offset = offset;
        frame
    }

    fn stack(frames: Vec<Frame>) -> Stack {
        let mut stack = Stack::default();
        (stack.samples, stack.complete, stack.frames) = (20, true, frames);
        stack
    }

    #[test]
    fn frames_without_names_keep_module_and_offset() {
        let mut named = frame(Some("app::search::matches"), Some("app"), Some(1));
        (named.file, named.line) = (Some("src/search.rs".to_owned()), Some(12));
        let text = render(&[stack(vec![
            named,
            frame(None, Some("app"), Some(0x1234)),
            frame(None, None, None),
        ])]);
        assert_eq!(
            text.as_deref(),
            Some("thread, 20 samples:\napp::search::matches (src/search.rs:12)\napp+0x1234\n?\n")
        );
        assert_eq!(render(&[]), None);
    }

    #[test]
    fn a_deep_recursion_stays_within_the_limit() {
        let deep = stack(vec![frame(Some(&"r".repeat(10_000)), None, None); 100]);
        let text = render(&vec![deep; 10]).unwrap_or_default();
        assert!(text.len() <= LIMIT, "{}", text.len());
        assert!(
            text.ends_with(" more frames\n"),
            "{}",
            &text[text.len() - 40..]
        );
    }
}
