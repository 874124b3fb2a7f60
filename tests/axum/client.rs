//! A client: a line such as `POST /accounts/1/deposit`, headers, a body, and what came back.

use annalist::http::axum::{Principal, RouteOptions, aggregate_routes};
use annalist::{CommandBus, Store};
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request};
use serde_json::Value;
use tower::ServiceExt;

use crate::bank::{Account, domain};

pub(crate) struct Client {
    pub(crate) bus: CommandBus,
    app: Router,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("text"))
    }

    pub(crate) fn etag(&self) -> &str {
        self.header("etag").expect("a tag")
    }

    pub(crate) fn code(&self) -> (u16, &str) {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let code = self.body.get("code").and_then(Value::as_str);
        (self.status, code.expect("a code"))
    }
}

impl Client {
    pub(crate) fn new(options: RouteOptions) -> Self {
        Self::on(CommandBus::new(Store::memory()), options)
    }

    pub(crate) fn on(bus: CommandBus, options: RouteOptions) -> Self {
        let routes = aggregate_routes::<Account>(bus.clone(), &domain(), options);
        let app = Router::new().nest("/accounts", routes);
        Self { bus, app }
    }

    /// Headers stand in the lines after the first, `@name` is who sends it.
    pub(crate) async fn send(&self, text: &str, body: &str) -> Reply {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().expect("a line");
        let (method, uri) = first.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(uri);
        if !body.is_empty() && !text.contains("content-type") {
            request = request.header("content-type", "application/json");
        }
        for line in lines {
            request = match line.split_once(':') {
                Some((name, value)) => request.header(name.trim(), value.trim()),
                None => request.extension(Principal(line.to_owned())),
            };
        }
        let request = request
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let response = self.app.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let body = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body).expect("JSON"),
        };
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, uri: &str) -> Reply {
        self.send(&format!("GET {uri}"), "").await
    }

    /// A client whose account 1 has 500 cents, in two deposits.
    pub(crate) async fn rich(options: RouteOptions) -> Self {
        let client = Self::new(options);
        let deposit = |cents| {
            let command = domain().decode("deposit", format!(r#"{{"cents":{cents}}}"#));
            client.bus.dispatch_any("1", command.expect("a command"))
        };
        deposit(200).await.expect("a deposit");
        deposit(300).await.expect("a deposit");
        client
    }
}
