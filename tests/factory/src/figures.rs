//! What is promised of all cases together.

use crate::score::Judged;
use std::fmt;

/// Of so many cases of the corpus, so many have the right class and so many the right function.
const OF: usize = 30;
const CLASSES: usize = 29;
const FUNCTIONS: usize = 28;

/// How many are right, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many are right.
    pub right: usize,
    /// Of how many.
    pub of: usize,
}

impl Share {
    fn add(&mut self, right: Option<bool>) {
        if let Some(right) = right {
            self.of += 1;
            self.right += usize::from(right);
        }
    }

    fn merge(&mut self, other: Self) {
        self.right += other.right;
        self.of += other.of;
    }

    /// Not less than `wanted` of [`OF`]. Of fewer cases fewer may be wrong, and of a handful none.
    fn reaches(self, wanted: usize) -> bool {
        self.right * OF >= wanted * self.of
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.right, self.of)
    }
}

/// Sums over cases.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Cases and controls.
    pub cases: usize,
    /// The right class.
    pub class: Share,
    /// The function that is to blame.
    pub function: Share,
    /// Its line.
    pub line: Share,
    /// The host, where there is one.
    pub host: Share,
    /// The parameter, where one gives it away.
    pub param: Share,
    /// The culprit called the culprit.
    pub role: Share,
    /// Accusations of the innocent.
    pub wrong: usize,
    /// As [`Judged::points`] counts them.
    pub points: f64,
    /// Cases that could not be played.
    pub unplayed: usize,
    /// From the threshold to the verdict, of those that were caught, in milliseconds.
    pub after_ms: Vec<f64>,
}

impl Figures {
    /// Counts a case that was judged.
    pub fn add(&mut self, judged: &Judged) {
        self.cases += 1;
        self.wrong += judged.wrong.len();
        self.points += judged.points();
        if judged.control {
            return;
        }
        self.class.add(Some(judged.class));
        self.function.add(Some(judged.function));
        self.line.add(Some(judged.line));
        self.host.add(judged.peer);
        self.param.add(judged.param);
        self.role.add(Some(judged.role));
        self.after_ms.extend(judged.verdict_after_ms);
    }

    /// Counts a case that could not be played: nothing about it is right.
    pub fn add_unplayed(&mut self, control: bool) {
        self.unplayed += 1;
        self.add(&Judged {
            control,
            ..Judged::default()
        });
        self.points -= f64::from(u8::from(control));
    }

    /// Counts what `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        self.cases += other.cases;
        self.class.merge(other.class);
        self.function.merge(other.function);
        self.line.merge(other.line);
        self.host.merge(other.host);
        self.param.merge(other.param);
        self.role.merge(other.role);
        self.wrong += other.wrong;
        self.points += other.points;
        self.unplayed += other.unplayed;
        self.after_ms.extend(&other.after_ms);
    }

    /// The time to the verdict that this share of the cases does not exceed, in milliseconds.
    pub fn after_ms(&self, share: f64) -> Option<f64> {
        let mut sorted = self.after_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.class.of > 0 {
            let Self {
                class,
                function,
                line,
                host,
                param,
                role,
                ..
            } = self;
            write!(
                f,
                "class {class}, function {function}, line {line}, host {host}, param {param}, role {role}, "
            )?;
        }
        write!(
            f,
            "accused wrongly {}, {} points of {}",
            self.wrong, self.points, self.cases
        )?;
        let of = |share| self.after_ms(share);
        if let (Some(half), Some(most), Some(all)) = (of(0.5), of(0.99), of(1.0)) {
            write!(
                f,
                ", verdict after {half:.0} / {most:.0} / {all:.0} ms (p50 / p99 / max)"
            )?;
        }
        Ok(())
    }
}

/// The figures of a table, apart for what is promised and what is not.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// What the promise is about.
    pub corpus: Figures,
    /// Other causes.
    pub reserve: Figures,
    /// What must not be accused.
    pub controls: Figures,
}

