//! Problems of the errors of the crate. Each goes by its code; what it says goes with it only
//! where the table of kinds lets it.

use super::{Problem, Statuses};
use crate::caught::chain;
use crate::conflict::{Conflicts, VersionConflict};
use crate::domain::{AnyDispatchError, DomainError};
use crate::http::{Checked, IdempotencyRefusal, MalformedHeader};
use crate::repository::LoadError;
use crate::store::{AppendError, StoreError};

impl Problem {
    /// Why a command has no outcome, a rejection under the status that is named for it.
    ///
    /// ```
    /// # use annalist::AnyDispatchError;
    /// use annalist::http::{Problem, Statuses};
    /// use http::StatusCode;
    ///
    /// # let error: AnyDispatchError = serde_json::from_str(r#"{
    /// #     "code": "rejected", "message": "rejected: only 5 cents are left",
    /// #     "is_retryable": false, "command": "withdraw", "stream": "account-42",
    /// #     "rejection": "only 5 cents are left", "rejection_code": "overdrawn"
    /// # }"#)?;
    /// let statuses = Statuses::new().rejection("overdrawn", StatusCode::PAYMENT_REQUIRED);
    /// let problem = Problem::of_dispatch(&error, &statuses);
    /// assert_eq!(problem.status, 402);
    /// assert_eq!(problem.detail, "only 5 cents are left");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn of_dispatch(error: &AnyDispatchError, statuses: &Statuses) -> Self {
        let mut problem = Self::new(&error.code, || match error {
            AnyDispatchError {
                conflict: Some(conflict),
                ..
            } => conflict.to_string(),
            AnyDispatchError {
                rejection: Some(why),
                ..
            }
            | AnyDispatchError {
                violation: Some(why),
                ..
            } => why.clone(),
            _ => error.message.clone(),
        });
        problem.retry_helps = error.is_retryable;
        if let Some(report) = &error.conflict {
            problem = problem.with_conflict(report.as_ref().clone());
        }
        problem.command = Some(error.command.clone());
        problem.stream.clone_from(&error.stream);
        if error.rejection.is_some() {
            let code = error.rejection_code.as_deref().unwrap_or("rejected");
            problem.status = statuses.of(code);
            problem.rejection = Some(code.to_owned());
        }
        problem
    }

    /// What a precondition comes to, where the request does not go on; none where it does,
    /// nor of 304, which has no body.
    #[must_use]
    pub fn of_checked(checked: &Checked) -> Option<Self> {
        match checked {
            Checked::Proceed { .. } | Checked::NotModified => None,
            Checked::Failed { field, .. } => Some(Self::new("precondition_failed", || {
                let header = field.header();
                format!("{header} does not hold; get it again, and ask again if it is still meant")
            })),
            Checked::Required => Some(Self::new("precondition_required", || {
                "send the ETag that you have seen as If-Match, or If-None-Match: * to create it"
                    .to_owned()
            })),
        }
    }

    /// A problem of a kind that no error of the crate stands for, such as `gone` for an
    /// aggregate that is deleted or closed. A code that is not known is 500, and what is said
    /// with it is not told.
    ///
    /// ```
    /// use annalist::http::Problem;
    ///
    /// let problem = Problem::of_code("gone", "account-42 is closed");
    /// assert_eq!((problem.status.as_u16(), problem.detail.as_str()), (410, "account-42 is closed"));
    /// ```
    #[must_use]
    pub fn of_code(code: &str, said: impl Into<String>) -> Self {
        Self::new(code, || said.into())
    }

    /// Expectations that did not hold. The report is of the first; the detail tells of all.
    fn of_conflicts(code: &str, conflicts: &Conflicts) -> Self {
        let problem = Self::new(code, || conflicts.to_string());
        match conflicts.violations().first().map(VersionConflict::report) {
            Some(report) => problem.with_conflict(report),
            None => problem,
        }
    }
}

impl From<&AnyDispatchError> for Problem {
    fn from(error: &AnyDispatchError) -> Self {
        Self::of_dispatch(error, &Statuses::new())
    }
}

impl From<&AppendError> for Problem {
    fn from(error: &AppendError) -> Self {
        match error.conflict() {
            Some(conflicts) => Self::of_conflicts(error.code(), conflicts),
            None => Self {
                retry_helps: error.is_retryable(),
                ..Self::new(error.code(), || chain(error))
            },
        }
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        Self {
            retry_helps: error.is_retryable(),
            ..Self::new(error.code(), || chain(error))
        }
    }
}

impl From<&LoadError> for Problem {
    fn from(error: &LoadError) -> Self {
        Self {
            retry_helps: error.is_retryable(),
            ..Self::new(error.code(), || chain(error))
        }
    }
}

impl From<&DomainError> for Problem {
    fn from(error: &DomainError) -> Self {
        let field = match error {
            DomainError::Malformed { field, .. } => field.clone(),
            _ => None,
        };
        Self {
            field,
            retry_helps: error.is_retryable(),
            ..Self::new(error.code(), || chain(error))
        }
    }
}

impl From<&MalformedHeader> for Problem {
    fn from(error: &MalformedHeader) -> Self {
        Self::new(error.code(), || error.to_string())
    }
}

impl From<&IdempotencyRefusal> for Problem {
    fn from(refusal: &IdempotencyRefusal) -> Self {
        Self::new(refusal.code(), || refusal.to_string())
    }
}
