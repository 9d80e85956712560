//! What a layer of a configuration does to the one below it.

/// What the value of a key does to the one of the layer below (a preset's, or that of `defaults`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Laid {
    /// Mappings merge, key by key; anything else replaces.
    Merged,
    /// Replaces a mapping, too: its keys choose one of several things, and two of them together mean nothing.
    Whole,
    /// A list of rules: the word `inherited` in it stands for those below.
    Rules,
}
