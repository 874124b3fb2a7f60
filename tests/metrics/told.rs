//! What is told of the figures themselves.

use annalist::{CommandBus, Store};

use crate::recorder::Figures;
use crate::shelf::{Stock, Take};
use crate::stage::{Rival, bus};

/// The rows of the table in the docs: the name, the kind and the unit of each figure.
fn documented() -> Vec<[String; 3]> {
    let docs = include_str!("../../src/metrics.rs");
    let rows = docs
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `annalist_"));
    let cells = |row: &str| {
        let mut cells = row.split('|').map(|cell| cell.trim().to_owned());
        let mut next = || cells.next().expect("a cell");
        let name = next();
        let name = format!("annalist_{}", name.trim_end_matches('`'));
        [name, next(), next()]
    };
    let mut documented: Vec<_> = rows.map(cells).collect();
    documented.sort();
    documented
}

#[tokio::test]
async fn every_figure_is_in_the_table_described_and_reported() {
    let figures = Figures::from_nothing().await;
    annalist::metrics::describe();
    let described = figures.described();
    let units = documented().into_iter().map(|[name, _, unit]| {
        let described_as = described.get(&name).and_then(|(unit, _)| *unit);
        let described_as = described_as.map_or("none", |unit| unit.as_str());
        assert_eq!(described_as == "seconds", unit == "seconds", "{name}");
        assert_eq!(name.ends_with("_seconds"), unit == "seconds", "{name}");
        name
    });
    assert_eq!(
        units.collect::<Vec<_>>(),
        described.keys().cloned().collect::<Vec<_>>()
    );

    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("shelf.db")).await;
    let durable = CommandBus::new(store.expect("a store"));
    durable
        .dispatch("cups", Stock(1))
        .await
        .expect("an outcome");
    let raced = bus(&[Rival]).await;
    raced.dispatch("cups", Take(1)).await.expect("an outcome");
    let mut reported: Vec<_> = [
        (figures.counts(), "counter"),
        (figures.histograms(), "histogram"),
    ]
    .into_iter()
    .flat_map(|(keys, kind)| keys.into_iter().map(move |key| (key, kind)))
    .map(|(key, kind)| {
        let name = key.split(' ').next().unwrap_or_default();
        (name.to_owned(), kind.to_owned())
    })
    .collect();
    reported.sort();
    reported.dedup();
    let documented = documented().into_iter().map(|[name, kind, _]| (name, kind));
    assert_eq!(reported, documented.collect::<Vec<_>>());
}
