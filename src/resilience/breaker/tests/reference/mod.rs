//! The breaker said again, as simply as can be: plain lists of what happened, counted anew whenever somebody asks.
//!
//! It shares no code with the machine but the types of its inputs and answers. Times are nanoseconds since the start.

mod answers;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Call,
    Probe,
    Bystander,
}

/// A call that was admitted: in which period, as what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    period: u64,
    role: Role,
}

/// What a result or an order did to the counts.
#[derive(Clone, Copy)]
enum Happened {
    Success,
    Failure(Option<Label>),
    Other,
    /// The failures before it are forgotten.
    Closed,
    /// Everything before it is forgotten.
    Ordered,
}

/// A ramp in millionths: so much passed since then, so much was left over.
#[derive(Clone, Copy)]
struct Climb {
    from: u128,
    since: u64,
    left: u128,
}

const ALL: u128 = 1_000_000;

struct WindowCall {
    at: u64,
    failed: bool,
    slow: bool,
}

/// A transition in the reference's words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) at: u64,
    pub(super) cause: Cause,
    pub(super) before: Standing,
    pub(super) after: Standing,
    pub(super) window: WindowCounts,
}

pub(super) struct Reference {
    keys: BreakerKeys,
    now: u64,
    pub(super) automatic: State,
    since: u64,
    /// Every change of the automatic state and every closing order begins another.
    period: u64,
    open_until: u64,
    probes_out: u32,
    verdict_at: Option<u64>,
    tried_again: bool,
    probes_good: u32,
    openings: u32,
    ramp: Option<Climb>,
    hold: Option<(Mode, u64, Option<u64>)>,
    happened: Vec<Happened>,
    window_from: u64,
    window: Vec<WindowCall>,
    pub(super) results: Vec<(Outcome, bool, Option<Label>)>,
    pub(super) rejected: u64,
    pub(super) passed_over: u64,
    pub(super) told: Vec<Told>,
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}

impl Reference {
    pub(super) fn new(keys: BreakerKeys) -> Self {
        Self {
            keys,
            now: 0,
            automatic: State::Closed,
            since: 0,
            period: 0,
            open_until: 0,
            probes_out: 0,
            verdict_at: None,
            tried_again: false,
            probes_good: 0,
            openings: 0,
            ramp: None,
            hold: None,
            happened: Vec::new(),
            window_from: 0,
            window: Vec::new(),
            results: Vec::new(),
            rejected: 0,
            passed_over: 0,
            told: Vec::new(),
        }
    }

    pub(super) fn standing(&self) -> Standing {
        let mode = self.hold.map_or(Mode::Auto, |hold| hold.0);
        Standing {
            automatic: self.automatic,
            mode,
            enforcement: self.keys.enforcement,
        }
    }

    /// Rings every alarm up to `to`, in order.
    pub(super) fn pass(&mut self, to: u64) {
        let to = to.max(self.now);
        loop {
            let mut alarms = Vec::new();
            if self.automatic == State::Open {
                alarms.push((self.open_until, 0));
            }
            if let Some(verdict_at) = self
                .verdict_at
                .filter(|_| self.automatic == State::HalfOpen)
            {
                alarms.push((verdict_at, 1));
            }
            if let Some((_, _, Some(until))) = self.hold {
                alarms.push((until, 2));
            }
            alarms.sort_unstable();
            let Some((at, alarm)) = alarms.first().copied().filter(|alarm| alarm.0 <= to) else {
                break;
            };
            self.now = self.now.max(at);
            match alarm {
                0 => self.change(State::HalfOpen, at, Cause::ResetTimeout),
                1 if self.probes_out == 0 && !self.tried_again => self.verdict_at = None,
                1 => self.open(at, Cause::HalfOpenTimeout),
                _ => {
                    let before = self.standing();
                    self.hold = None;
                    self.tell(before, at, Cause::Forced);
                }
            }
        }
        self.now = to;
        if self.share_at(to) == Some(ALL) {
            self.ramp = None;
        }
    }

