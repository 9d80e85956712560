//! Pages as HTML that needs nothing from the network: no script, no font, no image, one style within.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::{PAGES, Page};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:72rem;margin:0 auto;padding:1rem;color:#222;background:#fff}\
nav a{margin-right:1rem}code,pre{font:.9em ui-monospace,monospace;background:#f3f3f3}code{padding:.1em .3em}pre{padding:.8rem;overflow:auto}\
pre code{padding:0}table{border-collapse:collapse;display:block;overflow:auto}th,td{border:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}code,pre{background:#262626}a{color:#8bf}th,td{border-color:#444}}";

/// The headers' policy that lets the style in, and nothing else.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

impl Page {
    /// The page as HTML, with the way to all others.
    #[must_use]
    pub fn html(&self) -> String {
        let mut events: Vec<Event<'_>> =
            Parser::new_ext(self.text, Options::ENABLE_TABLES).collect();
        name_headings(&mut events);
        let mut body = String::with_capacity(self.text.len() * 2);
        html::push_html(&mut body, events.into_iter());
        let ways: String = PAGES
            .iter()
            .map(|page| format!("<a href=\"/docs/{}\">{}</a>", page.name, page.title()))
            .collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{} – sidefuse</title>\n<style>{STYLE}</style>\n<nav>{ways}</nav>\n<main>\n{body}</main>\n</html>\n",
            self.title()
        )
    }
}

/// Gives each heading an id, so that `/docs/codes#c012` leads there: its text up to a colon.
fn name_headings(events: &mut [Event<'_>]) {
    let mut open = None;
    let mut text = String::new();
    for at in 0..events.len() {
        if let Event::Start(Tag::Heading { .. }) = &events[at] {
            open = Some(at);
            text.clear();
        } else if let Event::Text(part) | Event::Code(part) = &events[at] {
            text.push_str(part);
        } else if let Event::End(TagEnd::Heading(_)) = &events[at] {
            let heading = open.take().and_then(|at| events.get_mut(at));
            if let Some(Event::Start(Tag::Heading { id, .. })) = heading {
                *id = Some(CowStr::from(anchor(&text)));
            }
        }
    }
}

fn anchor(heading: &str) -> String {
    let name = heading.split(':').next().unwrap_or_default();
    let plain = name.chars().map(|char| {
        if char.is_ascii_alphanumeric() {
            char.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    plain.collect::<String>().trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_needs_nothing_from_elsewhere() {
        for page in PAGES {
            let html = page.html();
            for way in ["<script", "<img", "<link", "src=", "@import", "url("] {
                assert!(!html.contains(way), "{}: {way}", page.name);
            }
            assert_eq!(
                html.matches("href=\"").count(),
                PAGES.len(),
                "{}",
                page.name
            );
            assert_eq!(html.matches("<h1").count(), 1, "{}", page.name);
            assert!(!html.contains("<p>|"), "{}: rows without a head", page.name);
        }
    }

    #[test]
    fn tables_are_tables_and_headings_can_be_linked_to() {
        let html = Page::named("codes").unwrap().html();
        assert!(html.contains("<h2 id=\"c012\">C012: No such key exists here</h2>"));
        let html = Page::named("reference").unwrap().html();
        assert!(html.contains("<h2 id=\"routes-name-breaker\">") && html.contains("<table>"));
        assert_eq!(
            anchor("Which breaker is open, and why"),
            "which-breaker-is-open--and-why"
        );
    }
}
