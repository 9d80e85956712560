//! The pages for those who use sidefuse. One source for three readers: here, `sidefuse docs`, and `GET /docs` of the admin port.

/// What each diagnostic means.
#[doc = include_str!("codes.md")]
pub mod codes {}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// What it is called where it is asked for.
    pub name: &'static str,
    /// Its text, in Markdown.
    pub text: &'static str,
}

/// What each diagnostic means.
pub const CODES: Page = Page {
    name: "codes",
    text: include_str!("codes.md"),
};

impl Page {
    /// The section whose heading begins with `heading`, its heading included.
    #[must_use]
    pub fn section(&self, heading: &str) -> Option<&'static str> {
        const MARK: &str = "\n## ";
        let (at, _) = self
            .text
            .match_indices(MARK)
            .find(|(at, _)| self.text[at + MARK.len()..].starts_with(heading))?;
        let section = &self.text[at + 1..];
        let end = section.find(MARK).unwrap_or(section.len());
        Some(&section[..end])
    }
}
