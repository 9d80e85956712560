//! Pure functions without clock, I/O or state, about bytes on the wire.
//!
//! | file | what it reads |
//! |---|---|
//! | `alias` | other names of fields that only we may set |
//! | `frames` | what an HTTP/2 peer's frames cost, and whether it gives its connection up |
//! | `hint` | how long a pause an upstream asks for, in the header fields that say so |
//! | `hop` | fields that are removed from a message before the next hop |
//! | `list` | the members of a field's value, and whether they name a version |
//! | `media` | media types |
//! | `request` | where each request of an HTTP/1 connection begins and ends, and what is wrong with it |
//! | `timeout` | how long a caller will wait, in the header fields that say so |
//! | `trailers` | fields that are removed from a trailer section |

mod alias;
mod frames;
mod hint;
mod hop;
mod list;
mod media;
mod request;
mod timeout;
mod trailers;

pub use alias::strip_aliases;
pub use frames::Frames;
pub use hint::{MOST, PauseHints};
pub use hop::{HOP_BY_HOP, OF_THE_CALLER, joined};
pub use list::{closed_members, members, names_version};
pub use media::{essence, wants_text};
pub use request::{Decoded, Flaw, Reading, Requests, flaw_of_target};
pub use timeout::{grpc_timeout, request_timeout, write_grpc_timeout, write_request_timeout};
pub use trailers::strip_trailers;
