//! The interfaces to the outside world: byte streams, names, connecting, TLS, accepting.
//!
//! Everything above works on [`Io`] and [`Connect`], so that the whole data path runs over memory pipes in a test. Nothing here knows
//! HTTP, but for the weight of its frames.

pub mod connect;
pub mod descriptors;
pub mod dns;
pub mod drain;
pub mod happy;
pub mod held;
pub mod io;
pub mod shortage;
pub mod tapped;
pub mod tcp;
pub mod tls;
pub mod weighed;

pub use connect::{Connect, ConnectError, Connecting};
pub use descriptors::Descriptors;
pub use dns::{NameError, Names};
pub use drain::{Phase, Phases};
pub use held::{Held, Hold};
pub use io::{BoxIo, Io, Metered, Traffic};
pub use shortage::{Shortage, Warned};
pub use tapped::{Tap, Tapped};
pub use weighed::{Conduct, Weighed};
