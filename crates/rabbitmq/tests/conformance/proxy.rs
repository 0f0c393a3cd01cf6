//! The only way of one process to the server, so that the process can disappear without a goodbye.

use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Passes bytes on until it is cut.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    passing: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = server.to_owned();
        let passing = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, server.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port, passing }
    }

    /// Cuts every connection and lets nobody in any more.
    pub(crate) async fn cut(self) {
        self.passing.abort();
        self.passing.await.unwrap_err();
    }
}

async fn pass(mut client: TcpStream, server: String) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    // Closed with a reset: the server learns at once, and nothing under way arrives.
    server.set_zero_linger().unwrap();
    client.set_zero_linger().unwrap();
    if copy_bidirectional(&mut client, &mut server).await.is_err() {
        // Either side ended it; let the other one read what is left.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
