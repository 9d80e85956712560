//! The form of our own answers.

/// The form of the answers that we give ourselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusalForm {
    /// Problem details (RFC 9457).
    #[default]
    Problem,
    /// An error as Meta's Graph API writes it: its clients read nothing else.
    Graph,
}
