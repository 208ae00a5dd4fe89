//! One cause, and what is true of it.

use crate::cases::CORPUS;
use crate::{Ground, Play};
use axum::Router;
use redhanded::Builder;
use redhanded::report::Class;
use redhanded_tests::Quota;
use std::time::Duration;

/// One way to hang, or one thing that looks like it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its code in the list of causes: `A1`, `N5`.
    pub code: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// The text of its source file: the culprit's lines are marked there with [`MARK`].
    pub source: &'static str,
    /// The name of that file, as `file!()` gives it.
    pub file: &'static str,
    /// The application that has it.
    pub app: fn(&Ground) -> Router,
    /// Who asks what, in which order.
    pub play: fn(&mut Play),
    /// What is true of it.
    pub truth: Truth,
    /// How its process differs from others.
    pub needs: Needs,
}

/// The mark of a culprit's line in the source of a case, at the end of the line.
pub const MARK: &str = "// <- here";

/// What is true of a case.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Classes that are right for the culprit; empty for what must not be accused.
    pub classes: &'static [Class],
    /// Classes that are right for its victims, where they must be reported too.
    pub victims: &'static [Class],
    /// The end of the culprit function's path, such as `regex::check`.
    pub function: Option<&'static str>,
    /// The key under which the process tells the address of the host that does not answer.
    pub peer: Option<&'static str>,
    /// A parameter of the culprit's request that gives it away, and the beginning of its value.
    pub param: Option<(&'static str, &'static str)>,
    /// How it hangs while nobody watches.
    pub hang: Hang,
}

/// How a case shows itself to its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hang {
    /// Its culprits are never answered.
    #[default]
    ForEver,
    /// Its culprits are answered later than the threshold.
    Late,
    /// They are answered, and never tell this key, which their end does.
    Untold(&'static str),
    /// They are answered, and the memory of the process grows for as long as somebody looks.
    Growing,
    /// It does not hang: a control.
    Never,
}

/// How the process of a case differs from others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// It has so many workers, whatever is asked for; zero is the current thread alone.
    pub workers: Option<usize>,
    /// Threads of its blocking pool at most.
    pub blocking_threads: Option<usize>,
    /// Its standard output.
    pub stdout: Stdout,
    /// Another threshold.
    pub slow_after: Option<Duration>,
    /// How long a control is watched, beyond the end of its play.
    pub watched_for: Option<Duration>,
    /// Its play sets its clock.
    pub clock: bool,
    /// It has no more CPU time than this, where the machine allows to say so.
    pub quota: Option<Quota>,
    /// Its play shuts it down, by [`Ground::drain`].
    pub drains: bool,
    /// What else its install is told, such as rules for its routes.
    pub install: Option<fn(Builder) -> Builder>,
    /// It is no use on a machine that is overloaded: its timing is its subject.
    pub idle_only: bool,
    /// Nothing is played beside it, though no class of its says so.
    pub alone: bool,
}

/// Standard output of a case's process, once it has told where it listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdout {
    /// Somebody reads it.
    #[default]
    Read,
    /// A pipe that nobody reads.
    Unread,
}

impl Case {
    /// Numbers of the lines that may be called the culprit's.
    pub fn lines(&self) -> Vec<u32> {
        let marked =
            |(i, line): (usize, &str)| line.trim_end().ends_with(MARK).then_some(i as u32 + 1);
        self.source.lines().enumerate().filter_map(marked).collect()
    }

    /// Whether the figures are promised for it; others that hang are a reserve.
    pub fn is_corpus(&self) -> bool {
        CORPUS.contains(&self.code)
    }

    /// Whether it burns CPU or measures time, so that another case beside it would change what it is.
    pub fn plays_alone(&self) -> bool {
        let burns = |class: &Class| {
            matches!(
                class,
                Class::CpuLoop | Class::SpinLoop | Class::RepeatingCalls | Class::MemoryGrowth
            )
        };
        let Needs {
            alone,
            idle_only,
            quota,
            ..
        } = self.needs;
        alone || idle_only || quota.is_some() || self.truth.classes.iter().any(burns)
    }

    /// Whether nobody may be accused in it.
    pub fn is_control(&self) -> bool {
        self.truth.classes.is_empty()
    }
}
