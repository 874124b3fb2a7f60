//! What HTTP has words for: a version token is a strong `ETag`, an expectation is a
//! precondition, and what went wrong is a problem.
//!
//! For whoever serves aggregates over HTTP, by whatever framework: all of it is plain
//! functions on the types of the crate `http`. Nothing here reads a store, sends
//! a command, or waits, but for the routes in `axum`, which put it together.
//!
//! | room | what it is for |
//! |---|---|
//! | [`EntityTag`] | a version token as `ETag`, and the tags that a client sends back |
//! | [`Preconditions`] | `If-Match` and `If-None-Match`, as one pure function |
//! | [`Problem`] | what went wrong, as RFC 9457 has it, and under which status |
//! | [`Statuses`] | the statuses that an application chooses for its rejections |
//! | [`IdempotencyKey`] | the name of a request that is done once |
//! | [`MalformedHeader`] | a header that cannot be read, and where |
//! | `axum` | routes for the aggregates of a domain (feature `axum`) |
//!
//! # What is ignored on purpose
//!
//! `If-Modified-Since` and `If-Unmodified-Since`: a resource without a modification date
//! must ignore them ([RFC 9110, 13.1.3][ims] and [13.1.4][ius]), and a version is not a
//! date: two changes within one second would be one. `Range`, and with it `If-Range`: a
//! server may always answer the whole ([14.2][range]).
//!
//! [ims]: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3
//! [ius]: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.4
//! [range]: https://www.rfc-editor.org/rfc/rfc9110#section-14.2

#[cfg(feature = "axum")]
pub mod axum;
mod etag;
mod idempotency;
mod malformed;
mod preconditions;
mod problem;

pub use etag::EntityTag;
pub use idempotency::{IdempotencyKey, IdempotencyRefusal};
pub use malformed::MalformedHeader;
pub use preconditions::{Checked, Expecting, PreconditionField, Preconditions};
pub use problem::{Problem, Statuses};
