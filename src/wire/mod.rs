//! What must be known about bytes on the wire: pure, and told nothing that it is not asked for.
//!
//! | file | what it reads |
//! |---|---|
//! | `alias` | other names of fields that only we may set |
//! | `hint` | how long an upstream wishes to be left alone, in the header fields that say so |
//! | `hop` | what no message takes along to the next hop |
//! | `request` | where each request of an HTTP/1 connection begins and ends, and what is wrong with it |
//! | `timeout` | how long a caller will wait, in the header fields that say so |
//! | `trailers` | what no trailer section carries on |

mod alias;
mod hint;
mod hop;
mod request;
mod timeout;
mod trailers;

pub use alias::strip_aliases;
pub use hint::{MOST, PauseHints};
pub use hop::{HOP_BY_HOP, OF_THE_CALLER, joined};
pub use request::{Flaw, Reading, Requests};
pub use timeout::{grpc_timeout, request_timeout, write_grpc_timeout, write_request_timeout};
pub use trailers::strip_trailers;
