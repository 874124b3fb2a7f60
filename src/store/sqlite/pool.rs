//! The threads that read, and the queue in front of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::inlet::{Gone, Inlet, Outlet, queue};
use super::reader::Reader;
use crate::caught::{caught, let_go};
use crate::store::error::{StoreError, StoreErrorKind};

type Job = Box<dyn FnOnce(&mut Reader) + Send>;
type Queue = Arc<Mutex<Outlet<Job>>>;

/// Threads with one connection each. Reads wait in a bounded queue for the next
/// free one.
pub(super) struct Pool {
    jobs: Inlet<Job>,
}

impl Pool {
    const QUEUED_MAX: usize = 1_024;

    /// Starts a thread for each reader; also answers what tells when all have ended.
    pub(super) fn start(readers: Vec<Reader>) -> std::io::Result<(Self, Gone)> {
        let (jobs, queue) = queue(Self::QUEUED_MAX, 0);
        let queue = Arc::new(Mutex::new(queue));
        for (index, reader) in readers.into_iter().enumerate() {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("annalist-reader-{index}"))
                // The connection is closed before the queue is let go.
                .spawn(move || serve(reader, &queue))?;
        }
        let ended = jobs.gone();
        Ok((Self { jobs }, ended))
    }

    /// Runs `read` on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = move |reader: &mut Reader| {
            // A caller that is gone needs no page. What it asked with may be user code's to
            // drop, as what it would have been answered may.
            if answer.is_closed() {
                let_go(read);
            } else if let Err(unheard) = answer.send(read(reader)) {
                let_go(unheard);
            }
        };
        match self.jobs.try_send(Box::new(job), 0) {
            Ok(()) => answered.await.map_err(|_| closed())?,
            Err(TrySendError::Closed(_)) => Err(closed()),
            Err(TrySendError::Full(job)) => {
                self.jobs.send(job, 0).await.map_err(|_| closed())?;
                let answer = self.jobs.answer_or_gone(answered).await;
                answer.ok_or_else(closed)?
            }
        }
    }

    /// Lets the threads finish what they were given, and takes no more.
    pub(super) fn close(&self) {
        self.jobs.close();
    }
}

fn serve(mut reader: Reader, queue: &Queue) {
    while let Some(job) = next(queue) {
        // Whoever waits for its answer is told that there is none, and others go on.
        let_go(caught(|| job(&mut reader)));
    }
}

fn next(queue: &Queue) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv()
}

/// What a caller is told who comes too late.
fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::HandleClosed, "reading")
}
