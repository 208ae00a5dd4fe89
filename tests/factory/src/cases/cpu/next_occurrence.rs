//! The next day that a schedule means, searched day by day: the 30th of February never comes.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use redhanded::report::Class;
use std::collections::HashMap;

pub(super) fn case() -> Case {
    Case {
        code: "A14",
        title: "the next 30th of February",
        source: include_str!("next_occurrence.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::CpuLoop],
            function: Some("next_occurrence::next_day"),
            param: Some(("cron", "0 0 30 2 *")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/next", get(next))
}

fn play(play: &mut Play) {
    play.innocent("/next?cron=0%200%201%202%20*");
    play.culprit("/next?cron=0%200%2030%202%20*");
}

async fn next(Query(query): Query<HashMap<String, String>>) -> String {
    let cron = query.get("cron").map_or("", String::as_str);
    let mut fields = cron.split(' ').skip(2).flat_map(str::parse);
    let (Some(day), Some(month)) = (fields.next(), fields.next()) else {
        return "minute hour day month weekday".to_owned();
    };
    format!("{:?}", next_day(Date::today(), month, day))
}

fn next_day(mut date: Date, month: u32, day: u32) -> Date {
    loop {
        let is_it = date.is(month, day); // <- here
        if is_it {
            return date;
        }
        date = date.tomorrow(); // <- here
    }
}

#[derive(Clone, Copy, Debug)]
struct Date {
    year: u64,
    month: u32,
    day: u32,
}

impl Date {
    fn today() -> Self {
        Self {
            year: 2026,
            month: 3,
            day: 1,
        }
    }

    fn is(self, month: u32, day: u32) -> bool {
        (self.month, self.day) == (month, day)
    }

    fn tomorrow(self) -> Self {
        let is_last = self.day == self.days();
        let (month, day) = match is_last {
            true => (self.month + 1, 1),
            false => (self.month, self.day + 1),
        };
        match month {
            13 => Self {
                year: self.year + 1,
                month: 1,
                day,
            },
            month => Self { month, day, ..self },
        }
    }

    fn days(self) -> u32 {
        let is_leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}
