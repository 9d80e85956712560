//! The head of a request, line by line.

use memchr::{memchr, memchr2};

use super::name::{Meaning, Name};
use super::value::{Coding, Host, Length, Value};
use super::{Flaw, Over, Wrong, pass_line, within};

/// How far a head is read, and what it says of the body after it.
#[derive(Debug, Default)]
pub(super) struct Head {
    line: Line,
    /// The last bytes of the request line so far.
    tail: [u8; TAIL],
    is_http_10: bool,
    may_switch: bool,
    has_host: bool,
    length: Option<u64>,
    is_chunked: bool,
}

/// A place within a head.
#[derive(Debug, Default)]
enum Line {
    /// Before the request line; there may be empty lines (RFC 9112 §2.2).
    #[default]
    Before,
    /// Behind the CR of such a line.
    Empty,
    /// Within the request line; whether its method is over.
    Request(bool),
    /// Before the first byte of a field line, or of the empty line at the end.
    Start,
    /// Within a name that may matter.
    Name(Name),
    /// Within what nobody looks at; whether the byte before is a CR.
    Rest(bool),
    /// Within a value that matters.
    Value(Value),
    /// Behind the CR of a line that was looked at.
    Cr,
    /// Behind the CR of the empty line at the end.
    End,
}

/// How the request line ends.
const HTTP_11: &[u8; TAIL] = b" HTTP/1.1\r";
const HTTP_10: &[u8; TAIL] = b" HTTP/1.0\r";
const TAIL: usize = 10;

