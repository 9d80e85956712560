//! HTTP/1.1 messages as bytes: just enough to read one and to look into it, without a library that would tidy it up.

use std::io::{self, BufRead, ErrorKind, Read};

/// The first line and the headers of a message, as they were on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Every byte, the empty line included.
    pub(crate) bytes: Vec<u8>,
}

/// How a message says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After that many bytes.
    Length(usize),
    /// After the last chunk and its trailers.
    Chunked,
    /// With the connection.
    Close,
}

impl Head {
    /// Reads one; `None` when the stream ends before its first byte.
    pub(crate) fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        loop {
            let read = stream.read_until(b'\n', &mut bytes)?;
            if read == 0 && bytes.is_empty() {
                return Ok(None);
            }
            if bytes.last() != Some(&b'\n') {
                return Err(cut_off("within a head"));
            }
            if bytes.ends_with(b"\n\r\n") {
                return Ok(Some(Self { bytes }));
            }
        }
    }

    /// The request line or the status line.
    pub(crate) fn first_line(&self) -> &str {
        self.lines().next().unwrap_or_default()
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        let code = self.first_line().split(' ').nth(1);
        code.and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no status in {:?}", self.first_line()))
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.first_line().split(' ').nth(1).unwrap_or_default()
    }

    /// Names and values in the order of the wire, the names as they were written.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.lines().skip(1);
        lines.filter_map(|line| {
            line.split_once(':')
                .map(|(name, value)| (name, value.trim()))
        })
    }

    /// All values of one header, whatever the case of its name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The value of a header that stands at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} stands {} times", values.len());
        values.first().copied()
    }

    /// What its headers say about the body; `absent` when they say nothing.
    pub(crate) fn framing(&self, absent: Framing) -> Framing {
        if self
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return Framing::Chunked;
        }
        let length = self.header("content-length").map(|length| length.parse());
        length.map_or(absent, |length| {
            Framing::Length(length.expect("a number as content-length"))
        })
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        let text = str::from_utf8(&self.bytes).expect("a head in UTF-8");
        text.split("\r\n").take_while(|line| !line.is_empty())
    }
}

/// Reads a body to its end, without the framing. Fails with `UnexpectedEof` when the stream ends earlier.
pub(crate) fn read_body(stream: &mut impl BufRead, framing: Framing) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    match framing {
        Framing::Length(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body)?;
        }
        Framing::Close => {
            stream.read_to_end(&mut body)?;
        }
        Framing::Chunked => while read_chunk(stream, &mut body)? > 0 {},
    }
    Ok(body)
}

/// Appends the next chunk and returns its size; behind the last one (0) it reads the trailers as well.
pub(crate) fn read_chunk(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<usize> {
    let line = read_line(stream)?;
    let size = line.split(';').next().unwrap_or_default();
    let size = usize::from_str_radix(size, 16)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("no chunk size: {line:?}")))?;
    if size == 0 {
        while !read_line(stream)?.is_empty() {}
        return Ok(0);
    }
    if stream.take(size as u64).read_to_end(body)? < size || !read_line(stream)?.is_empty() {
        return Err(cut_off("within a chunk"));
    }
    Ok(size)
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(cut_off("within a line")),
    }
}

fn cut_off(place: &str) -> io::Error {
    io::Error::new(
        ErrorKind::UnexpectedEof,
        format!("the stream ended {place}"),
    )
}

mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_its_bytes_and_shows_its_parts() {
        let bytes = b"GET /a?b HTTP/1.1\r\nHost: x\r\nX-A:1\r\nx-a: 2 \r\n\r\nrest".to_vec();
        let mut stream = &bytes[..];
        let head = Head::read(&mut stream).unwrap().unwrap();
        assert_eq!(stream, b"rest");
        assert_eq!(head.bytes, bytes[..bytes.len() - 4]);
        assert_eq!(head.target(), "/a?b");
        assert_eq!(head.header("HOST"), Some("x"));
        assert_eq!(head.all("x-a"), ["1", "2"]);
        assert_eq!(head.headers().count(), 3);
    }

    #[test]
    fn a_stream_that_ends_before_a_head_is_no_error_and_within_it_is_one() {
        assert_eq!(Head::read(&mut &b""[..]).unwrap(), None);
        let kind = Head::read(&mut &b"GET / HT"[..]).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        assert_eq!(
            read_body(&mut &b"abcd"[..], Framing::Length(3)).unwrap(),
            b"abc"
        );
        assert_eq!(
            read_body(&mut &b"abcd"[..], Framing::Close).unwrap(),
            b"abcd"
        );
        let chunks = b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nTrailer: t\r\n\r\n";
        assert_eq!(
            read_body(&mut &chunks[..], Framing::Chunked).unwrap(),
            b"abcd"
        );
    }

    #[test]
    fn a_body_that_is_cut_off_is_an_error() {
        for (bytes, framing) in [
            (&b"ab"[..], Framing::Length(3)),
            (b"3\r\nab", Framing::Chunked),
            (b"1\r\na\r\n", Framing::Chunked),
        ] {
            let kind = read_body(&mut &bytes[..], framing).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::UnexpectedEof);
        }
    }
}