impl Sums {
    /// Counts what `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        self.corpus.merge(&other.corpus);
        self.reserve.merge(&other.reserve);
        self.controls.merge(&other.controls);
    }

    /// What is not as promised, in words.
    pub fn broken(&self) -> Vec<String> {
        let Figures {
            class,
            function,
            host,
            ..
        } = self.corpus;
        let groups = [&self.corpus, &self.reserve, &self.controls];
        let wrong: usize = groups.iter().map(|figures| figures.wrong).sum();
        let unplayed: usize = groups.iter().map(|figures| figures.unplayed).sum();
        let mut broken = Vec::new();
        let mut unless = |holds: bool, words: String| {
            if !holds {
                broken.push(words);
            }
        };
        unless(
            class.reaches(CLASSES),
            format!("class {class}, and {CLASSES}/{OF} is promised"),
        );
        unless(
            function.reaches(FUNCTIONS),
            format!("function {function}, and {FUNCTIONS}/{OF} is promised"),
        );
        unless(
            host.right == host.of,
            format!("host {host}, and every one is promised"),
        );
        unless(
            wrong == 0,
            format!("{wrong} accused wrongly, and none is promised"),
        );
        unless(unplayed == 0, format!("{unplayed} could not be played"));
        broken
    }

    /// A line for each group that has cases.
    pub fn lines(&self) -> Vec<String> {
        let groups = [
            ("corpus", &self.corpus),
            ("reserve", &self.reserve),
            ("controls", &self.controls),
        ];
        let shown = groups.iter().filter(|(_, figures)| figures.cases > 0);
        shown
            .map(|(name, figures)| format!("{name:8} {figures}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(class: bool, function: bool) -> Judged {
        Judged {
            class,
            function,
            ..Judged::default()
        }
    }

    /// The corpus with so many classes and functions missed.
    fn missing(classes: usize, functions: usize) -> Sums {
        let mut sums = Sums::default();
        for i in 0..OF {
            sums.corpus.add(&judged(i >= classes, i >= functions));
        }
        sums
    }

    #[test]
    fn the_line_is_where_it_was_promised() {
        assert!(missing(1, 2).broken().is_empty());
        assert_eq!(
            missing(2, 2).broken(),
            ["class 28/30, and 29/30 is promised"]
        );
        assert_eq!(
            missing(1, 3).broken(),
            ["function 27/30, and 28/30 is promised"]
        );
    }

    #[test]
    fn of_a_handful_none_may_be_missed() {
        let mut sums = Sums::default();
        sums.corpus.add(&judged(true, true));
        assert!(sums.broken().is_empty());
        sums.corpus.add(&judged(false, true));
        assert_eq!(sums.broken().len(), 1);
    }

    #[test]
    fn every_host_is_promised_and_nobody_is_accused() {
        let mut sums = Sums::default();
        sums.reserve.add(&judged(false, false));
        assert!(
            sums.broken().is_empty(),
            "nothing is promised of the reserve"
        );
        sums.reserve.add(&Judged {
            wrong: vec!["/a".to_owned()],
            ..Judged::default()
        });
        assert_eq!(
            sums.broken(),
            ["1 accused wrongly, and none is promised"],
            "but this"
        );
        let mut sums = missing(0, 0);
        sums.corpus.add(&Judged {
            peer: Some(false),
            ..judged(true, true)
        });
        assert_eq!(sums.broken(), ["host 0/1, and every one is promised"]);
    }

    #[test]
    fn what_was_not_played_is_not_right() {
        let mut sums = missing(0, 0);
        sums.controls.add_unplayed(true);
        assert_eq!(sums.broken(), ["1 could not be played"]);
        assert_eq!((sums.controls.points, sums.controls.cases), (0.0, 1));
    }

    #[test]
    fn percentiles_are_of_those_that_were_caught() {
        let mut figures = Figures::default();
        assert_eq!(figures.after_ms(0.5), None);
        for ms in [3.0, 1.0, 2.0, 4.0] {
            figures.add(&Judged {
                verdict_after_ms: Some(ms),
                ..Judged::default()
            });
        }
        let of = |share| figures.after_ms(share);
        assert_eq!(
            (of(0.5), of(0.99), of(1.0)),
            (Some(2.0), Some(4.0), Some(4.0))
        );
        let shown = figures.to_string();
        assert!(
            shown.ends_with("verdict after 2 / 4 / 4 ms (p50 / p99 / max)"),
            "{shown}"
        );
    }
}
