//! A projection as the store runs it: the same code behind one type.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::{Projection, ProjectionResult};
use crate::event::RecordedEvent;
use crate::ids::StreamId;
use crate::store::{Derivation, Derived, Filter, Forgotten, InvalidDerivation, Tx};

pub(super) fn derivation<P: Projection>(projection: P) -> Result<Derivation, InvalidDerivation> {
    Derivation::new(Arc::new(Code(projection)))
}

struct Code<P>(P);

impl<P: Projection> Derived for Code<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn version(&self) -> u32 {
        P::VERSION
    }

    fn tables(&self) -> Vec<String> {
        self.0.tables()
    }

    fn filter(&self) -> Filter {
        self.0.filter()
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, ProjectionResult> {
        Box::pin(self.0.set_up(tx))
    }

    fn apply<'a>(
        &'a self,
        event: &'a RecordedEvent,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, ProjectionResult> {
        Box::pin(self.0.apply(event, tx))
    }

    fn forget<'a>(
        &'a self,
        stream: &'a StreamId,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, ProjectionResult<Forgotten>> {
        Box::pin(self.0.forget(stream, tx))
    }
}
