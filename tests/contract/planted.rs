//! Stores that break the contract on purpose, and the cases that must notice.

use std::sync::Arc;

use annalist::store::{
    AllPage, AllQuery, AppendRequest, Backend, CommitRequest, FeedPage, FeedQuery, FencingToken,
    LeaseAnswer, LeaseAsk, LeaseRequest, LeaseState, ListQuery, Scanned, StreamPage, StreamQuery,
    Wrapper,
};
use annalist::testkit::contract::{CASES, Subject, run};
use annalist::{
    AppendError, Conflicts, EventId, ExpectedVersion, Limits, NewEvent, Payload, Position, Receipt,
    RecordedEvent, Store, StoreError, StreamId, StreamInfo, Version,
};
use futures_util::future::BoxFuture;
use libtest_mimic::{Failed, Trial};

use crate::{RUNTIME, named};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    ExpectsAny,
    ChecksBeforeItWrites,
    HidesRepeats,
    LosesChecks,
    RenamesEvents,
    ForgetsKeys,
    RewritesPayloads,
    DropsMetadata,
    WritesWhatItRefuses,
    WritesNothing,
    TellsOneViolation,
    WritesStreamsOneByOne,
    TellsAnotherPosition,
    TakesCategoriesForPrefixes,
    ScansToTheLastEvent,
    CountsWhatItRead,
    ListsNamesBackwards,
    FindsNothing,
    IgnoresFences,
    GrantsEveryone,
    GrantsOneTokenTwice,
    FeedsNoRemovals,
    FeedsToTheLastItem,
    FeedsFromTheNextPage,
}

/// Each fault, and cases that must notice it.
#[rustfmt::skip]
const FAULTS: [(Fault, &[&str]); 24] = [
    (Fault::ExpectsAny, &[
        "no_stream_on_a_live_stream_conflicts",
        "exact_u64_max_on_a_stream_at_3_conflicts",
        "a_check_of_exact_2_on_a_stream_at_3_fails",
        "of_two_stale_writers_one_wins_and_the_other_learns_why",
        "an_event_in_the_middle_is_replayed_where_it_was_expected",
    ]),
    (Fault::ChecksBeforeItWrites, &[
        "of_two_stale_writers_one_wins_and_the_other_learns_why",
        "of_ten_creators_one_wins",
        "of_two_commits_that_check_each_others_stream_one_wins",
    ]),
    (Fault::HidesRepeats, &["a_whole_append_sent_again_is_replayed", "ten_identical_commits_write_once"]),
    (Fault::LosesChecks, &[
        "a_stream_that_is_only_checked_stops_the_commit",
        "all_violations_are_listed_checks_too",
        "several_checks_answer_every_version",
    ]),
    (Fault::RenamesEvents, &["a_whole_append_sent_again_is_replayed", "an_event_is_found_by_its_id"]),
    (Fault::ForgetsKeys, &[
        "a_key_sent_again_is_answered_with_the_first_receipt",
        "a_key_of_a_check_is_remembered",
        "ten_identical_keyed_commits_write_once",
    ]),
    (Fault::RewritesPayloads, &["white_space_in_a_payload_is_kept", "an_integer_of_2_to_the_64_is_kept"]),
    (Fault::DropsMetadata, &["metadata_of_64_kib_is_kept"]),
    (Fault::WritesWhatItRefuses, &["no_stream_on_a_live_stream_conflicts", "one_violation_of_two_stops_both"]),
    (Fault::WritesNothing, &["any_on_a_stream_never_written_appends"]),
    (Fault::TellsOneViolation, &["two_violations_of_three_are_listed_in_the_order_of_the_commit"]),
    (Fault::WritesStreamsOneByOne, &["one_violation_of_two_stops_both", "of_ten_commits_over_two_streams_one_wins"]),
    (Fault::TellsAnotherPosition, &["any_on_a_stream_never_written_appends", "a_whole_append_sent_again_is_replayed"]),
    (Fault::TakesCategoriesForPrefixes, &["a_category_is_not_a_longer_one_that_begins_like_it"]),
    (Fault::ScansToTheLastEvent, &["a_read_that_finds_nothing_scans_to_the_end", "a_page_scans_past_what_a_filter_leaves_out"]),
    (Fault::CountsWhatItRead, &["a_read_of_no_events_tells_the_version", "a_read_past_the_end_is_empty_and_tells_the_version"]),
    (Fault::ListsNamesBackwards, &["streams_are_listed_in_the_order_of_their_bytes"]),
    (Fault::FindsNothing, &["an_event_is_found_by_its_id"]),
    (Fault::IgnoresFences, &[
        "a_commit_under_an_overtaken_token_is_refused",
        "a_commit_under_a_lease_that_was_given_back_is_refused",
    ]),
    (Fault::GrantsEveryone, &["a_lease_has_one_holder"]),
    (Fault::GrantsOneTokenTwice, &["a_lease_is_taken_over_when_its_time_is_over"]),
    (Fault::FeedsNoRemovals, &[
        "removals_are_in_the_feed_where_they_happened",
        "a_removal_may_be_the_last_of_the_feed",
        "event_types_hold_no_removal_back",
    ]),
    (Fault::FeedsToTheLastItem, &["a_feed_that_leaves_out_everything_looks_to_the_end"]),
    (Fault::FeedsFromTheNextPage, &["the_feed_comes_in_pages_of_any_size", "a_page_of_the_feed_may_end_at_a_removal"]),
];

