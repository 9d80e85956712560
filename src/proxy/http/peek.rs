//! Reads the beginning of an answer's body before the answer is passed on, if a rule needs it.
//!
//! What was read is kept as it came and goes to the caller first, unchanged and uncopied; the rest follows as it comes. So the
//! body ends as it would have ended, once. Reading ahead is bounded in bytes, in pieces and in time; an answer whose body does
//! not fit, does not come, or is not JSON is judged without it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use serde_json::Value;

use crate::time::{Deadline, now, timeout_at};
use crate::upstream::Download;
use crate::wire::essence;

/// The most bytes of a body that are read ahead.
const MOST: u64 = 64 * 1024;
/// The most pieces: an upstream that sends single bytes costs more memory than its bytes.
const MOST_PIECES: usize = 1024;

/// An upstream's body, of which some may have been read already.
pub(super) struct Source<B: Body = Download> {
    seen: Option<Box<Seen<B::Error>>>,
    rest: B,
}

/// What was read ahead.
struct Seen<E> {
    pieces: VecDeque<Frame<Bytes>>,
    /// Bytes of data in them.
    length: u64,
    /// How the body ended, if it has.
    end: Option<Result<(), E>>,
    /// Since when nothing has come, if reading ahead ended in a pause.
    quiet_since: Option<Instant>,
}

/// How long reading ahead may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The end of all of it.
    pub(super) until: Deadline,
    /// The longest pause.
    pub(super) idle_timeout: Duration,
}

/// Whether these headers announce JSON that can be read as it comes.
pub(super) fn announce_json(headers: &HeaderMap) -> bool {
    let plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    plain
        && headers.get(CONTENT_TYPE).is_some_and(|kind| {
            let kind = essence(kind.as_bytes()).to_ascii_lowercase();
            // The last is what Graph called its JSON for years.
            kind.ends_with(b"+json")
                || [&b"application/json"[..], b"text/json", b"text/javascript"].contains(&&*kind)
        })
}

