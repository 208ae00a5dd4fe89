//! ⑥ ⑦ The thread that names, files and fans out, so that nothing of this blinds the eyes. It waits for
//! the log's own thread, and not for long.

mod assemble;
mod calls;
mod children;
mod compare;
mod connection;
mod died;
mod growth;
mod holder;
mod host;
mod keep;
mod naming;
mod phase;
mod pool;
mod refine;
mod remembered;
mod story;

use crate::baseline::route_of;
use crate::case::{Case, Ended, Message, Trouble};
use crate::engine::Engine;
use crate::keep::{Finished, Kept};
use crate::memory;
use crate::metrics::Judged;
use crate::recorder::Untold;
use crate::redact::Redactor;
use crate::sink::Sink;
use crate::slow_log::{SlowLog, Written};
use crate::story::Snapshot;
use crate::told::Told;
use compare::Compare;
use died::Telling;
use naming::Namer;
use redhanded_report::{Class, Confidence, Event, Phase, Report, Role, Stack, Verdict};
use remembered::Remembered;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// The clerk of one install.
pub(crate) struct Clerk {
    engine: &'static Engine,
    log: SlowLog,
    sinks: Arc<[Box<dyn Sink>]>,
    redactor: Redactor,
    namer: Namer,
    remembered: Remembered,
    compare: Compare,
    telling: Telling,
    log_lost: u64,
}

impl Clerk {
    /// `untold` is what processes that are dead have left behind.
    pub(crate) fn new(
        engine: &'static Engine,
        log: SlowLog,
        sinks: Arc<[Box<dyn Sink>]>,
        untold: Vec<Untold>,
    ) -> Self {
        let redactor = Redactor::new(&engine.config.secret_keys);
        Self {
            engine,
            log,
            sinks,
            redactor,
            namer: Namer::new(),
            remembered: Remembered::default(),
            compare: Compare::default(),
            telling: Telling::new(untold),
            log_lost: 0,
        }
    }

