//! identica: a small microblog that is watched by redhanded.
//!
//! It serves notices, search, avatars, boosts and federation, sends itself 100,000 requests, and
//! four among them hang, each in a way that real sites know. Then it shows what was caught. Read
//! `site.rs` for how the watching is put in: it is one layer. Its database, cache and queue are in
//! this process unless real ones are given: `servers.rs`; each call of them goes through one guard.

mod args;
mod avatars;
mod boosts;
mod cache;
mod client;
mod culprits;
mod database;
mod evidence;
mod federation;
mod jobs;
mod notices;
mod outside;
mod progress;
mod queue;
mod search;
mod servers;
mod site;
mod stomp;
mod story;
mod visitors;

use args::Args;
use evidence::{Bell, Evidence};
use progress::Progress;
use redhanded::Redhanded;
use redhanded::report::Style;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use story::Story;
use visitors::{Plan, Tally};

type Error = Box<dyn std::error::Error>;

/// Short, so that the demonstration is: the default is two seconds.
const SLOW_AFTER: Duration = Duration::from_secs(1);

fn main() {
    let code = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => run(&args).unwrap_or_else(|why| complain(&why.to_string())),
        Err(why) => complain(&format!("{why}\n{:>9}--help tells more", "")),
    };
    // Some requests hang for good, one of them in a thread that nothing can stop.
    std::process::exit(code);
}

fn run(args: &Args) -> Result<i32, Error> {
    match args {
        Args { help: true, .. } => say(args::HELP)?,
        Args { serve: true, .. } => serve(args)?,
        _ => return demonstrate(args),
    }
    Ok(0)
}

/// Serves until it is killed.
fn serve(args: &Args) -> Result<(), Error> {
    let redhanded = watch(&args.log, Bell::default())?;
    let site = site::start(&redhanded, args.port, &args.servers)?;
    let mut text = format!(
        "identica serves at http://{}/ until Ctrl-C\n\nthese hang, and are caught after {SLOW_AFTER:?}:\n",
        site
    );
    for culprit in culprits::all() {
        text += &format!(
            "  curl -X {} 'http://{}{}'\n",
            culprit.method, site, culprit.target
        );
    }
    text += &format!("\nwhat was caught:\n  tail -f {}\n", redhanded.slow_log());
    say(&text)?;
    loop {
        std::thread::park();
    }
}

/// Sends itself requests, waits until the culprits are caught, and tells.
fn demonstrate(args: &Args) -> Result<i32, Error> {
    let begun = Instant::now();
    let bell = Bell::default();
    let redhanded = watch(&args.log, bell.clone())?;
    let site = site::start(&redhanded, 0, &args.servers)?;
    let culprits = culprits::all();
    let plan = Arc::new(Plan::new(args.requests, args.seed, &culprits));
    let progress = Progress::new(args.requests, !args.json);
    let mut day = Day {
        culprits: &culprits,
        log: redhanded.slow_log(),
        bell,
        progress,
        evidence: Evidence::default(),
        tally: None,
    };
    let visitors = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    visitors.block_on(day.pass(site, plan.clone()))?;
    day.progress.end();
    visitors.block_on(redhanded.flush(Duration::from_secs(5)));
    let evidence = Evidence::read(Path::new(day.log))?;
    let story = Story {
        culprits: &culprits,
        evidence: &evidence,
        tally: day.tally,
        requests: args.requests,
        hidden: plan.hidden(),
        log: day.log,
        stats: redhanded.stats(),
        whole: begun.elapsed(),
    };
    let colour = std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    say(&if args.json {
        format!("{}\n", story.json())
    } else {
        story.text(if colour { Style::Color } else { Style::Plain })
    })?;
    let troubles = story.troubles();
    troubles
        .iter()
        .for_each(|trouble| eprintln!("identica: {trouble}"));
    Ok(i32::from(!troubles.is_empty()))
}

/// One day of the site: the visitors come, and what hangs is caught.
struct Day<'a> {
    culprits: &'a [culprits::Culprit],
    log: &'a str,
    bell: Bell,
    progress: Progress,
    evidence: Evidence,
    tally: Option<Tally>,
}

impl Day<'_> {
    async fn pass(&mut self, site: SocketAddr, plan: Arc<Plan>) -> Result<(), Error> {
        // Far more than it takes, and an end all the same.
        let limit = Duration::from_secs(40) + Duration::from_millis(plan.requests / 2);
        let limit = tokio::time::sleep(limit);
        let load = visitors::visit(site, plan, self.progress.clone());
        tokio::pin!(limit, load);
        let waiters = culprits::waiters().count();
        while self.tally.is_none() || !self.evidence.is_complete(self.culprits, waiters) {
            tokio::select! {
                tally = &mut load, if self.tally.is_none() => {
                    self.tally = Some(tally?);
                    self.progress.waiting();
                }
                () = self.bell.rung() => self.look()?,
                () = &mut limit => break,
            }
        }
        Ok(())
    }

    /// Reads the log after a line was added.
    fn look(&mut self) -> Result<(), Error> {
        self.evidence = Evidence::read(Path::new(self.log))?;
        for culprit in self.culprits {
            if self
                .evidence
                .about(culprit)
                .is_some_and(|report| culprit.missing(report).is_empty())
            {
                self.progress.caught(culprit.title);
            }
        }
        Ok(())
    }
}

/// Starts the watching, with a log made fresh.
fn watch(log: &Path, bell: Bell) -> Result<Redhanded, Error> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|why| format!("{} cannot be made: {why}", folder.display()))?;
    }
    std::fs::write(log, "").map_err(|why| format!("{} cannot be written: {why}", log.display()))?;
    let redhanded = Redhanded::builder("identica")
        .slow_after(SLOW_AFTER)
        .slow_log(log)
        .sink(bell)
        .install()?;
    if redhanded.slow_log() == "stderr" {
        return Err(
            "REDHANDED_SLOW_LOG=stderr is not accepted here: the log is read back; give a path"
                .into(),
        );
    }
    Ok(redhanded)
}

/// Writes to stdout at once, whatever becomes of the process.
fn say(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn complain(why: &str) -> i32 {
    eprintln!("identica: {why}");
    2
}
