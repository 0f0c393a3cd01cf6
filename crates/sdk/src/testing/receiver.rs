//! A platform: an HTTP server on loopback that keeps every request and answers as told.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::answer::Answer;

mod connection;

/// A platform for tests. Answers 200 unless told otherwise; stops when dropped.
pub struct Receiver {
    address: SocketAddr,
    book: Arc<Book>,
    serving: JoinHandle<()>,
}

/// A request as it came in, whether it was answered or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// HTTP method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// When its last byte came in.
    pub received: DateTime<Utc>,
}

type Rule = Box<dyn Fn(&ReceivedRequest) -> Answer + Send + Sync>;

/// What was received, and what is to be answered.
struct Book {
    orders: Mutex<Orders>,
    requests: Mutex<Vec<ReceivedRequest>>,
    count: watch::Sender<usize>,
}

struct Orders {
    next: VecDeque<Answer>,
    rule: Rule,
}

impl Receiver {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let orders = Orders { next: VecDeque::new(), rule: Box::new(|_request| Answer::ok()) };
        let (count, _) = watch::channel(0);
        let book = Arc::new(Book { orders: Mutex::new(orders), requests: Mutex::default(), count });
        let serving = tokio::spawn(connection::accept(listener, book.clone()));
        Ok(Self { address, book, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, with a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the next requests with these, one each and in this order; those after as before.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.book.orders).next.extend(answers);
    }

    /// Answers every request with this from now on.
    pub fn answer_always(&self, answer: Answer) {
        self.answer_by(move |_request| answer.clone());
    }

    /// Answers every request by a rule from now on.
    pub fn answer_by(&self, rule: impl Fn(&ReceivedRequest) -> Answer + Send + Sync + 'static) {
        lock(&self.book.orders).rule = Box::new(rule);
    }

    /// Every request so far, in the order they came in.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        lock(&self.book.requests).clone()
    }

    /// How many requests came in so far.
    pub fn count(&self) -> usize {
        *self.book.count.borrow()
    }

    /// Waits until `count` requests have come in, and gives all there are; `None` when they did not come in time.
    pub async fn wait_for(&self, count: usize, within: Duration) -> Option<Vec<ReceivedRequest>> {
        let mut counted = self.book.count.subscribe();
        let enough = tokio::time::timeout(within, counted.wait_for(|so_far| *so_far >= count)).await;
        matches!(enough, Ok(Ok(_))).then(|| self.requests())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl ReceivedRequest {
    /// A header's first value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Book {
    /// Notes a request and says what to answer.
    fn take(&self, request: ReceivedRequest) -> Answer {
        let answer = {
            let mut orders = lock(&self.orders);
            let next = orders.next.pop_front();
            next.unwrap_or_else(|| (orders.rule)(&request))
        };
        lock(&self.requests).push(request);
        // Counted after it is noted, so that who waits for the count finds the request.
        self.count.send_modify(|count| *count += 1);
        answer
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_kept_and_answers_come_as_told() {
        let receiver = Receiver::start().await.unwrap();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let post = |path: &str| client.post(receiver.url(path)).header("X-Id", "7").body("hello").send();
        receiver.answer_next([
            Answer::status(429).header("retry-after", "3").body("slow down"),
            Answer::redirect("http://169.254.169.254/"),
            Answer::ok().body("drop by drop").dripping(Duration::from_millis(1)),
            Answer::close(),
            Answer::ok().body("0123456789").cut_after(4),
        ]);
        let throttled = post("/a?b=c").await.unwrap();
        assert_eq!(
            (throttled.status().as_u16(), &throttled.headers()["retry-after"]),
            (429, &"3".parse().unwrap())
        );
        assert_eq!(throttled.text().await.unwrap(), "slow down");
        assert_eq!(post("/").await.unwrap().status(), 302);
        assert_eq!(post("/").await.unwrap().text().await.unwrap(), "drop by drop");
        assert!(post("/").await.is_err(), "closed without an answer");
        assert!(post("/").await.unwrap().text().await.is_err(), "cut off");
        assert_eq!(post("/").await.unwrap().status(), 200, "the script is over");
        receiver.answer_by(|request| Answer::status(if request.target == "/bad" { 500 } else { 204 }));
        assert_eq!(post("/bad").await.unwrap().status(), 500);
        assert_eq!(post("/good").await.unwrap().status(), 204);

        let requests = receiver.wait_for(8, Duration::from_secs(5)).await.unwrap();
        assert_eq!(requests.len(), 8);
        assert_eq!((&*requests[0].method, &*requests[0].target), ("POST", "/a?b=c"));
        assert_eq!((requests[0].header("x-id"), &*requests[0].body), (Some("7"), &b"hello"[..]));
        assert!(receiver.wait_for(9, Duration::from_millis(10)).await.is_none());
    }

    #[tokio::test]
    async fn trouble_without_an_end_ends_with_the_caller() {
        let receiver = Receiver::start().await.unwrap();
        receiver.answer_next([Answer::hang(), Answer::endless()]);
        let client = reqwest::Client::new();
        let hung = client.get(receiver.url("/")).timeout(Duration::from_millis(50)).send().await;
        assert!(hung.unwrap_err().is_timeout());
        let mut endless = client.get(receiver.url("/")).send().await.unwrap();
        let mut read = 0;
        while read < 1 << 20 {
            read += endless.chunk().await.unwrap().unwrap().len();
        }
        drop(endless);
        assert_eq!(client.get(receiver.url("/")).send().await.unwrap().status(), 200);
        assert_eq!(receiver.count(), 3);
    }
}