    /// Runs until the watchdog and the engine are gone. A panic of ours costs one record.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        memory::keep_own_books();
        loop {
            let message = match self.next_of_the_dead() {
                None => messages.recv().ok(),
                Some(pause) => match messages.recv_timeout(pause) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => None,
                },
            };
            let Some(message) = message else { return };
            if catch_unwind(AssertUnwindSafe(|| self.handle(message))).is_err() {
                self.engine.counts.internal_error();
                self.engine.counts.lost_report();
            }
        }
    }

    /// Tells some more of what died with an earlier process; how long to wait before the next, `None` when all is told.
    fn next_of_the_dead(&mut self) -> Option<Duration> {
        if self.telling.is_done() {
            return None;
        }
        let told = catch_unwind(AssertUnwindSafe(|| self.tell_of_the_dead()));
        told.unwrap_or_else(|_| {
            self.engine.counts.internal_error();
            self.telling.give_up();
            Some(Duration::ZERO)
        })
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Case(case) => self.file(&case),
            Message::Ended(ended) => self.file_end(&ended),
            Message::Kept(finished) => self.keep_finished(&finished),
            Message::Process(trouble) => self.file_trouble(&trouble),
            Message::Prepare(stack) => self.namer.prepare(stack),
            Message::Flush(done) => {
                // Not longer than the disk answers: what is left is found again at the next start.
                while self.next_of_the_dead().is_some_and(|pause| pause.is_zero()) {}
                self.count_losses();
                let _ = done.try_send(self.telling.is_done());
            }
        }
    }

    /// Files one look: on disk first, with names if they are quick; then to the sinks.
    fn file(&mut self, case: &Case) {
        self.count_losses();
        let told = case.story.as_ref().map(|story| self.tell(story, case));
        let mut report = assemble::report(
            case,
            told.as_ref(),
            (&self.engine.config, &self.redactor),
            self.engine.counts.lost(),
        );
        let of_children = case.children.iter().flat_map(|child| &child.stacks);
        let sampled = case.stacks.iter().chain(of_children);
        let stacks = sampled.map(|sampled| &sampled.stack).chain([&case.futures]);
        let raw_first = self.namer.is_slow(stacks);
        let mut raw_durable = true;
        if raw_first {
            self.tell_usual(&mut report, case);
            let mut raw = without_names(report.clone(), self.namer.raw(&case.stacks));
            self.write(&mut raw);
            raw_durable = raw.durable;
        }
        self.put_names(case, &mut report);
        report
            .verdict
            .iter_mut()
            .for_each(|verdict| case.spare(verdict));
        self.tell_usual(&mut report, case);
        let is_new = !self.remembered.is_culprit(&report);
        let like = (case.fingerprint, route_of(&case.copied));
        self.compare
            .name_common(&mut report, like, &self.engine.baseline, is_new);
        self.count(case, &report);
        if let (Some(record), Some(verdict)) = (case.record, &report.verdict) {
            record.name(&case.id, verdict);
        }
        if raw_first {
            report.event = Event::Symbolized;
        }
        self.write(&mut report);
        report.durable &= raw_durable;
        report.event = case.event;
        let report = Arc::new(report);
        self.remembered.keep(report.clone());
        self.sinks
            .iter()
            .for_each(|sink| sink.accept(&report, None));
        if let Some(told) = told.filter(|_| case.event == Event::Caught) {
            self.keep(&keep::caught(&report, case, told));
        }
        self.count_losses();
    }

    /// Counts a request that was caught, as what is said of it in the end. What comes of later looks, and who was only
    /// still at work at a shutdown, is not counted.
    fn count(&self, case: &Case, report: &Report) {
        let counted = self.engine.meter.counted();
        if let (Event::Caught, false, Some(counted), Some(verdict)) =
            (case.event, case.is_early, counted, &report.verdict)
        {
            let trace = (case.trace.trace_id.as_str(), case.trace.span_id.as_str());
            let judged = Judged::As(verdict);
            counted.runaways.count(&case.copied, judged, Some(trace));
        }
    }

    /// How usual it is among normal requests, if it is a culprit so far and it was not told yet.
    fn tell_usual(&mut self, report: &mut Report, case: &Case) {
        let engine = self.engine;
        let means = (&engine.config, &self.redactor);
        let route = route_of(&case.copied);
        self.compare
            .tell_usual(report, route, &engine.baseline, means);
    }

    /// The story of a request without its secrets.
    fn tell(&self, story: &Snapshot, case: &Case) -> Told {
        Told::of(&story.read(), case.started_ns, &self.redactor)
    }

    fn put_names(&mut self, case: &Case, report: &mut Report) {
        let mut named = self.namer.name(&case.stacks);
        let children = children::name(&mut self.namer, &case.children, || {
            self.remembered.others(&case.id)
        });
        let samples = case.observed.poll.as_ref().map_or(0, |p| p.samples);
        if let Some(verdict) = &mut report.verdict {
            if let Some(other) = case.if_it_yields.as_ref().filter(|_| named.yields) {
                *verdict = of_who_yields(other, verdict);
            }
            host::compare_unpolled(verdict, &named, &case.observed.calls);
            if let Some(polling) = &case.observed.polling {
                connection::connects_again(verdict, &named, polling.polls_per_second);
            }
            connection::adopt_connection(verdict, &named, &case.observed.connections);
            if named.culprit.is_none()
                && verdict.role == Role::Culprit
                && !case.futures.frames.is_empty()
            {
                refine::name_future(verdict, self.namer.futures(&case.futures));
            }
            let mut referred = case.observed.referred.clone();
            referred.me = case.id.clone();
            // Who stands in it still at a later look is in no queue that moves, unless it was seen to move.
            if case.event == Event::Updated {
                referred.queue = 0;
                referred.given_on = self.remembered.culprit_is_over(&case.id);
            }
            refine::refine(
                verdict,
                &named,
                samples,
                &referred,
                self.remembered.others(&case.id),
            );
            connection::adopt_linked(verdict, &named, &case.observed.linked);
            connection::asks_for_a_name(verdict, &named);
            let held_bytes = case.observed.memory.as_ref().map_or(0, |m| m.held_bytes);
            growth::blame(verdict, &children, held_bytes);
            if let Some(evidence) = &mut report.evidence {
                let missing = children::judge(verdict, &children);
                evidence.missing.extend(missing);
            }
            if let Some(threads) = case.observed.full_pool.filter(|_| children.is_empty()) {
                let others = self.remembered.others(&case.id);
                pool::queue(verdict, &case.id, threads, others);
            }
            self.remembered.join_victims(&case.id, verdict);
            if report.phase == Some(Phase::Handler) && refine::waits_for_its_client(verdict) {
                report.phase = Some(Phase::RequestBody);
            }
        }
        if let Some(evidence) = &mut report.evidence {
            named
                .stacks
                .extend(children.into_iter().flat_map(|child| child.named.stacks));
            evidence.stacks = named.stacks;
        }
    }

    fn file_end(&mut self, ended: &Ended) {
        self.count_losses();
        let caught = self.remembered.forget(&ended.id);
        let mut report = assemble::ended(
            ended,
            caught.as_deref(),
            &self.engine.config,
            self.engine.counts.lost(),
        );
        self.write(&mut report);
        let report = Arc::new(report);
        self.sinks
            .iter()
            .for_each(|sink| sink.accept(&report, caught.as_ref()));
        if let (Some(story), Some(caught)) = (&ended.story, &caught) {
            let told = Told::of(&story.read(), ended.started_ns, &self.redactor);
            self.keep(&keep::ended(&report, ended, caught, told));
        }
        self.count_losses();
    }

    /// A request that nobody has caught, and that is exported whole.
    fn keep_finished(&mut self, finished: &Finished) {
        if let Some(keeping) = self.engine.keeping.get() {
            keeping.taken();
        }
        let means = (&self.engine.config, &self.redactor);
        self.keep(&keep::finished(finished, means));
        self.count_losses();
    }

    fn keep(&self, kept: &Arc<Kept>) {
        if self.engine.keeping.get().is_some() {
            let willing = self.sinks.iter().filter(|sink| sink.keeps());
            willing.for_each(|sink| sink.keep(kept));
        }
    }

    fn file_trouble(&mut self, trouble: &Trouble) {
        self.count_losses();
        let lost = self.engine.counts.lost();
        let mut report = assemble::process(trouble, &self.engine.config, lost);
        if self.namer.is_slow(trouble.stacks.iter().map(|s| &s.stack)) {
            // Names would delay the line; what is told of requests brings them.
            report.evidence.get_or_insert_default().stacks = self.namer.raw(&trouble.stacks);
        } else if !trouble.stacks.is_empty() {
            report.evidence.get_or_insert_default().stacks =
                self.namer.name(&trouble.stacks).stacks;
        }
        self.write(&mut report);
        let report = Arc::new(report);
        self.sinks
            .iter()
            .for_each(|sink| sink.accept(&report, None));
        self.count_losses();
    }

    /// Writes a line, and says in the report whether it is on disk: in the line too, as long as the disk
    /// is not about to take it.
    fn write(&mut self, report: &mut Report) {
        let why = self.engine.counts.why_lost();
        if !why.is_empty() {
            let evidence = report.evidence.get_or_insert_default();
            evidence.missing.extend(why);
        }
        let Ok(line) = serde_json::to_vec(report) else {
            report.durable = false;
            self.engine.counts.lost_report();
            return;
        };
        match self.log.append(&line) {
            Written::Durable => {}
            // What is lost the log counts.
            Written::Lost => report.durable = false,
            Written::Waiting(number) => {
                report.durable = false;
                if let Ok(line) = serde_json::to_vec(report) {
                    self.log.replace(number, &line);
                }
            }
        }
    }

    /// Brings what others have counted into the one count that every record carries.
    fn count_losses(&mut self) {
        let log_lost = self.log.lost();
        self.engine
            .counts
            .lost_reports(log_lost - self.log_lost.min(log_lost));
        self.log_lost = log_lost;
        self.engine
            .counts
            .set_lost_events(self.sinks.iter().map(|s| s.lost()).sum());
        let reasons = self.sinks.iter().filter_map(|sink| sink.why_lost());
        reasons.for_each(|why| self.engine.counts.explain(why));
    }
}

