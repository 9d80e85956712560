//! What a value forbids of what stands beside it. The schema says it; the walk says it too, in words of its own (`compile`).

use http::StatusCode;

/// What the value of one key forbids of the mapping that it stands in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conflict {
    /// Beside one of these statuses under that key stands none of the mapping's choices.
    NoChoiceWith(&'static str, &'static [StatusCode]),
    /// The first key is no `true` beside a list under the second that holds anything.
    TrueOrList(&'static str, &'static str),
    /// That key says `true` if it says anything.
    OnlyTrue(&'static str),
}

/// What the list of a key holds once at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Once {
    /// Each of its items.
    Each,
    /// This word.
    Word(&'static str),
    /// A mapping with this key.
    With(&'static str),
}
