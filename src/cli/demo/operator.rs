//! The demo as an operator: it asks the proxy's admin port, as one could with curl.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::Stop;
use crate::cli::client::Client;

/// A client of the operators' port.
#[derive(Debug)]
pub(super) struct Operator(Client);

/// The states of all breakers, by name, as the port writes them.
pub(super) type States = BTreeMap<String, String>;

#[derive(Deserialize)]
struct List {
    breakers: Vec<Breaker>,
}

#[derive(Deserialize)]
struct Breaker {
    name: String,
    state: String,
}

#[derive(Deserialize)]
struct Explained {
    explanation: String,
}

impl Operator {
    /// An operator at the port of that address.
    pub(super) fn new(admin: SocketAddr) -> Self {
        Self(Client::new(admin))
    }

    /// `GET /circuit-breakers`.
    pub(super) async fn states(&mut self) -> Result<States, Stop> {
        let list: List = self
            .get("/circuit-breakers")
            .await
            .map_err(|error| Stop::Admin("the breakers", error))?;
        let states = list.breakers.into_iter();
        Ok(states
            .map(|breaker| (breaker.name, breaker.state))
            .collect())
    }

    /// The sentence of `GET /circuit-breakers/{route}/explain`.
    pub(super) async fn explain(&mut self, route: &str) -> Result<String, Stop> {
        let explained: Explained = self
            .get(&format!("/circuit-breakers/{route}/explain"))
            .await
            .map_err(|error| Stop::Admin("an explanation", error))?;
        Ok(explained.explanation)
    }

    async fn get<T: DeserializeOwned>(&mut self, target: &str) -> io::Result<T> {
        let answer = self.0.call(Method::GET, target, "").await?;
        if answer.status != StatusCode::OK {
            let status = answer.status;
            return Err(io::Error::other(format!("{target} answered {status}")));
        }
        serde_json::from_slice(&answer.body).map_err(io::Error::other)
    }
}
