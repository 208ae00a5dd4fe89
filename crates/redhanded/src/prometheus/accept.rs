//! Which format is wanted: the `Accept` header (RFC 9110, section 12.5.1), as far as it concerns two formats.

use super::Format;

/// The format that `accept` likes best; Prometheus's own where it says nothing of either.
pub(super) fn format(accept: &str) -> Format {
    let (mut open, mut plain) = (0.0_f32, None);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).collect();
        let find = |wanted: &str| {
            let found = parameters
                .iter()
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.trim().trim_matches('"'))
        };
        let quality = find("q").map_or(Some(1.0), |q| q.parse::<f32>().ok());
        let quality = quality.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0);
        match kind.as_str() {
            // Version 0.0.1 says the same; others are not ours to write.
            "application/openmetrics-text"
                if matches!(find("version"), None | Some("1.0.0" | "0.0.1")) =>
            {
                open = quality.max(open);
            }
            "text/plain" | "text/*" | "*/*" => plain = Some(quality.max(plain.unwrap_or(0.0))),
            _ => {}
        }
    }
    // Of two that are liked as well the one that says more.
    if open > 0.0 && open >= plain.unwrap_or(0.0) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_gets_what_it_likes_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(format(prometheus), Format::OpenMetrics);
        let newer = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.3";
        assert_eq!(format(newer), Format::OpenMetrics);
    }

    #[test]
    fn who_says_nothing_of_it_gets_plain_text() {
        for accept in [
            "",
            "*/*",
            "text/html,*/*;q=0.8",
            "text/plain",
            "application/json",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.3,text/plain;q=0.5",
            "application/openmetrics-text;q=nan",
            ";;;,,,=;q",
        ] {
            assert_eq!(format(accept), Format::Prometheus, "{accept}");
        }
        assert_eq!(
            format("Application/OpenMetrics-Text; Version=1.0.0"),
            Format::OpenMetrics
        );
    }
}
