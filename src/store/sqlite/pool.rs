//! The threads that read, and the queue in front of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::reader::Reader;
use crate::store::error::{StoreError, StoreErrorKind};

type Job = Box<dyn FnOnce(&mut Reader) + Send>;
type Queue = Arc<Mutex<mpsc::Receiver<Job>>>;

/// Threads with one connection each. Reads wait in a bounded queue for the next
/// free one.
pub(super) struct Pool {
    /// None after closing. Dropping it is what ends the threads.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    /// Every thread holds the other end: it is closed when all have ended.
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl Pool {
    const QUEUED_MAX: usize = 1_024;

    /// Starts a thread for each connection.
    pub(super) fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(Self::QUEUED_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let (running, ended) = mpsc::channel(1);
        for (index, conn) in connections.into_iter().enumerate() {
            let (queue, running) = (Arc::clone(&queue), running.clone());
            thread::Builder::new()
                .name(format!("annalist-reader-{index}"))
                .spawn(move || {
                    serve(conn, &queue);
                    drop(running);
                })?;
        }
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            ended: tokio::sync::Mutex::new(ended),
        })
    }

    /// Runs `read` on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let jobs = self
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let jobs = jobs.ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        let job = move |reader: &mut Reader| {
            // A caller that is gone needs no page.
            if !answer.is_closed() {
                let _ = answer.send(read(reader));
            }
        };
        jobs.send(Box::new(job)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Lets the threads finish what they were given, and waits until they have.
    pub(super) async fn close(&self) {
        drop(
            self.jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        // Nothing is ever sent: this is told when the last thread lets go.
        let _ = self.ended.lock().await.recv().await;
    }
}

fn serve(conn: Connection, queue: &Queue) {
    let mut reader = Reader::new(conn);
    while let Some(job) = next(queue) {
        job(&mut reader);
    }
}

fn next(queue: &Queue) -> Option<Job> {
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .blocking_recv()
}

fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::HandleClosed, "reading")
}
