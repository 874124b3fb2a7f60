//! Many clients, and tokens that nobody has minted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use annalist::http::axum::RouteOptions;
use annalist::{CommandBus, Store};
use fastrand::Rng;
use futures_util::future::join_all;

use crate::client::Client;

const FIVE: &str = r#"{"cents":5}"#;
const PATIENCE: Duration = Duration::from_secs(60);

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Each reads and sends what it means for what it has read, again and again: each version is
/// made by exactly one of them, and each of the others is told.
async fn race(store: Store) {
    const CLIENTS: usize = 64;
    const VERSIONS: u64 = 60;
    let client = Client::on(CommandBus::new(store), RouteOptions::default()).await;
    client.send("POST /accounts/1/open", FIVE).await;
    let began = Instant::now();
    let one = async || {
        let mut made = Vec::new();
        let mut lost = 0_u64;
        loop {
            assert!(began.elapsed() < PATIENCE, "they do not come to an end");
            let seen = client.get("/accounts/1").await;
            let version = seen.body["version"].as_u64().expect("a version");
            if version > VERSIONS {
                return (made, lost);
            }
            let request = format!("POST /accounts/1/deposit\nif-match: {}", seen.etag());
            let reply = client.send(&request, FIVE).await;
            match reply.status {
                200 => {
                    assert_eq!(reply.body["version"], version + 1, "on what it has seen");
                    made.push(version + 1);
                }
                _ => {
                    assert_eq!(reply.code(), (412, "precondition_failed"));
                    assert_eq!(reply.body["conflict"]["expected"], version);
                    lost += 1;
                }
            }
        }
    };
    let all = join_all((0..CLIENTS).map(|_| one())).await;
    let lost: u64 = all.iter().map(|(_, lost)| lost).sum();
    let made: Vec<u64> = all.into_iter().flat_map(|(made, _)| made).collect();
    let each: BTreeSet<u64> = made.iter().copied().collect();
    assert_eq!(each.len(), made.len(), "a version was made twice");
    let end = client.get("/accounts/1").await;
    let version = end.body["version"].as_u64().expect("a version");
    assert!(
        each.into_iter().eq(2..=version),
        "a version was made by nobody"
    );
    assert_eq!(end.body["state"]["balance"], version * 5);
    assert!(lost > VERSIONS, "only {lost} were told: they did not race");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_clients_exactly_one_makes_each_version() {
    race(Store::memory()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn of_64_clients_exactly_one_makes_each_version_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("bank.db")).await;
    race(store.expect("a store")).await;
}

/// A token that was not minted for the account as it is now: made up, changed in one bit,
/// minted for what was, for another account, or by another store.
fn forge(random: &mut Rng, real: &str, others: &[String]) -> String {
    let digits = real.trim_matches('"');
    let token = u128::from_str_radix(digits, 16).expect("a token");
    match random.u8(..5) {
        0 => format!("\"{:032x}\"", random.u128(..)),
        1 => format!("\"{:032x}\"", token ^ (1 << random.u32(..128))),
        2 => others[random.usize(..others.len())].clone(),
        3 => {
            let end = random.usize(..digits.len());
            format!("\"{}\"", &digits[..end])
        }
        _ => match random.u8(..3) {
            0 => format!("W/{real}"),
            1 => format!("\"{digits}{:x}\"", random.u8(..16)),
            _ => format!("\"{digits}\u{a0}\""),
        },
    }
}

/// `ANNALIST_FORGED=100000 cargo test --all-features --test axum forged` is the long run.
#[tokio::test(flavor = "multi_thread")]
async fn no_forged_token_is_accepted() {
    let count = variable("ANNALIST_FORGED").unwrap_or(10_000);
    let seed = variable("ANNALIST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{count} forged tokens, ANNALIST_SEED={seed}");
    let client = Client::rich(RouteOptions::default()).await;
    let real = client.get("/accounts/1").await.etag().to_owned();
    client.send("POST /accounts/2/open", FIVE).await;
    let stranger = Client::rich(RouteOptions::default()).await;
    let others = [
        client.get("/accounts/1?version=1").await.etag().to_owned(),
        client.get("/accounts/2").await.etag().to_owned(),
        stranger.get("/accounts/1").await.etag().to_owned(),
        format!("\"{:032x}\"", 0),
        format!("\"{}\"", real.trim_matches('"').to_uppercase() + "A"),
    ];
    let tried = async |seed: u64, count: u64| {
        let mut random = Rng::with_seed(seed);
        let mut left = count;
        while left > 0 {
            let tags = left.min(random.u64(1..=3));
            left -= tags;
            let tags: Vec<_> = (0..tags)
                .map(|_| forge(&mut random, &real, &others))
                .collect();
            let request = format!("POST /accounts/1/deposit\nif-match: {}", tags.join(", "));
            let reply = client.send(&request, FIVE).await;
            assert_eq!(reply.code(), (412, "precondition_failed"), "{request}");
        }
    };
    let (tasks, rest) = (count / 16, count % 16);
    join_all((0..16).map(|task| tried(seed ^ task, tasks + u64::from(task < rest)))).await;
    let now = client.get("/accounts/1").await;
    assert_eq!(now.etag(), real, "something was written");
    // The one that was minted for it is taken, so that what was refused was the forgery.
    let request = format!("POST /accounts/1/deposit\nif-match: {real}");
    assert_eq!(client.send(&request, FIVE).await.status, 200);
}
