use super::*;
use crate::engine::Engine;
use crate::facts::Facts;
use redhanded_report::{Class, Confidence, Event, Evidence, How};
use std::net::SocketAddr;

const ROUTE: &str = "/search/{shop}";

struct Trial {
    engine: &'static Engine,
    redactor: Redactor,
    compare: Compare,
    ids: u32,
}

impl Trial {
    fn new() -> Self {
        let config = Config::new("compare");
        Self {
            redactor: Redactor::new(&config.secret_keys),
            engine: Engine::new(config, None),
            compare: Compare::default(),
            ids: 0,
        }
    }

    fn normal(&self, target: &str, client: u8) {
        let mut ticket = self.engine.open(None, |copy| {
            copy.method("GET");
            copy.target(target);
            copy.route(ROUTE);
            copy.client(SocketAddr::from(([10, 0, 0, client], 4_000)));
        });
        ticket.end(How::Completed);
        self.engine.baseline.collect();
    }

    /// A crowd whose members have a page, a sort now and then, and a secret.
    fn crowd(&self, size: u32) {
        for n in 0..size {
            let sort = ["date", "name"][n as usize / 5 % 2];
            let sort = if n % 5 == 0 {
                format!("&sort={sort}")
            } else {
                String::new()
            };
            let target = format!("/search/s{}?page={}{sort}&token=hunter{n}", n % 7, n % 40);
            self.normal(&target, (n % 50) as u8);
        }
    }

    fn report(&self, target: &str, role: Role) -> (Report, u64) {
        let facts = Facts {
            method: b"GET".to_vec(),
            target: target.as_bytes().to_vec(),
            target_bytes: target.len() as u32,
            route: Some(ROUTE.to_owned()),
            ..Facts::default()
        };
        let mut report = Report::new(Event::Caught, format!("{:026}", self.ids));
        report.request = Some(ask::request(&facts, &self.redactor));
        report.verdict = Some(Verdict::new(Class::CpuLoop, role, Confidence::Proved, ""));
        report.evidence = Some(Evidence::default());
        (report, crate::baseline::route_named(ROUTE))
    }

    fn caught(&mut self, fingerprint: u64, target: &str, role: Role) -> Report {
        self.ids += 1;
        let (mut report, route) = self.report(target, role);
        let means = (&self.engine.config, &self.redactor);
        let baseline = &self.engine.baseline;
        self.compare.tell_usual(&mut report, route, baseline, means);
        let like = (fingerprint, route);
        self.compare.name_common(&mut report, like, baseline, true);
        report
    }
}

fn named(report: &Report) -> Vec<String> {
    let params = report.verdict.iter().flat_map(|v| &v.params);
    params.map(|param| param.feature().to_string()).collect()
}

fn usuals(report: &Report) -> Usuals {
    let evidence = report.evidence.clone().unwrap_or_default();
    evidence.baseline.unwrap_or_default()
}

#[test]
fn the_third_culprit_is_understood() {
    let mut trial = Trial::new();
    trial.crowd(500);
    let first = trial.caught(7, "/search/s1?page=3&sort=price&token=x", Role::Culprit);
    assert_eq!(named(&first), [""; 0], "one alone shares nothing");
    trial.caught(8, "/search/s1?page=3&token=x", Role::Culprit);
    trial.caught(7, "/search/s2?page=9&sort=price&token=y", Role::Culprit);
    let third = trial.caught(7, "/search/s3?page=20&sort=price&token=z", Role::Culprit);
    assert_eq!(named(&third), ["query.sort = price"]);
    let param = &third.verdict.unwrap_or_default().params[0];
    assert_eq!((param.with, param.of, param.baseline_with), (3, 3, 0));
    assert!(
        (100..=256).contains(&param.baseline_of),
        "{}",
        param.baseline_of
    );
    assert!(param.p.is_some_and(|p| p < 0.01));
}

#[test]
fn what_is_usual_is_told_of_each_culprit() {
    let mut trial = Trial::new();
    trial.crowd(60);
    let report = trial.caught(7, "/search/s1?sort=price", Role::Culprit);
    let usuals = usuals(&report);
    assert_eq!(usuals.requests, 60);
    let of = |text: &str| {
        let found = usuals
            .features
            .iter()
            .find(|u| u.feature().to_string() == text);
        found.map(|usual| usual.requests)
    };
    assert_eq!(of("query.sort = price"), Some(0));
    assert_eq!(of("query.sort is present"), Some(12));
    assert_eq!(of("path.shop = s1"), Some(9));
    assert_eq!(of("method = GET"), Some(60));
    assert_eq!(of("query.page is absent"), Some(0));
    assert!(usuals.compared > 30, "{}", usuals.compared);
}

#[test]
fn culprits_like_everybody_else_share_nothing() {
    let mut trial = Trial::new();
    trial.crowd(500);
    for n in 0..20 {
        let target = format!("/search/s{}?page={}&token=x", n % 7, n * 3);
        let report = trial.caught(7, &target, Role::Culprit);
        assert_eq!(named(&report), [""; 0]);
    }
}

