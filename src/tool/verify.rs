//! `annalist verify FILE`

use super::Failure;
use super::answer::{Answer, plain};
use crate::store::Store;

pub(super) async fn verify(store: &Store, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let report = store.verify().await?;
    answer.item(&report, |report| {
        let mut lines: Vec<_> = report
            .damages
            .iter()
            .map(|damage| plain(&damage.to_string()))
            .collect();
        let harmless = report.harmless.iter();
        lines.extend(harmless.map(|damage| {
            format!(
                "{}; ignored, and replaced by the next load",
                plain(&damage.to_string())
            )
        }));
        if report.truncated {
            lines.push("and more".to_owned());
        }
        lines.push(format!(
            "{} events, {} streams, {} removals, {} commit keys: {}",
            report.events,
            report.streams,
            report.removals,
            report.keys,
            match report.is_whole() {
                true => "whole".to_owned(),
                false => "DAMAGED; restore a backup".to_owned(),
            }
        ));
        lines.join("\n")
    })?;
    match report.is_whole() {
        true => Ok(()),
        false => Err(Failure::Damaged),
    }
}
