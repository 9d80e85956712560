//! The script: each act does something, waits for the expected result, and only then reports it. The page to read first.

use std::io::Write;
use std::time::Duration;

use http::StatusCode;

use super::cast::{ROUTES, WHATSAPP, cast};
use super::configuration::{Upstreams, configuration};
use super::error::Stop;
use super::journal::{Journal, journal};
use super::operator::{Operator, States};
use super::origin::Origin;
use super::sidecar::Sidecar;
use super::stage::{Row, Stage, milliseconds};
use super::traffic::Traffic;
use crate::time::{Deadline, now, sleep_until, timeout_at};

/// How long traffic is watched in an act. Half of the breaker's reset timeout, so that a slow machine still finds it open.
const WATCH: Duration = Duration::from_secs(2);

/// How long a step may take before it counts as failed; more than any of the configured times.
const LIMIT: Duration = Duration::from_secs(10);

/// Log lines that are shown when a step has failed.
const LAST_LINES: usize = 5;

/// Plays from the first act to the last.
///
/// # Errors
/// The first thing that did not go as it should.
pub(super) async fn play<W: Write>(stage: &mut Stage<W>) -> Result<(), Stop> {
    let origin = async |millis| {
        let started = Origin::start(Duration::from_millis(millis)).await;
        started.map_err(|error| Stop::Setup("a service", error))
    };
    let (whatsapp, email, partner) = (origin(25).await?, origin(15).await?, origin(40).await?);
    let configuration = configuration(&Upstreams {
        whatsapp: whatsapp.address(),
        email: email.address(),
        partner: partner.address(),
    });
    let (sink, journal) = journal();
    let mut sidecar = Sidecar::start(&configuration, sink).await?;
    stage.title("sidefuse demo: the real proxy between an application and three services, all on this machine")?;
    stage.say(&format!(
        "The application calls through {}; operators ask {}. A call may take 1 s.",
        sidecar.proxy, sidecar.admin
    ))?;
    let mut play = Play {
        stage,
        traffic: Traffic::start(sidecar.proxy, &cast()),
        operator: Operator::new(sidecar.admin),
        journal,
        whatsapp: &whatsapp,
    };
    let played = tokio::select! {
        played = play.acts() => played,
        stop = sidecar.died() => Err(stop),
    };
    if let Err(stop) = played {
        return Err(play.fail(stop));
    }
    let Play { stage, traffic, .. } = play;
    drop(traffic);
    epilogue(stage, &configuration)?;
    sidecar.end().await
}

struct Play<'a, W> {
    stage: &'a mut Stage<W>,
    traffic: Traffic,
    operator: Operator,
    journal: Journal,
    whatsapp: &'a Origin,
}

impl<W: Write> Play<'_, W> {
    async fn acts(&mut self) -> Result<(), Stop> {
        self.all_is_well().await?;
        let timed_out = self.whatsapp_stalls().await?;
        self.refused_at_once(timed_out).await?;
        self.one_probe().await?;
        self.all_is_well_again().await
    }

    async fn all_is_well(&mut self) -> Result<(), Stop> {
        self.stage.title("1  All is well")?;
        self.traffic.next_act();
        watch().await;
        self.scene("closed").await?;
        self.expect_answers(StatusCode::OK)?;
        self.stage
            .say("Each service has a circuit breaker of its own. All are closed: calls pass.")
    }

    /// Returns how long a caller waits for the timeout.
    async fn whatsapp_stalls(&mut self) -> Result<Duration, Stop> {
        self.stage.title("2  WhatsApp stops answering")?;
        self.traffic.next_act();
        self.whatsapp.stall();
        let line = self
            .turned("Circuit breaker opened", "the opening of the breaker")
            .await?;
        let why = self.operator.explain(WHATSAPP).await?;
        self.scene("open").await?;
        let tally = self.traffic.tally(WHATSAPP);
        let Some(waited) = tally.median_of(StatusCode::GATEWAY_TIMEOUT) else {
            return Err(unlike("calls that time out", tally.answers()));
        };
        self.stage.say(&format!(
            "Callers waited {} for nothing, until the breaker opened. It logged:",
            milliseconds(waited)
        ))?;
        self.stage.quote(&line)?;
        self.stage
            .say("Why is it open? GET /circuit-breakers/whatsapp/explain says:")?;
        self.stage.quote(&why)?;
        Ok(waited)
    }

    async fn refused_at_once(&mut self, timed_out: Duration) -> Result<(), Stop> {
        self.stage.title("3  Callers no longer wait for it")?;
        self.traffic.next_act();
        let refused = within("a refused call", LIMIT, self.traffic.refusal(WHATSAPP)).await?;
        let id = refused.correlation_id.as_str();
        let line = within(
            "the access line of a refused call",
            LIMIT,
            self.journal.line(|line| line["correlationId"] == id),
        )
        .await?;
        watch().await;
        self.scene("open").await?;
        self.expect_answers(StatusCode::SERVICE_UNAVAILABLE)?;
        let tally = self.traffic.tally(WHATSAPP);
        let wait = tally.median().unwrap_or(Duration::MAX);
        if wait > timed_out / 10 {
            let expected = format!(
                "refusals at least ten times faster than {}",
                milliseconds(timed_out)
            );
            return Err(unlike(expected, milliseconds(wait)));
        }
        self.stage.say(&format!(
            "They are refused after {} instead of {}, with {}, Retry-After: {}, X-Sidefuse-Reason: {}.\n\
             The other services never noticed. Every call leaves one line; this is the first refused one's:",
            milliseconds(wait),
            milliseconds(timed_out),
            refused.status,
            refused.retry_after,
            refused.reason
        ))?;
        self.stage.quote(&line)
    }

    async fn one_probe(&mut self) -> Result<(), Stop> {
        self.stage.title("4  One call probes")?;
        self.traffic.next_act();
        self.turned("Circuit breaker half-opened", "a probe")
            .await?;
        self.scene("half_open").await?;
        self.stage.say(
            "After its reset timeout the breaker let one call through. It waits at WhatsApp, which answers again now.",
        )?;
        self.whatsapp.recover();
        self.turned("Circuit breaker closed", "the closing of the breaker")
            .await?;
        self.stage
            .say("The probes succeeded, and the breaker closed.")
    }

    async fn all_is_well_again(&mut self) -> Result<(), Stop> {
        self.stage.title("5  All is well again")?;
        self.traffic.next_act();
        watch().await;
        self.scene("closed").await?;
        self.expect_answers(StatusCode::OK)?;
        self.stage
            .say("Nobody restarted anything, and nobody had to be woken.")
    }

    /// The log line of the next transition of WhatsApp's breaker.
    async fn turned(&mut self, message: &str, what: &'static str) -> Result<String, Stop> {
        let line = self
            .journal
            .line(|line| line["msg"] == message && line["breaker"] == WHATSAPP);
        within(what, LIMIT, line).await
    }

    /// Shows all breakers. WhatsApp's must be in that state, the others closed.
    async fn scene(&mut self, whatsapp: &str) -> Result<(), Stop> {
        let states = within("an answer to an operator", LIMIT, self.operator.states()).await??;
        let rows = ROUTES.map(|route| {
            let tally = self.traffic.tally(route);
            Row {
                route,
                state: states.get(route).cloned().unwrap_or_default(),
                wait: tally.median(),
                answers: tally.answers(),
            }
        });
        self.stage.table(&rows)?;
        expect_states(&states, whatsapp)
    }

    /// All of WhatsApp's callers must have got that answer, and all others a 200.
    fn expect_answers(&self, whatsapp: StatusCode) -> Result<(), Stop> {
        for route in ROUTES {
            let status = if route == WHATSAPP {
                whatsapp
            } else {
                StatusCode::OK
            };
            let tally = self.traffic.tally(route);
            if !tally.is_all(status) {
                let expected = format!("only {status} from {route}");
                return Err(unlike(expected, tally.answers()));
            }
        }
        Ok(())
    }

    /// Shows what the proxy logged last, to help to find the cause.
    fn fail(&mut self, stop: Stop) -> Stop {
        let lines = self.journal.last(LAST_LINES).join("\n");
        let told = self
            .stage
            .say("That did not go as it should. The proxy's last log lines:")
            .and_then(|()| self.stage.quote(&lines));
        told.err().unwrap_or(stop)
    }
}

