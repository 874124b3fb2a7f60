//! Dispatches whose future is dropped at any point, and sent again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use annalist::Decision;

use crate::bank::{Deposit, Deposited, Withdraw, renamed};
use crate::stage::Staged;
use crate::{KEY, log, on_both, write};

/// Polls a future so often at most, each time that it asks to be, and drops it.
async fn polled<T>(future: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn a_command_dropped_anywhere_and_sent_again_takes_effect_once() {
    on_both(async |staged| {
        let staged = Staged::that_gives_way(staged.inner.clone());
        let mut finished = 0;
        let mut dropped = 0;
        for polls in 0..60 {
            let id = format!("pay-{polls}");
            write(&staged.inner, &[Deposited { cents: 10 }]).await;
            // A race to lose on the way, so that it is dropped in between attempts, too.
            staged.meanwhile(async |inner| write(&inner, &[renamed("bob")]).await);
            let pay = || staged.bus().dispatch(KEY, Withdraw { cents: 10 });
            match polled(pay().command_id(&id).into_future(), polls).await {
                Some(answer) => {
                    answer.expect("an outcome");
                    finished += 1;
                }
                None => dropped += 1,
            }
            // One that was dropped early leaves its race to the next.
            let again = pay().command_id(&id).await.expect("an outcome");
            let decisions = [
                Decision::AlreadyApplied,
                Decision::Redecided,
                Decision::Appended,
            ];
            assert!(decisions.contains(&again.decided_by));
            let known = pay().command_id(&id).await.expect("an outcome");
            assert_eq!(known.decided_by, Decision::AlreadyApplied);
            assert_eq!((known.version, known.state.balance), (again.version, 0));
            let log = log(&staged.inner).await;
            let own = log.iter().filter(|event| {
                let of = event.metadata.command_id.as_ref();
                of.is_some_and(|of| of.as_str() == id)
            });
            assert_eq!(own.count(), 1, "after {polls} polls");
        }
        assert!(
            dropped > 5 && finished > 5,
            "{dropped} dropped, {finished} finished"
        );
    })
    .await;
}

#[tokio::test]
async fn a_dispatch_that_is_never_awaited_does_nothing() {
    on_both(async |staged| {
        drop(
            staged
                .bus()
                .dispatch(KEY, Deposit { cents: 1 })
                .into_future(),
        );
        assert!(log(&staged.inner).await.is_empty());
    })
    .await;
}
