//! What a request says beside its body: what it was made for, under which key, and by whom.
//! The routes go by it, and so may handlers of a user's own.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts, OriginalUri};
use http::request::Parts;
use http::{HeaderMap, Method};
use serde::Serialize;

use super::answer::{Answer, Answered, Refused, failed};
use super::outcome::{done, refused};
use super::{ConflictDetail, IdempotencyKeys, Principal, RouteOptions};
use crate::command::CommandBus;
use crate::domain::{AnyCommand, AnyDispatch};
use crate::http::{
    Checked, Expecting, IdempotencyKey, IdempotencyRefusal, PreconditionField, Preconditions,
    Problem,
};
use crate::ids::{EventId, StreamId};
use crate::store::{Store, StreamInfo};
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
pub(super) struct Sent {
    pub(super) key: String,
    pub(super) command: AnyCommand,
    /// Whether the aggregate is one that is made by it.
    pub(super) is_created: bool,
    pub(super) based_on: Option<Version>,
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
            None => Ok(Answer::json(value).with_token(token)),
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

    /// Sends a command to an aggregate, by the key of its stream, as the routes do.
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
            command,
            is_created: false,
            based_on: None,
        };
        self.send(bus, options, sent).await
    }

    /// Sends a command to a new aggregate, whose key is made here: the same one for the same
    /// `Idempotency-Key`, another one each time without.
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
        let key = match self.idempotency(options)? {
            Some(key) => EventId::derived(command.category(), &key.command_id(&self.principal)),
            None => EventId::new(),
        };
        let sent = Sent {
            key: key.to_string(),
            command,
            is_created: true,
            based_on: None,
        };
        self.send(bus, options, sent).await
    }

    /// In this order: what the request is, whether it was done before, what it demands, and
    /// what comes of it.
    pub(super) async fn send(
        &self,
        bus: &CommandBus,
        options: &RouteOptions,
        sent: Sent,
    ) -> Answered {
        let stream = StreamId::new(sent.command.category(), &sent.key);
        let stream = stream.map_err(|error| Problem::of_code(error.code(), error.to_string()))?;
        let store = bus.store();
        let command_id = self
            .reserved(store, options, &stream, &sent.command)
            .await?;
        let info = store.stream_info(&stream).await;
        let info = info.map_err(|error| failed(error.code(), &error, Problem::from(&error)))?;
        let checked = self.checked(options, &sent, store.token(&info))?;
        if let Some(required) = Problem::of_checked(&checked)
            && matches!(checked, Checked::Required)
            && !is_done(store, &stream, command_id.as_deref()).await?
        {
            return Err(required.with_current(store.token(&info)).into());
        }

        let path = self.located(&sent);
        let mut dispatch = bus.dispatch_any(&sent.key, sent.command);
        if let Some(id) = command_id {
            dispatch = dispatch.command_id(id).repeat_refusal();
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
        let (dispatch, expecting) = demanding(dispatch, &checked, &info, sent.based_on)?;
        match dispatch.await {
            Ok(outcome) => Ok(done(store, &outcome, path).await),
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

    /// The command id that the request's key stands for, held to this command on this stream.
    async fn reserved(
        &self,
        store: &Store,
        options: &RouteOptions,
        stream: &StreamId,
        command: &AnyCommand,
    ) -> Result<Option<String>, Refused> {
        let Some(key) = self.idempotency(options)? else {
            return Ok(None);
        };
        let reserved = key.reserve(store, &self.principal, stream, command).await;
        reserved.map_err(|error| failed(error.code(), &error, Problem::from(&error)))?;
        Ok(Some(key.command_id(&self.principal)))
    }

    /// The path of the aggregate that a command is sent to.
    fn located(&self, sent: &Sent) -> Option<String> {
        let (path, _) = self.path.rsplit_once('/')?;
        Some(match sent.is_created {
            true => format!("{path}/{}", sent.key),
            false => path.to_owned(),
        })
    }
}

async fn is_done(store: &Store, stream: &StreamId, id: Option<&str>) -> Result<bool, Refused> {
    let Some(id) = id else {
        return Ok(false);
    };
    let found = store.find_commit(stream, id).await;
    let found = found.map_err(|error| failed(error.code(), &error, Problem::from(&error)))?;
    Ok(found.is_some())
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