impl<B: Body<Data = Bytes> + Unpin> Source<B>
where
    B::Error: Unpin,
{
    /// A body of which nothing is read ahead.
    pub(super) const fn unread(body: B) -> Self {
        Self {
            seen: None,
            rest: body,
        }
    }

    /// Reads the body ahead as far as is allowed.
    pub(super) async fn read_ahead(body: B, patience: Patience) -> Self {
        Self::unread(body).read_on(patience).await
    }

    /// Reads what is left of it ahead as far as is allowed.
    pub(super) async fn read_on(mut self, patience: Patience) -> Self {
        if self.is_end_stream() || self.size_hint().lower() > MOST {
            return self;
        }
        let mut seen = Box::new(Seen {
            pieces: VecDeque::new(),
            length: 0,
            end: None,
            quiet_since: None,
        });
        while seen.end.is_none() && seen.length <= MOST && seen.pieces.len() < MOST_PIECES {
            let since = self.quiet_since().unwrap_or_else(now);
            let until = Deadline::after(since, patience.idle_timeout).min(patience.until);
            let next = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx));
            let Ok(next) = timeout_at(until, next).await else {
                seen.quiet_since = Some(since);
                break;
            };
            match next {
                Some(Ok(piece)) => {
                    let is_last = piece.is_trailers() || self.is_end_stream();
                    seen.take_in(piece);
                    seen.end = is_last.then_some(Ok(()));
                }
                Some(Err(error)) => seen.end = Some(Err(error)),
                None => seen.end = Some(Ok(())),
            }
        }
        // If this stops early, what is left of an earlier read follows.
        if let Some(before) = self.seen {
            seen.pieces.extend(before.pieces);
            seen.length = seen.length.saturating_add(before.length);
            seen.end = seen.end.or(before.end);
            seen.quiet_since = seen.quiet_since.or(before.quiet_since);
        }
        Self {
            seen: Some(seen),
            rest: self.rest,
        }
    }

    /// Whether all of it is there.
    pub(super) fn is_whole(&self) -> bool {
        match self.seen.as_deref() {
            Some(seen) => matches!(seen.end, Some(Ok(()))),
            None => self.rest.is_end_stream(),
        }
    }

    /// Whether it was read to its end, or to its failure.
    pub(super) fn is_read(&self) -> bool {
        self.seen.as_deref().is_some_and(|seen| seen.end.is_some())
    }

    /// Since when the upstream has been silent, if reading ahead ended in a pause: that pause goes on.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        self.seen.as_deref().and_then(|seen| seen.quiet_since)
    }

    /// The body as JSON, if all of it was read and it is JSON.
    pub(super) fn json(&self) -> Option<Value> {
        let seen = self.seen.as_deref()?;
        if seen.length > MOST || !matches!(seen.end, Some(Ok(()))) {
            return None;
        }
        let data: Vec<&[u8]> = seen
            .pieces
            .iter()
            .filter_map(|piece| piece.data_ref().map(|data| &**data))
            .collect();
        match data[..] {
            [whole] => serde_json::from_slice(whole).ok(),
            _ => serde_json::from_slice(&data.concat()).ok(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Source<B>
where
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let Some(seen) = &mut this.seen else {
            return Pin::new(&mut this.rest).poll_frame(cx);
        };
        if let Some(piece) = seen.pieces.pop_front() {
            let length = piece.data_ref().map_or(0, Bytes::len);
            seen.length = seen.length.saturating_sub(length as u64);
            return Poll::Ready(Some(Ok(piece)));
        }
        match seen.end.take() {
            Some(Ok(())) => {
                seen.end = Some(Ok(()));
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                seen.end = Some(Ok(()));
                Poll::Ready(Some(Err(error)))
            }
            None => {
                let next = Pin::new(&mut this.rest).poll_frame(cx);
                if next.is_ready() {
                    this.seen = None;
                }
                next
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.seen {
            Some(seen) if seen.pieces.is_empty() && seen.end.is_none() => self.rest.is_end_stream(),
            Some(seen) => seen.pieces.is_empty() && matches!(seen.end, Some(Ok(()))),
            None => self.rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        let Some(seen) = &self.seen else {
            return rest;
        };
        // A body with a known length is sent without trailers, so one with trailers must not state its length.
        if matches!(seen.end, Some(Ok(()))) && !seen.pieces.back().is_some_and(Frame::is_trailers) {
            return SizeHint::with_exact(seen.length);
        }
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(seen.length));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(seen.length));
        }
        hint
    }
}

impl<E> Seen<E> {
    fn take_in(&mut self, piece: Frame<Bytes>) {
        let length = piece.data_ref().map_or(0, Bytes::len);
        self.length = self.length.saturating_add(length as u64);
        self.pieces.push_back(piece);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::HeaderValue;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What a body does next.
    #[derive(Clone, Debug)]
    enum Step {
        Data(Vec<u8>),
        Wait,
        Trailers,
        Fail,
    }

    /// A body by a script; waits are for ever at `Wait` unless polled again.
    struct Script {
        steps: VecDeque<Step>,
        /// It says beforehand how long it is and when it is over.
        is_exact: bool,
    }

    impl Body for Script {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(match self.steps.pop_front() {
                None => None,
                Some(Step::Data(data)) => Some(Ok(Frame::data(data.into()))),
                Some(Step::Trailers) => Some(Ok(Frame::trailers(HeaderMap::new()))),
                Some(Step::Fail) => Some(Err("broken")),
                Some(Step::Wait) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            })
        }

        fn is_end_stream(&self) -> bool {
            self.is_exact && self.steps.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            let left = self.steps.iter().map(|step| match step {
                Step::Data(data) => data.len() as u64,
                Step::Wait | Step::Trailers | Step::Fail => 0,
            });
            if self.is_exact {
                SizeHint::with_exact(left.sum())
            } else {
                SizeHint::new()
            }
        }
    }

    /// The bytes, whether trailers came, and how it ended.
    #[derive(Debug, PartialEq)]
    struct Read {
        data: Vec<u8>,
        has_trailers: bool,
        end: Result<(), &'static str>,
    }

    fn patience() -> Patience {
        Patience {
            until: Deadline::after(now(), Duration::from_secs(5)),
            idle_timeout: Duration::from_secs(5),
        }
    }

    fn on_paused_clock<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(test)
    }

    async fn ahead(steps: Vec<Step>, is_exact: bool) -> Source<Script> {
        let body = Script {
            steps: steps.into(),
            is_exact,
        };
        Source::read_ahead(body, patience()).await
    }

    async fn to_the_end(mut source: Source<Script>) -> Read {
        let mut read = Read {
            data: Vec::new(),
            has_trailers: false,
            end: Ok(()),
        };
        while !source.is_end_stream() {
            let announced = source.size_hint();
            match poll_fn(|cx| Pin::new(&mut source).poll_frame(cx)).await {
                None => break,
                Some(Err(error)) => {
                    read.end = Err(error);
                    break;
                }
                Some(Ok(piece)) => {
                    let left = source.size_hint();
                    let length = piece.data_ref().map_or(0, Bytes::len) as u64;
                    if let (Some(announced), Some(left)) = (announced.exact(), left.exact()) {
                        assert_eq!(announced, left + length);
                    }
                    match piece.into_data() {
                        Ok(data) => read.data.extend_from_slice(&data),
                        Err(_) => read.has_trailers = true,
                    }
                }
            }
        }
        assert!(
            read.end.is_err()
                || poll_fn(|cx| Pin::new(&mut source).poll_frame(cx))
                    .await
                    .is_none(),
            "nothing follows the end"
        );
        read
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<u8>(), 0_usize..40_000).prop_map(|(byte, length)| Step::Data(vec![byte; length])),
            2 => Just(Step::Wait),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_pieces_the_caller_gets_the_same_bytes_and_the_same_end(
            steps in vec(step(), 0..12),
            last in proptest::option::of(prop_oneof![Just(Step::Trailers), Just(Step::Fail)]),
            is_exact in any::<bool>(),
        ) {
            let steps: Vec<Step> = steps.into_iter().chain(last).collect();
            let plain = Script { steps: steps.clone().into(), is_exact };
            let (expected, found) = on_paused_clock(async {
                (to_the_end(Source::unread(plain)).await, to_the_end(ahead(steps, is_exact).await).await)
            });
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn json_is_read_whatever_its_pieces(
            cuts in vec(0_usize..40, 0..6),
            padding in 0_usize..70_000,
        ) {
            let text = format!("{{\"error\":{{\"code\":131056}}, \"x\":\"{}\"}}", "é".repeat(padding / 2));
            let mut cuts = cuts;
            cuts.push(text.len());
            cuts.sort_unstable();
            let mut from = 0;
            let mut steps = Vec::new();
            for cut in cuts {
                steps.push(Step::Data(text.as_bytes()[from..cut].to_vec()));
                from = cut;
            }
            let json = on_paused_clock(async { ahead(steps, false).await.json() });
            let expected = if text.len() <= 64 * 1024 { Some(131_056) } else { None };
            prop_assert_eq!(json.and_then(|json| json["error"]["code"].as_i64()), expected);
        }
    }

    #[test]
    fn what_is_no_whole_json_is_judged_without_it() {
        let text = |text: &[u8]| vec![Step::Data(text.to_vec())];
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        let mut cut = text(br#"{"code":1"#);
        cut.push(Step::Fail);
        let mut crumbs = vec![Step::Data(b" ".to_vec()); MOST_PIECES];
        crumbs.push(Step::Data(b"1".to_vec()));
        let mut whole_but_broken = text(br#"{"code":1}"#);
        whole_but_broken.push(Step::Fail);
        for steps in [
            text(deep.as_bytes()),
            text(br#"{"code":1} x"#),
            text(b"\"\xff\""),
            text(b""),
            text(b"\x1f\x8b\x08"),
            cut,
            crumbs,
            whole_but_broken,
        ] {
            let shown = format!("{steps:?}");
            let json = on_paused_clock(async { ahead(steps, false).await.json() });
            assert_eq!(json, None, "{}", &shown[..shown.len().min(60)]);
        }
    }

    #[test]
    fn a_body_that_says_it_is_too_long_is_not_touched() {
        on_paused_clock(async {
            let source = ahead(vec![Step::Data(vec![b' '; 65 * 1024])], true).await;
            assert!(source.seen.is_none());
            let source = ahead(vec![Step::Data(vec![b' '; 64 * 1024])], true).await;
            assert!(source.seen.is_some());
        });
    }

    #[test]
    fn a_body_that_stalls_is_waited_for_until_the_deadline_and_goes_on_after_it() {
        /// Gives what it has, then nothing until its time.
        struct Late(VecDeque<Bytes>, Deadline);
        impl Body for Late {
            type Data = Bytes;
            type Error = Infallible;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                if self.0.len() == 1 && !self.1.has_passed(now()) {
                    let (waker, until) = (cx.waker().clone(), self.1);
                    tokio::spawn(async move {
                        crate::time::sleep_until(until).await;
                        waker.wake();
                    });
                    return Poll::Pending;
                }
                Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
            }
        }
        on_paused_clock(async {
            let begin = now();
            let late = Late(
                ["{\"code\":", "1}"]
                    .map(|text| Bytes::from_static(text.as_bytes()))
                    .into(),
                Deadline::after(begin, Duration::from_secs(9)),
            );
            let mut source = Source::read_ahead(late, patience()).await;
            let took = now() - begin;
            assert!(
                took >= Duration::from_secs(5) && took < Duration::from_secs(6),
                "{took:?}"
            );
            assert_eq!(source.json(), None);
            let mut text = Vec::new();
            while let Some(Ok(piece)) = poll_fn(|cx| Pin::new(&mut source).poll_frame(cx)).await {
                text.extend_from_slice(&piece.into_data().unwrap());
            }
            assert_eq!(text, b"{\"code\":1}");
        });
    }

    #[test]
    fn json_is_told_by_its_type_and_only_where_nothing_encodes_it() {
        let fields = |kind: &'static str, coding: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            if let Some(coding) = coding {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            announce_json(&headers)
        };
        for kind in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/problem+json",
            "text/javascript; charset=UTF-8",
        ] {
            assert!(
                fields(kind, None) && fields(kind, Some("identity")),
                "{kind}"
            );
            assert!(!fields(kind, Some("gzip")), "{kind}");
        }
        for kind in ["text/html", "application/jsonp", "text/event-stream", ""] {
            assert!(!fields(kind, None), "{kind}");
        }
        assert!(!announce_json(&HeaderMap::new()));
    }
}