    fn anchor(&mut self, change: impl FnOnce(u128) -> u128) {
        if let (Some(share), Some(climb)) = (self.share_at(self.now), &mut self.ramp) {
            (climb.from, climb.since) = (change(share), self.now);
        }
    }

    pub(super) fn admit(&mut self, at: u64) -> Result<Ticket, (RefusalKind, Option<u64>)> {
        self.pass(at);
        let (mode, enforcement) = (self.standing().mode, self.keys.enforcement);
        if mode == Mode::ForcedOpen {
            self.rejected += 1;
            return Err((RefusalKind::ForcedOpen, self.next_probe_at()));
        }
        let ticket = |role| Ticket {
            period: self.period,
            role,
        };
        if enforcement == Enforcement::Off {
            return Ok(ticket(Role::Bystander));
        }
        let refusal = match self.automatic {
            State::Closed => {
                let (now, full_at) = (self.now, self.ramping().map(|ramp| ramp.1));
                let share = self.share_at(now).unwrap_or(ALL);
                let Some(climb) = &mut self.ramp else {
                    return Ok(ticket(Role::Call));
                };
                climb.left += share;
                if climb.left >= ALL {
                    climb.left -= ALL;
                    return Ok(ticket(Role::Call));
                }
                if mode == Mode::Auto && enforcement == Enforcement::Enforce {
                    self.rejected += 1;
                    return Err((RefusalKind::Ramping, full_at));
                }
                RefusalKind::Ramping
            }
            State::HalfOpen if self.probes_out < self.keys.half_open_max => {
                let ticket = ticket(Role::Probe);
                let verdict_at = self.now + nanos(self.keys.half_open_timeout);
                self.tried_again = self.verdict_at.is_some();
                self.verdict_at = self.verdict_at.or(Some(verdict_at));
                self.probes_out += 1;
                return Ok(ticket);
            }
            State::HalfOpen => RefusalKind::HalfOpenFull,
            State::Open => RefusalKind::CircuitOpen,
        };
        if mode == Mode::ForcedClosed || enforcement == Enforcement::Shadow {
            self.passed_over += 1;
            return Ok(Ticket {
                period: self.period,
                role: Role::Bystander,
            });
        }
        self.rejected += 1;
        Err((refusal, self.next_probe_at()))
    }

    pub(super) fn record(&mut self, ticket: Ticket, sample: Sample, at: u64) {
        self.pass(at);
        let slow = match (sample.outcome, self.keys.slow_after, sample.latency) {
            (Outcome::Ignored, ..) | (_, None, _) | (_, _, None) => false,
            (_, Some(after), Some(latency)) => latency >= after,
        };
        self.results.push((sample.outcome, slow, sample.label));
        if ticket.period != self.period || ticket.role == Role::Bystander {
            return;
        }
        if ticket.role == Role::Probe {
            self.probes_out -= 1;
        }
        if self.keys.enforcement == Enforcement::Off || sample.outcome == Outcome::Ignored {
            return;
        }
        self.happened.push(match sample.outcome {
            Outcome::Success => Happened::Success,
            Outcome::Failure => Happened::Failure(sample.label),
            Outcome::Alive | Outcome::Throttled | Outcome::Ignored => Happened::Other,
        });
        if ticket.role == Role::Probe {
            match sample.outcome {
                Outcome::Failure => self.open(self.now, Cause::ProbeFailed),
                Outcome::Success | Outcome::Alive => {
                    self.probes_good += 1;
                    if self.probes_out == 0 {
                        (self.verdict_at, self.tried_again) = (None, false);
                    }
                    if self.probes_good >= self.keys.success_threshold {
                        self.change(State::Closed, self.now, Cause::ProbesSucceeded);
                        self.happened.push(Happened::Closed);
                        self.restart_window();
                        self.ramp = self.keys.ramp.map(|spec| {
                            let from = u128::from(spec.from.hundredths()) * 100;
                            Climb {
                                from,
                                since: self.now,
                                left: ALL - from,
                            }
                        });
                    }
                }
                Outcome::Throttled | Outcome::Ignored => {}
            }
            return;
        }
        if sample.outcome == Outcome::Failure {
            self.anchor(|share| share / 2);
        }
        self.window.push(WindowCall {
            at: self.now,
            failed: sample.outcome == Outcome::Failure,
            slow,
        });
        if let Some(cause) = self.breach(sample.outcome == Outcome::Failure) {
            self.open(self.now, cause);
        }
    }

