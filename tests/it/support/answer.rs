//! What an origin gets and what it is told to do with it.

use std::collections::VecDeque;

use super::gate::Gate;
use super::message::Head;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Which connection it came on, from 1.
    pub(crate) connection: usize,
    /// Which request of this origin it is, from 1.
    pub(crate) number: usize,
}

/// What the origin does with one request: these steps in their order, then it keeps the connection for the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) steps: VecDeque<Step>,
}

/// What [`Answer`] is made of; its methods say what each does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Pass(Gate),
    Close,
    Reset,
    Echo,
    UntilGone,
}

impl Answer {
    /// Nothing yet: the steps follow.
    pub(crate) fn script() -> Self {
        Self::default()
    }

    /// A complete answer with its length.
    pub(crate) fn status(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        Self::script().send(format!("{text}\r\n{body}"))
    }

    /// 200 with this body.
    pub(crate) fn ok(body: &str) -> Self {
        Self::status(200, &[], body)
    }

    /// Sends these bytes.
    pub(crate) fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Send(bytes.into()))
    }

    /// Goes on when the gate is open.
    pub(crate) fn pass(self, gate: &Gate) -> Self {
        self.then(Step::Pass(gate.clone()))
    }

    /// Ends the connection in order.
    pub(crate) fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Ends the connection with a TCP reset.
    pub(crate) fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Sends back what it gets until the peer has said all.
    pub(crate) fn echo(self) -> Self {
        self.then(Step::Echo)
    }

    /// Waits until the peer has ended the connection.
    pub(crate) fn until_gone(self) -> Self {
        self.then(Step::UntilGone)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}
