//! The routes, and what is asked of a request: the only place that knows both the domain and
//! HTTP.

use annalist::CommandBus;
use annalist::http::axum::{ConflictDetail, Principal, RouteOptions, aggregate_routes};
use annalist::http::{Preconditions, Problem};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;

use crate::domain::{Document, domain};

/// The documents of a store, under `/documents`.
pub(crate) fn app(bus: CommandBus) -> Router {
    let mut options = RouteOptions::default();
    // An edit says by itself what a conflict means for it. Whoever publishes has to have
    // seen what he publishes.
    let publish = ("publish", Preconditions::Required);
    options.command_preconditions = [publish].into();
    // Whoever may edit a document may read what others have written into it.
    options.conflicts = ConflictDetail::InFull;
    let routes = aggregate_routes::<Document>(bus, &domain(), options);
    Router::new()
        .nest("/documents", routes)
        .fallback(nothing_here)
        .layer(from_fn(sign_in))
}

/// Puts a name to a request. A real server would ask for a proof of it, and here is the place.
async fn sign_in(mut request: Request, next: Next) -> Response {
    let name = request.headers().get("x-user");
    if let Some(name) = name.and_then(|name| name.to_str().ok()) {
        let principal = Principal(name.to_owned());
        request.extensions_mut().insert(principal);
    }
    next.run(request).await
}

async fn nothing_here() -> Problem {
    Problem::of_code("not_found", "look at /documents/{key}")
}
