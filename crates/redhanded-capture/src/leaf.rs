//! From the stack of a waiting future to what it waits for. Pure functions over named frames.

use crate::names::{self, Origin};
use crate::waiting::RECORDING;
use redhanded_report::{Frame, WaitKind, WaitingFor};

/// Cuts an await stack down to the watched future's own chain, and labels its leaf.
///
/// Dropped are our recording frames on top and everything from our poll on at the bottom. The label is the last frame of a dependency
/// before the first frame of the user's own: what the user's code awaits, such as `tokio::sync::Mutex::lock`.
///
/// ```
/// use redhanded_capture::trim_await;
/// use redhanded_report::Frame;
///
/// let frame = |name: &str, user: bool| {
///     let mut frame = Frame::default();
///     frame.function = Some(name.to_owned());
///     frame.user = user;
///     frame
/// };
/// let (frames, label) = trim_await(vec![
///     frame("redhanded_capture::waiting::vtable_clone", false),
///     frame("<core::task::wake::Waker as core::clone::Clone>::clone", false),
///     frame("tokio::sync::batch_semaphore::Acquire::poll", false),
///     frame("<tokio::sync::mutex::Mutex<T>>::lock", false),
///     frame("app::load_profile", true),
///     frame("redhanded_capture::waiting::capture_poll", false),
///     frame("redhanded_tower::future::poll", false),
/// ]);
/// assert_eq!(label.as_deref(), Some("tokio::sync::Mutex::lock"));
/// assert_eq!(frames.len(), 3);
/// ```
pub fn trim_await(mut frames: Vec<Frame>) -> (Vec<Frame>, Option<String>) {
    if let Some(ours) = frames
        .iter()
        .rposition(|frame| is_capture(frame, &["capture_poll"]))
    {
        frames.truncate(ours);
    }
    while frames.last().is_some_and(is_ours) {
        frames.pop();
    }
    let recording = frames
        .iter()
        .rposition(|frame| is_capture(frame, &RECORDING))
        .map_or(0, |at| at + 1);
    frames.drain(..recording);
    let waker = frames
        .iter()
        .take_while(|frame| name(frame).contains("task::wake::Waker"))
        .count();
    frames.drain(..waker);
    let label = label(&frames);
    (frames, label)
}

/// The user's own functions whose futures are dropped by `frames`, each once, in their order: what a request is made of,
/// where no stack tells. See [`Object::drop_glue`](crate::Object::drop_glue).
pub fn futures_of(frames: &[Frame]) -> Vec<String> {
    let mut futures: Vec<String> = Vec::new();
    for future in frames
        .iter()
        .filter_map(|frame| names::user_future(name(frame)))
    {
        if !futures.contains(&future) {
            futures.push(future);
        }
    }
    futures
}

fn name(frame: &Frame) -> &str {
    frame.function.as_deref().unwrap_or_default()
}

fn origin(frame: &Frame) -> Origin {
    if frame.user {
        Origin::User
    } else {
        names::origin(name(frame), frame.file.as_deref())
    }
}

fn is_ours(frame: &Frame) -> bool {
    origin(frame) == Origin::Ours
}

fn is_capture(frame: &Frame, functions: &[&str]) -> bool {
    let Some(function) = name(frame).strip_prefix("redhanded_capture::waiting::") else {
        return false;
    };
    let function = function.split(['<', ':']).next().unwrap_or_default();
    functions.contains(&function)
}

/// The frames above the user's own: those of the thing that is waited for.
fn above_user(frames: &[Frame]) -> &[Frame] {
    let first = frames
        .iter()
        .position(|frame| frame.user)
        .unwrap_or(frames.len());
    &frames[..first]
}

fn label(frames: &[Frame]) -> Option<String> {
    let above = above_user(frames);
    let dependencies = || {
        above
            .iter()
            .rev()
            .filter(|frame| origin(frame) == Origin::Dependency)
    };
    let is_timer = above.iter().any(|frame| is_timer(&words(name(frame))));
    let dependency = dependencies().find(|frame| !is_wrapper(name(frame), is_timer));
    let leaf = dependency
        .or(dependencies().next())
        .or(above.last())
        .or(frames.first())
        .filter(|frame| frame.function.is_some())?;
    let label = names::short(name(leaf));
    Some(
        label
            .strip_suffix("::poll")
            .map(str::to_owned)
            .unwrap_or(label),
    )
}

/// Futures around futures: what is inside them is what is waited for. A timeout is one too, unless its own timer is the leaf.
fn is_wrapper(name: &str, is_timer: bool) -> bool {
    const WRAPPERS: [&str; 11] = [
        "MaybeDone",
        "TryMaybeDone",
        "Fuse",
        "Map",
        "Either",
        "Join",
        "TryJoin",
        "Select",
        "CatchUnwind",
        "Instrumented",
        "WithDispatch",
    ];
    let short = names::short(name);
    let of_type = short
        .split("::")
        .find(|segment| segment.starts_with(char::is_uppercase));
    of_type
        .is_some_and(|of_type| WRAPPERS.contains(&of_type) || (of_type == "Timeout" && !is_timer))
}

