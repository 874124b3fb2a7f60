//! How user code is driven, whatever it does.

use super::*;

fn count(_: Ask) -> Result<Answer, TxError> {
    Ok(Answer::Count(1))
}

#[test]
fn statements_are_run_in_turn_and_answered() {
    let mut seen = Vec::new();
    let driven = drive(
        &mut Tx::new(Rights::Write),
        |tx| {
            Box::pin(async move {
                let first = tx.execute("one", &[1.into()]).await;
                let second = tx.execute("two", &[]).await;
                (first.ok(), second.is_err())
            })
        },
        |ask| {
            seen.push((ask.sql, ask.params));
            match seen.len() {
                1 => Ok(Answer::Count(3)),
                _ => Err(TxError::Ended),
            }
        },
    );
    assert!(matches!(driven, Ok((Some(3), true))));
    assert_eq!(seen[0], ("one".to_owned(), vec![SqlValue::Integer(1)]));
    assert_eq!(seen[1], ("two".to_owned(), Vec::new()));
}

#[test]
fn a_statement_that_is_given_up_is_not_run() {
    let mut seen = Vec::new();
    let driven = drive(
        &mut Tx::new(Rights::Write),
        |tx| {
            Box::pin(async move {
                {
                    let mut cx = Context::from_waker(Waker::noop());
                    let mut given_up = Box::pin(tx.execute("given up", &[]));
                    assert!(given_up.as_mut().poll(&mut cx).is_pending());
                }
                tx.execute("run", &[]).await.is_ok()
            })
        },
        |ask| {
            seen.push(ask.sql.clone());
            count(ask)
        },
    );
    assert!(matches!(driven, Ok(true)));
    assert_eq!(seen, ["run"]);
}

#[test]
fn waiting_for_anything_else_is_told() {
    let driven = drive(
        &mut Tx::new(Rights::Write),
        |_| Box::pin(std::future::pending::<()>()),
        count,
    );
    assert!(matches!(driven, Err(Stopped::Suspended)));
}

#[test]
fn panics_are_told_wherever_they_come_from() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("when dropped")
        }
    }
    struct Chain;
    impl Drop for Chain {
        fn drop(&mut self) {
            std::panic::panic_any(Self)
        }
    }

    let before = drive(
        &mut Tx::new(Rights::Write),
        |_| -> BoxFuture<'_, ()> { panic!("at once") },
        count,
    );
    assert!(matches!(before, Err(Stopped::Panicked(said)) if said.message == "at once"));
    let inside = drive(
        &mut Tx::new(Rights::Write),
        |_| Box::pin(async { panic!("{} inside", 1) }),
        count,
    );
    let inside: Result<(), _> = inside;
    assert!(matches!(inside, Err(Stopped::Panicked(said)) if said.message == "1 inside"));
    let after = drive(
        &mut Tx::new(Rights::Write),
        |_| {
            let bomb = Bomb;
            Box::pin(async move {
                let _bomb = bomb;
                std::future::pending::<()>().await;
            })
        },
        count,
    );
    assert!(matches!(after, Err(Stopped::Panicked(said)) if said.message == "when dropped"));
    let thrown = drive(
        &mut Tx::new(Rights::Write),
        |_| Box::pin(async { std::panic::panic_any(Bomb) }),
        count,
    );
    let thrown: Result<(), _> = thrown;
    assert!(matches!(thrown, Err(Stopped::Panicked(said)) if said.message.contains("no text")));
    // Each one that goes throws another.
    let endless = drive(
        &mut Tx::new(Rights::Write),
        |_| Box::pin(async { std::panic::panic_any(Chain) }),
        count,
    );
    let endless: Result<(), _> = endless;
    assert!(matches!(endless, Err(Stopped::Panicked(_))));
}
