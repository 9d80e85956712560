//! Makes any bytes harmless inside a line, reversibly.
//!
//! A byte printed raw stands for itself. An escape `\u00XX` is always the one *byte* XX: a control character, DEL, or a byte
//! that is no part of valid UTF-8 text (the two bytes of a C1 control as well). An escape above `\u00ff` is that character:
//! line and paragraph separators, and the marks that reorder or hide text. So the bytes can be had back from the line, and a
//! terminal never sees a control sequence.

/// The kind of text, which decides what must be escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Inside a JSON string: quotes and backslashes are escaped.
    Json,
    /// A word of a line for people: backslashes are escaped, and blanks, so that it stays one word.
    Word,
    /// Free text of a line for people: backslashes are escaped.
    Text,
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text`, escaped for its place and cut after `limit` bytes; a cut ends in `…[+N]` with the number of bytes left out.
pub(super) fn push(line: &mut Vec<u8>, text: &[u8], place: Place, limit: usize) {
    let (text, left_out) = cut(text, limit);
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest
            .iter()
            .position(|byte| !is_plain(*byte, place))
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        line.extend_from_slice(head);
        let beyond_ascii = tail.iter().position(u8::is_ascii).unwrap_or(tail.len());
        let (wide, tail) = tail.split_at(beyond_ascii);
        push_wide(line, wide);
        rest = match tail.split_first() {
            Some((byte, after)) if !is_plain(*byte, place) => {
                push_ascii(line, *byte, place);
                after
            }
            Some(_) | None => tail,
        };
    }
    if left_out > 0 {
        line.extend_from_slice("…[+".as_bytes());
        line.extend_from_slice(itoa::Buffer::new().format(left_out).as_bytes());
        line.push(b']');
    }
}

/// Cuts at a character boundary where there is one close by.
fn cut(text: &[u8], limit: usize) -> (&[u8], usize) {
    if text.len() <= limit {
        return (text, 0);
    }
    let boundary = (limit.saturating_sub(3)..=limit)
        .rev()
        .find(|at| {
            text.get(*at)
                .is_some_and(|byte| !(0x80..0xc0).contains(byte))
        })
        .unwrap_or(limit);
    (text.get(..boundary).unwrap_or(text), text.len() - boundary)
}

/// For each byte, a bit per place where it needs no escaping. A table, since it is read for every byte of every line.
const PLAIN: [u8; 256] = {
    let mut plain = [0; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = match byte as u8 {
            b'\\' => 0,
            b'"' => Place::Word.bit() | Place::Text.bit(),
            b' ' => Place::Json.bit() | Place::Text.bit(),
            _ => Place::Json.bit() | Place::Word.bit() | Place::Text.bit(),
        };
        byte += 1;
    }
    plain
};

impl Place {
    const fn bit(self) -> u8 {
        match self {
            Self::Json => 1,
            Self::Word => 2,
            Self::Text => 4,
        }
    }
}

const fn is_plain(byte: u8, place: Place) -> bool {
    PLAIN[byte as usize] & place.bit() != 0
}

fn push_ascii(line: &mut Vec<u8>, byte: u8, place: Place) {
    if matches!(byte, b'\\' | b'"') && (place == Place::Json || byte == b'\\') {
        line.extend_from_slice(&[b'\\', byte]);
    } else {
        push_byte(line, byte);
    }
}

fn push_byte(line: &mut Vec<u8>, byte: u8) {
    push_unit(line, u16::from(byte));
}

fn push_unit(line: &mut Vec<u8>, unit: u16) {
    let digit = |shift: u16| HEX[usize::from((unit >> shift) & 0xf)];
    line.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Appends bytes none of which is ASCII.
fn push_wide(line: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            let mut utf8 = [0; 4];
            let utf8 = char.encode_utf8(&mut utf8);
            match u32::from(char) {
                0x80..=0x9f => utf8.bytes().for_each(|byte| push_byte(line, byte)),
                // Separators, directional marks and overrides, zero-width characters, the byte order mark.
                unit @ (0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2069 | 0xfeff) => {
                    push_unit(line, unit as u16);
                }
                _ => line.extend_from_slice(utf8.as_bytes()),
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push_byte(line, *byte));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &[u8], place: Place) -> String {
        let mut line = Vec::new();
        push(&mut line, text, place, usize::MAX);
        String::from_utf8(line).unwrap()
    }

    /// Undoes the escaping by the rule of the module's page.
    fn unescape(line: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = line;
        while let Some(char) = rest.chars().next() {
            if let Some(escape) = rest.strip_prefix("\\u") {
                let unit = u32::from_str_radix(&escape[..4], 16).unwrap();
                match u8::try_from(unit) {
                    Ok(byte) => bytes.push(byte),
                    Err(_) => {
                        bytes.extend_from_slice(
                            char::from_u32(unit).unwrap().to_string().as_bytes(),
                        );
                    }
                }
                rest = &escape[4..];
            } else if let Some(escape) = rest.strip_prefix('\\') {
                bytes.push(escape.as_bytes()[0]);
                rest = &escape[1..];
            } else {
                bytes.extend_from_slice(char.to_string().as_bytes());
                rest = &rest[char.len_utf8()..];
            }
        }
        bytes
    }

    #[test]
    fn hostile_text_comes_out_as_reviewed_case_185() {
        let shown = |text: &[u8]| escaped(text, Place::Json);
        assert_eq!(shown(b"/a\r\nb"), r"/a\u000d\u000ab");
        assert_eq!(shown(b"\"\\"), r#"\"\\"#);
        assert_eq!(shown(b"\x1b[31mred\x7f"), r"\u001b[31mred\u007f");
        assert_eq!(
            shown("a\u{2028}b\u{2029}\u{202e}c".as_bytes()),
            r"a\u2028b\u2029\u202ec"
        );
        assert_eq!(shown(b"\xff\xc3("), r"\u00ff\u00c3(");
        assert_eq!(shown("\u{9b}".as_bytes()), r"\u00c2\u009b");
        assert_eq!(shown("é 木 😀".as_bytes()), "é 木 😀");
        assert_eq!(escaped(b"a b\"c\n", Place::Word), r#"a\u0020b"c\u000a"#);
        assert_eq!(escaped(b"a b\"c\n", Place::Text), r#"a b"c\u000a"#);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_says_how_much_is_missing() {
        let mut line = Vec::new();
        push(&mut line, "aé木x".as_bytes(), Place::Json, 5);
        assert_eq!(String::from_utf8(line).unwrap(), "aé…[+4]");
        let mut line = Vec::new();
        push(&mut line, &[0xbf; 10], Place::Json, 4);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            r"\u00bf\u00bf\u00bf\u00bf…[+6]"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_had_back_case_185(text: Vec<u8>) {
            for place in [Place::Json, Place::Word, Place::Text] {
                let line = escaped(&text, place);
                prop_assert!(!line.chars().any(char::is_control));
                prop_assert_eq!(&unescape(&line), &text);
            }
        }
    }
}
