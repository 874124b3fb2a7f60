//! Process managers: a reaction that knows what has happened to its process before.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::act::{Act, poison, settle};
use super::{ProcessManager, Reacting, ReactionResult};
use crate::command::CommandBus;
use crate::event::RecordedEvent;
use crate::follow::{Ledger, Trouble, unreadable};
use crate::store::{BoxError, Filter, SqlRow, SqlValue, Tx};

/// A [`ProcessManager`], and what it dispatches by.
pub(super) struct Manage<M> {
    pub(super) bus: CommandBus,
    pub(super) manager: Arc<M>,
}

/// What is known of a process.
const STATE: &str = "SELECT state FROM annalist_processes WHERE name = $1 AND process = $2";

impl<M: ProcessManager> Manage<M> {
    fn read(row: Option<&SqlRow>) -> ReactionResult<M::State> {
        match row.and_then(|row| row.get("state")?.as_str()) {
            Some(state) => serde_json::from_str(state).map_err(|error| {
                let told = format!(
                    "what is known of its process cannot be read ({error}); what was added to the \
                     state needs a default"
                );
                told.into()
            }),
            None => Ok(M::State::default()),
        }
    }
}

impl<M: ProcessManager> Act for Manage<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn filter(&self) -> Filter {
        self.manager.filter()
    }

    fn act<'a>(
        &'a self,
        events: &'a [&'a RecordedEvent],
        ledger: &'a Ledger,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            for event in events {
                let failed = |error: BoxError| poison(event, error.as_ref());
                let Some(process) = self.manager.process(event).map_err(failed)? else {
                    continue;
                };
                // As of the events before: each is taken in before the next one is met.
                let params: [SqlValue; 2] = [M::NAME.into(), process.into()];
                let rows = ledger.database.query(STATE, &params, SqlRow::clone).await;
                let rows = rows.map_err(unreadable)?;
                let mut state = Self::read(rows.first()).map_err(failed)?;
                self.manager.apply(&mut state, event).map_err(failed)?;
                let cx = Reacting::new(&self.bus, ledger, event).await?;
                let done = self.manager.react(&state, event, &cx).await;
                settle(event, cx, done)?;
            }
            Ok(())
        })
    }

    fn take_in<'a>(
        &'a self,
        event: &'a RecordedEvent,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let Some(process) = self.manager.process(event)? else {
                return Ok(());
            };
            let params: [SqlValue; 2] = [M::NAME.into(), process.into()];
            let rows = tx.query(STATE, &params).await?;
            let mut state = Self::read(rows.first())?;
            self.manager.apply(&mut state, event)?;
            let state = serde_json::to_string(&state)?;
            let sql = "INSERT INTO annalist_processes (name, process, state) VALUES ($1, $2, $3) \
                       ON CONFLICT (name, process) DO UPDATE SET state = $3";
            let [name, process] = params;
            tx.execute(sql, &[name, process, state.into()]).await?;
            Ok(())
        })
    }
}
