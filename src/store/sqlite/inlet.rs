//! A queue between callers and a thread, bounded in items and in bytes, that closes at once.
//!
//! Closing waits for no caller: one that stands in line for a place, and is not polled
//! any more, must not keep the thread alive. What is in the queue is still received.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::sync::TryAcquireError;
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// The end that callers hold. Dropping it closes the queue.
pub(super) struct Inlet<T> {
    /// Each item with the KiB that it takes up.
    queue: mpsc::Sender<(T, u32)>,
    /// One permit for each KiB that is free.
    room: Arc<Semaphore>,
    room_max: u32,
    closed: watch::Sender<bool>,
    rests: Arc<AtomicBool>,
    /// Its other end is let go with the outlet.
    gone: watch::Receiver<()>,
}

/// The end that a thread holds.
pub(super) struct Outlet<T> {
    queue: mpsc::Receiver<(T, u32)>,
    room: Arc<Semaphore>,
    closed: watch::Receiver<bool>,
    /// Whether the thread sleeps, and was woken for one item at most the last time.
    rests: Arc<AtomicBool>,
    /// Items received since the thread slept.
    received: usize,
    _here: watch::Sender<()>,
}

/// A queue of so many places for items of so many bytes altogether. An item larger than
/// that has the whole queue to itself.
pub(super) fn queue<T>(places: usize, bytes: usize) -> (Inlet<T>, Outlet<T>) {
    let (sender, receiver) = mpsc::channel(places.max(1));
    let room_max = kib(bytes).min(Semaphore::MAX_PERMITS as u64).max(1);
    let room_max = u32::try_from(room_max).unwrap_or(u32::MAX);
    let room = Arc::new(Semaphore::new(room_max as usize));
    let (closing, closed) = watch::channel(false);
    let (here, gone) = watch::channel(());
    let rests = Arc::new(AtomicBool::new(false));
    let inlet = Inlet {
        queue: sender,
        room: Arc::clone(&room),
        room_max,
        closed: closing,
        rests: Arc::clone(&rests),
        gone,
    };
    let outlet = Outlet {
        queue: receiver,
        room,
        closed,
        rests,
        received: 0,
        _here: here,
    };
    (inlet, outlet)
}

fn kib(bytes: usize) -> u64 {
    bytes.div_ceil(1024) as u64
}

impl<T> Inlet<T> {
    /// Takes a place if there is one, and room for an item of so many bytes. What has a
    /// place is received.
    pub(super) fn try_send(&self, item: T, bytes: usize) -> Result<(), TrySendError<T>> {
        let kib = self.kib(bytes);
        // Held until the item is in: closing waits for it, and the outlet looks at what
        // is in the queue after that.
        let closed = self.closed.borrow();
        if *closed {
            return Err(TrySendError::Closed(item));
        }
        let room = match self.room.try_acquire_many(kib) {
            Ok(room) => room,
            Err(TryAcquireError::NoPermits) => return Err(TrySendError::Full(item)),
            Err(TryAcquireError::Closed) => return Err(TrySendError::Closed(item)),
        };
        match self.queue.try_send((item, kib)) {
            // Given back by who receives it.
            Ok(()) => room.forget(),
            Err(TrySendError::Full((item, _))) => return Err(TrySendError::Full(item)),
            Err(TrySendError::Closed((item, _))) => return Err(TrySendError::Closed(item)),
        }
        Ok(())
    }

    /// Waits for room and a place. What was sent so may come too late and never be
    /// received: wait for its answer with [`answer_or_gone`](Self::answer_or_gone).
    pub(super) async fn send(&self, item: T, bytes: usize) -> Result<(), SendError<T>> {
        let kib = self.kib(bytes);
        let Ok(room) = self.room.acquire_many(kib).await else {
            return Err(SendError(item));
        };
        match self.queue.reserve().await {
            Ok(place) => {
                place.send((item, kib));
                room.forget();
                Ok(())
            }
            Err(_) => Err(SendError(item)),
        }
    }

