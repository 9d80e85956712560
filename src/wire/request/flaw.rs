//! What can be wrong with a request's framing.

use std::fmt;

/// What is wrong with a request. `Display` is its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A line ends in LF alone.
    BareLf,
    /// A CR stands without its LF.
    BareCr,
    /// The request line does not end in a version that is spoken here.
    RequestLine,
    /// The request target has a character that none may have.
    Target,
    /// A line goes on in the next, or the first begins with a space.
    Folded,
    /// A field line has no colon.
    NoColon,
    /// A space stands between a field's name and its colon.
    SpaceBeforeColon,
    /// HTTP/1.1 without `Host`, or HTTP/2 without that and `:authority`.
    NoHost,
    /// More than one `Host`.
    SeveralHosts,
    /// `Host` names no host.
    Host,
    /// `Host` beside another `:authority`.
    OtherHost,
    /// The authority of a target is no host.
    Authority,
    /// The target is of another scheme than ours.
    Scheme,
    /// White space around a value in HTTP/2.
    SpacedValue,
    /// More than one `Content-Length`.
    SeveralLengths,
    /// `Content-Length` is not one number.
    Length,
    /// `Content-Length` beside `Transfer-Encoding`.
    LengthAndCoding,
    /// A transfer coding that is not `chunked`, or more than one.
    Coding,
    /// A transfer coding in HTTP/1.0, which has none.
    CodingInHttp10,
    /// A field whose name is, but for underscores, that of one which only we may set or which frames the request.
    Alias,
    /// What should be the size of a chunk is none.
    ChunkSize,
    /// The chunks' extensions are too long, or have a control character.
    ChunkExtension,
    /// A chunk is not over where its size says.
    ChunkEnd,
    /// Over HTTP/2: frames without use, out of proportion.
    Frames,
}

impl Flaw {
    /// The rule that is broken, in a sentence for whoever sent it.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::BareLf => "a line ends in LF without CR (RFC 9112 §2.2)",
            Self::BareCr => "a CR stands without its LF (RFC 9112 §2.2)",
            Self::RequestLine => {
                "the request line ends neither in ` HTTP/1.1` nor in ` HTTP/1.0` (RFC 9112 §3)"
            }
            Self::Target => {
                "the request target has `#` or a character beyond ASCII, which must be written as %23 or the like (RFC 9112 §3.2)"
            }
            Self::Folded => "a field line begins with a space or a tab (RFC 9112 §5.2)",
            Self::NoColon => "a field line has no colon (RFC 9112 §5)",
            Self::SpaceBeforeColon => {
                "a space or a tab stands between a field's name and its colon (RFC 9112 §5.1)"
            }
            Self::NoHost => {
                "the request has no `Host`, and over HTTP/2 no `:authority` (RFC 9112 §3.2, RFC 9113 §8.3.1)"
            }
            Self::SeveralHosts => "there is more than one `Host` (RFC 9112 §3.2)",
            Self::Host => "`Host` is not a host with or without a port (RFC 9112 §3.2)",
            Self::OtherHost => "`Host` and `:authority` differ (RFC 9113 §8.3.1)",
            Self::Authority => {
                "the authority of the request target is not a host with or without a port; user and password may not stand there (RFC 9110 §4.2.4)"
            }
            Self::Scheme => {
                "the request target is neither of `http` nor of `https` (RFC 9110 §4.2)"
            }
            Self::SpacedValue => {
                "a field's value begins or ends with a space or a tab (RFC 9113 §8.2.1)"
            }
            Self::SeveralLengths => "there is more than one `Content-Length` (RFC 9112 §6.3)",
            Self::Length => "`Content-Length` is not one number of bytes (RFC 9110 §8.6)",
            Self::LengthAndCoding => {
                "`Content-Length` stands beside `Transfer-Encoding` (RFC 9112 §6.1)"
            }
            Self::Coding => "`Transfer-Encoding` is not `chunked` alone (RFC 9112 §6.1)",
            Self::CodingInHttp10 => "HTTP/1.0 has no `Transfer-Encoding` (RFC 9112 §6.1)",
            Self::Alias => {
                "a field's name has underscores where one that frames a request, or that only sidefuse may set, has hyphens"
            }
            Self::ChunkSize => "the size of a chunk is no hexadecimal number (RFC 9112 §7.1)",
            Self::ChunkExtension => {
                "the extensions of the chunks have a control character, or more than 1024 bytes in total (RFC 9112 §7.1.1)"
            }
            Self::ChunkEnd => "a chunk is longer or shorter than its size says (RFC 9112 §7.1)",
            Self::Frames => {
                "frames that bring neither a request nor a body came by the thousand (RFC 9113 §10.5)"
            }
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}
