//! A client over loopback: a line such as `POST /accounts/1/deposit`, headers, a body, and
//! what came back. Each has a server of its own, which ends with it.

use std::time::Duration;

use annalist::http::axum::{Principal, RouteOptions, aggregate_routes};
use annalist::{CommandBus, Store};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::bank::{Account, domain};
use crate::serve::{ServeOptions, serve};

pub(crate) struct Client {
    pub(crate) bus: CommandBus,
    pub(crate) address: std::net::SocketAddr,
    http: reqwest::Client,
    server: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.server.abort();
    }
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
            Some("application/problem+json"),
            "{self:?}"
        );
        assert_eq!(self.body["status"], self.status);
        let code = self.body.get("code").and_then(Value::as_str);
        (self.status, code.expect("a code"))
    }

    /// What two equal answers have in common: all but the date.
    pub(crate) fn answer(&self) -> (u16, Option<&str>, Option<&str>, &Value) {
        let (etag, location) = (self.header("etag"), self.header("location"));
        (self.status, etag, location, &self.body)
    }
}

/// Believes the header `x-user`, as whatever finds out who it is would put it there.
async fn believe(mut request: Request, next: Next) -> Response {
    let user = request.headers().get("x-user");
    if let Some(name) = user.and_then(|name| name.to_str().ok()) {
        let principal = Principal(name.to_owned());
        request.extensions_mut().insert(principal);
    }
    next.run(request).await
}

impl Client {
    pub(crate) async fn new(options: RouteOptions) -> Self {
        Self::on(CommandBus::new(Store::memory()), options).await
    }

    pub(crate) async fn on(bus: CommandBus, options: RouteOptions) -> Self {
        Self::on_at(bus, options, ServeOptions::default()).await
    }

    async fn on_at(bus: CommandBus, options: RouteOptions, limits: ServeOptions) -> Self {
        let routes = aggregate_routes::<Account>(bus.clone(), &domain(), options);
        let app = Router::new().nest("/accounts", routes);
        Self::served(bus, app.layer(from_fn(believe)), limits).await
    }

    pub(crate) async fn served(bus: CommandBus, app: Router, options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let served = serve(listener, app, options, std::future::pending()).await;
            served.expect("a server");
        });
        Self {
            bus,
            address,
            // Shorter than the server waits, so that none is used as it is closed.
            http: reqwest::Client::builder()
                .pool_idle_timeout(Duration::from_secs(3))
                .build()
                .expect("a client"),
            server,
        }
    }

    /// Headers stand in the lines after the first, `@name` is who sends it.
    pub(crate) async fn send(&self, text: &str, body: &str) -> Reply {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().expect("a line");
        let (method, uri) = first.split_once(' ').expect("a method and a path");
        let method: Method = method.parse().expect("a method");
        let mut request = self
            .http
            .request(method, format!("http://{}{uri}", self.address));
        if !body.is_empty() && !text.contains("content-type") {
            request = request.header("content-type", "application/json");
        }
        for line in lines {
            request = match line.split_once(':') {
                Some((name, value)) => request.header(name.trim(), value.trim()),
                None => request.header("x-user", line.trim_start_matches('@')),
            };
        }
        let response = request.body(body.to_owned()).send().await;
        let response = response.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("a body");
        let body = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body).expect("JSON"),
        };
        Reply {
            status,
            headers,
            body,
        }
    }

    pub(crate) async fn get(&self, uri: &str) -> Reply {
        self.send(&format!("GET {uri}"), "").await
    }

    /// A client whose account 1 has 500 cents, in two deposits.
    pub(crate) async fn rich(options: RouteOptions) -> Self {
        Self::rich_at(options, ServeOptions::default()).await
    }

    /// The same at a server with these limits.
    pub(crate) async fn rich_at(options: RouteOptions, limits: ServeOptions) -> Self {
        let bus = CommandBus::new(Store::memory());
        let client = Self::on_at(bus, options, limits).await;
        let deposit = |cents| {
            let command = domain().decode("deposit", format!(r#"{{"cents":{cents}}}"#));
            client.bus.dispatch_any("1", command.expect("a command"))
        };
        deposit(200).await.expect("a deposit");
        deposit(300).await.expect("a deposit");
        client
    }
}