/// What the watchdog would have said had it known; who is late because of it stays the same.
fn of_who_yields(other: &Verdict, verdict: &mut Verdict) -> Verdict {
    let mut other = other.clone();
    other.victims = verdict.victims;
    other.victim_ids = std::mem::take(&mut verdict.victim_ids);
    other
}

/// The first line where names would take too long: modules and offsets, and no more certainty than
/// that. Whether a pending request waits for a lock that another holds, for its own client, or for
/// the socket that it had at hand, is not known before its stack has names, so nobody is accused of it
/// yet. What an outbound call says of itself needs no names.
fn without_names(mut report: Report, stacks: Vec<Stack>) -> Report {
    if let Some(evidence) = &mut report.evidence {
        evidence.stacks = stacks;
    }
    report.verdict.iter_mut().for_each(refine::forget_call);
    let is_pending = report.evidence.as_ref().is_none_or(|e| e.thread.is_none());
    let may_change = |v: &&mut Verdict| {
        v.class == Class::StuckAwait
            || refine::waits_for_a_holder(v)
            || refine::is_suspected_to_spin(v)
            || (is_pending && refine::is_about_a_host(v) && !refine::is_told(v))
    };
    if let Some(verdict) = report.verdict.as_mut().filter(may_change) {
        verdict.role = Role::Bystander;
        verdict.confidence = Confidence::Suspected;
        verdict.cause += "; who is to blame is known when its stack has names";
    }
    report
}
