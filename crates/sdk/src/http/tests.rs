//! The client against real listeners: what it must never reach (X1, X2, X3) and what it must survive (D4).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
static BLOCK: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// A listener that counts its connections and answers each with `serve`.
async fn listen<F, S>(address: &str, serve: S) -> (u16, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream));
        }
    });
    (port, connections)
}

/// Reads one request's head, answers with fixed bytes, and closes.
async fn answer(mut stream: TcpStream, bytes: &[u8]) {
    let mut head = [0; 4096];
    let _read = stream.read(&mut head).await;
    let _written = stream.write_all(bytes).await;
    let _closed = stream.shutdown().await;
}

/// Answers every name with the same addresses, one after the other.
struct Names {
    answers: Vec<IpAddr>,
    asked: AtomicUsize,
}

impl Names {
    fn answering(answers: &[IpAddr]) -> Arc<Self> {
        Arc::new(Self { answers: answers.to_vec(), asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, _name: &str) -> std::io::Result<Vec<IpAddr>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(vec![self.answers[turn % self.answers.len()]])
    }
}

fn request(url: &str) -> Request {
    Request {
        method: Method::POST,
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
    }
}

fn private_client() -> GuardedClient {
    GuardedClient::new(ClientSettings { allow_private: true, ..ClientSettings::default() }).unwrap()
}

/// Hosts that lead inside by one trick or another. Names are answered with 127.0.0.1 by the test's resolver.
const INSIDE: &[&str] = &[
    // Loopback, plainly and in disguise.
    "127.0.0.1",
    "127.0.0.1.",
    "127.0.0.2",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "127.0x0.0.1",
    "0x7f.0x0.0x0.0x1",
    "00000177.00.0.01",
    "0",
    "0.0.0.0",
    "0x0",
    "%31%32%37.0.0.1",
    "127.0.0.1%2e",
    "127%2e0%2e0%2e1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127.0.0.1",
    // Private and special IPv4.
    "10.0.0.1",
    "10.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "192.168.1",
    "0xc0a80001",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    // Metadata services.
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "metadata.google.internal",
    "metadata.google.internal.",
    "instance-data.ec2.internal",
    "[fd00:ec2::254]",
    // IPv6, and IPv4 inside IPv6.
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:10.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[2001:0:7f00:1::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[100::1]",
    // Names with a fixed meaning.
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost..",
    "a.localhost",
    "loc%61lhost",
    "localhost",
    "localhost.localdomain",
    "printer.local",
    "db.internal",
    "router.home.arpa",
    // Names that a name server answers with 127.0.0.1.
    "rebind.example.com",
    "127.0.0.1.nip.example",
    "xn--bcher-kva.example",
    "bücher.example",
    "internal-db",
    "app.test.",
    // User names that look like hosts.
    "example.com@127.0.0.1",
    "user:secret@example.com",
    "example.com%40127.0.0.1@rebind.example.com",
    "example.com#@127.0.0.1",
    "127.0.0.1\\@example.com",
];

/// Hosts that are none.
const NO_HOST: &[&str] = &[
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[::1%25lo]",
    "127.0.0.1.256",
    "0x7f000001g.1",
    "a b",
    "999.1.1.1",
    "[::1",
    "",
];

#[tokio::test]
async fn nothing_inside_is_reached() {
    let (port, connections) =
        listen("127.0.0.1", |stream| async { answer(stream, b"HTTP/1.1 200 OK\r\n\r\n").await }).await;
    let resolver = Names::answering(&[LOOPBACK]);
    let client = GuardedClient::new(ClientSettings { resolver, ..ClientSettings::default() }).unwrap();
    assert!(INSIDE.len() + NO_HOST.len() >= 80);
    for host in INSIDE {
        let target = match host.split_once(['#', '\\']) {
            Some((before, after)) => {
                format!("http://{before}:{port}/{}{after}", &host[before.len()..=before.len()])
            }
            None => format!("http://{host}:{port}/hook"),
        };
        let refused = client.send(request(&target)).await.unwrap_err();
        assert!(refused.is_refusal(), "{target}: {refused:?}");
    }
    for host in NO_HOST {
        assert!(Url::parse(&format!("http://{host}:{port}/")).is_err(), "{host}");
    }
    for url in [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "data:,x",
        "unix:/run/docker.sock",
    ] {
        let refused = client.send(request(url)).await.unwrap_err();
        assert!(matches!(refused, SendError::Target(TargetError::Scheme(_))), "{url}: {refused:?}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn every_connection_goes_to_a_checked_address() {
    // 127.0.0.2 plays the public host and 127.0.0.1 the private one; the name server alternates between them.
    let (port, inside) =
        listen("127.0.0.1", |stream| async { answer(stream, b"HTTP/1.1 200 OK\r\n\r\n").await }).await;
    let public = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = public.accept().await {
            tokio::spawn(async {
                answer(stream, b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await
            });
        }
    });
    let resolver = Names::answering(&["127.0.0.2".parse().unwrap(), LOOPBACK]);
    let settings = ClientSettings { resolver: resolver.clone(), ..ClientSettings::default() };
    let client = GuardedClient::with(settings, |address| address != LOOPBACK).unwrap();
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..1000 {
        match client.send(request(&format!("http://rebind.example.com:{port}/"))).await {
            Ok(answer) if answer.status == 204 => answered += 1,
            Err(SendError::Address(_)) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((answered, refused, inside.load(Ordering::SeqCst)), (500, 500, 0));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (inside, reached) =
        listen("127.0.0.1", |stream| async { answer(stream, b"HTTP/1.1 200 OK\r\n\r\n").await }).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://127.0.0.1:{inside}/\r\ncontent-length: 0\r\n\r\n"
        );
        let redirect: Arc<str> = redirect.into();
        let (port, _) = listen("127.0.0.1", move |stream| {
            let redirect = redirect.clone();
            async move { answer(stream, redirect.as_bytes()).await }
        })
        .await;
        let answer = private_client().send(request(&format!("http://127.0.0.1:{port}/"))).await.unwrap();
        let outcome = Outcome::of(answer.status, &answer.headers, chrono::Utc::now());
        assert_eq!(
            (answer.status.as_u16(), outcome),
            (status, Outcome::Failed(trunkline_core::FailureClass::Rejected))
        );
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

/// Runs [`endless_answers`] in a process of its own, because the other tests here take memory at the same time.
#[test]
fn an_endless_answer_is_read_to_the_limit_and_costs_little_memory() {
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "http::tests::endless_answers"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

#[tokio::test]
#[ignore = "run by another test, in a process of its own"]
async fn endless_answers() {
    let (port, _) = listen("127.0.0.1", |mut stream| async move {
        let mut head = [0; 4096];
        let _read = stream.read(&mut head).await;
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await;
        for _ in 0..1 << 14 {
            if stream.write_all(&BLOCK).await.is_err() {
                return;
            }
        }
    })
    .await;
    let client = private_client();
    let url = format!("http://127.0.0.1:{port}/");
    client.send(request(&url)).await.unwrap();
    let before = resident();
    let sends = (0..32).map(|_| {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move { client.send(request(&url)).await.unwrap() })
    });
    for answer in futures::future::join_all(sends).await {
        let answer = answer.unwrap();
        assert_eq!((answer.body.len(), answer.truncated), (64 * 1024, true));
    }
    let grown = resident().saturating_sub(before);
    assert!(grown <= 32 << 20, "32 connections grew the process by {grown} bytes");
}

/// Resident memory in bytes; zero where the system does not say.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) * 1024
}

#[tokio::test]
async fn answers_that_do_not_come_whole_are_errors() {
    let (closing, _) = listen("127.0.0.1", |stream| async { answer(stream, b"").await }).await;
    let (cut, _) = listen("127.0.0.1", |stream| async {
        answer(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab").await
    })
    .await;
    let (garbage, _) = listen("127.0.0.1", |stream| async { answer(stream, b"SSH-2.0-x\r\n").await }).await;
    let (drip, _) = listen("127.0.0.1", |mut stream| async move {
        let mut head = [0; 4096];
        let _read = stream.read(&mut head).await;
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let settings = ClientSettings {
        allow_private: true,
        timeout: Some(Duration::from_millis(250)),
        ..ClientSettings::default()
    };
    let client = GuardedClient::new(settings).unwrap();
    let send = |port: u16| {
        let client = client.clone();
        async move { client.send(request(&format!("http://127.0.0.1:{port}/?token=hidden"))).await.unwrap_err() }
    };
    for port in [closing, cut, garbage] {
        let error = send(port).await;
        assert!(matches!(error, SendError::Interrupted(_)), "{error:?}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
    assert_eq!(send(drip).await, SendError::Timeout);
    let refused = send(nobody).await;
    assert!(matches!(&refused, SendError::Connect(said) if said.contains("refused")), "{refused:?}");
    let tls = client.send(request(&format!("https://127.0.0.1:{garbage}/"))).await.unwrap_err();
    assert!(matches!(tls, SendError::Connect(_)), "{tls:?}");
}
