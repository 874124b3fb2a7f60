//! Documents over HTTP, which two people edit at once.
//!
//! ```text
//! cargo run --example rest --features axum                               # in a folder that is gone afterwards
//! cargo run --example rest --features axum -- documents.db               # in a file
//! cargo run --example rest --features axum -- documents.db 0.0.0.0:8080  # for others, too
//! ```
//!
//! `README.md` beside this file is their conversation, by `curl`, and `tests/rest.rs` holds
//! it to what it says.
//!
//! The documents stand in `../document/domain.rs` and know no HTTP, the routes in `app.rs`,
//! the server with its limits in `serve.rs`; here they are put together.

use std::env;
use std::path::PathBuf;

use annalist::{CommandBus, Store};
use tokio::net::TcpListener;
use tokio::signal::ctrl_c;

use crate::app::app;
use crate::serve::{ServeOptions, serve};

mod app;
#[path = "../document/domain.rs"]
mod domain;
mod serve;

type AnyError = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    domain::domain().checked()?;
    let folder = tempfile::tempdir()?;
    let mut arguments = env::args_os().skip(1);
    let file = arguments.next().map(PathBuf::from);
    let file = file.unwrap_or_else(|| folder.path().join("documents.db"));
    let address = arguments.next().map(std::ffi::OsString::into_string);
    let address = match address.transpose() {
        Ok(address) => address.unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
        Err(odd) => return Err(format!("{} is no address", odd.display()).into()),
    };

    let store = Store::open(&file).await?;
    let app = app(CommandBus::new(store.clone()));
    let listener = TcpListener::bind(&address).await;
    let listener = listener.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!(
        "serving {} at http://{}/documents, until Ctrl-C",
        file.display(),
        listener.local_addr()?
    );
    let until = async {
        // Without a handler for it the signal ends the process anyway.
        let _ = ctrl_c().await;
    };
    let served = serve(listener, app, ServeOptions::default(), until).await;
    // What is under way in the store is finished before the process ends.
    store.close().await?;
    println!("ended");
    Ok(served?)
}