impl Head {
    /// Follows the bytes that come next.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Over {
        let mut at = 0;
        while let Some(first) = bytes.get(at) {
            let rest = &bytes[at..];
            at += match &mut self.line {
                Line::Before => self.begin(*first).map_err(|flaw| (at, flaw))?,
                Line::Empty => {
                    self.line = after_cr(*first, Line::Before).map_err(|flaw| (at, flaw))?;
                    1
                }
                Line::Request(_) => self.request(rest).map_err(|wrong| within(at, wrong))?,
                Line::Start => self.start(*first).map_err(|flaw| (at, flaw))?,
                Line::Name(_) => self.name(rest).map_err(|wrong| within(at, wrong))?,
                Line::Rest(is_after_cr) => {
                    match pass_line(rest, is_after_cr).map_err(|wrong| within(at, wrong))? {
                        Some(count) => {
                            self.line = Line::Start;
                            count
                        }
                        None => rest.len(),
                    }
                }
                Line::Value(value) => match value.read(rest).map_err(|wrong| within(at, wrong))? {
                    Some(count) => {
                        if let Value::Length(length) = value {
                            self.length = length.get();
                        }
                        self.line = Line::Cr;
                        count
                    }
                    None => rest.len(),
                },
                Line::Cr => {
                    self.line = after_cr(*first, Line::Start).map_err(|flaw| (at, flaw))?;
                    1
                }
                Line::End => {
                    self.end(*first).map_err(|flaw| (at, flaw))?;
                    return Ok(Some(at + 1));
                }
            };
        }
        Ok(None)
    }

    /// Whether there is more of it than empty lines.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.line, Line::Before | Line::Empty)
    }

    /// Whether the answer may switch protocols.
    pub(super) fn may_switch(&self) -> bool {
        self.may_switch
    }

    /// Whether the body comes in chunks.
    pub(super) fn is_chunked(&self) -> bool {
        self.is_chunked
    }

    /// The body's length, where it does not come in chunks.
    pub(super) fn length(&self) -> u64 {
        self.length.unwrap_or(0)
    }

    fn begin(&mut self, first: u8) -> Result<usize, Flaw> {
        match first {
            b'\r' => {
                self.line = Line::Empty;
                Ok(1)
            }
            b'\n' => Err(Flaw::BareLf),
            _ => {
                // CONNECT is the one method that switches. What follows another that begins so only waits for the answer.
                self.may_switch = first == b'C';
                self.line = Line::Request(false);
                Ok(0)
            }
        }
    }

    /// Reads on in the request line. It is judged by its end and by its characters; its parts are the parser's.
    fn request(&mut self, bytes: &[u8]) -> Result<usize, Wrong> {
        let end = memchr(b'\n', bytes);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        // A method may have a `#`.
        let target = if matches!(self.line, Line::Request(true)) {
            Some(0)
        } else {
            memchr(b' ', line)
        };
        let fragment = target.and_then(|target| Some(target + memchr(b'#', &line[target..])?));
        let beyond = line.iter().position(|byte| !byte.is_ascii());
        if let Some(at) = fragment.into_iter().chain(beyond).min() {
            return Err((at, Flaw::Target));
        }
        self.line = Line::Request(target.is_some());
        push(&mut self.tail, line);
        let Some(end) = end else {
            return Ok(line.len());
        };
        match &self.tail {
            HTTP_11 => {}
            HTTP_10 => self.is_http_10 = true,
            other => {
                let is_bare = other.last() != Some(&b'\r');
                let flaw = if is_bare {
                    Flaw::BareLf
                } else {
                    Flaw::RequestLine
                };
                return Err((end, flaw));
            }
        }
        self.line = Line::Start;
        Ok(end + 1)
    }

    fn start(&mut self, first: u8) -> Result<usize, Flaw> {
        self.line = match first {
            b'\r' => {
                self.line = Line::End;
                return Ok(1);
            }
            b'\n' => return Err(Flaw::BareLf),
            b' ' | b'\t' => return Err(Flaw::Folded),
            _ if Name::may_matter(first) => Line::Name(Name::default()),
            _ => Line::Rest(false),
        };
        Ok(0)
    }

    fn name(&mut self, bytes: &[u8]) -> Result<usize, Wrong> {
        let Line::Name(name) = &mut self.line else {
            return Ok(0);
        };
        let room = bytes.len().min(name.room());
        let end = match memchr2(b':', b'\n', &bytes[..room]) {
            Some(end) if bytes[end] == b'\n' => return Err((end, Flaw::NoColon)),
            Some(end) => end,
            None if room < name.room() => {
                name.push(&bytes[..room]);
                return Ok(room);
            }
            // Longer than all that matter; some are known by their beginning.
            None => {
                name.push(&bytes[..room]);
                if name.meaning() == Meaning::Alias {
                    return Err((room - 1, Flaw::Alias));
                }
                self.line = Line::Rest(bytes[..room].ends_with(b"\r"));
                return Ok(room);
            }
        };
        let meaning = if name.is_empty() {
            Meaning::of(&bytes[..end])
        } else {
            name.push(&bytes[..end]);
            name.meaning()
        };
        self.line = self.value(meaning).map_err(|flaw| (end, flaw))?;
        Ok(end + 1)
    }

    /// The field of that meaning has begun: whether there may be one, and how its value is read.
    fn value(&mut self, meaning: Meaning) -> Result<Line, Flaw> {
        match meaning {
            Meaning::Host if self.has_host => Err(Flaw::SeveralHosts),
            Meaning::Host => {
                self.has_host = true;
                Ok(Line::Value(Value::Host(Host::default())))
            }
            Meaning::Length if self.is_chunked => Err(Flaw::LengthAndCoding),
            Meaning::Length if self.length.is_some() => Err(Flaw::SeveralLengths),
            Meaning::Length => Ok(Line::Value(Value::Length(Length::default()))),
            Meaning::Coding if self.is_http_10 => Err(Flaw::CodingInHttp10),
            Meaning::Coding if self.length.is_some() => Err(Flaw::LengthAndCoding),
            Meaning::Coding if self.is_chunked => Err(Flaw::Coding),
            Meaning::Coding => {
                self.is_chunked = true;
                Ok(Line::Value(Value::Coding(Coding::default())))
            }
            Meaning::Upgrade => {
                self.may_switch = true;
                Ok(Line::Rest(false))
            }
            Meaning::Alias => Err(Flaw::Alias),
            Meaning::Spaced => Err(Flaw::SpaceBeforeColon),
            Meaning::Nothing => Ok(Line::Rest(false)),
        }
    }

    fn end(&self, first: u8) -> Result<(), Flaw> {
        match first {
            b'\n' if !self.has_host && !self.is_http_10 => Err(Flaw::NoHost),
            b'\n' => Ok(()),
            _ => Err(Flaw::BareCr),
        }
    }
}

/// What a line is behind its LF.
fn after_cr(byte: u8, next: Line) -> Result<Line, Flaw> {
    if byte == b'\n' {
        Ok(next)
    } else {
        Err(Flaw::BareCr)
    }
}

/// Moves the last bytes of what came behind those that came before.
fn push(tail: &mut [u8; TAIL], bytes: &[u8]) {
    match bytes.last_chunk() {
        Some(last) => *tail = *last,
        None => {
            tail.copy_within(bytes.len().., 0);
            tail[TAIL - bytes.len()..].copy_from_slice(bytes);
        }
    }
}
