//! A request made of any bytes, and what must hold of every answer. The fuzzer sends what it
//! likes, the tests what a seed draws.
//!
//! The bytes are lines: a path after `/accounts`, then headers, then after an empty line the
//! body. Lines that are no header are left out, so that every input is a request.

use annalist::http::axum::{RouteOptions, aggregate_routes};
use annalist::{CommandBus, Store, StreamId};
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderName, HeaderValue, Method, Request};
use serde_json::Value;
use tower::ServiceExt;

use crate::bank::{Account, domain};

/// Sends a request to a server of its own, whose account 1 has 500 cents, and panics if the
/// answer is one that must not be. Answers its status; none where the bytes are no request.
pub(crate) fn request(bytes: &[u8]) -> Option<u16> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(answered(bytes))
}

async fn answered(bytes: &[u8]) -> Option<u16> {
    let bus = CommandBus::new(Store::memory());
    let first = domain().decode("open", r#"{"cents":500}"#);
    let first = bus.dispatch_any("1", first.expect("a command"));
    first.await.expect("an account");
    let stream: StreamId = "account-1".parse().expect("an id");
    let info = bus.store().stream_info(&stream).await.expect("its facts");
    let token = bus.store().token(&info).expect("a token").to_string();
    let routes = aggregate_routes::<Account>(bus.clone(), &domain(), RouteOptions::default());
    let app = Router::new().nest("/accounts", routes);

    let request = made(bytes, &token)?;
    let is_keyed = request.headers().contains_key("idempotency-key");
    let first = sent(&bus, &app, &token, request).await;
    // Others come, and the request comes again.
    let other = domain().decode("deposit", r#"{"cents":1}"#);
    let other = bus.dispatch_any("1", other.expect("a command"));
    other.await.expect("a deposit");
    let again = sent(&bus, &app, &token, made(bytes, &token)?).await;
    const ENDS: [u16; 3] = [200, 201, 422];
    if is_keyed && first.is_change && ENDS.contains(&first.status) {
        assert_eq!(again.status, first.status);
        assert_eq!(again.body, first.body);
        assert!(!again.is_written, "it was done twice");
    }
    Some(first.status)
}

struct Told {
    status: u16,
    body: Vec<u8>,
    is_change: bool,
    is_written: bool,
}

async fn sent(bus: &CommandBus, app: &Router, token: &str, request: Request<Body>) -> Told {
    let is_head = request.method() == Method::HEAD;
    let is_change = request.method() == Method::POST;
    let conditions: Vec<_> = request
        .headers()
        .get_all("if-match")
        .iter()
        .cloned()
        .collect();
    let before = bus.store().head().await.expect("the head");
    let response = app.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let json = serde_json::from_slice::<Value>(&body).unwrap_or_default();

    let is_written = bus.store().head().await.expect("the head") != before;
    let status = parts.status;
    let is_panic = json["code"] == "panicked";
    assert!(!status.is_server_error() || is_panic, "{status}: {json}");
    if status.is_client_error() && !is_head {
        let media = parts.headers.get("content-type");
        assert_eq!(
            media.map(HeaderValue::as_bytes),
            Some(&b"application/problem+json"[..])
        );
        assert_eq!(json["status"], status.as_u16());
    }
    if !status.is_success() || !is_change {
        assert!(!is_written, "{status}: something was written: {json}");
    }
    if is_written && !conditions.is_empty() {
        let holds = |value: &HeaderValue| {
            let tag = format!("\"{token}\"");
            let has = |part: &[u8]| {
                let mut windows = value.as_bytes().windows(part.len());
                windows.any(|part_of| part_of == part)
            };
            has(tag.as_bytes()) || has(b"*")
        };
        assert!(conditions.iter().any(holds), "{conditions:?} let it pass");
    }
    Told {
        status: status.as_u16(),
        body: body.into(),
        is_change,
        is_written,
    }
}

/// The request that the bytes are; `TAG` in it stands for the account's tag.
fn made(bytes: &[u8], token: &str) -> Option<Request<Body>> {
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(3).position(|part| part == b"TAG") {
        bytes.splice(at..at + 3, format!("\"{token}\"").into_bytes());
    }
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let path = lines.next()?;
    let method = match path.first()? {
        b'?' => Method::GET,
        b'!' => Method::HEAD,
        _ => Method::POST,
    };
    let path = std::str::from_utf8(path.get(1..)?).ok()?;
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/accounts{path}"));
    let mut read = path.len() + 2;
    for line in lines {
        read += line.len() + 1;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(line.get(..colon)?).ok()?;
        let value = HeaderValue::from_bytes(line.get(colon + 1..)?.trim_ascii()).ok()?;
        request = request.header(name, value);
    }
    let body = bytes.get(read.min(bytes.len())..).unwrap_or_default();
    let request = request.body(Body::from(body.to_vec())).ok()?;
    // What is not below the routes is not theirs to answer.
    let below = request.uri().path().strip_prefix("/accounts/")?;
    (!below.is_empty()).then_some(request)
}
