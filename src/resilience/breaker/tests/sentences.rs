//! The plain sentence for every state and mode.

use super::*;

/// Shows instants as seconds since the bed was made.
fn sentence(bed: &Bed, begin: Instant) -> String {
    explain(&bed.view(), |at| format!("+{}s", (at - begin).as_secs()))
}

#[test]
fn open_says_since_when_why_until_when_and_how_many_were_rejected() {
    let mut bed = Bed::new(BreakerKeys {
        reset_timeout: SECOND * 60,
        ..usual()
    });
    let begin = bed.now;
    bed.wait(SECOND * 9);
    bed.calls(4, TIMEOUT);
    bed.call(Sample::failure(Label::Status(503)));
    bed.wait(SECOND * 18);
    (0..318).for_each(|_| assert!(bed.admit().is_err()));
    assert_eq!(
        sentence(&bed, begin),
        "open since +9s because 5 consecutive calls failed (4 timeout, 1 status 503); next probe in 42 s; 318 calls rejected"
    );
}

#[test]
fn closed_says_the_distance_to_each_rule() {
    let bed = Bed::new(usual());
    bed.calls(2, TIMEOUT);
    assert_eq!(
        sentence(&bed, bed.now),
        "closed; 2 of 5 consecutive failures"
    );

    let keys = BreakerKeys {
        failure_threshold: 0,
        failure_ratio: Some(percent(50)),
        slow_ratio: Some(percent(80)),
        slow_after: Some(SECOND),
        min_calls: 4,
        ..usual()
    };
    let bed = Bed::new(keys);
    assert_eq!(
        sentence(&bed, bed.now),
        "closed; no calls yet, judged from 4 calls"
    );
    bed.calls(1, TIMEOUT);
    assert_eq!(
        sentence(&bed, bed.now),
        "closed; 100% of 1 call failed, judged from 4 calls; 0% of 1 call slow, judged from 4 calls"
    );
    bed.calls(7, SUCCESS);
    assert_eq!(
        sentence(&bed, bed.now),
        "closed; 12.50% of 8 calls failed, opens at 50%; 0% of 8 calls slow, opens at 80%"
    );
}

#[test]
fn open_by_a_ratio_says_the_share_of_which_calls() {
    let keys = BreakerKeys {
        failure_threshold: 0,
        failure_ratio: Some(percent(50)),
        min_calls: 4,
        ..usual()
    };
    let bed = Bed::new(keys);
    bed.calls(2, SUCCESS);
    bed.calls(2, Sample::failure(Label::Status(500)));
    assert_eq!(
        sentence(&bed, bed.now),
        "open since +0s because 50% of 4 calls failed, at least 50% (2 status 500); next probe in 30 s; 0 calls rejected"
    );

    let keys = BreakerKeys {
        failure_ratio: None,
        slow_ratio: Some(percent(50)),
        slow_after: Some(SECOND),
        ..keys
    };
    let bed = Bed::new(keys);
    bed.calls(4, SUCCESS.after(SECOND));
    assert_eq!(
        sentence(&bed, bed.now),
        "open since +0s because 100% of 4 calls were slow, at least 50%; next probe in 30 s; 0 calls rejected"
    );
}

#[test]
fn half_open_says_whether_it_waits_or_probes() {
    let mut bed = Bed::half_open(usual());
    let begin = bed.now - SECOND * 30;
    assert_eq!(
        sentence(&bed, begin),
        "half-open since +30s; waiting for a probe; 0 of 2 successful probes; 0 calls rejected"
    );
    bed.call(SUCCESS);
    let _probe = bed.admit().unwrap();
    assert!(bed.admit().is_err());
    bed.wait(SECOND * 10);
    assert_eq!(
        sentence(&bed, begin),
        "half-open since +30s; 1 of 1 probes out, verdict within 20 s; 1 of 2 successful probes; 1 call rejected"
    );
}

#[test]
fn reopened_says_what_happened_to_the_probe() {
    let bed = Bed::half_open(usual());
    let begin = bed.now - SECOND * 30;
    bed.call(TIMEOUT);
    assert_eq!(
        sentence(&bed, begin),
        "open since +30s because a probe failed (1 timeout); next probe in 30 s; 0 calls rejected"
    );
    let mut bed = Bed::half_open(usual());
    let begin = bed.now - SECOND * 30;
    let _hung = bed.admit().unwrap();
    bed.wait(SECOND * 31);
    assert_eq!(
        sentence(&bed, begin),
        "open since +60s because a probe had no verdict within 30 s; next probe in 29 s; 0 calls rejected"
    );
}

#[test]
fn forced_says_by_whom_why_until_when_and_what_would_be() {
    let bed = Bed::new(usual());
    bed.force(Order::Open {
        until: Some(bed.now + SECOND * 900),
    });
    assert!(bed.admit().is_err());
    assert_eq!(
        sentence(&bed, bed.now),
        "forced open since +0s by ana until +900s (maintenance); by itself it would be closed; 1 call rejected"
    );
    bed.force(Order::HoldClosed { until: None });
    bed.calls(5, TIMEOUT);
    assert_eq!(
        sentence(&bed, bed.now),
        "forced closed since +0s by ana until further notice (maintenance); \
         by itself it would be open because 5 consecutive calls failed (5 timeout)"
    );
    let bed = Bed::half_open(usual());
    let request = ForceRequest {
        order: Order::Open { until: None },
        by: "bo".to_owned(),
        reason: None,
    };
    bed.breaker.force(request, bed.now);
    assert_eq!(
        sentence(&bed, bed.now - SECOND * 30),
        "forced open since +30s by bo until further notice; by itself it would be half-open; 0 calls rejected"
    );
}

#[test]
fn shadow_and_off_say_that_nothing_is_rejected() {
    let bed = Bed::open(BreakerKeys {
        enforcement: Enforcement::Shadow,
        ..usual()
    });
    assert_eq!(
        sentence(&bed, bed.now),
        "open since +0s because 5 consecutive calls failed (5 timeout); next probe in 30 s; \
         shadow: rejects nothing by itself"
    );
    let bed = Bed::new(BreakerKeys {
        enforcement: Enforcement::Off,
        failure_threshold: 0,
        ..usual()
    });
    assert_eq!(
        sentence(&bed, bed.now),
        "closed; off: counts and rejects nothing by itself"
    );
}

#[test]
fn one_failure_and_long_waits_read_well() {
    let mut bed = Bed::open(BreakerKeys {
        failure_threshold: 1,
        reset_timeout: SECOND * 5_000,
        reset_backoff: ResetBackoff {
            max: SECOND * 5_000,
            ..usual().reset_backoff
        },
        ..usual()
    });
    let begin = bed.now;
    let mut told = Vec::new();
    for wait in [0, 1_500, 3_380, 60] {
        bed.wait(SECOND * wait);
        told.push(sentence(&bed, begin).split("; ").nth(1).unwrap().to_owned());
    }
    assert!(sentence(&bed, begin).starts_with("open since +0s because 1 call failed (1 timeout)"));
    assert_eq!(
        told,
        [
            "next probe in 1 h 24 min",
            "next probe in 58 min 20 s",
            "next probe in 2 min",
            "next probe in 1 min"
        ]
    );
}
