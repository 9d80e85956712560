//! Several addresses, one connection: the first that answers (Happy Eyeballs, RFC 8305).

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::shortage::weight;
use crate::time::{Alarm, Deadline, now};

/// How long an address is waited for before the next is tried beside it (RFC 8305 §8: Connection Attempt Delay).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The order in which addresses are tried: families alternate, IPv6 first (RFC 8305 §4). Within a family the order is that of
/// the answer, rotated by `turn`, so that one cached answer does not send all connections to its first address.
#[must_use]
pub fn order(addresses: &[IpAddr], turn: usize) -> Vec<IpAddr> {
    let family = |is_v6: bool| {
        let mut family: VecDeque<IpAddr> = addresses
            .iter()
            .copied()
            .filter(|address| address.is_ipv6() == is_v6)
            .collect();
        let begin = turn.checked_rem(family.len()).unwrap_or(0);
        family.rotate_left(begin);
        family
    };
    let (mut next, mut other) = (family(true), family(false));
    let mut ordered = Vec::with_capacity(addresses.len());
    while let Some(address) = next.pop_front().or_else(|| other.pop_front()) {
        ordered.push(address);
        std::mem::swap(&mut next, &mut other);
    }
    ordered
}

/// Dials one address after the other, the next as soon as one has failed or [`ATTEMPT_DELAY`] has passed without an answer. The first
/// connection wins, what else is under way is dropped. The caller bounds the time.
///
/// # Errors
/// When every address failed: the last of the errors that say the most about the peer.
pub async fn race<A, T, F>(
    addresses: impl IntoIterator<Item = A>,
    mut dial: impl FnMut(A) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut trying: Vec<Pin<Box<F>>> = Vec::new();
    let mut delay = Alarm::default();
    let mut last: Option<io::Error> = None;
    poll_fn(|cx| {
        loop {
            let before = trying.len();
            let mut won = None;
            trying.retain_mut(|attempt| {
                if won.is_some() {
                    return true;
                }
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => true,
                    Poll::Ready(Ok(connection)) => {
                        won = Some(connection);
                        false
                    }
                    Poll::Ready(Err(error)) => {
                        if last
                            .as_ref()
                            .is_none_or(|last| weight(last) <= weight(&error))
                        {
                            last = Some(error);
                        }
                        false
                    }
                }
            });
            if let Some(connection) = won {
                return Poll::Ready(Ok(connection));
            }
            let is_time = trying.is_empty() || trying.len() < before || delay.poll(cx).is_ready();
            if !is_time {
                return Poll::Pending;
            }
            match waiting.next() {
                Some(address) => {
                    trying.push(Box::pin(dial(address)));
                    delay.set(Deadline::after(now(), ATTEMPT_DELAY));
                }
                None if trying.is_empty() => {
                    let none = || io::Error::new(io::ErrorKind::NotFound, "no address");
                    return Poll::Ready(Err(last.take().unwrap_or_else(none)));
                }
                None => {
                    delay.clear();
                    return Poll::Pending;
                }
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::time::sleep_until;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let mixed = ips(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"]);
        assert_eq!(
            order(&mixed, 0),
            ips(&["2001:db8::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"])
        );
        assert_eq!(
            order(&mixed, 4),
            ips(&["2001:db8::1", "10.0.0.2", "10.0.0.3", "10.0.0.1"]),
            "the next turn begins with the next address"
        );
    }

    proptest! {
        #[test]
        fn an_order_holds_each_address_once(v4 in 0..40_u8, v6 in 0..40_u16, turn in any::<usize>()) {
            let mut addresses: Vec<IpAddr> = (0..v4).map(|n| [10, 0, 0, n].into()).collect();
            addresses.extend((0..v6).map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])));
            let mut ordered = order(&addresses, turn);
            if let (Some(first), true) = (ordered.first(), v6 > 0) {
                prop_assert!(first.is_ipv6());
            }
            ordered.sort();
            addresses.sort();
            prop_assert_eq!(ordered, addresses);
        }
    }

    /// What dialling an address comes to: after so many milliseconds a connection, an error, or never anything.
    #[derive(Clone, Copy)]
    enum Fate {
        Connects(u64),
        Fails(u64, &'static str),
        Vanishes,
    }
    use Fate::{Connects, Fails, Vanishes};

    /// Who won or the last error, when, and when each was dialled; in milliseconds.
    async fn raced(fates: &[Fate]) -> (Result<usize, String>, u64, Vec<u64>) {
        let begin = now();
        let since = |then: Instant| u64::try_from((then - begin).as_millis()).unwrap();
        let dialled = RefCell::new(Vec::new());
        let result = race(0..fates.len(), |index| {
            dialled.borrow_mut().push(since(now()));
            let fate = fates[index];
            async move {
                let after = |millis| Deadline::after(now(), Duration::from_millis(millis));
                match fate {
                    Connects(millis) => sleep_until(after(millis)).await,
                    Fails(millis, error) => {
                        sleep_until(after(millis)).await;
                        return Err(io::Error::other(error));
                    }
                    Vanishes => std::future::pending().await,
                }
                Ok(index)
            }
        });
        let result = result.await.map_err(|error| error.to_string());
        // A timer of the paused clock may fire a millisecond late.
        let about = |millis: u64| millis / 10 * 10;
        let dialled = dialled.take().into_iter().map(about).collect();
        (result, about(since(now())), dialled)
    }

    #[tokio::test(start_paused = true)]
    async fn a_black_hole_costs_a_quarter_of_a_second_and_not_the_call() {
        let (winner, took, dialled) = raced(&[Vanishes, Connects(20), Connects(0)]).await;
        assert_eq!((winner, took), (Ok(1), 270));
        assert_eq!(dialled, [0, 250], "the third was not needed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_followed_at_once_and_a_slow_first_may_still_win() {
        let (winner, took, dialled) = raced(&[Fails(10, "refused"), Connects(10)]).await;
        assert_eq!((winner, took, dialled), (Ok(1), 20, vec![0, 10]));
        let (winner, took, _) = raced(&[Connects(300), Connects(300)]).await;
        assert_eq!((winner, took), (Ok(0), 300));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_last_error_is_told() {
        let (lost, took, dialled) = raced(&[
            Fails(600, "slow"),
            Fails(10, "refused"),
            Fails(10, "refused"),
        ])
        .await;
        assert_eq!((lost, took), (Err("slow".to_owned()), 600));
        assert_eq!(dialled, [0, 250, 260]);
        let (none, ..) = raced(&[]).await;
        assert_eq!(none, Err("no address".to_owned()));
    }
}
