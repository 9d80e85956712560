//! The settings of a breaker, checked once so that no breaker needs to check them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::resilience::ramp::RampSpec;
use crate::resilience::ratio::Ratio;

/// What the breaker remembers for its ratio rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSpec {
    /// The calls of this last span of time, in ten buckets that expire by themselves.
    Time(Duration),
    /// This many of the last calls.
    Calls(u32),
}

/// How `reset_timeout` grows with each reopening in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResetBackoff {
    /// Multiplies the timeout for each reopening in a row; 1 or more.
    pub factor: f64,
    /// The longest it may become (jitter included).
    pub max: Duration,
    /// Spreads the timeout up to this share *above* its value, so that a fleet does not probe in step.
    pub jitter: Ratio,
}

/// What a breaker does with its decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// Rejects while open.
    #[default]
    Enforce,
    /// Decides and reports, never rejects.
    Shadow,
    /// Does nothing.
    Off,
}

/// The keys of a breaker as they are written; [`BreakerSpec::try_new`] checks them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerKeys {
    /// What the breaker does with its decision.
    pub enforcement: Enforcement,
    /// Opens after this many failures in a row; 0 turns the rule off.
    pub failure_threshold: u32,
    /// Opens when that share of the window's calls failed.
    pub failure_ratio: Option<Ratio>,
    /// Opens when that share of the window's calls was slow.
    pub slow_ratio: Option<Ratio>,
    /// The time to the response headers from which on a call is slow.
    pub slow_after: Option<Duration>,
    /// What the ratio rules look at.
    pub window: WindowSpec,
    /// The ratio rules wait for this many calls in the window.
    pub min_calls: u32,
    /// How many successful probes close a half-open breaker.
    pub success_threshold: u32,
    /// How many probes may be in flight at once.
    pub half_open_max: u32,
    /// How long one probe may take; `None` leaves it to the route's timeout.
    pub probe_timeout: Option<Duration>,
    /// How long after the first probe was admitted the breaker reopens if there is no verdict.
    pub half_open_timeout: Duration,
    /// How long the breaker stays open before it probes.
    pub reset_timeout: Duration,
    /// How that grows.
    pub reset_backoff: ResetBackoff,
    /// How calls come back after probes closed it; `None` lets all of them pass at once.
    pub ramp: Option<RampSpec>,
}

/// One key that makes no sense, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct SpecProblem {
    /// The key as it is written, `reset_backoff.max` for one inside another.
    pub key: &'static str,
    /// What is wrong and what to write, in plain words.
    pub message: String,
}

/// The checked keys of a breaker: invalid ones cannot be constructed.
///
/// ```
/// use std::time::Duration;
/// use sidefuse::resilience::{BreakerKeys, BreakerSpec};
///
/// let spec = BreakerSpec::try_new(BreakerKeys { failure_threshold: 5, ..BreakerKeys::default() }).unwrap();
/// assert_eq!(spec.keys().failure_threshold, 5);
///
/// let keys = BreakerKeys { half_open_max: 0, reset_timeout: Duration::ZERO, ..BreakerKeys::default() };
/// let problems = BreakerSpec::try_new(keys).unwrap_err();
/// assert_eq!(problems.iter().map(|problem| problem.key).collect::<Vec<_>>(), ["half_open_max", "reset_timeout"]);
/// ```
/// Cheap to clone: thousands of routes, and of keys of one, have the same.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerSpec(Arc<BreakerKeys>);

/// The longest time of any key: more than a day is a mistake in the unit.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A shorter window would have buckets of less than 100 ms, a longer one reacts to yesterday.
const WINDOW_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
/// A ring costs a byte per slot.
const WINDOW_CALLS: u32 = 65_536;

impl Default for BreakerKeys {
    /// The numbers of the preset `external-api`.
    fn default() -> Self {
        Self {
            enforcement: Enforcement::Enforce,
            failure_threshold: 10,
            failure_ratio: None,
            slow_ratio: None,
            slow_after: None,
            window: WindowSpec::Time(Duration::from_secs(30)),
            min_calls: 20,
            success_threshold: 2,
            half_open_max: 1,
            probe_timeout: None,
            half_open_timeout: Duration::from_secs(30),
            reset_timeout: Duration::from_secs(60),
            reset_backoff: ResetBackoff {
                factor: 1.0,
                max: Duration::from_secs(600),
                jitter: Ratio::ZERO,
            },
            ramp: None,
        }
    }
}

