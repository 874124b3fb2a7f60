//! A process is killed under load, again and again on one file, and every time the
//! file is checked: what was acknowledged stands where its receipt says, no commit is
//! torn, there are no holes, a key took effect if and only if its commit stands, and
//! what was not acknowledged can be sent again.
//!
//! In some rounds three processes write and one of them is killed; the others must go
//! on. In some the file is still open in the parent when the next round begins, so
//! that nobody has put the write-ahead log in order. Small checkpoints make kills in
//! the middle of one likely.
//!
//! 100 kills in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_KILLS=5000 cargo test --release --test processes killed -- --nocapture
//! ```

use std::thread;
use std::time::Duration;

use annalist::{AppendError, ExpectedVersion, Position, Store};
use futures_util::future::join_all;

use crate::child::{Ack, Line, Role, Spec, Worker};
use crate::ledger::Ledger;
use crate::plan::{Dice, Keys, Name, Rules};
use crate::{Place, number, seed};

const CALLERS: u32 = 12;

/// What all rounds came to.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    /// Kills of one of several processes.
    among_others: u64,
    acknowledged: u64,
    /// Sent by the killed process, not acknowledged, and in the file all the same.
    landed_unheard: u64,
    /// Sent again after the kill, and landed then.
    landed_later: u64,
    keys_sent_again: u64,
}

/// One file and its account, over all kills.
struct Rig {
    place: Place,
    rules: Rules,
    dice: Dice,
    ledger: Ledger,
    tally: Tally,
    /// Left open on purpose.
    open: Option<Store>,
}

#[tokio::test]
async fn killed_processes_lose_nothing_that_was_acknowledged() {
    let kills = number("ANNALIST_KILLS", 100u32);
    let mut rig = Rig::new(seed("killed"));
    for round in 0..kills {
        let acks_min = rig.dice.below(10) * rig.dice.below(25);
        rig.round(round, acks_min).await;
    }
    rig.look_back().await;
    let (events, commits) = rig.ledger.totals();
    println!(
        "killed: {:?}, lost 0, torn 0 of {commits} commits with {events} events",
        rig.tally
    );
    let Tally {
        acknowledged,
        landed_unheard,
        ..
    } = rig.tally;
    let shown = acknowledged > 0 && landed_unheard > 0;
    assert!(shown || kills < 50, "no kill came at a bad moment");
}

#[tokio::test]
async fn a_process_killed_while_it_makes_the_file_leaves_one_that_opens() {
    let seed = seed("killed_early");
    let (files, mut begun) = (20, 0);
    for file in 0..files {
        let mut rig = Rig::new(seed ^ file);
        let opening = rig.start(0, 0);
        let killed = rig.kill(opening, 0);
        begun += u32::from(rig.place.path().exists());
        let store = rig.place.open().await;
        rig.check(0, &store, &killed, &killed).await;
        store.close().await.expect("a clean close");
        // And it takes processes like any other.
        rig.round(1, 5).await;
        rig.look_back().await;
    }
    println!("killed: {files} files opened, {begun} had been begun by the killed process");
}

impl Rig {
    fn new(seed: u64) -> Self {
        Self {
            place: Place::new(),
            rules: Rules {
                seed,
                streams: 40,
                keys: Keys::Own,
                padding_bytes: 0,
            },
            dice: Dice(seed),
            ledger: Ledger::default(),
            tally: Tally::default(),
            open: None,
        }
    }

    /// Starts one process or three, and kills one after so many acknowledgements.
    async fn round(&mut self, round: u32, acks_min: u64) {
        let processes = if self.dice.below(4) == 0 { 3 } else { 1 };
        let mut workers: Vec<_> = (0..processes)
            .map(|worker| self.start(round, worker))
            .collect();
        let survivors = workers.split_off(1);
        let victim = workers.pop().expect("the first");
        if let Some(store) = self.open.take() {
            store.close().await.expect("a clean close");
        }
        let killed = self.kill(victim, acks_min);
        let store = self.place.open().await;
        let mut acks = killed.clone();
        if !survivors.is_empty() {
            self.tally.among_others += 1;
            acks.extend(go_on(&store, survivors).await);
        }
        self.check(round, &store, &killed, &acks).await;
        match self.dice.below(3) {
            0 => self.open = Some(store),
            _ => store.close().await.expect("a clean close"),
        }
    }

    fn start(&mut self, round: u32, worker: u32) -> Worker {
        let checkpoint_pages = match self.dice.below(3) {
            0 => 8,
            1 => 100,
            _ => 4_000,
        };
        let mut worker = Worker::start(&Spec {
            path: self.place.path(),
            role: Role::Load {
                callers: CALLERS,
                commits: None,
                rest_us_max: 0,
            },
            rules: self.rules,
            round,
            worker,
            checkpoint_pages,
        });
        worker.go();
        worker
    }

    /// Kills a process after so many acknowledgements, or while it opens the file if
    /// none are asked for. Answers all that it was heard to acknowledge.
    fn kill(&mut self, victim: Worker, acks_min: u64) -> Vec<Ack> {
        let mut acks: Vec<_> = match acks_min {
            0 => {
                assert!(matches!(victim.line(), Some(Line::Opening)));
                Vec::new()
            }
            _ => (0..acks_min).map(|_| victim.ack()).collect(),
        };
        // Where in the next transaction, or in opening, it strikes is left to chance.
        let chance_us = if acks_min == 0 { 15_000 } else { 4_000 };
        thread::sleep(Duration::from_micros(self.dice.below(chance_us)));
        acks.extend(victim.kill().into_iter().filter_map(acknowledged));
        self.tally.kills += 1;
        acks
    }

