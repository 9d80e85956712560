//! What a value forbids of the keys and items beside it. The schema is made from this; the walk has messages of its own
//! (`compile`).

use http::StatusCode;

/// What the value of one key forbids of its mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conflict {
    /// With one of these statuses under that key, none of the mapping's choices may be written.
    NoChoiceWith(&'static str, &'static [StatusCode]),
    /// The first key must not be `true` beside a non-empty list under the second.
    TrueOrList(&'static str, &'static str),
    /// That key must be `true` if it is written.
    OnlyTrue(&'static str),
}

/// What the list of a key may hold only once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Once {
    /// Each of its items.
    Each,
    /// This word.
    Word(&'static str),
    /// A mapping with this key.
    With(&'static str),
}
