//! The way of one event through the declared steps. The codec asks where it leads.

use serde_json::Value;

use super::{Step, UpcastError, UpcastEvent, Upcasters};
use crate::caught::caught;

impl Upcasters {
    /// Where an event of this shape goes from here.
    pub(crate) fn route<'a>(
        &'a self,
        event_type: &'a str,
        schema_version: u32,
    ) -> Result<Route<'a>, UpcastError> {
        let mut name = event_type;
        while let Some(history) = self.types.get(name) {
            if let Some(step) = history.steps.get(&schema_version) {
                return Ok(Route::Through(Way { name, step }));
            }
            match &history.renamed_to {
                Some(to) => name = to,
                None => break,
            }
        }
        let current = self.schema_version(name);
        if schema_version == current {
            return Ok(Route::Read(name));
        }
        let event_type = name.to_owned();
        Err(match schema_version < current {
            true => UpcastError::Missing {
                event_type,
                schema_version,
                current,
            },
            false => UpcastError::Newer {
                event_type,
                schema_version,
                current,
            },
        })
    }

    /// Follows the steps of one event to the end of each of its ways.
    pub(crate) fn upcast(&self, event: UpcastEvent) -> Result<Vec<UpcastEvent>, UpcastError> {
        let mut current = Vec::new();
        self.follow(event, 0, &mut current)?;
        Ok(current)
    }

    fn follow(
        &self,
        mut event: UpcastEvent,
        taken: usize,
        current: &mut Vec<UpcastEvent>,
    ) -> Result<(), UpcastError> {
        match self.route(&event.event_type, event.schema_version)? {
            Route::Read(name) => {
                if name != event.event_type {
                    event.event_type = name.to_owned();
                }
                current.push(event);
            }
            Route::Through(way) if taken == self.steps => {
                return Err(UpcastError::Endless {
                    event_type: way.name.to_owned(),
                    schema_version: event.schema_version,
                });
            }
            Route::Through(way) => {
                for next in way.take(event.schema_version, event.payload)? {
                    self.follow(next, taken + 1, current)?;
                }
            }
        }
        Ok(())
    }
}

/// Where an event of some shape goes.
pub(crate) enum Route<'a> {
    /// Nowhere: it is of today's shape, under this name.
    Read(&'a str),
    /// Through a step.
    Through(Way<'a>),
}

/// A step, and the type that it was declared for.
pub(crate) struct Way<'a> {
    name: &'a str,
    step: &'a Step,
}

impl Way<'_> {
    fn take(&self, schema_version: u32, payload: Value) -> Result<Vec<UpcastEvent>, UpcastError> {
        let event_type = || self.name.to_owned();
        let rewritten = |payload| UpcastEvent {
            event_type: event_type(),
            schema_version: schema_version.saturating_add(1),
            payload,
        };
        let taken = caught(|| match self.step {
            Step::Rewrite(rewrite) => rewrite(payload).map(|payload| vec![rewritten(payload)]),
            Step::Split(split) => split(payload),
            Step::Drop => Ok(Vec::new()),
        });
        match taken {
            Ok(Ok(events)) => Ok(events),
            Ok(Err(source)) => Err(UpcastError::Failed {
                event_type: event_type(),
                schema_version,
                source,
            }),
            Err(source) => Err(UpcastError::Panicked {
                event_type: event_type(),
                schema_version,
                source,
            }),
        }
    }
}