pub(super) fn trials() -> Vec<Trial> {
    let faults = FAULTS.into_iter().flat_map(|(fault, cases)| {
        cases.iter().map(move |name| {
            Trial::test(format!("planted::{fault:?}::{name}"), move || {
                must_fail(name, &mut Planted::store(fault))
            })
        })
    });
    let restart = Trial::test("planted::forgets_all_at_a_restart", || {
        must_fail(
            "versions_go_on_after_a_restart",
            &mut Forgetful(Store::memory()),
        )
    });
    let honest = Trial::test(
        "planted::a_wrapper_without_a_fault_keeps_every_case",
        || {
            for case in CASES.iter() {
                let mut store = Planted::store(Fault::None);
                RUNTIME.block_on(run(case, &mut store))?;
            }
            Ok(())
        },
    );
    faults.chain([restart, honest]).collect()
}

fn must_fail(name: &str, subject: &mut dyn Subject) -> Result<(), Failed> {
    match RUNTIME.block_on(run(named(name), subject)) {
        Ok(()) => Err("the case did not notice".into()),
        Err(_) => Ok(()),
    }
}

/// Another store after every restart.
struct Forgetful(Store);

impl Subject for Forgetful {
    fn stores(&mut self) -> BoxFuture<'_, Vec<Store>> {
        self.0.stores()
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        self.0 = Store::memory();
        Box::pin(async {})
    }
}

/// A store in memory with one fault.
struct Planted {
    fault: Fault,
    inner: Arc<dyn Backend>,
}

impl Planted {
    fn store(fault: Fault) -> Store {
        let inner = Store::memory().backend();
        Store::from_backend(Arc::new(Self { fault, inner }), Limits::default())
    }

    async fn write(&self, request: CommitRequest) -> Result<Receipt, AppendError> {
        match self.fault {
            Fault::ChecksBeforeItWrites => {
                let mut checks = request.clone();
                checks.key = None;
                for append in &mut checks.appends {
                    append.events.clear();
                }
                self.inner.commit(checks).await?;
                tokio::task::yield_now().await;
            }
            Fault::WritesStreamsOneByOne => return self.one_by_one(request).await,
            Fault::WritesNothing => return Store::memory().backend().commit(request).await,
            _ => {}
        }
        self.inner.commit(self.spoilt(request)).await
    }

    async fn one_by_one(&self, request: CommitRequest) -> Result<Receipt, AppendError> {
        let mut whole: Option<Receipt> = None;
        for append in request.appends {
            let alone = CommitRequest {
                appends: vec![append],
                key: None,
                fences: Vec::new(),
            };
            let receipt = self.inner.commit(alone).await?;
            match &mut whole {
                None => whole = Some(receipt),
                Some(whole) => {
                    whole.position = whole.position.max(receipt.position);
                    whole.appends.extend(receipt.appends);
                }
            }
        }
        Ok(whole.expect("a commit names a stream"))
    }

