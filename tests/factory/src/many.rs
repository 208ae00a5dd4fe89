//! Many cases, several at a time where they do not disturb each other.

use crate::Case;
use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

/// As many at a time as there are cores.
pub fn jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does `play` with each case, [alone](Case::plays_alone) or with `jobs - 1` others, and `done` with what
/// came of it, in the order of the cases; a panic comes as its words.
///
/// # Errors
///
/// The first of `done`; what is under way then is played to its end.
pub fn each<T: Send>(
    cases: &[Case],
    jobs: usize,
    play: impl Fn(&Case) -> T + Sync,
    mut done: impl FnMut(&Case, Result<T, String>) -> io::Result<()>,
) -> io::Result<()> {
    let mut rows = BTreeMap::new();
    let mut next = 0;
    let mut in_order = |i, result| {
        rows.insert(i, result);
        while let Some(result) = rows.remove(&next) {
            done(&cases[next], result)?;
            next += 1;
        }
        Ok(())
    };
    // They stand at the beginning: so the first rows come soon.
    let (alone, others): (Vec<usize>, Vec<usize>) =
        (0..cases.len()).partition(|i| cases[*i].plays_alone());
    let play = |i: usize| play(&cases[i]);
    at_once(&alone, 1, play, &mut in_order)?;
    at_once(&others, jobs, play, &mut in_order)
}

/// As [`each`], in whatever company: for what another case beside it cannot make any better.
///
/// # Errors
///
/// As [`each`].
pub fn crowd<T: Send>(
    cases: &[Case],
    jobs: usize,
    play: impl Fn(&Case) -> T + Sync,
    mut done: impl FnMut(&Case, Result<T, String>) -> io::Result<()>,
) -> io::Result<()> {
    let all: Vec<usize> = (0..cases.len()).collect();
    let play = |i: usize| play(&cases[i]);
    at_once(&all, jobs, play, &mut |i, result| done(&cases[i], result))
}

fn at_once<T: Send>(
    wanted: &[usize],
    jobs: usize,
    play: impl Fn(usize) -> T + Sync,
    done: &mut impl FnMut(usize, Result<T, String>) -> io::Result<()>,
) -> io::Result<()> {
    let left = Mutex::new(wanted.iter().copied());
    let (sender, results) = mpsc::channel();
    let work = |sender: mpsc::Sender<_>| {
        let next = || left.lock().expect("nothing panics under it").next();
        while let Some(i) = next() {
            let result = catch_unwind(AssertUnwindSafe(|| play(i))).map_err(words);
            // Nobody wants to know any more
            if sender.send((i, result)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, wanted.len().max(1)) {
            let sender = sender.clone();
            scope.spawn(|| work(sender));
        }
        drop(sender);
        results
            .into_iter()
            .try_for_each(|(i, result)| done(i, result))
    })
}

/// What a panic said.
fn words(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let literal = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or(literal).unwrap_or_else(|| "a panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn rows_are_in_order_and_those_alone_are_alone() {
        let cases = crate::all();
        let (playing, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let play = |case: &Case| {
            let begun = playing.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(begun, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            let ended = playing.fetch_sub(1, Ordering::SeqCst);
            assert_ne!(case.code, "E6", "this one fails");
            case.plays_alone() && (begun, ended) != (1, 1)
        };
        let mut codes = Vec::new();
        let done = |case: &Case, disturbed: Result<bool, String>| {
            codes.push(case.code);
            match disturbed {
                Ok(disturbed) => assert!(!disturbed, "{}", case.code),
                Err(words) => assert!(case.code == "E6" && words.contains("this one fails")),
            }
            Ok(())
        };
        each(&cases, 4, play, done).expect("no writing");
        let wanted: Vec<&str> = cases.iter().map(|case| case.code).collect();
        assert_eq!(codes, wanted);
        assert!((2..=4).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    }

    #[test]
    fn nothing_is_begun_after_an_error() {
        let played = AtomicUsize::new(0);
        let play = |_: &Case| played.fetch_add(1, Ordering::SeqCst);
        let done = |_: &Case, _| Err(io::ErrorKind::BrokenPipe.into());
        let cases = crate::all();
        assert!(each(&cases, 2, play, done).is_err());
        assert!(played.load(Ordering::SeqCst) < cases.len());
    }
}
