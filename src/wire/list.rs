//! Lists of a field's value, separated by commas (RFC 9110 §5.6.1).

use http::header::{GetAll, HeaderValue};

/// The members of a list, trimmed, without empty ones. A comma within a quoted string (§5.6.4) does not separate. A string
/// without an end extends to the end of the list.
pub fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(list, Backslash::Escapes)
}

/// The same; `None` if a quoted string has no end, so that another reader may split the list otherwise.
#[must_use]
pub fn closed_members(list: &[u8]) -> Option<Vec<&[u8]>> {
    let mut quotes = Quotes::new(Backslash::Escapes);
    list.iter().for_each(|byte| quotes.pass(*byte));
    (!quotes.are_open).then(|| members(list).collect())
}

/// Whether the fields of an `If-None-Match` name that entity tag, or any with `*` (RFC 9110 §13.1.2: weak comparison).
#[must_use]
pub fn names_version(fields: &GetAll<'_, HeaderValue>, tag: Option<&[u8]>) -> bool {
    let tag = tag.map(opaque);
    fields.iter().any(|tags| {
        let tags = tags.as_bytes();
        // A backslash is an ordinary character of an entity tag (§8.8.3).
        tags.trim_ascii() == b"*"
            || split(tags, Backslash::IsPlain).any(|other| Some(opaque(other)) == tag)
    })
}

/// A tag without the mark of a weak one.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn split(list: &[u8], backslash: Backslash) -> impl Iterator<Item = &[u8]> {
    let mut quotes = Quotes::new(backslash);
    list.split(move |byte| {
        quotes.pass(*byte);
        *byte == b',' && !quotes.are_open
    })
    .map(<[u8]>::trim_ascii)
    .filter(|member| !member.is_empty())
}

/// What a backslash within quotes means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backslash {
    /// The next character stands for itself.
    Escapes,
    /// Itself.
    IsPlain,
}

/// Whether a text that is read byte by byte is within quotes.
struct Quotes {
    backslash: Backslash,
    are_open: bool,
    is_escaped: bool,
}

impl Quotes {
    const fn new(backslash: Backslash) -> Self {
        Self {
            backslash,
            are_open: false,
            is_escaped: false,
        }
    }

    fn pass(&mut self, byte: u8) {
        if self.is_escaped {
            self.is_escaped = false;
        } else if byte == b'\\' && self.are_open && self.backslash == Backslash::Escapes {
            self.is_escaped = true;
        } else if byte == b'"' {
            self.are_open = !self.are_open;
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::IF_NONE_MATCH;

    use super::*;

    fn told(list: &str) -> Vec<&str> {
        let members = members(list.as_bytes());
        members
            .map(|one| std::str::from_utf8(one).unwrap())
            .collect()
    }

    #[test]
    fn only_a_comma_outside_quotes_separates_and_empty_members_are_none() {
        for (list, expected) in [
            ("", &[][..]),
            (" , ,\t", &[]),
            ("a, b ,c", &["a", "b", "c"]),
            (r#"a="x, y", b"#, &[r#"a="x, y""#, "b"]),
            (r#"a="x\", y", b"#, &[r#"a="x\", y""#, "b"]),
            (r#"a="x\\", b"#, &[r#"a="x\\""#, "b"]),
            (r"a\, b", &[r"a\", "b"]),
            (r#"a="x, b"#, &[r#"a="x, b"#]),
        ] {
            assert_eq!(told(list), expected, "{list}");
        }
    }

    #[test]
    fn a_string_without_an_end_makes_no_closed_list() {
        assert_eq!(closed_members(b"a, \"b,"), None);
        assert_eq!(closed_members(b"a, \"b\\\""), None);
        assert_eq!(
            closed_members(b"a, \"b\\\"\""),
            Some(vec![&b"a"[..], b"\"b\\\"\""])
        );
    }

    #[test]
    fn a_version_is_named_weakly_or_by_a_star_and_a_backslash_in_it_is_plain() {
        let names = |fields: &[&str], tag: Option<&str>| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(IF_NONE_MATCH, field.parse().unwrap());
            }
            names_version(&headers.get_all(IF_NONE_MATCH), tag.map(str::as_bytes))
        };
        assert!(names(&[r#""x", W/"a""#], Some(r#""a""#)));
        assert!(names(&[r#""x""#, r#""a""#], Some(r#"W/"a""#)));
        assert!(names(&[r#""a,b""#], Some(r#""a,b""#)));
        assert!(names(&[r#""a\", "b""#], Some(r#""b""#)));
        assert!(!names(&[r#""a,b""#], Some(r#""a""#)));
        assert!(names(&["*"], None));
        assert!(!names(&[r#""a""#, ""], None));
        assert!(!names(&[], Some(r#""a""#)));
    }
}
