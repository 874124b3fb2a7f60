//! What a request says beside its body: what it was made for, under which key, and by whom.
//! The routes go by it, and so may handlers of a user's own.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{FromRequestParts, OptionalFromRequestParts, OriginalUri};
use http::request::Parts;
use http::{HeaderMap, Method};
use serde::Serialize;
use tokio::time::sleep;
use tracing::Instrument;

use super::answer::{Answer, Answered, Refused, failed};
use super::answers::{Begun, KeptAnswer, Requested, is_end};
use super::outcome::{done, refused};
use super::{ConflictDetail, IdempotencyKeys, Principal, RouteOptions};
use crate::command::CommandBus;
use crate::command::Decision;
use crate::domain::{AnyCommand, AnyDispatch, AnyOutcome};
use crate::http::idempotency::digest;
use crate::http::{
    Checked, Expecting, IdempotencyKey, IdempotencyRefusal, PreconditionField, Preconditions,
    Problem,
};
use crate::ids::{EventId, StreamId};
use crate::store::{Store, StoreError, StreamInfo};
use crate::token::VersionToken;
use crate::version::Version;

/// What a request says beside its body, as an extractor: its preconditions, its
/// `Idempotency-Key` and its [`Principal`].
///
/// A handler of one's own reads the command by its own path and body, and leaves the rest to
/// it:
///
/// ```
/// # use annalist::{Aggregate, Command, CommandBus, Store};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Serialize, Deserialize)]
/// # enum AccountEvent { Deposited { cents: i64 } }
/// # #[derive(Default, Clone, Serialize, Deserialize)]
/// # struct Account { balance: i64 }
/// # impl Aggregate for Account {
/// #     const CATEGORY: &'static str = "account";
/// #     type Event = AccountEvent;
/// #     fn apply(&mut self, AccountEvent::Deposited { cents }: &AccountEvent) { self.balance += cents; }
/// # }
/// # #[derive(Serialize, Deserialize)]
/// # struct Deposit { cents: i64 }
/// # impl Command for Deposit {
/// #     type Aggregate = Account;
/// #     type Rejection = std::convert::Infallible;
/// #     const NAME: &'static str = "deposit";
/// #     fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
/// #         Ok(vec![AccountEvent::Deposited { cents: self.cents }])
/// #     }
/// # }
/// use annalist::domain::AnyCommand;
/// use annalist::http::axum::{Answered, Conditions, RouteOptions};
/// use axum::Router;
/// use axum::extract::{Path, State};
/// use axum::routing::put;
/// # use tower::ServiceExt;
///
/// async fn pay_in(
///     State(bus): State<CommandBus>,
///     Path((account, cents)): Path<(String, i64)>,
///     conditions: Conditions,
/// ) -> Answered {
///     let command = AnyCommand::new(Deposit { cents });
///     conditions.dispatch(&bus, &RouteOptions::default(), &account, command).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = Router::new()
///     .route("/accounts/{account}/cents/{cents}", put(pay_in))
///     .with_state(CommandBus::new(Store::memory()));
/// # let request = http::Request::put("/accounts/1/cents/5").header("if-none-match", "*");
/// # let response = app.oneshot(request.body(axum::body::Body::empty())?).await?;
/// # assert_eq!(response.status(), 201);
/// # assert!(response.headers().contains_key("etag"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Conditions {
    method: Method,
    headers: HeaderMap,
    principal: String,
    path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let OriginalUri(uri) = OriginalUri::from_request_parts(parts, state).await?;
        let principal = parts.extensions.get::<Principal>();
        Ok(Self {
            method: parts.method.clone(),
            headers: parts.headers.clone(),
            principal: principal.map_or_else(String::new, |Principal(name)| name.clone()),
            path: uri.path().to_owned(),
        })
    }
}

/// For a handler that cannot do without one.
impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let key = <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        key.ok_or_else(|| (&IdempotencyRefusal::Missing).into())
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::of(&parts.headers).map_err(|error| (&error).into())
    }
}

