//! A JSON object, written member by member: every call that an open breaker refuses gets one, and a serializer would be most of
//! its cost.

/// An object that is being written to memory, so writing cannot fail.
pub(super) struct Object(Vec<u8>);

impl Object {
    /// Begins the object.
    pub(super) fn new() -> Self {
        let mut text = Vec::with_capacity(512);
        text.push(b'{');
        Self(text)
    }

    /// A member that is a text.
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        if is_plain(text) {
            self.0.push(b'"');
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(b'"');
        } else {
            let _ = serde_json::to_writer(&mut self.0, text);
        }
    }

    /// A member that is a number.
    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        let mut digits = itoa::Buffer::new();
        self.0.extend_from_slice(digits.format(number).as_bytes());
    }

    /// A member that is true or false.
    pub(super) fn flag(&mut self, name: &'static str, flag: bool) {
        self.name(name);
        let word: &[u8] = if flag { b"true" } else { b"false" };
        self.0.extend_from_slice(word);
    }

    /// Begins a member that is an object; all that follow are its own, up to [`Object::end`].
    pub(super) fn begin(&mut self, name: &'static str) {
        self.name(name);
        self.0.push(b'{');
    }

    /// Ends the member that was begun last.
    pub(super) fn end(&mut self) {
        self.0.push(b'}');
    }

    /// Ends the object.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.end();
        self.0
    }

    /// The names are ours and need no escaping.
    fn name(&mut self, name: &'static str) {
        if !self.0.ends_with(b"{") {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

/// Whether a text needs no escaping in a JSON string (RFC 8259 §7), as nearly all do. The loop has no early exit, so that it is
/// vectorized.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| {
        plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_a_reader_finds(text: String, number: u64, flag: bool) {
            let mut object = Object::new();
            object.begin("empty");
            object.end();
            object.text("text", &text);
            object.begin("inner");
            object.number("number", number);
            object.flag("flag", flag);
            object.end();
            let read: Value = serde_json::from_slice(&object.finish()).unwrap();
            let inner = json!({"number": number, "flag": flag});
            prop_assert_eq!(read, json!({"empty": {}, "text": text, "inner": inner}));
        }

        #[test]
        fn a_text_is_escaped_as_a_serializer_does_it(text in "[ -~\u{0}-\u{a0}\"\\\\]*") {
            let mut object = Object::new();
            object.text("text", &text);
            let told = String::from_utf8(object.finish()).unwrap();
            prop_assert_eq!(told, json!({"text": text}).to_string());
        }
    }
}
