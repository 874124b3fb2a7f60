//! Under which status a rejection is told. Whoever sets up the routes says it once.

use std::collections::BTreeMap;

use http::StatusCode;

/// The statuses of rejections, by the codes that the commands give them.
///
/// A rejection is the domain's, and the domain knows no HTTP: it says what its rejection is
/// called, in [`Command::rejection_code`](crate::Command::rejection_code), and whoever puts it
/// on HTTP says here which status that is. What is not named is 422.
///
/// ```
/// use annalist::http::Statuses;
/// use http::StatusCode;
///
/// let statuses = Statuses::new().rejection("overdrawn", StatusCode::PAYMENT_REQUIRED);
/// assert_eq!(statuses.of("overdrawn"), 402);
/// assert_eq!(statuses.of("frozen"), 422);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Statuses {
    rejections: BTreeMap<&'static str, StatusCode>,
}

impl Statuses {
    /// 422 for everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The status of a rejection with this code, whichever command answers it.
    ///
    /// # Panics
    ///
    /// If the status is none of 400 to 499: a rejection is neither a success nor the server's
    /// failure, and a client that takes it for one would do the wrong thing.
    #[must_use]
    pub fn rejection(mut self, code: &'static str, status: StatusCode) -> Self {
        assert!(
            status.is_client_error(),
            "the rejection {code:?} cannot be told as {status}: choose a status from 400 to 499"
        );
        self.rejections.insert(code, status);
        self
    }

    /// The status of a rejection.
    #[must_use]
    pub fn of(&self, code: &str) -> StatusCode {
        let status = self.rejections.get(code).copied();
        status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY)
    }
}