/// A command and where it goes.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) key: String,
    pub(super) command: AnyCommand,
    /// Stands for what the command was sent as.
    pub(super) said: String,
    /// Whether the aggregate is one that is made by it.
    pub(super) is_created: bool,
    pub(super) based_on: Option<Version>,
    /// Where its aggregate is looked at.
    pub(super) path: Option<String>,
}

impl Conditions {
    /// Shows what is there, by its token: 200 with its `ETag`, 304 to who has it already, or
    /// 412.
    ///
    /// # Errors
    ///
    /// [`Problem`]: a precondition that cannot be read, or does not hold.
    pub fn show(&self, token: Option<VersionToken>, value: &impl Serialize) -> Answered {
        match self.known(token)? {
            Some(answer) => Ok(answer),
            None => Ok(Answer::json(value)?.with_token(token)),
        }
    }

    /// What a look is answered where it need not be taken.
    pub(super) fn known(&self, current: Option<VersionToken>) -> Result<Option<Answer>, Refused> {
        let checked = self.check(Preconditions::Optional, current)?;
        if matches!(checked, Checked::NotModified) {
            return Ok(Some(Answer::not_modified(current)));
        }
        match Problem::of_checked(&checked) {
            Some(problem) => Err(problem.with_current(current).into()),
            None => Ok(None),
        }
    }

    /// Sends a command to an aggregate, by the key of its stream, as the routes do. What is
    /// created is 201 without a `Location`: only the handler knows its paths.
    ///
    /// # Errors
    ///
    /// [`Problem`], as the table of the routes has it.
    ///
    /// # Cancel safety
    ///
    /// As the routes: sent again under the same `Idempotency-Key` it tells.
    pub async fn dispatch(
        &self,
        bus: &CommandBus,
        options: &RouteOptions,
        key: &str,
        command: AnyCommand,
    ) -> Answered {
        let sent = Sent {
            key: key.to_owned(),
            said: said(&command)?,
            command,
            is_created: false,
            based_on: None,
            path: None,
        };
        self.send(bus, options, sent).await
    }

    /// Sends a command to a new aggregate, whose key is made here: the same one for the same
    /// `Idempotency-Key`, another one each time without. Its stream is in the answer.
    ///
    /// # Errors
    ///
    /// As [`dispatch`](Self::dispatch).
    ///
    /// # Cancel safety
    ///
    /// As [`dispatch`](Self::dispatch).
    pub async fn create(
        &self,
        bus: &CommandBus,
        options: &RouteOptions,
        command: AnyCommand,
    ) -> Answered {
        let sent = Sent {
            key: self.new_key(options, &command)?,
            said: said(&command)?,
            command,
            is_created: true,
            based_on: None,
            path: None,
        };
        self.send(bus, options, sent).await
    }

    /// The key of what a command makes.
    pub(super) fn new_key(
        &self,
        options: &RouteOptions,
        command: &AnyCommand,
    ) -> Result<String, Refused> {
        Ok(match self.idempotency(options)? {
            Some(key) => EventId::derived(command.category(), &key.command_id(&self.principal)),
            None => EventId::new(),
        }
        .to_string())
    }

