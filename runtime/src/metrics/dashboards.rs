//! The Grafana dashboards that are shipped, beside the metrics that there are.

use super::rules::{exported, lines, named};
use serde_json::Value;
use std::collections::BTreeSet;

const DASHBOARDS: [(&str, &str); 3] = [
    ("Adoption", include_str!("../../deploy/grafana/adoption.json")),
    (
        "Latency & Reliability",
        include_str!("../../deploy/grafana/latency-reliability.json"),
    ),
    ("Security", include_str!("../../deploy/grafana/security.json")),
];

/// Labels that the recording rules set themselves.
const RECORDED: &str = "window";

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

#[test]
fn every_metric_and_label_that_a_panel_names_is_exported_or_recorded() {
    let exported = exported();
    let records: BTreeSet<&str> = lines("record").collect();
    for (title, text) in DASHBOARDS {
        let dashboard: Value = serde_json::from_str(text).unwrap();
        for panel in panels(&dashboard) {
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{title}: {}", panel["title"]);
            for target in targets {
                let expression = target["expr"].as_str().unwrap();
                let (metrics, mut labels) = named(expression);
                assert!(!metrics.is_empty(), "{expression}");
                // What a legend shows has to be left of what is summed up.
                let shown = target["legendFormat"].as_str().unwrap().split("{{").skip(1);
                labels.extend(shown.filter_map(|piece| Some(piece.split_once("}}")?.0.to_owned())));
                let mut known = BTreeSet::from([RECORDED.to_owned()]);
                for metric in metrics {
                    match exported.get(&metric) {
                        Some(has) => known.extend(has.iter().cloned()),
                        None => assert!(
                            records.contains(metric.as_str()),
                            "{title}: `{metric}` is neither exported nor recorded: {expression}"
                        ),
                    }
                }
                assert!(
                    labels.is_subset(&known),
                    "{title}: {labels:?} of {known:?}: {expression}"
                );
            }
        }
    }
}

#[test]
fn dashboards_are_told_apart_and_panels_do_not_overlap() {
    let mut uids = BTreeSet::new();
    for (title, text) in DASHBOARDS {
        let dashboard: Value = serde_json::from_str(text).unwrap();
        assert_eq!(dashboard["title"], format!("kbc-mirror: {title}"));
        assert!(
            uids.insert(dashboard["uid"].as_str().unwrap().to_owned()),
            "{title}"
        );
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
            assert_ne!(panel["description"].as_str().unwrap(), "");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(x + w <= 24, "{title}: {}", panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{title}: {}", panel["title"]);
            }
        }
    }
}
