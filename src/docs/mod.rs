//! The pages for those who use sidefuse. One source for three readers: here, `sidefuse docs`, and `GET /docs` of the admin port.

mod html;

pub use html::POLICY;

/// Declares the pages once: each as a module for this reader, and in the list for the others.
macro_rules! pages {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        $($(#[doc = $what])+
        #[doc = ""]
        #[doc = include_str!(concat!(stringify!($name), ".md"))]
        pub mod $name {})+

        /// All of them, in the order of reading.
        pub const PAGES: &[Page] = &[$(Page {
            name: stringify!($name),
            text: include_str!(concat!(stringify!($name), ".md")),
        },)+];
    };
}

pages! {
    /// From nothing to the first protected call.
    start,
    /// The file as such: values, layers, changes, checks.
    configuration,
    /// What a route does with its calls: outcomes, breakers, endpoints, limits, retries, fallbacks.
    routes,
    /// Every key, made from the descriptions that the loader reads by.
    reference,
    /// For whoever is on call: views, switches, reasons, health, endings.
    operations,
    /// Every metric, questions in PromQL, and rules for alerts.
    metrics,
    /// What each diagnostic means.
    codes,
}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// What it is called where it is asked for.
    pub name: &'static str,
    /// Its text, in Markdown.
    pub text: &'static str,
}

impl Page {
    /// The page of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        PAGES.iter().find(|page| page.name == name).copied()
    }

    /// Its first heading.
    #[must_use]
    pub fn title(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches("# ")
    }

    /// The section whose heading begins with `heading`, its heading included.
    #[must_use]
    pub fn section(&self, heading: &str) -> Option<&'static str> {
        const MARK: &str = "\n## ";
        let (at, _) = self
            .text
            .match_indices(MARK)
            .find(|(at, _)| self.text[at + MARK.len()..].starts_with(heading))?;
        let section = &self.text[at + 1..];
        let end = section.find(MARK).map_or(section.len(), |end| end + 1);
        Some(&section[..end])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::failure::{Blame, Failure};

    #[test]
    fn every_page_has_one_title_and_leads_to_pages_that_there_are() {
        for page in PAGES {
            assert!(page.text.starts_with("# "), "{}", page.name);
            for named in page.text.split("`sidefuse docs ").skip(1) {
                let name = named.split('`').next().unwrap();
                assert!(Page::named(name).is_some(), "{}: {name}", page.name);
            }
        }
    }

    #[test]
    fn the_operations_page_has_each_reason_with_its_status_and_whose_doing_it_is() {
        let page = Page::named("operations").unwrap();
        let section = page.section("What the `reason`").unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let told: BTreeSet<String> = rows
            .map(|row| row.split(" | ").take(3).collect::<Vec<_>>().join(" "))
            .collect();
        let known: BTreeSet<String> = Failure::ALL
            .iter()
            .map(|failure| {
                let (status, _) = failure.answer();
                let whose = match failure.blame() {
                    Blame::Upstream => "the upstream's",
                    Blame::Ours => "ours",
                    Blame::Caller => "the caller's",
                };
                format!("| `{}` {} {whose}", failure.label(), status.as_u16())
            })
            .collect();
        assert_eq!(told, known);
    }

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let page = Page {
            name: "x",
            text: "# X\n\n## A: a\n\nb\n\n## B\n\nc\n",
        };
        assert_eq!(page.section("A"), Some("## A: a\n\nb\n\n"));
        assert_eq!(page.section("B"), Some("## B\n\nc\n"));
        assert_eq!(page.section("C"), None);
    }
}
