//! A server with limits: so many connections at once, so long for the head of a request, and
//! so long to finish what is under way when it is told to end. Nothing here knows what is
//! served.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServeOptions {
    /// Further connections wait until one of these has ended.
    pub(crate) connections_max: usize,
    /// How long a client may take to say what it wants, or to want something again.
    pub(crate) head_time_max: Duration,
    /// How long one may last, a client that does not read its answers included.
    pub(crate) connection_time_max: Duration,
    /// How long requests may take that are under way when the server is told to end.
    pub(crate) shutdown_time_max: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            head_time_max: Duration::from_secs(10),
            connection_time_max: Duration::from_secs(300),
            shutdown_time_max: Duration::from_secs(10),
        }
    }
}

/// Serves until that happens, and then ends what is under way.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    options: ServeOptions,
    until: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(options.head_time_max);
    let places = Arc::new(Semaphore::new(options.connections_max));
    let under_way = GracefulShutdown::new();
    tokio::pin!(until);
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let stream = tokio::select! {
            () = &mut until => break,
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        let (Ok(place), Ok((stream, _))) = stream else {
            // Out of files, or the client has gone again: neither is the end of a server.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        // An answer is one small write: to wait for more would only make it late.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(app.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = under_way.watch(connection);
        tokio::spawn(async move {
            // That a client has gone, or was too slow, is no failure of the server's.
            let _ = timeout(options.connection_time_max, connection).await;
            drop(place);
        });
    }
    drop(listener);
    let ended = timeout(options.shutdown_time_max, under_way.shutdown()).await;
    ended.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "some requests did not end"))
}