    fn spoilt(&self, mut request: CommitRequest) -> CommitRequest {
        if self.fault == Fault::IgnoresFences {
            request.fences.clear();
        }
        if self.fault == Fault::ForgetsKeys {
            request.key = None;
        }
        if self.fault == Fault::LosesChecks {
            let is_append = |append: &AppendRequest| !append.events.is_empty();
            match request.appends.iter().any(is_append) {
                true => request.appends.retain(is_append),
                false => request.appends.truncate(1),
            }
        }
        for append in &mut request.appends {
            if let Fault::ExpectsAny | Fault::ChecksBeforeItWrites = self.fault {
                append.expected = ExpectedVersion::Any;
            }
            for event in &mut append.events {
                match self.fault {
                    Fault::RenamesEvents => event.id = EventId::new(),
                    Fault::DropsMetadata => event.metadata = None,
                    Fault::RewritesPayloads => {
                        let value: serde_json::Value = event.payload.decode().unwrap();
                        event.payload = Payload::from_value(&value).unwrap();
                    }
                    _ => {}
                }
            }
        }
        request
    }

    async fn answer(&self, answer: Result<Receipt, AppendError>) -> Result<Receipt, AppendError> {
        match (self.fault, answer) {
            (Fault::HidesRepeats, Ok(receipt)) => Ok(Receipt {
                replayed: false,
                ..receipt
            }),
            (Fault::TellsAnotherPosition, Ok(receipt)) => Ok(Receipt {
                position: receipt.position.map(Position::next),
                ..receipt
            }),
            (Fault::TellsOneViolation, Err(AppendError::Conflict(conflicts))) => {
                let first = conflicts.violations().first().cloned();
                let told = Conflicts::new(Vec::from_iter(first), conflicts.expectations());
                Err(AppendError::Conflict(told))
            }
            (Fault::WritesWhatItRefuses, Err(error)) => {
                let log = "refused-1".parse().unwrap();
                let note = NewEvent::json("Refused", &error.to_string()).unwrap();
                let inner = Store::from_backend(Arc::clone(&self.inner), Limits::default());
                inner.append(&log, ExpectedVersion::Any, [note]).await?;
                Err(error)
            }
            (_, answer) => answer,
        }
    }
}

impl Wrapper for Planted {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Box::pin(async move {
            let answer = self.write(request).await;
            self.answer(answer).await
        })
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        Box::pin(async move {
            let mut page = self.inner.read_stream(query).await?;
            if self.fault == Fault::CountsWhatItRead {
                let versions = page.events.iter().map(|event| event.version);
                page.version = versions.max().unwrap_or(Version::ZERO);
            }
            Ok(page)
        })
    }

    fn read_all(&self, mut query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>> {
        Box::pin(async move {
            if self.fault == Fault::TakesCategoriesForPrefixes {
                query.filter.stream_prefixes = std::mem::take(&mut query.filter.categories);
            }
            let mut page = self.inner.read_all(query).await?;
            if self.fault == Fault::ScansToTheLastEvent {
                page.scanned_to = page.events.last().map(|event| event.position);
            }
            Ok(page)
        })
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        Box::pin(async move {
            let mut page = self.inner.read_feed(query).await?;
            match self.fault {
                Fault::FeedsNoRemovals => page.items.retain(|item| item.event().is_some()),
                Fault::FeedsToTheLastItem => {
                    page.scanned = page.items.last().map(|item| Scanned {
                        position: item.position(),
                        event: item.event().map(|event| event.id),
                    });
                }
                // Says that it has looked at one more than it has.
                Fault::FeedsFromTheNextPage => {
                    if let Some(scanned) = &mut page.scanned {
                        scanned.position = scanned.position.next().min(page.head);
                    }
                }
                _ => {}
            }
            Ok(page)
        })
    }

    fn list_streams(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<StreamInfo>, StoreError>> {
        Box::pin(async move {
            let mut streams = self.inner.list_streams(query).await?;
            if self.fault == Fault::ListsNamesBackwards {
                streams.reverse();
            }
            Ok(streams)
        })
    }

    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>> {
        match self.fault {
            Fault::FindsNothing => Box::pin(async { Ok(None) }),
            _ => self.inner.find_event(stream, id),
        }
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<LeaseAnswer, StoreError>> {
        Box::pin(async move {
            let answer = self.inner.lease(request.clone()).await?;
            Ok(match (self.fault, request.ask, answer) {
                (Fault::GrantsEveryone, _, LeaseAnswer::Refused(state)) => {
                    LeaseAnswer::Granted(state)
                }
                (Fault::GrantsOneTokenTwice, LeaseAsk::Acquire(_), LeaseAnswer::Granted(state)) => {
                    let token = FencingToken::new(1);
                    LeaseAnswer::Granted(LeaseState { token, ..state })
                }
                (_, _, answer) => answer,
            })
        })
    }
}
