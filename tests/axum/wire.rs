//! What a client can do wrong below the level of a request: too slow, too much, cut short, or
//! no HTTP at all. None of it may hold up another client, or be written.

use std::time::{Duration, Instant};

use annalist::http::axum::RouteOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::Client;
use crate::serve::ServeOptions;

const FIVE: &str = r#"{"cents":5}"#;
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends bytes, and answers all that comes back until the server ends the connection.
async fn raw(client: &Client, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(client.address)
        .await
        .expect("a connection");
    stream.write_all(bytes).await.expect("written");
    heard(&mut stream).await
}

async fn heard(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    // One that resets the connection has ended it, too.
    let _ = read.expect("the server ends the connection");
    String::from_utf8_lossy(&heard).into_owned()
}

async fn unchanged(client: &Client) {
    let one = client.get("/accounts/1").await;
    assert_eq!((one.status, &one.body["version"]), (200, &2.into()));
}

fn limited() -> RouteOptions {
    let mut options = RouteOptions::default();
    options.body_bytes_max = 1_000;
    options.header_bytes_max = 2_000;
    options.body_time_max = Duration::from_millis(300);
    options
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408_and_holds_up_nobody() {
    let client = Client::rich(limited()).await;
    let mut slow = TcpStream::connect(client.address)
        .await
        .expect("a connection");
    let head = "POST /accounts/1/deposit HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length: 11\r\n\r\n{\"cen";
    slow.write_all(head.as_bytes()).await.expect("written");
    // Others are answered while it is waited for.
    unchanged(&client).await;
    let answer = heard(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"body_too_slow\""), "{answer}");
    unchanged(&client).await;
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_ends_the_connection() {
    const HEAD_TIME_MAX: Duration = Duration::from_millis(300);
    let limits = ServeOptions {
        head_time_max: HEAD_TIME_MAX,
        ..ServeOptions::default()
    };
    let client = Client::rich_at(limited(), limits).await;
    let began = Instant::now();
    let answer = raw(
        &client,
        b"POST /accounts/1/deposit HTTP/1.1\r\nhost: x\r\nx-",
    )
    .await;
    assert!(began.elapsed() >= HEAD_TIME_MAX, "it is waited for as long");
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    unchanged(&client).await;
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_not_done() {
    let client = Client::rich(limited()).await;
    let mut cut = TcpStream::connect(client.address)
        .await
        .expect("a connection");
    let head = "POST /accounts/1/deposit HTTP/1.1\r\nhost: x\r\n\
                content-type: application/json\r\ncontent-length: 20\r\n\r\n{\"cents\":5}";
    cut.write_all(head.as_bytes()).await.expect("written");
    cut.shutdown().await.expect("no more");
    let answer = heard(&mut cut).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    unchanged(&client).await;
}

#[tokio::test]
async fn what_is_too_large_is_413_or_431() {
    let client = Client::rich(limited()).await;
    let large = format!("{{\"cents\":5,\"note\":\"{}\"}}", "x".repeat(2_000));
    let told = client.send("POST /accounts/1/deposit", &large).await;
    assert_eq!(told.code(), (413, "body_too_large"));
    // Without a length it is found out on the way.
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let head = "POST /accounts/1/deposit HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = raw(&client, format!("{head}{chunk}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let tags = vec!["\"0123456789abcdef0123456789abcdef\""; 90].join(", ");
    let heavy = format!("POST /accounts/1/deposit\nif-match: {tags}");
    let told = client.send(&heavy, FIVE).await;
    assert_eq!(told.code(), (431, "headers_too_large"));
    let look = client
        .send(&format!("GET /accounts/1\nif-none-match: {tags}"), "")
        .await;
    assert_eq!(look.code(), (431, "headers_too_large"));
    unchanged(&client).await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let client = Client::rich(limited()).await;
    let rows: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST\r\n\r\n",
        b"POST /accounts/1/deposit HTTP/1.1\r\nhost: x\r\nif match: x\r\n\r\n",
        b"POST /accounts/1/deposit HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /accounts/1/deposit HTTP/1.1\r\ncontent-length: -1\r\n\r\n{}",
    ];
    for bytes in rows {
        let answer = raw(&client, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    // Two preconditions in one line that cannot be read, in bytes that are no text.
    let odd = b"POST /accounts/1/deposit HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                if-match: \"a\" \xff\r\ncontent-length: 0\r\n\r\n";
    let answer = raw(&client, odd).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("malformed"), "{answer}");
    unchanged(&client).await;
}