    /// Whether it is open, nothing is in it, nothing that was is being worked on, and items
    /// come one at a time: those that come in crowds are better received together. For one
    /// thread at the other end.
    pub(super) fn is_idle(&self) -> bool {
        let is_empty = self.queue.capacity() == self.queue.max_capacity();
        // In this order: what is taken out of the queue is seen there or here.
        is_empty && self.rests.load(Ordering::SeqCst) && !*self.closed.borrow()
    }

    fn kib(&self, bytes: usize) -> u32 {
        let kib = u32::try_from(kib(bytes)).unwrap_or(u32::MAX);
        kib.min(self.room_max)
    }

    /// The answer to an item, or none if the outlet is gone without giving one.
    pub(super) async fn answer_or_gone<A>(&self, mut answer: oneshot::Receiver<A>) -> Option<A> {
        let mut gone = self.gone.clone();
        {
            let mut gone = pin!(gone.changed());
            let first = poll_fn(|cx| match Pin::new(&mut answer).poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer.ok())),
                Poll::Pending => gone.as_mut().poll(cx).map(|_| None),
            });
            if let Some(answer) = first.await {
                return answer;
            }
        }
        answer.try_recv().ok()
    }

    /// Tells when the outlet is gone.
    pub(super) fn gone(&self) -> Gone {
        Gone(self.gone.clone())
    }

    /// Turns true when it is closed.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }
}

/// Somebody is here as long as one of these is held.
pub(super) struct Here {
    _here: watch::Sender<()>,
}

/// The first one, and what tells when the last is gone.
pub(super) fn here() -> (Arc<Here>, Gone) {
    let (here, gone) = watch::channel(());
    (Arc::new(Here { _here: here }), Gone(gone))
}

/// Tells when an outlet is gone, and with it every thread that received from it.
pub(super) struct Gone(watch::Receiver<()>);

impl Gone {
    /// Waits. Not for asynchronous code.
    pub(super) fn wait(mut self) {
        // Nothing is ever sent: an error is what tells.
        let _ = block_on(self.0.changed());
    }
}

impl<T> Outlet<T> {
    /// The next item. None once the queue is closed and what was in it is received.
    pub(super) fn recv(&mut self) -> Option<T> {
        if let Some(item) = self.try_recv() {
            return Some(item);
        }
        let Self {
            queue,
            closed,
            rests,
            received,
            ..
        } = &mut *self;
        let item = block_on(async {
            let mut is_closed = pin!(closed.wait_for(|closed| *closed));
            let mut item = pin!(queue.recv());
            poll_fn(|cx| {
                rests.store(false, Ordering::SeqCst);
                match item.as_mut().poll(cx) {
                    Poll::Ready(item) => Poll::Ready(item),
                    Poll::Pending => {
                        rests.store(*received <= 1, Ordering::SeqCst);
                        // An error: the other end is gone, and the queue tells that itself.
                        is_closed.as_mut().poll(cx).map(|_| None)
                    }
                }
            })
            .await
        });
        self.received = 0;
        match item {
            Some(item) => Some(self.take(item)),
            None => {
                self.queue.close();
                self.try_recv()
            }
        }
    }

    /// The next item, if it is there already.
    pub(super) fn try_recv(&mut self) -> Option<T> {
        let item = self.queue.try_recv().ok()?;
        Some(self.take(item))
    }

    /// Gives back the room that an item took up.
    fn take(&mut self, (item, kib): (T, u32)) -> T {
        self.received += 1;
        self.room.add_permits(kib as usize);
        item
    }

    /// How many items are there already.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl<T> Drop for Outlet<T> {
    /// Whoever waits for room is told that there will be none.
    fn drop(&mut self) {
        self.room.close();
    }
}

/// Runs a future on this thread, which sleeps meanwhile.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(WakeThread(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

struct WakeThread(Thread);

