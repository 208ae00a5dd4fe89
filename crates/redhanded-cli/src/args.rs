//! What a user may type.

use crate::exit::CODES;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::Timestamp;
use std::path::PathBuf;

/// Where redhanded writes when nobody says otherwise.
pub(crate) const DEFAULT_LOG: &str = "slow-requests.jsonl";

/// Reads the slow-request logs of redhanded: which request, which line, which host
#[derive(Debug, Parser)]
#[command(name = "redhanded", version, after_help = exit_codes())]
pub(crate) struct Arguments {
    /// When to use colours; `auto`: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, global = true)]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Culprits ranked over any number of logs and hosts
    #[command(after_help = exit_codes())]
    Top(Top),
    /// One runaway as a page of text: verdict, request, stacks, how it ended
    #[command(after_help = exit_codes())]
    Show(Show),
    /// What the culprits of one fingerprint have in common and normal requests have not
    #[command(after_help = exit_codes())]
    Explain(Explain),
    /// Follows a log, one line per runaway, through every rotation
    #[command(after_help = exit_codes())]
    Tail(Tail),
    /// What was in flight when a process died, from its flight recorder
    ///
    /// Reads the file that `FlightRecorder` or REDHANDED_FLIGHT_RECORDER names, or one that a later start has put
    /// away (FILE.1, FILE.untold.1), or a copy of one on any machine of the same byte order; also while the process
    /// lives. The oldest request comes first; those that had been caught have their verdict below. Ages end at the
    /// last sign of life of the process.
    #[command(after_help = exit_codes())]
    Postmortem(Postmortem),
    /// Lets every known way to hang happen once, and says what is seen of it
    ///
    /// Plays real causes of runaway requests, each in a process of its own on the loop-back, and things
    /// that look like them and must not be accused; a line for each says whether it was caught. Runs the
    /// program redhanded-drill, which is found beside this one or in PATH and is built from redhanded's
    /// sources: `cargo build -p redhanded-factory`. Its exit code is passed on.
    #[command(after_help = exit_codes())]
    Drill(Drill),
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the manual page, of one command if it is named
    Man {
        /// Such as `top`
        command: Option<String>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Top {
    /// Logs to read, packed by gzip or not; `-` is standard input
    #[arg(value_name = "FILE", default_value = DEFAULT_LOG)]
    pub(crate) files: Vec<PathBuf>,
    /// How many culprits to print; 0: all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// What makes a culprit worse than another
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(crate) by: By,
    /// List victims and bystanders, too
    #[arg(long)]
    pub(crate) all: bool,
    /// How many requests there were in all, for the rate per million
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: Option<u64>,
    /// Only lines of this time or later, such as 2026-07-01T02:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only lines before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The runaway's id, or its beginning
    pub(crate) id: String,
    /// Logs to read, packed by gzip or not; `-` is standard input
    #[arg(value_name = "FILE", default_value = DEFAULT_LOG)]
    pub(crate) files: Vec<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The fingerprint of a culprit, or its beginning, as `top` and `show` print it
    pub(crate) fingerprint: String,
    /// Logs to read, of as many days and hosts as there are; `-` is standard input
    #[arg(value_name = "FILE", default_value = DEFAULT_LOG)]
    pub(crate) files: Vec<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// The log to follow; it need not exist yet
    #[arg(value_name = "FILE", default_value = DEFAULT_LOG)]
    pub(crate) file: PathBuf,
    /// How many of the log's last lines to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) lines: usize,
    /// Later looks at the same runaway, too
    #[arg(long)]
    pub(crate) all: bool,
    /// The records as they are in the log
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Postmortem {
    /// The flight recorder's file
    pub(crate) file: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Drill {
    /// What to play, such as `A1`; everything if none is named
    #[arg(value_name = "CODE")]
    pub(crate) codes: Vec<String>,
    /// How many to play at a time, of those that do not disturb each other; default: as many as cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// One JSON object a case instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// What makes a culprit worse than another.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum By {
    /// How often it was seen
    #[default]
    Count,
    /// How long its requests ran together
    Time,
    /// How lately it was seen
    Last,
}

fn exit_codes() -> String {
    let code = |(exit, means)| format!("\n  {}  {means}", exit as u8);
    let codes: String = CODES.into_iter().map(code).collect();
    format!("Exit codes:{codes}")
}
