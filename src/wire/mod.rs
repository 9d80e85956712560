//! What must be known about bytes on the wire: pure, and told nothing that it is not asked for.
//!
//! | file | what it reads |
//! |---|---|
//! | `hint` | how long an upstream wishes to be left alone, in the header fields that say so |

mod hint;

pub use hint::{MOST, PauseHints};