    /// Checks what the round added to the file, then sends again what the killed
    /// process may have sent.
    async fn check(&mut self, round: u32, store: &Store, killed: &[Ack], acks: &[Ack]) {
        self.ledger.forget();
        self.ledger.read_on(store, &self.rules).await;
        for ack in acks {
            assert!(!ack.known && !ack.receipt.replayed);
            self.ledger.assert_stands(ack.name(), &ack.receipt);
        }
        self.tally.acknowledged += acks.len() as u64;

        // A caller has one commit on its way at a time: the one after its last ack.
        let under_way: Vec<_> = (0..CALLERS)
            .map(|caller| Name {
                round,
                worker: 0,
                caller,
                number: acked_by(caller, killed),
            })
            .collect();
        let unheard = under_way.iter().filter(|name| self.ledger.holds(**name));
        let unheard = unheard.count();
        let found = self.ledger.names().count();
        assert_eq!(found, acks.len() + unheard, "something nobody sent");
        self.tally.landed_unheard += unheard as u64;

        join_all(acks.iter().map(|ack| self.send_key_again(store, ack))).await;
        let keyed = |ack: &&Ack| self.rules.plan(ack.name()).key.is_some();
        self.tally.keys_sent_again += acks.iter().filter(keyed).count() as u64;
        let sending = under_way.iter().map(|name| self.send_again(store, *name));
        let later = join_all(sending).await;
        self.tally.landed_later += later.iter().filter(|landed| **landed).count() as u64;
        self.ledger.read_on(store, &self.rules).await;
        assert!(under_way.iter().all(|name| self.ledger.holds(*name)));
        let found = self.ledger.names().count();
        assert_eq!(found, acks.len() + under_way.len(), "a repeat was written");
    }

    /// A key that took effect is known, whatever the ids of the events are.
    async fn send_key_again(&self, store: &Store, ack: &Ack) {
        let planned = self.rules.plan(ack.name());
        if planned.key.is_none() {
            return;
        }
        for commit in [
            planned.commit(|_| ExpectedVersion::Any),
            planned.with_other_ids(),
        ] {
            match store.commit(commit).await {
                Err(AppendError::AlreadyCommitted { receipt, .. }) => {
                    assert!(receipt.replayed);
                    assert_eq!(receipt.appends, ack.receipt.appends);
                    assert_eq!(receipt.position, ack.receipt.position);
                }
                other => panic!("the key of commit {} is lost: {other:?}", ack.name()),
            }
        }
    }

    /// Sends again what may have landed: it is known if it has, and lands if not.
    /// Answers whether it landed now.
    async fn send_again(&self, store: &Store, name: Name) -> bool {
        let planned = self.rules.plan(name);
        let landed = self.ledger.holds(name);
        match store.commit(planned.commit(|_| ExpectedVersion::Any)).await {
            Ok(receipt) => {
                assert_eq!(receipt.replayed, landed, "commit {name}");
                assert!(!landed || planned.key.is_none(), "key of {name} is lost");
                if landed {
                    self.ledger.assert_stands(name, &receipt);
                }
            }
            Err(AppendError::AlreadyCommitted { receipt, .. }) => {
                assert!(landed, "a key without its commit {name}");
                self.ledger.assert_stands(name, &receipt);
            }
            Err(error) => panic!("commit {name}: {error}"),
        }
        !landed
    }

    /// Reads everything once more from the beginning, and asks SQLite.
    async fn look_back(&mut self) {
        let store = match self.open.take() {
            Some(store) => store,
            None => self.place.open().await,
        };
        let mut whole = Ledger::default();
        whole.read_on(&store, &self.rules).await;
        whole.assert_streams(&store).await;
        assert_eq!(whole.totals(), self.ledger.totals());
        store.close().await.expect("a clean close");
        self.place.assert_intact();
    }
}

/// Lets each process acknowledge something that was written after the kill, then
/// stops it. Answers everything that they acknowledged.
async fn go_on(store: &Store, survivors: Vec<Worker>) -> Vec<Ack> {
    let killed_at = store.head().await.expect("a read");
    let mut acks = Vec::new();
    for survivor in &survivors {
        let mut last = Position::ZERO;
        while last <= killed_at {
            let ack = survivor.ack();
            last = ack.receipt.position.expect("it had events");
            acks.push(ack);
        }
    }
    let said = survivors.into_iter().flat_map(Worker::stop);
    acks.extend(said.filter_map(acknowledged));
    acks
}

fn acknowledged(line: Line) -> Option<Ack> {
    match line {
        Line::Ack(ack) => Some(ack),
        _ => None,
    }
}

/// How many commits of a caller were acknowledged. They are so in their order.
fn acked_by(caller: u32, acks: &[Ack]) -> u32 {
    let numbers = acks.iter().map(Ack::name);
    let numbers = numbers.filter(|name| name.caller == caller);
    numbers.fold(0, |due, name| {
        assert_eq!(name.number, due, "caller {caller}");
        due + 1
    })
}