impl Enforcement {
    /// The word for it in config, logs and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

impl BreakerSpec {
    /// Checks the keys.
    ///
    /// # Errors
    /// Every problem found, in the order of the keys' declaration.
    pub fn try_new(keys: BreakerKeys) -> Result<Self, Vec<SpecProblem>> {
        let mut problems = Problems(Vec::new());
        check_rules(&keys, &mut problems);
        check_window(&keys, &mut problems);
        check_recovery(&keys, &mut problems);
        if problems.0.is_empty() {
            Ok(Self(Arc::new(keys)))
        } else {
            Err(problems.0)
        }
    }

    /// The checked keys.
    #[must_use]
    pub fn keys(&self) -> &BreakerKeys {
        &self.0
    }
}

struct Problems(Vec<SpecProblem>);

impl Problems {
    fn refuse(&mut self, key: &'static str, message: impl Into<String>) {
        self.0.push(SpecProblem {
            key,
            message: message.into(),
        });
    }

    fn check_time(&mut self, key: &'static str, time: Duration) {
        if time.is_zero() {
            self.refuse(key, "is zero; write a time such as 30s");
        } else if time > LONGEST {
            self.refuse(
                key,
                format!("is {time:?}, longer than a day; write at most 24h"),
            );
        }
    }
}

fn check_rules(keys: &BreakerKeys, problems: &mut Problems) {
    let rules_off =
        keys.failure_threshold == 0 && keys.failure_ratio.is_none() && keys.slow_ratio.is_none();
    if rules_off && keys.enforcement != Enforcement::Off {
        problems.refuse(
            "failure_threshold",
            "is 0 and there is no failure_ratio and no slow_ratio, so the breaker could never open; \
             write one of the three, or `enforcement: off`",
        );
    }
    if keys.failure_ratio == Some(Ratio::ZERO) {
        problems.refuse(
            "failure_ratio",
            "is 0%, which opens without a failure; write a share such as 50%, or leave it out",
        );
    }
    if keys.slow_ratio == Some(Ratio::ZERO) {
        problems.refuse(
            "slow_ratio",
            "is 0%, which opens without a slow call; write a share such as 50%, or leave it out",
        );
    }
    match (keys.slow_ratio, keys.slow_after) {
        (Some(_), None) => {
            problems.refuse(
                "slow_ratio",
                "does not say when a call is slow; add slow_after with a time such as 2s",
            );
        }
        (None, Some(_)) => {
            problems.refuse(
                "slow_after",
                "has no effect without slow_ratio; add a share such as `slow_ratio: 50%`",
            );
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let Some(slow_after) = keys.slow_after {
        problems.check_time("slow_after", slow_after);
    }
}

fn check_window(keys: &BreakerKeys, problems: &mut Problems) {
    match keys.window {
        WindowSpec::Time(time) if time < WINDOW_TIME.0 || time > WINDOW_TIME.1 => {
            problems.refuse("window", format!("is {time:?}; write a time from 1s to 1h"));
        }
        WindowSpec::Calls(calls) if calls == 0 || calls > WINDOW_CALLS => {
            problems.refuse("window", format!("holds {calls} calls; write a number from 1 to {WINDOW_CALLS}"));
        }
        WindowSpec::Calls(calls) if keys.min_calls > calls => problems.refuse(
            "min_calls",
            format!("is {}, but the window holds {calls} calls, so its rules would wait for ever; write at most {calls}", keys.min_calls),
        ),
        WindowSpec::Time(_) | WindowSpec::Calls(_) => {}
    }
    if keys.min_calls == 0 {
        problems.refuse("min_calls", "is 0; write 1 to judge from the first call on");
    }
}

fn check_recovery(keys: &BreakerKeys, problems: &mut Problems) {
    if keys.success_threshold == 0 {
        problems.refuse(
            "success_threshold",
            "is 0, so no probe could close the breaker; write 1 or more",
        );
    }
    if keys.half_open_max == 0 {
        problems.refuse(
            "half_open_max",
            "is 0, so no probe could ever run; write 1 or more",
        );
    }
    if let Some(probe_timeout) = keys.probe_timeout {
        problems.check_time("probe_timeout", probe_timeout);
    }
    problems.check_time("half_open_timeout", keys.half_open_timeout);
    problems.check_time("reset_timeout", keys.reset_timeout);
    let ResetBackoff {
        factor,
        max,
        jitter: _,
    } = keys.reset_backoff;
    if !factor.is_finite() || factor < 1.0 {
        problems.refuse(
            "reset_backoff.factor",
            format!("is {factor}; write 1 for a constant reset_timeout, or more to make it grow"),
        );
    }
    problems.check_time("reset_backoff.max", max);
    if !max.is_zero() && max < keys.reset_timeout {
        problems.refuse(
            "reset_backoff.max",
            format!(
                "is {max:?}, shorter than reset_timeout ({:?}); write at least that",
                keys.reset_timeout
            ),
        );
    }
    if let Some(RampSpec { from, over }) = keys.ramp {
        if from == Ratio::ZERO || from == Ratio::ONE {
            problems.refuse(
                "ramp.from",
                format!("is {from}, which is no begin of a ramp; write a share such as 10%"),
            );
        }
        problems.check_time("ramp.over", over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(keys: BreakerKeys) -> Vec<&'static str> {
        BreakerSpec::try_new(keys).map_or_else(
            |problems| problems.iter().map(|problem| problem.key).collect(),
            |_| vec![],
        )
    }

    fn ratio(hundredths: u16) -> Option<Ratio> {
        Ratio::from_hundredths(hundredths)
    }

    #[test]
    fn the_defaults_are_sensible() {
        assert_eq!(refused(BreakerKeys::default()), Vec::<&str>::new());
    }

    #[test]
    fn each_nonsensical_key_is_refused_by_name() {
        const SECOND: Duration = Duration::from_secs(1);
        let day_and_more = LONGEST + Duration::from_nanos(1);
        let good = BreakerKeys::default();
        let backoff = good.reset_backoff;
        let slow = BreakerKeys {
            slow_ratio: ratio(5_000),
            slow_after: Some(SECOND),
            ..good
        };
        let ramp = RampSpec {
            from: Ratio::from_hundredths(1_000).unwrap(),
            over: SECOND,
        };
        let with_ramp = |ramp| BreakerKeys {
            ramp: Some(ramp),
            ..good
        };
        let table: [(&str, BreakerKeys); 33] = [
            (
                "ramp.from",
                with_ramp(RampSpec {
                    from: Ratio::ZERO,
                    ..ramp
                }),
            ),
            (
                "ramp.from",
                with_ramp(RampSpec {
                    from: Ratio::ONE,
                    ..ramp
                }),
            ),
            (
                "ramp.over",
                with_ramp(RampSpec {
                    over: Duration::ZERO,
                    ..ramp
                }),
            ),
            (
                "ramp.over",
                with_ramp(RampSpec {
                    over: day_and_more,
                    ..ramp
                }),
            ),
            (
                "failure_threshold",
                BreakerKeys {
                    failure_threshold: 0,
                    ..good
                },
            ),
            (
                "failure_threshold",
                BreakerKeys {
                    failure_threshold: 0,
                    enforcement: Enforcement::Shadow,
                    ..good
                },
            ),
            (
                "failure_ratio",
                BreakerKeys {
                    failure_ratio: ratio(0),
                    ..good
                },
            ),
            (
                "slow_ratio",
                BreakerKeys {
                    slow_ratio: ratio(0),
                    ..slow
                },
            ),
            (
                "slow_ratio",
                BreakerKeys {
                    slow_after: None,
                    ..slow
                },
            ),
            (
                "slow_after",
                BreakerKeys {
                    slow_ratio: None,
                    ..slow
                },
            ),
            (
                "slow_after",
                BreakerKeys {
                    slow_after: Some(Duration::ZERO),
                    ..slow
                },
            ),
            (
                "slow_after",
                BreakerKeys {
                    slow_after: Some(day_and_more),
                    ..slow
                },
            ),
            (
                "window",
                BreakerKeys {
                    window: WindowSpec::Time(Duration::ZERO),
                    ..good
                },
            ),
            (
                "window",
                BreakerKeys {
                    window: WindowSpec::Time(SECOND - Duration::from_nanos(1)),
                    ..good
                },
            ),
            (
                "window",
                BreakerKeys {
                    window: WindowSpec::Time(Duration::from_secs(3601)),
                    ..good
                },
            ),
            (
                "window",
                BreakerKeys {
                    window: WindowSpec::Calls(0),
                    ..good
                },
            ),
            (
                "window",
                BreakerKeys {
                    window: WindowSpec::Calls(65_537),
                    ..good
                },
            ),
            (
                "min_calls",
                BreakerKeys {
                    window: WindowSpec::Calls(19),
                    ..good
                },
            ),
            (
                "min_calls",
                BreakerKeys {
                    min_calls: 0,
                    ..good
                },
            ),
            (
                "success_threshold",
                BreakerKeys {
                    success_threshold: 0,
                    ..good
                },
            ),
            (
                "half_open_max",
                BreakerKeys {
                    half_open_max: 0,
                    ..good
                },
            ),
            (
                "probe_timeout",
                BreakerKeys {
                    probe_timeout: Some(Duration::ZERO),
                    ..good
                },
            ),
            (
                "probe_timeout",
                BreakerKeys {
                    probe_timeout: Some(day_and_more),
                    ..good
                },
            ),
            (
                "half_open_timeout",
                BreakerKeys {
                    half_open_timeout: Duration::ZERO,
                    ..good
                },
            ),
            (
                "half_open_timeout",
                BreakerKeys {
                    half_open_timeout: day_and_more,
                    ..good
                },
            ),
            (
                "reset_timeout",
                BreakerKeys {
                    reset_timeout: Duration::ZERO,
                    ..good
                },
            ),
            (
                "reset_backoff.factor",
                BreakerKeys {
                    reset_backoff: ResetBackoff {
                        factor: 0.99,
                        ..backoff
                    },
                    ..good
                },
            ),
            (
                "reset_backoff.factor",
                BreakerKeys {
                    reset_backoff: ResetBackoff {
                        factor: f64::NAN,
                        ..backoff
                    },
                    ..good
                },
            ),
            (
                "reset_backoff.factor",
                BreakerKeys {
                    reset_backoff: ResetBackoff {
                        factor: f64::INFINITY,
                        ..backoff
                    },
                    ..good
                },
            ),
            (
                "reset_backoff.factor",
                BreakerKeys {
                    reset_backoff: ResetBackoff {
                        factor: -2.0,
                        ..backoff
                    },
                    ..good
                },
            ),
            (
                "reset_backoff.max",
                BreakerKeys {
                    reset_backoff: ResetBackoff {
                        max: Duration::ZERO,
                        ..backoff
                    },
                    ..good
                },
            ),
            (
                "reset_backoff.max",
                BreakerKeys {
                    reset_backoff: ResetBackoff {
                        max: day_and_more,
                        ..backoff
                    },
                    ..good
                },
            ),
            (
                "reset_backoff.max",
                BreakerKeys {
                    reset_backoff: ResetBackoff {
                        max: SECOND * 59,
                        ..backoff
                    },
                    ..good
                },
            ),
        ];
        for (key, keys) in table {
            assert_eq!(refused(keys), [key], "{keys:?}");
        }
    }

    #[test]
    fn the_bounds_themselves_are_accepted() {
        let good = BreakerKeys::default();
        for keys in [
            BreakerKeys {
                window: WindowSpec::Time(WINDOW_TIME.0),
                ..good
            },
            BreakerKeys {
                window: WindowSpec::Time(WINDOW_TIME.1),
                ..good
            },
            BreakerKeys {
                window: WindowSpec::Calls(65_536),
                min_calls: 65_536,
                ..good
            },
            BreakerKeys {
                window: WindowSpec::Calls(20),
                ..good
            },
            BreakerKeys {
                half_open_timeout: LONGEST,
                ..good
            },
            BreakerKeys {
                reset_backoff: ResetBackoff {
                    max: good.reset_timeout,
                    ..good.reset_backoff
                },
                ..good
            },
            BreakerKeys {
                failure_threshold: 0,
                failure_ratio: ratio(1),
                ..good
            },
            BreakerKeys {
                failure_threshold: 0,
                enforcement: Enforcement::Off,
                ..good
            },
        ] {
            assert_eq!(refused(keys), Vec::<&str>::new(), "{keys:?}");
        }
    }

    #[test]
    fn all_problems_are_reported_at_once_in_words_that_say_what_to_write() {
        let keys = BreakerKeys {
            min_calls: 0,
            success_threshold: 0,
            failure_ratio: ratio(0),
            ..BreakerKeys::default()
        };
        let problems = BreakerSpec::try_new(keys).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "failure_ratio: is 0%, which opens without a failure; write a share such as 50%, or leave it out",
                "min_calls: is 0; write 1 to judge from the first call on",
                "success_threshold: is 0, so no probe could close the breaker; write 1 or more",
            ]
        );
    }
}