#[test]
fn nothing_is_said_of_victims() {
    let mut trial = Trial::new();
    trial.crowd(500);
    for role in [Role::Victim, Role::Bystander] {
        for _ in 0..5 {
            let report = trial.caught(7, "/search/s1?sort=price", role);
            assert_eq!(named(&report), [""; 0]);
            assert_eq!(report.evidence.unwrap_or_default().baseline, None);
        }
    }
    // A culprit that names have made a victim.
    let (mut report, route) = trial.report("/search/s1?sort=price", Role::Culprit);
    let means = (&trial.engine.config, &trial.redactor);
    let baseline = &trial.engine.baseline;
    trial
        .compare
        .tell_usual(&mut report, route, baseline, means);
    assert_eq!(usuals(&report).requests, usuals(&report).requests.max(100));
    report.verdict = Some(Verdict::new(
        Class::CpuLoop,
        Role::Victim,
        Confidence::Proved,
        "",
    ));
    trial
        .compare
        .name_common(&mut report, (7, route), baseline, true);
    assert_eq!(report.evidence.unwrap_or_default().baseline, None);
}

#[test]
fn secrets_are_present_and_no_more() {
    let mut trial = Trial::new();
    for n in 0..64 {
        trial.normal(&format!("/search/s?page={n}&token=hunter2"), 1);
    }
    let report = trial.caught(
        7,
        "/search/s?password=hunter2&password=hunter2",
        Role::Culprit,
    );
    let text = serde_json::to_string(&report).unwrap_or_default();
    assert!(!text.contains("hunter"), "{text}");
    assert!(
        text.contains("query.password") && text.contains("query.token"),
        "{text}"
    );
    let compared = format!("{:?}", trial.compare.routes[0].keys);
    assert!(!compared.contains("hunter"), "{compared}");
}

#[test]
fn samples_that_were_known_are_not_taken_apart_again() {
    let mut trial = Trial::new();
    trial.crowd(64);
    let (report, route) = trial.report("/search/s1", Role::Culprit);
    let request = report.request.unwrap_or_default();
    let mut apart = 0;
    for _ in 0..3 {
        trial.compare.routes.iter_mut().for_each(|normal| {
            normal.bring_up_to_date(&trial.engine.baseline, |_| {
                apart += 1;
                Vec::new()
            });
        });
        let means = (&trial.engine.config, &trial.redactor);
        let normal = trial
            .compare
            .normal(route, &trial.engine.baseline, means.0, means.1);
        assert_eq!(normal.usuals(&request).requests, 64);
    }
    assert_eq!(apart, 0);
}

#[test]
fn ten_thousand_fingerprints_and_routes_stay_bounded() {
    let mut trial = Trial::new();
    let long = "x".repeat(100_000);
    for _ in 0..3 {
        trial.caught(7, "/search/s1?sort=price", Role::Culprit);
    }
    for n in 0..10_000 {
        let like = (n + 100, n % 300);
        let (mut report, _) = trial.report("/", Role::Culprit);
        let mut request = Request::default();
        for key in 0..30 {
            request
                .params
                .query
                .insert(format!("{n}{key}{}", &long[..100]), long[..2_000].into());
        }
        report.request = Some(request);
        let means = (&trial.engine.config, &trial.redactor);
        let baseline = &trial.engine.baseline;
        trial
            .compare
            .tell_usual(&mut report, like.1, baseline, means);
        trial.compare.name_common(&mut report, like, baseline, true);
    }
    let compare = &trial.compare;
    assert_eq!(
        (compare.culprits.len(), compare.routes.len()),
        (FINGERPRINTS, ROUTES)
    );
    let forgotten = trial.engine.baseline.stats().forgotten;
    assert_eq!(forgotten, 10_001 - FINGERPRINTS as u64);
    assert!(
        compare
            .culprits
            .keys()
            .any(|(fingerprint, _)| *fingerprint == 7),
        "worth most"
    );
    let bytes = |f: &Feature| f.name.len() + f.value.len() + size_of::<Feature>() + 8;
    let all = compare.culprits.values().flat_map(|c| c.features.keys());
    let all: usize = all.map(bytes).sum();
    assert!(all < FINGERPRINTS * FEATURES * 200, "{all}");
    let mut one = Culprits::default();
    for n in 0..10_000 {
        let feature = Feature::new(format!("query.{n}"), FeatureKind::Present, "");
        one.add(
            [
                feature,
                Feature::new("query.sort", FeatureKind::Present, ""),
            ]
            .into_iter(),
        );
    }
    assert_eq!(one.features.len(), FEATURES);
    let sort = Feature::new("query.sort", FeatureKind::Present, "");
    assert_eq!(one.features.get(&sort), Some(&10_000));
}
