//! Which problem has which status, and how much of it a client is told.
//!
//! The one table from the stable code of an error to HTTP. Nothing else chooses a status, but
//! for a rejection, whose code the application names.

use http::StatusCode;

/// A kind of problem.
#[derive(Debug)]
pub(super) struct Kind {
    /// The stable name.
    pub(super) code: &'static str,
    pub(super) status: StatusCode,
    /// The same for every problem of the kind.
    pub(super) title: &'static str,
    pub(super) detail: Detail,
    /// Seconds after which it may have passed.
    pub(super) retry_after: Option<u64>,
}

/// What a client is told beyond the title.
#[derive(Clone, Copy, Debug)]
pub(super) enum Detail {
    /// What the error says: it is about what the client sent, or may see.
    Said,
    /// This, since what the error says may name files, stored values or code.
    Fixed(&'static str),
}

/// A problem that the client may understand.
const fn said(code: &'static str, status: StatusCode, title: &'static str) -> Kind {
    Kind {
        code,
        status,
        title,
        detail: Detail::Said,
        retry_after: None,
    }
}

/// One that is the server's own.
const fn own(code: &'static str, title: &'static str) -> Kind {
    Kind {
        code,
        status: StatusCode::INTERNAL_SERVER_ERROR,
        title,
        detail: Detail::Fixed(
            "nothing can be done about it from outside; the server's log says more",
        ),
        retry_after: None,
    }
}

/// One that passes by itself, or when somebody has looked after the server.
const fn later(code: &'static str, title: &'static str, retry_after: Option<u64>) -> Kind {
    Kind {
        code,
        status: StatusCode::SERVICE_UNAVAILABLE,
        title,
        detail: match retry_after {
            Some(_) => Detail::Fixed("nothing was changed; send the same request again later"),
            None => Detail::Fixed(
                "nothing was changed, and nothing will be until the server is looked after",
            ),
        },
        retry_after,
    }
}

/// What is not in the table. A new error must never tell more than it should.
static UNKNOWN: Kind = own("internal", "The server could not do it");

static KINDS: &[Kind] = &[
    // What was asked.
    said(
        "malformed_header",
        StatusCode::BAD_REQUEST,
        "A header cannot be read",
    ),
    said(
        "malformed_command",
        StatusCode::BAD_REQUEST,
        "The body is not that of the command",
    ),
    said(
        "invalid_name",
        StatusCode::BAD_REQUEST,
        "A name cannot be one",
    ),
    said(
        "idempotency_key_missing",
        StatusCode::BAD_REQUEST,
        "The Idempotency-Key is missing",
    ),
    said(
        "invalid_query",
        StatusCode::BAD_REQUEST,
        "The query cannot be read",
    ),
    said(
        "unknown_command",
        StatusCode::NOT_FOUND,
        "There is no such command",
    ),
    said(
        "unknown_category",
        StatusCode::NOT_FOUND,
        "There is no such kind of thing",
    ),
    said(
        "method_not_allowed",
        StatusCode::METHOD_NOT_ALLOWED,
        "The method is not allowed here",
    ),
    said(
        "limit_exceeded",
        StatusCode::PAYLOAD_TOO_LARGE,
        "It is too large",
    ),
    said(
        "body_too_large",
        StatusCode::PAYLOAD_TOO_LARGE,
        "The body is too large",
    ),
    said(
        "headers_too_large",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The headers are too large",
    ),
    said(
        "body_too_slow",
        StatusCode::REQUEST_TIMEOUT,
        "The body took too long",
    ),
    said(
        "body_cut_short",
        StatusCode::BAD_REQUEST,
        "The body was not sent to its end",
    ),
    said(
        "unsupported_media_type",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The body must be JSON",
    ),
    // What is there.
    said("not_found", StatusCode::NOT_FOUND, "It is not there"),
    said("gone", StatusCode::GONE, "It is not there any more"),
    said(
        "version_not_reached",
        StatusCode::NOT_FOUND,
        "That version is not there yet",
    ),
    said(
        "version_removed",
        StatusCode::GONE,
        "That version is not there any more",
    ),
    said(
        "already_exists",
        StatusCode::CONFLICT,
        "It is there already",
    ),
    // What came between.
    said("conflict", StatusCode::CONFLICT, "Somebody else was faster"),
    said("stream_closed", StatusCode::CONFLICT, "It is closed"),
    said(
        "precondition_failed",
        StatusCode::PRECONDITION_FAILED,
        "It is not as you have seen it",
    ),
    said(
        "precondition_required",
        StatusCode::PRECONDITION_REQUIRED,
        "Say which state it is meant for",
    ),
    said(
        "idempotency_key_reused",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The Idempotency-Key was used for something else",
    ),
    said(
        "answer_lost",
        StatusCode::CONFLICT,
        "It came to nothing before",
    ),
    said(
        "command_id_reused",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The command id was used for something else",
    ),
    said(
        "key_reused",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The commit key was used for something else",
    ),
    // What the domain says.
    said(
        "rejected",
        StatusCode::UNPROCESSABLE_ENTITY,
        "It is refused",
    ),
    said(
        "invariant_violated",
        StatusCode::UNPROCESSABLE_ENTITY,
        "It would break what must always hold",
    ),
    // What passes.
    later("busy", "The store is busy", Some(1)),
    later("overloaded", "The store has too much to do", Some(2)),
    later(
        "removed_meanwhile",
        "It was changed while it was read",
        Some(1),
    ),
    later("deadline_exceeded", "There was not enough time", Some(1)),
    later("disk_full", "The store has no space left", None),
    later("handle_closed", "The store is closed", None),
    later(
        "fenced",
        "The store takes nothing until it is opened again",
        None,
    ),
    Kind {
        detail: Detail::Fixed(
            "it may have been done; look before you send it again, or send it with the same Idempotency-Key",
        ),
        ..own("unknown_outcome", "It is not known whether it was done")
    },
    // What is the server's own.
    own("panicked", "The application failed"),
    own("event_not_readable", "What is stored cannot be read"),
    own("unknown_event_type", "What is stored cannot be read"),
    own("undecodable_payload", "What is stored cannot be read"),
    own("upcast_failed", "What is stored cannot be read"),
    own("upcasters_endless", "What is stored cannot be read"),
    own("upcaster_missing", "What is stored cannot be read"),
    own("newer_schema_version", "What is stored cannot be read"),
    own("corrupt", "What is stored is damaged"),
    own("state_without_json", "The state cannot be shown"),
    own("hook_failed", "What must happen with it did not"),
    own("lease_lost", "The server has lost its turn"),
];

impl Kind {
    /// The kind of an error, by its code.
    pub(super) fn of(code: &str) -> &'static Self {
        let mut kinds = KINDS.iter();
        kinds.find(|kind| kind.code == code).unwrap_or(&UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_in_the_table_once() {
        let mut codes: Vec<_> = KINDS.iter().map(|kind| kind.code).collect();
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn only_what_passes_by_itself_is_to_be_sent_again_later() {
        for kind in KINDS {
            let passes = kind.retry_after.is_some();
            let is_unavailable = kind.status == StatusCode::SERVICE_UNAVAILABLE;
            assert!(!passes || is_unavailable, "{kind:?}");
        }
    }

    #[test]
    fn what_is_the_servers_own_is_never_told_in_the_errors_words() {
        for kind in KINDS.iter().chain([&UNKNOWN]) {
            let is_said = matches!(kind.detail, Detail::Said);
            assert_eq!(is_said, kind.status.is_client_error(), "{kind:?}");
        }
        assert_eq!(Kind::of("new_error").code, "internal");
    }
}
