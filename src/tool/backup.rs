//! `annalist backup FILE TO`

use std::path::Path;

use super::Failure;
use super::answer::Answer;
use crate::store::Store;

pub(super) async fn backup(
    store: &Store,
    to: &Path,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let backed_up = store.backup(to).await?;
    answer.item(&backed_up, |backed_up| {
        format!(
            "{} bytes, {} events, {} streams: whole",
            backed_up.bytes, backed_up.report.events, backed_up.report.streams
        )
    })?;
    Ok(())
}
