//! Text with places to be filled in: `%{correlationId}`, `%{route}`, `%{retryAfter}`. `%%{` stands for the characters `%{`.
//!
//! The values need no escaping in any place: an id is letters, digits and `._:-`, a route's name is letters, digits and `-`, a
//! time is a number. So a template that is valid when it is read cannot become an invalid header or invalid JSON.

use bytes::{Bytes, BytesMut};

/// The kinds of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blank {
    CorrelationId,
    Route,
    /// Empty if no time is known.
    RetryAfter,
    /// The same as a JSON value: `null` if no time is known.
    RetryAfterNumber,
}

const NAMES: [(&str, Blank); 3] = [
    ("correlationId", Blank::CorrelationId),
    ("route", Blank::Route),
    ("retryAfter", Blank::RetryAfter),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Bytes),
    Blank(Blank),
}

/// A text with its places, parsed once.
///
/// ```
/// use sidefuse::config::template::{Filling, Template};
///
/// let template = Template::parse("again in %{retryAfter} s; 100 %%{sure}").unwrap();
/// let filling = Filling { correlation_id: "id-1", route: "mail", retry_after: Some(42) };
/// assert_eq!(template.fill(&filling), "again in 42 s; 100 %{sure}");
/// assert_eq!(Template::parse("%{user}").unwrap_err().name, "user");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// What templates are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The correlation id.
    pub correlation_id: &'a str,
    /// The route's name.
    pub route: &'a str,
    /// In how many seconds to come back, if that is known.
    pub retry_after: Option<u64>,
}

/// An unknown place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPlace {
    /// The text in its braces; all the rest if it is not closed.
    pub name: String,
}

/// The names of all places.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// The first place that is none.
    pub fn parse(text: &str) -> Result<Self, UnknownPlace> {
        let mut builder = TemplateBuilder::default();
        builder.push(text, |text| text.as_bytes().to_vec())?;
        Ok(builder.finish())
    }

    /// A text without places, taken literally.
    pub(crate) fn verbatim(text: Vec<u8>) -> Self {
        let parts = Vec::new();
        TemplateBuilder { parts, text }.finish()
    }

    /// The text with its places filled in. Allocates once, and not at all for a text without places.
    #[must_use]
    pub fn fill(&self, filling: &Filling<'_>) -> Bytes {
        match &self.parts[..] {
            [] => Bytes::new(),
            [Part::Text(text)] => text.clone(),
            parts => {
                let mut number = itoa::Buffer::new();
                let retry_after = filling.retry_after.map(|wait| number.format(wait));
                let filled = |blank: Blank| match blank {
                    Blank::CorrelationId => filling.correlation_id,
                    Blank::Route => filling.route,
                    Blank::RetryAfter => retry_after.unwrap_or_default(),
                    Blank::RetryAfterNumber => retry_after.unwrap_or("null"),
                };
                let pieces = || {
                    parts.iter().map(|part| match part {
                        Part::Text(text) => &text[..],
                        Part::Blank(blank) => filled(*blank).as_bytes(),
                    })
                };
                let mut text = BytesMut::with_capacity(pieces().map(<[u8]>::len).sum());
                pieces().for_each(|piece| text.extend_from_slice(piece));
                text.freeze()
            }
        }
    }
}

/// Puts a template together from texts that are each encoded in their own way.
#[derive(Debug, Default)]
pub(crate) struct TemplateBuilder {
    parts: Vec<Part>,
    text: Vec<u8>,
}

impl TemplateBuilder {
    /// Adds literal text.
    pub(crate) fn push_plain(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// Adds a template, with the texts between its places `encoded`.
    ///
    /// # Errors
    /// The first place that is none.
    pub(crate) fn push(
        &mut self,
        text: &str,
        encoded: impl Fn(&str) -> Vec<u8>,
    ) -> Result<(), UnknownPlace> {
        let mut rest = text;
        while let Some(at) = rest.find("%{") {
            let (before, place) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('%') {
                self.text.extend(encoded(before));
                self.text.extend(encoded("%{"));
                rest = &place[2..];
                continue;
            }
            self.text.extend(encoded(before));
            let inner = &place[2..];
            let end = inner.find('}').unwrap_or(inner.len());
            let name = &inner[..end];
            let known = NAMES.iter().find(|(known, _)| *known == name);
            let Some((_, blank)) = known.filter(|_| end < inner.len()) else {
                return Err(UnknownPlace {
                    name: name.to_owned(),
                });
            };
            self.blank(*blank);
            rest = &inner[end + 1..];
        }
        self.text.extend(encoded(rest));
        Ok(())
    }

    /// Adds a string as a JSON value; one that is nothing but `%{retryAfter}` becomes a number.
    ///
    /// # Errors
    /// The first place that is none.
    pub(crate) fn push_json(&mut self, text: &str) -> Result<(), UnknownPlace> {
        if text == "%{retryAfter}" {
            self.blank(Blank::RetryAfterNumber);
            return Ok(());
        }
        self.push_plain("\"");
        self.push(text, |text| {
            let quoted = serde_json::Value::from(text).to_string();
            quoted.as_bytes()[1..quoted.len() - 1].to_vec()
        })?;
        self.push_plain("\"");
        Ok(())
    }

    /// The template.
    pub(crate) fn finish(mut self) -> Template {
        self.flush();
        Template { parts: self.parts }
    }

    fn blank(&mut self, blank: Blank) {
        self.flush();
        self.parts.push(Part::Blank(blank));
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.parts.push(Part::Text(text.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILLING: Filling<'_> = Filling {
        correlation_id: "id-1",
        route: "mail",
        retry_after: Some(42),
    };

    fn filled(text: &str) -> Bytes {
        Template::parse(text).unwrap().fill(&FILLING)
    }

    #[test]
    fn places_are_filled_and_everything_else_stays() {
        assert_eq!(
            filled("%{route}/%{correlationId}: %{retryAfter}"),
            "mail/id-1: 42"
        );
        assert_eq!(filled("100 % { } %} %"), "100 % { } %} %");
        assert_eq!(filled("%%{route} %%%{route}"), "%{route} %%{route}");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn a_time_that_is_not_known_leaves_nothing_in_text_and_null_in_json() {
        let filling = Filling {
            retry_after: None,
            ..FILLING
        };
        let text = Template::parse("[%{retryAfter}]").unwrap();
        assert_eq!(text.fill(&filling), "[]");
        let mut json = TemplateBuilder::default();
        json.push_json("%{retryAfter}").unwrap();
        let json = json.finish();
        assert_eq!(
            (json.fill(&filling), json.fill(&FILLING)),
            ("null".into(), "42".into())
        );
    }

    #[test]
    fn a_place_that_is_none_is_an_error_that_names_it() {
        for (text, name) in [
            ("a %{user} b", "user"),
            ("%{Route}", "Route"),
            ("%{}", ""),
            ("%{route", "route"),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().name, name, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_as_json_reads_back_as_itself(text: String) {
            let mut builder = TemplateBuilder::default();
            builder.push_json(&text.replace("%{", "%%{")).unwrap();
            let json = builder.finish().fill(&FILLING);
            let read: String = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,20}(%|%\\{|%%\\{|\\}|route).{0,20}") {
            let _ = Template::parse(&text).map(|template| template.fill(&FILLING));
        }
    }
}
