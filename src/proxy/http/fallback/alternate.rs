//! `route`: the same call to another route, with that route's policies and fallbacks.

use super::Reply;
use crate::proxy::http::call::Call;
use crate::proxy::http::carry::Context;
use crate::snapshot::Way;
use crate::telemetry::Exchange;
use crate::time::now;

/// Carries the call to the route called `other`; `None` when that brings no answer, or the call can no longer be sent whole.
///
/// The other route counts its time limits from here.
pub(super) async fn carry_elsewhere(
    context: &Context<'_>,
    exchange: &mut Exchange,
    call: &mut Call,
    (way, other): (&Way, &str),
) -> Option<Reply> {
    let snapshot = &context.current.snapshot;
    let place = snapshot.place(other)?;
    if !call.is_whole() {
        return None;
    }
    let base = &snapshot.routes[way.route].plan.upstream.base_path;
    let other = Way {
        route: place,
        strip: relative(way, call.uri.path(), base),
        prepend_base: true,
    };
    let (held, _) = exchange.held();
    let now = now();
    let begin = std::mem::replace(&mut call.begin, now);
    let free = std::mem::replace(&mut call.free, now);
    let held_before = std::mem::replace(&mut call.held_before, held);
    let answer = super::answer(context, exchange, call, &other).await;
    call.begin = begin;
    call.free = free;
    call.held_before = held_before;
    answer
        .map_err(|refusal| exchange.diversion_failed(refusal.failure))
        .ok()
}

/// Where the part of the path begins that both routes share: behind the prefix that chose the first route, or behind its base
/// path if the caller wrote the upstream's own URL.
fn relative(way: &Way, path: &str, base: &str) -> usize {
    if way.prepend_base {
        return way.strip;
    }
    let rest = path.strip_prefix(base);
    match rest {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => base.len(),
        Some(_) | None => way.strip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_path_begins_behind_what_is_the_first_routes_own() {
        let way = |strip, prepend_base| Way {
            route: 0,
            strip,
            prepend_base,
        };
        assert_eq!(relative(&way(4, true), "/crm/v1/a", "/v1"), 4);
        assert_eq!(relative(&way(0, true), "/a", "/v1"), 0);
        assert_eq!(relative(&way(0, false), "/v1/a", "/v1"), 3);
        assert_eq!(relative(&way(0, false), "/v1", "/v1"), 3);
        assert_eq!(relative(&way(0, false), "/v11/a", "/v1"), 0);
        assert_eq!(relative(&way(0, false), "/a", ""), 0);
    }
}