    pub(super) fn release(&mut self, ticket: Ticket) {
        self.results.push((Outcome::Ignored, false, None));
        if ticket.period == self.period && ticket.role == Role::Probe {
            self.probes_out -= 1;
        }
    }

    pub(super) fn respec(&mut self, keys: BreakerKeys, at: u64) {
        self.pass(at);
        let before = self.standing();
        if keys.ramp != self.keys.ramp {
            self.anchor(|share| share);
            if keys.ramp.is_none() {
                self.ramp = None;
            }
        }
        let old = std::mem::replace(&mut self.keys, keys);
        if old.window != keys.window {
            self.restart_window();
        }
        self.tell(before, self.now, Cause::Config);
    }

    pub(super) fn force(&mut self, order: Order, until: Option<u64>, at: u64) {
        self.pass(at);
        let before = self.standing();
        match order {
            Order::Open { .. } => self.take_hold(Mode::ForcedOpen, until),
            Order::HoldClosed { .. } => self.take_hold(Mode::ForcedClosed, until),
            // All orders of a walk are of one author.
            Order::Auto | Order::Withdraw => self.hold = None,
            Order::Renew { .. } => {
                let end = until.map(|until| until.max(self.now));
                if let Some(hold) = &mut self.hold {
                    hold.2 = end;
                }
            }
            Order::Close | Order::Clear => {
                self.hold = None;
                self.period += 1;
                self.openings = 0;
                self.ramp = None;
                self.happened.push(Happened::Ordered);
                self.restart_window();
                if self.automatic != State::Closed {
                    self.automatic = State::Closed;
                    self.since = self.now;
                }
                if order == Order::Clear {
                    self.results.clear();
                    (self.rejected, self.passed_over) = (0, 0);
                }
            }
        }
        self.tell(before, self.now, Cause::Forced);
        self.pass(at);
    }

    fn take_hold(&mut self, mode: Mode, until: Option<u64>) {
        let since = match self.hold {
            Some((held, since, _)) if held == mode => since,
            _ => self.now,
        };
        self.hold = Some((mode, since, until.map(|until| until.max(self.now))));
    }

    fn open(&mut self, at: u64, cause: Cause) {
        let keys = self.keys;
        if self.automatic == State::Closed && at - self.since >= nanos(keys.reset_timeout) {
            self.openings = 0;
        }
        let mut wait = keys.reset_timeout;
        for _ in 0..self.openings {
            wait = wait
                .mul_f64(keys.reset_backoff.factor)
                .min(keys.reset_backoff.max);
        }
        self.openings += 1;
        self.open_until = at + nanos(wait);
        self.change(State::Open, at, cause);
    }

    fn change(&mut self, to: State, at: u64, cause: Cause) {
        let before = self.standing();
        self.automatic = to;
        self.since = at;
        self.period += 1;
        self.ramp = None;
        (self.probes_out, self.probes_good, self.verdict_at) = (0, 0, None);
        self.tell(before, at, cause);
    }

    fn restart_window(&mut self) {
        self.window.clear();
        self.window_from = self.now;
    }

    fn tell(&mut self, before: Standing, at: u64, cause: Cause) {
        let after = self.standing();
        if before != after {
            let window = self.window_counts(at);
            self.told.push(Told {
                at,
                cause,
                before,
                after,
                window,
            });
        }
    }
}