impl Wake for WakeThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn closing_waits_for_nobody_who_stands_in_line() {
        let (inlet, mut outlet) = queue(1, 1024);
        inlet.try_send(1, 0).expect("a place");
        let mut in_line = pin!(inlet.send(2, 0));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(in_line.as_mut().poll(&mut cx).is_pending());
        inlet.close();
        // The one in line is given the free place here, and never takes it.
        assert_eq!(outlet.recv(), Some(1));
        assert_eq!(outlet.recv(), None);
        assert!(inlet.try_send(3, 0).is_err());
    }

    #[test]
    fn what_comes_too_late_is_told_so() {
        let (inlet, outlet) = queue(1, 1024);
        let (caller, answer) = oneshot::channel::<u8>();
        // In the queue, and nobody takes it any more; the caller's end lives on in there.
        inlet.try_send(caller, 0).expect("a place");
        drop(outlet);
        assert_eq!(block_on(inlet.answer_or_gone(answer)), None);

        let (inlet, mut outlet) = queue(1, 1024);
        let (caller, answer) = oneshot::channel();
        inlet.try_send(caller, 0).expect("a place");
        outlet
            .recv()
            .expect("the caller")
            .send(7)
            .expect("a receiver");
        drop(outlet);
        assert_eq!(block_on(inlet.answer_or_gone(answer)), Some(7));
    }

    #[test]
    fn a_waiting_thread_is_woken_by_an_item_by_closing_and_by_dropping() {
        let (inlet, mut outlet) = queue(1, 1024);
        let waiting = thread::spawn(move || (outlet.recv(), outlet.recv(), outlet.recv()));
        inlet.try_send(1, 0).expect("a place");
        inlet.close();
        assert_eq!(waiting.join().expect("no panic"), (Some(1), None, None));
        let (inlet, mut outlet) = queue::<u8>(1, 1024);
        let waiting = thread::spawn(move || outlet.recv());
        drop(inlet);
        assert_eq!(waiting.join().expect("no panic"), None);
    }

    #[test]
    fn items_wait_for_room_and_a_large_one_has_the_queue_to_itself() {
        let (inlet, mut outlet) = queue(100, 4 * 1024);
        let mut cx = Context::from_waker(Waker::noop());
        inlet.try_send(1, 3 * 1024).expect("room");
        inlet.try_send(2, 0).expect("what takes no room");
        inlet.try_send(3, 1025).expect_err("two are not left");
        inlet.try_send(4, 1).expect("one is");
        // Larger than the queue, and one that was dropped while it stood in line.
        let mut large = pin!(inlet.send(5, 9 * 1024));
        assert!(large.as_mut().poll(&mut cx).is_pending());
        {
            let mut gone = pin!(inlet.send(6, 4 * 1024));
            assert!(gone.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!((outlet.recv(), outlet.recv()), (Some(1), Some(2)));
        assert!(large.as_mut().poll(&mut cx).is_pending());
        assert_eq!(outlet.recv(), Some(4));
        assert!(large.as_mut().poll(&mut cx).is_ready());
        inlet.try_send(7, 1).expect_err("it takes up all");
        assert_eq!(outlet.recv(), Some(5));
        inlet.try_send(8, 4 * 1024).expect("all is free again");
    }

    #[test]
    fn whoever_waits_for_room_is_told_when_there_will_be_none() {
        let (inlet, outlet) = queue(100, 1024);
        let mut cx = Context::from_waker(Waker::noop());
        inlet.try_send(1, 1024).expect("room");
        let mut in_line = pin!(inlet.send(2, 1024));
        assert!(in_line.as_mut().poll(&mut cx).is_pending());
        inlet.close();
        assert!(in_line.as_mut().poll(&mut cx).is_pending());
        drop(outlet);
        let answer = in_line.as_mut().poll(&mut cx);
        assert_eq!(answer, Poll::Ready(Err(SendError(2))));
    }
}
