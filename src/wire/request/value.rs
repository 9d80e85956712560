//! The values of the fields that frame or route a request, from byte to byte.
//!
//! Each has white space around it, which is not part of it (RFC 9110 §5.5).

use super::{Flaw, Over};

/// A value of which a part has come.
#[derive(Debug)]
pub(super) enum Value {
    Host(Host),
    Length(Length),
    Coding(Coding),
}

impl Value {
    /// Follows the bytes that come next, up to the CR after the value.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Over {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at += match byte {
                b'\r' => {
                    self.end().map_err(|flaw| (at, flaw))?;
                    return Ok(Some(at + 1));
                }
                b'\n' => return Err((at, Flaw::BareLf)),
                _ => self.step(&bytes[at..]).map_err(|flaw| (at, flaw))?,
            };
        }
        Ok(None)
    }

    /// Reads the first byte, and maybe some that follow.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        match self {
            Self::Host(host) => host.read(bytes),
            Self::Length(length) => length.step(bytes[0]).map(|()| 1),
            Self::Coding(coding) => coding.step(bytes[0]).map(|()| 1),
        }
    }

    /// Whether it may end here.
    fn end(&self) -> Result<(), Flaw> {
        match self {
            Self::Host(host) => host.end(),
            Self::Length(length) => length.get().map(|_| ()).ok_or(Flaw::Length),
            Self::Coding(coding) => coding.end(),
        }
    }
}

/// `uri-host [ ":" port ]`, or nothing, which is what a target without an authority has (RFC 9112 §3.2).
#[derive(Debug, Default)]
pub(super) enum Host {
    #[default]
    Before,
    Name,
    /// Behind a `%`, with that many digits still to come.
    Escape(u8),
    /// Behind `[`.
    Bracket,
    Address,
    /// Behind `]`.
    Bracketed,
    /// Behind `:`, with the number so far.
    Port(u16),
    After,
}

impl Host {
    /// Whether that is a host, with or without a port.
    pub(super) fn is_one(text: &[u8]) -> bool {
        let mut host = Self::default();
        text.iter().all(|byte| host.step(*byte).is_ok()) && host.end().is_ok()
    }

    /// Reads the first byte, and all further bytes that do not change the state.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        self.step(bytes[0])?;
        let rest = bytes[1..].iter();
        Ok(1 + match self {
            Self::Name => rest.take_while(|byte| is_of_a_name(**byte)).count(),
            Self::Before
            | Self::Escape(_)
            | Self::Bracket
            | Self::Address
            | Self::Bracketed
            | Self::Port(_)
            | Self::After => 0,
        })
    }

    fn step(&mut self, byte: u8) -> Result<(), Flaw> {
        *self = match (&*self, byte) {
            (Self::Before | Self::Name, _) if is_of_a_name(byte) => Self::Name,
            (Self::Before, b' ' | b'\t') => Self::Before,
            (Self::Before, b'[') => Self::Bracket,
            (Self::Before | Self::Name, b'%') => Self::Escape(2),
            (Self::Name | Self::Bracketed, b':') => Self::Port(0),
            (Self::Port(port), b'0'..=b'9') => {
                let longer = port.checked_mul(10);
                let longer = longer.and_then(|longer| longer.checked_add(u16::from(byte - b'0')));
                Self::Port(longer.ok_or(Flaw::Host)?)
            }
            (Self::Name | Self::Bracketed | Self::Port(_) | Self::After, b' ' | b'\t') => {
                Self::After
            }
            (Self::Escape(2), _) if byte.is_ascii_hexdigit() => Self::Escape(1),
            (Self::Escape(1), _) if byte.is_ascii_hexdigit() => Self::Name,
            (Self::Address, b']') => Self::Bracketed,
            (Self::Bracket | Self::Address, b':' | b'.') => Self::Address,
            (Self::Bracket | Self::Address, _) if byte.is_ascii_hexdigit() => Self::Address,
            _ => return Err(Flaw::Host),
        };
        Ok(())
    }

    fn end(&self) -> Result<(), Flaw> {
        match self {
            Self::Before | Self::Name | Self::Bracketed | Self::Port(_) | Self::After => Ok(()),
            Self::Escape(_) | Self::Bracket | Self::Address => Err(Flaw::Host),
        }
    }
}

/// The characters of a registered name or an IPv4 address (RFC 3986 §3.2.2).
const OF_A_NAME: [bool; 256] = {
    let mut is_of_a_name = [false; 256];
    let others = b"-._~!$&'()*+,;=";
    let mut byte = 0;
    while byte < 128_u8 {
        is_of_a_name[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        is_of_a_name[others[at] as usize] = true;
        at += 1;
    }
    is_of_a_name
};

fn is_of_a_name(byte: u8) -> bool {
    OF_A_NAME[usize::from(byte)]
}

/// A number of bytes.
#[derive(Debug, Default)]
pub(super) enum Length {
    #[default]
    Before,
    Digits(u64),
    After(u64),
}

/// The HTTP library uses larger numbers internally.
const MOST: u64 = u64::MAX - 2;

impl Length {
    fn step(&mut self, byte: u8) -> Result<(), Flaw> {
        *self = match (&*self, byte) {
            (Self::Before, b' ' | b'\t') => Self::Before,
            (Self::Before, b'0'..=b'9') => Self::Digits(u64::from(byte - b'0')),
            (Self::Digits(length), b'0'..=b'9') => {
                let longer = length.checked_mul(10);
                let longer = longer.and_then(|longer| longer.checked_add(u64::from(byte - b'0')));
                Self::Digits(longer.filter(|it| *it <= MOST).ok_or(Flaw::Length)?)
            }
            (Self::Digits(length) | Self::After(length), b' ' | b'\t') => Self::After(*length),
            _ => return Err(Flaw::Length),
        };
        Ok(())
    }

    /// The number, once it has begun.
    pub(super) fn get(&self) -> Option<u64> {
        match self {
            Self::Digits(length) | Self::After(length) => Some(*length),
            Self::Before => None,
        }
    }
}

/// `chunked`, and nothing else.
#[derive(Debug, Default)]
pub(super) enum Coding {
    #[default]
    Before,
    /// Within the word.
    Word(usize),
    After,
}

const CHUNKED: &[u8] = b"chunked";

impl Coding {
    fn step(&mut self, byte: u8) -> Result<(), Flaw> {
        let at = match &*self {
            Self::Before => 0,
            Self::Word(at) => *at,
            Self::After => CHUNKED.len(),
        };
        *self = match byte {
            b' ' | b'\t' if at == 0 => Self::Before,
            b' ' | b'\t' if at == CHUNKED.len() => Self::After,
            _ if matches!(self, Self::After) => return Err(Flaw::Coding),
            _ if CHUNKED.get(at) == Some(&byte.to_ascii_lowercase()) => Self::Word(at + 1),
            _ => return Err(Flaw::Coding),
        };
        Ok(())
    }

    fn end(&self) -> Result<(), Flaw> {
        match self {
            Self::After => Ok(()),
            Self::Word(at) if *at == CHUNKED.len() => Ok(()),
            Self::Before | Self::Word(_) => Err(Flaw::Coding),
        }
    }
}