fn expect_states(states: &States, whatsapp: &str) -> Result<(), Stop> {
    for route in ROUTES {
        let expected = if route == WHATSAPP {
            whatsapp
        } else {
            "closed"
        };
        let seen = states.get(route).map_or("nothing", String::as_str);
        if seen != expected {
            let expected = format!("the breaker of {route} to be {expected}");
            return Err(unlike(expected, seen));
        }
    }
    Ok(())
}

/// The closing words.
fn epilogue<W: Write>(stage: &mut Stage<W>, configuration: &str) -> Result<(), Stop> {
    stage.title("The configuration of this demo")?;
    stage.quote(configuration)?;
    stage.title("Try next")?;
    stage.say(
        "Save it as sidefuse.yaml without the line `listen`, put your own URLs in it, then:\n\
         \x20 sidefuse check sidefuse.yaml\n\
         \x20 sidefuse run -c sidefuse.yaml\n\
         and in another terminal:\n\
         \x20 curl -i http://127.0.0.1:7900/whatsapp/\n\
         \x20 sidefuse ctl breakers\n\
         \x20 sidefuse ctl inspect whatsapp\n\
         \x20 sidefuse ctl open whatsapp --for 1m --reason 'trying it out'",
    )
}

async fn watch() {
    sleep_until(Deadline::after(now(), WATCH)).await;
}

/// The result of `step`, if it comes in time.
async fn within<T>(
    what: &'static str,
    limit: Duration,
    step: impl Future<Output = T>,
) -> Result<T, Stop> {
    timeout_at(Deadline::after(now(), limit), step)
        .await
        .map_err(|_| Stop::Late { what, limit })
}

fn unlike(expected: impl Into<String>, seen: impl Into<String>) -> Stop {
    Stop::Unlike {
        expected: expected.into(),
        seen: seen.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(whatsapp: &str, email: &str) -> States {
        let states = [
            (WHATSAPP, whatsapp),
            ("email", email),
            ("partner", "closed"),
        ];
        let owned = states.map(|(route, state)| (route.to_owned(), state.to_owned()));
        owned.into()
    }

    #[test]
    fn what_is_not_so_is_not_told() {
        assert!(expect_states(&states("open", "closed"), "open").is_ok());
        let wrong = [
            (
                states("half_open", "closed"),
                "whatsapp to be open, but saw half_open",
            ),
            (states("open", "open"), "email to be closed, but saw open"),
            (States::new(), "whatsapp to be open, but saw nothing"),
        ];
        for (states, complaint) in wrong {
            let stop = expect_states(&states, "open").unwrap_err();
            assert!(stop.to_string().ends_with(complaint), "{stop}");
            assert_eq!(stop.exit_code(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_does_not_happen_ends_the_demo() {
        let never = std::future::pending::<()>();
        let stop = within("a probe", LIMIT, never).await.unwrap_err();
        assert_eq!(stop.to_string(), "a probe did not happen within 10s");
        assert_eq!(stop.exit_code(), 1);
    }
}