fn is_timer(name: &[String]) -> bool {
    ["sleep", "timerentry", "delay"]
        .iter()
        .any(|word| has(name, word))
}

/// Says what kind of thing an await stack waits for, by what its frames do and not by one version's names.
///
/// `frames` as [`trim_await`] returns them. `None` if nothing in it is known; a library on top of tokio is seen through.
/// A `JoinHandle` of the blocking pool cannot be told from that of a task.
pub fn classify_leaf(label: &str, frames: &[Frame]) -> Option<WaitingFor> {
    let above = above_user(frames);
    let names: Vec<Vec<String>> = above
        .iter()
        .map(|frame| words(name(frame)))
        .chain([words(label)])
        .collect();
    let kind = by_owner(&names).or_else(|| by_mechanism(&names))?;
    Some(WaitingFor::new(kind, label))
}

/// The words of a path, in lower case and without underscores: `tokio::sync::RwLock` gives `tokio`, `sync`, `rwlock`.
fn words(name: &str) -> Vec<String> {
    let parts = name
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|part| !part.is_empty());
    parts
        .map(|part| part.replace('_', "").to_lowercase())
        .collect()
}

fn has(name: &[String], word: &str) -> bool {
    name.iter().any(|part| part == word)
}

/// Things that are made of other primitives: files on the blocking pool, children on a descriptor, bodies on a channel.
fn by_owner(names: &[Vec<String>]) -> Option<WaitKind> {
    let any = |test: &dyn Fn(&[String]) -> bool| names.iter().any(|name| test(name));
    if any(&|name| has(name, "process") && (has(name, "tokio") || has(name, "asyncprocess"))) {
        return Some(WaitKind::Child);
    }
    if any(&|name| has(name, "fs") || has(name, "asyncfs") || has(name, "pipe")) {
        return Some(WaitKind::File);
    }
    let is_outbound = any(&|name| has(name, "reqwest") || has(name, "client"));
    if any(&|name| has(name, "hyper") && has(name, "incoming")) && !is_outbound {
        return Some(WaitKind::Client);
    }
    None
}

/// The innermost mechanism that is more than a building block; else the building block itself.
fn by_mechanism(names: &[Vec<String>]) -> Option<WaitKind> {
    let mut block = None;
    for name in names {
        match (building_block(name), mechanism(name)) {
            (Some(part), _) => block = block.or(Some(part)),
            // A timeout around something is not what is waited for.
            (None, Some(WaitKind::Timer)) if block.is_some() => {}
            (None, Some(kind)) => return Some(kind),
            (None, None) => {}
        }
    }
    block
}

fn mechanism(name: &[String]) -> Option<WaitKind> {
    const MECHANISMS: [(WaitKind, &[&str]); 5] = [
        (
            WaitKind::Lock,
            &["mutex", "rwlock", "rawmutex", "rawrwlock", "oncecell"],
        ),
        (WaitKind::Semaphore, &["semaphore", "deadpool", "bb8"]),
        (
            WaitKind::Channel,
            &[
                "mpsc",
                "oneshot",
                "watch",
                "broadcast",
                "flume",
                "asyncchannel",
                "notify",
                "barrier",
                "futureschannel",
            ],
        ),
        (
            WaitKind::Timer,
            &[
                "sleep",
                "interval",
                "timeout",
                "timer",
                "delayqueue",
                "asyncio",
            ],
        ),
        (
            WaitKind::Socket,
            &[
                "tcpstream",
                "tcplistener",
                "tcpsocket",
                "unixstream",
                "unixlistener",
                "udpsocket",
                "unixdatagram",
            ],
        ),
    ];
    MECHANISMS
        .iter()
        .find(|(_, words)| words.iter().any(|word| has(name, word)))
        .map(|(kind, _)| *kind)
}

