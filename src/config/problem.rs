//! One thing that is wrong with a configuration.

use std::fmt;
use std::str::FromStr;

use super::excerpt::show;
pub(crate) use super::found::{Count, Problems};
use super::tree::Span;
pub(crate) use super::when::When;

/// Whether a problem forbids the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration works, but not well.
    Warning,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Declares the codes once: the variant, its number, what it means.
macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $code:literal,)+) => {
        /// The kind of a problem. Its text (`C012`) never changes its meaning and is never used again for another.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Code {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As it is printed: `C012`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($meaning,)+).trim_ascii(),)+ }
            }

            /// The same as a title.
            #[must_use]
            pub fn title(self) -> &'static str {
                self.meaning().trim_end_matches('.')
            }
        }
    };
}

codes! {
    /// The text is not valid YAML.
    Syntax = "C001",
    /// The file holds nothing.
    Empty = "C002",
    /// The file is larger, deeper or has more nodes than allowed.
    Budget = "C003",
    /// A key is written twice in one mapping.
    DuplicateKey = "C004",
    /// Valid YAML that a configuration may not use: tags, several documents, keys that are no text.
    Structure = "C005",
    /// The configuration file cannot be read.
    Unreadable = "C006",
    /// A key that must be there is missing.
    Missing = "C010",
    /// A mapping, list or text stands where another of these is expected.
    WrongKind = "C011",
    /// No such key exists here.
    UnknownKey = "C012",
    /// The key is part of the design, but does nothing in this version.
    NotSupported = "C013",
    /// A key has no value.
    NoValue = "C014",
    /// A key stands where it cannot have a meaning.
    Misplaced = "C015",
    /// The version of the file is not one that is understood.
    Version = "C016",
    /// An environment variable is not set.
    UndefinedVariable = "C020",
    /// A `${…}` reference is malformed.
    MalformedReference = "C021",
    /// An environment variable holds a line break or another control character.
    ControlInVariable = "C022",
    /// A word is none of those expected.
    UnknownWord = "C030",
    /// A duration, size or share has no unit.
    NoUnit = "C031",
    /// A value is malformed.
    Malformed = "C032",
    /// A value is out of its range.
    OutOfRange = "C033",
    /// A route or preset has a name that cannot be part of a URL and a label.
    Name = "C040",
    /// An upstream is no usable URL.
    Url = "C041",
    /// No preset has that name.
    UnknownPreset = "C042",
    /// Presets extend each other in a circle.
    PresetCycle = "C043",
    /// A preset has the name of a built-in one.
    PresetTaken = "C044",
    /// Two routes have the same explicit match.
    DuplicateMatch = "C045",
    /// Two listeners have the same address.
    DuplicateAddress = "C046",
    /// The admin port would be open to the network without a token.
    OpenAdmin = "C047",
    /// Two matches could take the same call, and neither is more specific.
    AmbiguousMatch = "C048",
    /// A route that calls do not reach, because another stands before it.
    Unreachable = "C049",
    /// Breaker settings that make no sense together.
    Breaker = "C050",
    /// Timeouts that contradict each other.
    Timeouts = "C051",
    /// Pool settings that contradict each other.
    Pool = "C052",
    /// Retry settings that make no sense together.
    Retry = "C053",
    /// A retry that can never happen.
    IdleRetry = "C054",
    /// A breaker's key that says nothing, or two things.
    BreakerKey = "C056",
    /// Candidate breakers that are too many.
    Shadow = "C057",
    /// A header name or value that HTTP does not allow.
    Header = "C060",
    /// A header that the proxy itself is in charge of.
    OwnedHeader = "C061",
    /// A secret is written into the configuration.
    LiteralSecret = "C062",
    /// A file that the configuration names cannot be used.
    File = "C063",
    /// A secret file can be read or changed by everyone.
    ExposedSecret = "C064",
    /// A file of certificates holds something else.
    Certificate = "C065",
    /// A certificate has expired, or is not valid yet.
    CertificateDate = "C066",
    /// A private key lies where only certificates belong.
    StrayKey = "C067",
    /// A rule of `classify` asks for nothing, or says what does not go together.
    Rule = "C070",
    /// A JSON pointer is malformed.
    Pointer = "C071",
    /// A rule names a failure that no upstream can be blamed for.
    FailureLabel = "C072",
    /// A rule can never hold, because one before it always does.
    IdleRule = "C073",
    /// Throttle settings that contradict each other.
    Throttle = "C075",
    /// Limits that make no sense.
    Limits = "C076",
    /// A fallback that is none, is several at once, or is never reached.
    Fallback = "C080",
    /// A fallback names a route that does not exist.
    FallbackRoute = "C081",
    /// Fallbacks lead back to the route that they began from.
    FallbackCycle = "C082",
    /// A `%{…}` in a text is no place that is filled in.
    Placeholder = "C083",
    /// Settings of kept answers that contradict each other.
    Stale = "C084",
    /// An endpoint is no address.
    Endpoint = "C085",
    /// A list of endpoints is empty, too long, or names one twice.
    Endpoints = "C086",
    /// No list of name servers that can be asked.
    NameServers = "C087",
    /// Settings of a probe that make no sense together.
    Probe = "C088",
    /// `resolve: all` where no name has addresses to become endpoints.
    Resolve = "C089",
    /// An override is for a route that does not exist.
    UnknownRoute = "C090",
    /// An override was over before it was read.
    Lapsed = "C091",
    /// The state file cannot be kept where it is to be kept.
    StateFile = "C092",
    /// A host means the upstreams of two routes, or one twice.
    SharedHost = "C093",
    /// An upstream is the address that sidefuse itself listens on.
    OwnAddress = "C094",
}

/// No problem has that code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no diagnostic has that code; `sidefuse docs codes` has all of them")]
pub struct UnknownCode;

impl FromStr for Code {
    type Err = UnknownCode;

    /// Whatever its case, and with or without the letter and the zeros before its number.
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let digits = text.strip_prefix(['C', 'c']).unwrap_or(text);
        let full = format!("C{digits:0>3}");
        let mut all = Self::ALL.iter();
        all.find(|code| code.as_str() == full)
            .copied()
            .ok_or(UnknownCode)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong. Its texts never hold a value from the environment or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it forbids the configuration.
    pub severity: Severity,
    /// Its kind.
    pub code: Code,
    /// What failed on what.
    pub message: String,
    /// The line in the file, from 1; 0 when it has no place there.
    pub line: usize,
    /// The column in characters, from 1; 0 when it has no place in the file.
    pub column: usize,
    /// How many characters are concerned.
    pub width: usize,
    /// The best suggestion, in a few words.
    pub hint: Option<String>,
    /// More help: what is allowed here, why it matters.
    pub help: Option<String>,
}

impl Problem {
    /// An error at `span`.
    pub(crate) fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            line: span.line,
            column: span.column,
            width: span.width,
            hint: None,
            help: None,
        }
    }

    /// A warning at `span`.
    pub(crate) fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// The same at `span`.
    pub(crate) fn at(self, span: Span) -> Self {
        Self {
            line: span.line,
            column: span.column,
            width: span.width,
            ..self
        }
    }

    /// The same as a warning.
    pub(crate) fn into_warning(self) -> Self {
        Self {
            severity: Severity::Warning,
            ..self
        }
    }

    /// With a suggestion.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// With the name that was probably meant, if there is one.
    pub(crate) fn meant(self, name: Option<&str>) -> Self {
        match name {
            Some(name) => self.hint(format!("did you mean `{}`?", show(name))),
            None => self,
        }
    }

    /// With more help.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}