    /// The path of the request without its last part.
    pub(super) fn parent(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(path, _)| path)
    }

    pub(super) async fn send(
        &self,
        bus: &CommandBus,
        options: &RouteOptions,
        sent: Sent,
    ) -> Answered {
        let stream = StreamId::new(sent.command.category(), &sent.key);
        let stream = stream.map_err(|error| Problem::of_code(error.code(), error.to_string()))?;
        let Some(key) = self.idempotency(options)? else {
            return self.now(bus, options, &stream, sent, None).await;
        };
        // What is begun under a key comes to its end, also if the client goes away: its answer
        // is there when it asks again.
        let (this, bus, options) = (self.clone(), bus.clone(), options.clone());
        let once = async move { this.once(&bus, &options, &stream, sent, &key).await };
        let once = tokio::spawn(once.in_current_span()).await;
        once.unwrap_or_else(|_| Err(Problem::of_code("panicked", "").into()))
    }

    /// Does what is asked under a key once, and answers it alike each time.
    async fn once(
        &self,
        bus: &CommandBus,
        options: &RouteOptions,
        stream: &StreamId,
        sent: Sent,
        key: &IdempotencyKey,
    ) -> Answered {
        let command_id = key.command_id(&self.principal);
        let request = Requested {
            key: command_id.clone(),
            digest: digest("annalist request 1", &[sent.command.name(), &sent.said]),
            stream: stream.clone(),
        };
        let (store, answers) = (bus.store(), &options.answers);
        let failed = |error| failed_store(&error);
        let mut waits = Duration::from_millis(2);
        loop {
            let claim = match answers.begin(store, &request).await.map_err(failed)? {
                Begun::Mine(claim) => claim,
                Begun::Answered(answer) => return answer.told(),
                Begun::Another => {
                    return Err(Problem::from(&IdempotencyRefusal::OtherRequest).into());
                }
                Begun::Held => {
                    sleep(waits).await;
                    waits = (waits * 2).min(Duration::from_millis(100));
                    continue;
                }
            };
            let id = Some(command_id.clone());
            let answered = self.now(bus, options, stream, sent.clone(), id).await;
            let kept = is_end(&answered).then(|| KeptAnswer::of(&answered));
            let is_end = kept.is_some();
            match answers.finish(store, &request, claim, kept).await {
                // Overtaken: what was answered to the other one is the answer.
                Ok(false) if is_end => {}
                Ok(_) => return answered,
                // What took effect did so, and is recognised when it is sent again. A no that is
                // not kept must not be told: it could become a yes.
                Err(error) => {
                    let failed = failed_store(&error);
                    return if answered.is_ok() {
                        answered
                    } else {
                        Err(failed)
                    };
                }
            }
        }
    }

    /// In this order: whether it was done before, what it demands, and what comes of it.
    async fn now(
        &self,
        bus: &CommandBus,
        options: &RouteOptions,
        stream: &StreamId,
        sent: Sent,
        command_id: Option<String>,
    ) -> Answered {
        let store = bus.store();
        let before = store.stream_info(stream).await;
        let before = before.map_err(|error| failed_store(&error))?;
        let current = store.token(&before);
        let checked = self.checked(options, &sent, current)?;
        if let Some(required) = Problem::of_checked(&checked)
            && matches!(checked, Checked::Required)
            && !is_done(store, stream, command_id.as_deref()).await?
        {
            return Err(required.with_current(current).into());
        }
        let mut dispatch = bus.dispatch_any(&sent.key, sent.command);
        let is_keyed = command_id.is_some();
        if let Some(id) = command_id {
            dispatch = dispatch.command_id(id);
            // What only was not as the client has seen it may be sent again when it is.
            if !matches!(checked, Checked::Failed { .. }) {
                dispatch = dispatch.record_outcome();
            }
        }
        if let Some(deadline) = options.deadline {
            dispatch = dispatch.deadline(deadline);
        }
        if options.conflicts == ConflictDetail::InFull {
            dispatch = dispatch.report_in_full();
        }
        let (dispatch, expecting) = demanding(dispatch, &checked, &before, sent.based_on)?;
        match dispatch.await {
            Ok(outcome) if is_keyed && is_lost(&outcome) => {
                let said = "a request under this Idempotency-Key came to nothing, and what it was \
                            answered is not known any more; look, and send it under another key";
                Err(Problem::of_code("answer_lost", said).into())
            }
            Ok(outcome) => done(store, &outcome, &before, sent.path),
            Err(error) if error.code == "command_id_reused" => {
                Err(Problem::from(&IdempotencyRefusal::OtherRequest).into())
            }
            Err(error) => Err(refused(store, options, &error, &expecting).await.into()),
        }
    }

    fn check(
        &self,
        preconditions: Preconditions,
        current: Option<VersionToken>,
    ) -> Result<Checked, Refused> {
        let checked = preconditions.check(&self.method, &self.headers, current);
        checked.map_err(|error| Problem::from(&error).into())
    }

    /// What a command's preconditions come to. Whoever makes an aggregate overwrites none,
    /// whatever is required of others, and demands that it is not there.
    fn checked(
        &self,
        options: &RouteOptions,
        sent: &Sent,
        current: Option<VersionToken>,
    ) -> Result<Checked, Refused> {
        if !sent.is_created {
            return self.check(options.preconditions_of(sent.command.name()), current);
        }
        Ok(match self.check(Preconditions::Optional, current)? {
            Checked::Proceed {
                expecting: Expecting::Nothing,
            } => Checked::Proceed {
                expecting: Expecting::Absent,
            },
            checked => checked,
        })
    }

    fn idempotency(&self, options: &RouteOptions) -> Result<Option<IdempotencyKey>, Refused> {
        let key = IdempotencyKey::of(&self.headers).map_err(|error| Problem::from(&error))?;
        if key.is_none() && options.idempotency_keys == IdempotencyKeys::Required {
            return Err(Problem::from(&IdempotencyRefusal::Missing).into());
        }
        Ok(key)
    }
}