fn building_block(name: &[String]) -> Option<WaitKind> {
    const BLOCKS: [(WaitKind, &[&str]); 4] = [
        (WaitKind::Semaphore, &["batchsemaphore"]),
        (WaitKind::Channel, &["eventlistener"]),
        (
            WaitKind::Task,
            &["joinhandle", "joinset", "futuresunordered", "joinall"],
        ),
        (
            WaitKind::Socket,
            &["registration", "scheduledio", "pollevented", "asyncfd"],
        ),
    ];
    BLOCKS
        .iter()
        .find(|(_, words)| words.iter().any(|word| has(name, word)))
        .map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(names: &[&str]) -> Vec<Frame> {
        let frame = |name: &&str| {
            let mut frame = Frame::default();
            frame.user = name.starts_with("app::");
            frame.function = Some((*name).to_owned());
            frame
        };
        names.iter().map(frame).collect()
    }

    fn kind(names: &[&str]) -> Option<WaitKind> {
        let (frames, label) = trim_await(frames(names));
        classify_leaf(&label.expect("labelled"), &frames).map(|waiting| waiting.kind)
    }

    const ACQUIRE: &str =
        "<tokio::sync::batch_semaphore::Acquire as core::future::future::Future>::poll";

    #[test]
    fn the_same_building_block_is_three_things() {
        const PERMITS: &str = "tokio::sync::batch_semaphore::Semaphore::poll_acquire";
        assert_eq!(
            kind(&[
                PERMITS,
                ACQUIRE,
                "<tokio::sync::mutex::Mutex<T>>::lock",
                "app::f"
            ]),
            Some(WaitKind::Lock)
        );
        assert_eq!(
            kind(&[
                ACQUIRE,
                "<tokio::sync::semaphore::Semaphore>::acquire",
                "app::f"
            ]),
            Some(WaitKind::Semaphore)
        );
        assert_eq!(
            kind(&[
                ACQUIRE,
                "tokio::sync::mpsc::bounded::Sender<T>::send",
                "app::f"
            ]),
            Some(WaitKind::Channel)
        );
        assert_eq!(
            kind(&[ACQUIRE, "pool::get", "app::f"]),
            Some(WaitKind::Semaphore)
        );
    }

    #[test]
    fn a_timeout_is_seen_through_unless_it_is_its_own_timer() {
        let timeout = "<tokio::time::timeout::Timeout<T> as core::future::future::Future>::poll";
        let join =
            "<tokio::runtime::task::join::JoinHandle<T> as core::future::future::Future>::poll";
        assert_eq!(kind(&[join, timeout, "app::f"]), Some(WaitKind::Task));
        assert_eq!(
            kind(&["tokio::time::sleep::Sleep::poll", timeout, "app::f"]),
            Some(WaitKind::Timer)
        );
        assert_eq!(
            kind(&[
                "tokio::runtime::io::registration::Registration::poll_ready",
                timeout,
                "app::f"
            ]),
            Some(WaitKind::Socket)
        );
    }

    #[test]
    fn wrappers_lend_their_name_to_nobody() {
        let label = |names: &[&str]| trim_await(frames(names)).1.expect("labelled");
        let lock = "<tokio::sync::mutex::Mutex<T>>::lock";
        let timeout = "<tokio::time::timeout::Timeout<T> as core::future::future::Future>::poll";
        let sleep = "<tokio::time::sleep::Sleep as core::future::future::Future>::poll";
        let done =
            "<tokio::future::maybe_done::MaybeDone<Fut> as core::future::future::Future>::poll";
        assert_eq!(
            label(&[ACQUIRE, lock, timeout, done, "app::f"]),
            "tokio::sync::Mutex::lock"
        );
        assert_eq!(label(&[sleep, timeout, "app::f"]), "tokio::time::Timeout");
        assert_eq!(label(&[sleep, done, "app::f"]), "tokio::time::Sleep");
    }

    #[test]
    fn owners_win_over_their_parts() {
        let join =
            "<tokio::runtime::task::join::JoinHandle<T> as core::future::future::Future>::poll";
        assert_eq!(
            kind(&[join, "tokio::fs::open_options::OpenOptions::open", "app::f"]),
            Some(WaitKind::File)
        );
        let io = "tokio::runtime::io::registration::Registration::poll_ready";
        assert_eq!(
            kind(&[io, "tokio::process::Child::wait", "app::f"]),
            Some(WaitKind::Child)
        );
        let body = "<hyper::body::incoming::Incoming as http_body::Body>::poll_frame";
        assert_eq!(
            kind(&["futures_channel::mpsc::Receiver::poll_next", body, "app::f"]),
            Some(WaitKind::Client)
        );
        assert_eq!(
            kind(&[
                "futures_channel::mpsc::Receiver::poll_next",
                body,
                "reqwest::async_impl::body::Body::poll",
                "app::f"
            ]),
            Some(WaitKind::Channel),
            "the body of somebody else's answer"
        );
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        assert_eq!(kind(&["weird::Thing::poll", "app::f"]), None);
    }

    #[test]
    fn a_stack_without_names_has_no_label() {
        let (frames, label) = trim_await(vec![Frame::default(), Frame::default()]);
        assert_eq!((frames.len(), label), (2, None));
    }

    #[test]
    fn nested_watches_are_cut_at_the_outermost_poll() {
        let (frames, _) = trim_await(frames(&[
            "redhanded_capture::waiting::Recorder::record",
            "redhanded_capture::waiting::vtable_clone",
            "redhanded_capture::waiting::vtable_clone",
            "<core::task::wake::Waker as core::clone::Clone>::clone",
            "tokio::time::sleep::Sleep::poll",
            "app::inner",
            "redhanded_capture::waiting::capture_poll<(), app::X>",
            "app::outer",
            "redhanded_core::job::run",
            "redhanded_capture::waiting::capture_poll::<(), app::Y>",
            "tokio::runtime::task::poll",
        ]));
        let names: Vec<&str> = frames.iter().map(name).collect();
        assert_eq!(names[0], "tokio::time::sleep::Sleep::poll");
        assert_eq!(names.last(), Some(&"app::outer"));
    }
}
