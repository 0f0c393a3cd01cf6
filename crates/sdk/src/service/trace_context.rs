//! W3C Trace Context, level 1: which trace a request or record belongs to, carried through HTTP and records.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use trunkline_broker::Headers;
use trunkline_core::Event;

/// The trace an event belongs to, and the step in it that came last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    sampled: bool,
    state: Option<String>,
}

/// Longer `tracestate` values are not carried on; the recommendation asks for at least 512 characters.
const LONGEST_STATE: usize = 512;

tokio::task_local! {
    static CURRENT: TraceContext;
}

impl TraceContext {
    /// The trace that the code at work belongs to, where [`TraceContext::scope`] said so: an adapter's call of its platform
    /// belongs to the trace of its delivery.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `work` as part of this trace.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The trace of a record, by its headers.
    pub fn of_record(headers: &Headers) -> Option<Self> {
        let text = |name: &str| {
            let (_, value) = headers.iter().find(|(other, _)| other == name)?;
            std::str::from_utf8(value).ok()
        };
        Self::parse(text(Self::PARENT)?, text(Self::STATE))
    }

    /// The trace of an event, by its extensions.
    pub fn of_event(event: &Event) -> Option<Self> {
        Self::parse(event.text_attribute(Self::PARENT)?, event.text_attribute(Self::STATE))
    }

    /// The name of the header and of the CloudEvents extension.
    pub const PARENT: &str = "traceparent";
    /// The name of the vendors' part beside it.
    pub const STATE: &str = "tracestate";

    /// A new trace.
    pub fn generate() -> Self {
        Self { trace: nonzero(rand::random), span: nonzero(rand::random), sampled: true, state: None }
    }

    /// The trace of a request; `None` where the request has none, or one that is not valid.
    pub fn of_request(headers: &HeaderMap) -> Option<Self> {
        let only = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?.to_str().ok()?;
            values.next().is_none().then_some(value)
        };
        Self::parse(only(Self::PARENT)?, only(Self::STATE))
    }

    /// Parses a `traceparent` value and, beside it, a `tracestate`. `None` when it is not valid. Versions after 00 are
    /// read as far as 00 knows them, as the recommendation asks.
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = parent.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex(version, 2)?;
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let (trace, span) = (hex(trace, 32)?, hex(span, 16)?);
        let span = u64::try_from(span).ok()?;
        let sampled = hex(flags, 2)? & 1 == 1;
        let carried = |state: &&str| !state.is_empty() && state.len() <= LONGEST_STATE;
        let state = state.map(str::trim).filter(carried).map(str::to_owned);
        (trace != 0 && span != 0).then_some(Self { trace, span, sampled, state })
    }

    /// The next step of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span: nonzero(rand::random), ..self.clone() }
    }

    /// The headers that carry it on a record.
    pub fn record_headers(&self) -> Headers {
        let parent = (Self::PARENT.to_owned(), Bytes::copy_from_slice(&self.parent()));
        let state = self.state.as_ref().map(|state| (Self::STATE.to_owned(), Bytes::from(state.clone())));
        std::iter::once(parent).chain(state).collect()
    }

    /// The ids of trace and step, and whether the trace is sampled.
    pub(crate) fn ids(&self) -> (u128, u64, bool) {
        (self.trace, self.span, self.sampled)
    }

    /// The context of these ids, which are not zero.
    pub(crate) fn of_ids((trace, span, sampled): (u128, u64, bool), state: Option<String>) -> Self {
        Self { trace, span, sampled, state }
    }

    /// The trace's id: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The value of `traceparent`, written digit by digit: every event has one.
    fn parent(&self) -> [u8; 55] {
        let mut text = *b"00-________________________________-________________-00";
        put_hex(&mut text[3..35], &self.trace.to_be_bytes());
        put_hex(&mut text[36..52], &self.span.to_be_bytes());
        text[54] = b'0' + u8::from(self.sampled);
        text
    }

    /// The value of `tracestate`.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// The value of `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing but ASCII.
        f.write_str(std::str::from_utf8(&self.parent()).unwrap_or_default())
    }
}

fn nonzero<T: Default + PartialEq>(random: impl Fn() -> T) -> T {
    loop {
        let number = random();
        if number != T::default() {
            return number;
        }
    }
}

/// Two digits for each byte.
fn put_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Lower-case hexadecimal digits, exactly `length` of them.
fn hex(text: &str, length: usize) -> Option<u128> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (text.len() == length && digits).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn work_belongs_to_the_trace_it_is_scoped_to() {
        assert_eq!(TraceContext::current(), None);
        let trace = TraceContext::parse(VALID, Some("vendor=1")).unwrap();
        assert_eq!(TraceContext::of_record(&trace.record_headers()), Some(trace.clone()));
        let inside = trace.clone().scope(async { TraceContext::current() }).await;
        assert_eq!(inside, Some(trace));
    }

    #[test]
    fn a_child_keeps_the_trace_and_its_state() {
        let parent = TraceContext::parse(VALID, Some("vendor=1")).unwrap();
        assert_eq!(parent.to_string(), VALID);
        let child = parent.child();
        assert_eq!(child.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(child.to_string(), VALID);
        assert_eq!(child.state(), Some("vendor=1"));
        assert_eq!(TraceContext::parse(&child.to_string(), Some("vendor=1")), Some(child));
    }

    #[test]
    fn what_the_recommendation_forbids_is_no_context() {
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b71692033311-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
        }
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later";
        assert_eq!(TraceContext::parse(later, None).unwrap().to_string(), VALID);
    }

    #[test]
    fn a_request_with_two_parents_has_none() {
        let mut headers = HeaderMap::new();
        headers.append(TraceContext::PARENT, VALID.parse().unwrap());
        assert_eq!(TraceContext::of_request(&headers).unwrap().to_string(), VALID);
        headers.append(TraceContext::PARENT, VALID.parse().unwrap());
        assert_eq!(TraceContext::of_request(&headers), None);
    }
}