/// Whether it is known that a command came to nothing, but not why.
fn is_lost(outcome: &AnyOutcome) -> bool {
    outcome.decided_by == Decision::AlreadyApplied && outcome.first_version.is_none()
}

/// What stands for a command that was not sent as JSON.
fn said(command: &AnyCommand) -> Result<String, Refused> {
    let said = command.fingerprint();
    let said = said.map_err(|error| failed(&error.code, &error, Problem::from(error.as_ref())))?;
    Ok(format!("{said:?}"))
}

async fn is_done(store: &Store, stream: &StreamId, id: Option<&str>) -> Result<bool, Refused> {
    let Some(id) = id else {
        return Ok(false);
    };
    let found = store.find_commit(stream, id).await;
    Ok(found.map_err(|error| failed_store(&error))?.is_some())
}

fn failed_store(error: &StoreError) -> Refused {
    failed(error.code(), error, Problem::from(error)).into()
}

/// Hands on what the request demands, so that the store has the last word; also where it is
/// known already not to hold. A command that took effect before is recognised first, and any
/// other is told its conflict.
fn demanding(
    dispatch: AnyDispatch,
    checked: &Checked,
    info: &StreamInfo,
    based_on: Option<Version>,
) -> Result<(AnyDispatch, Expecting), Refused> {
    let (demanding, expecting) = match checked {
        Checked::Proceed { expecting } => match expecting {
            Expecting::Nothing => (dispatch, Expecting::Nothing),
            Expecting::Token(token) => (dispatch.expecting_token(*token), *expecting),
            Expecting::Absent => (dispatch.expecting(info.version), Expecting::Absent),
        },
        Checked::Failed {
            field: PreconditionField::IfMatch,
            claimed,
        } => {
            let token = claimed.unwrap_or(VersionToken::OF_NOTHING);
            (dispatch.expecting_token(token), Expecting::Token(token))
        }
        // It is there, so that it is not at version 0.
        Checked::Failed { .. } => (dispatch.expecting(Version::ZERO), Expecting::Absent),
        Checked::NotModified | Checked::Required => (dispatch, Expecting::Nothing),
    };
    match based_on {
        Some(_) if expecting.is_precondition() => Err(super::query::invalid(
            "`based_on` merges with what came after it, a precondition refuses it: send one",
        )),
        Some(version) => Ok((demanding.based_on(version), expecting)),
        None => Ok((demanding, expecting)),
    }
}
