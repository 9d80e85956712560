//! A body in chunks (RFC 9112 §7.1), with the trailer section after it.

use super::{Flaw, Over, pass, pass_line, within};

/// How far the chunks are read.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    place: Place,
    /// The size of the chunk, then what is left of its data.
    size: u64,
    digits: u8,
    /// Bytes of extensions in all chunks.
    extensions: usize,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Size,
    /// Behind white space that only an extension may follow.
    Space,
    Extension,
    /// Behind the CR of the size's line.
    SizeCr,
    Data,
    /// Behind the data.
    DataEnd,
    /// Behind the CR after the data.
    DataCr,
    /// Before the first byte of a trailer line, or of the empty line at the end.
    Trailer,
    /// Within a trailer line; whether the byte before is a CR.
    TrailerRest(bool),
    /// Behind the CR of the empty line at the end.
    End,
}

/// The most digits of a size: more are a mistake or an attack, even if they are zeros.
const MOST_DIGITS: u8 = 16;

/// The most bytes of all extensions of a body; they have no known use.
const MOST_EXTENSIONS: usize = 1024;

impl Chunks {
    /// Follows the bytes that come next.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Over {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let rest = &bytes[at..];
            at += match self.place {
                Place::Data => match pass(&mut self.size, rest.len()) {
                    Some(count) => {
                        self.place = Place::DataEnd;
                        count
                    }
                    None => rest.len(),
                },
                Place::TrailerRest(ref mut is_after_cr) => {
                    match pass_line(rest, is_after_cr).map_err(|wrong| within(at, wrong))? {
                        Some(count) => {
                            self.place = Place::Trailer;
                            count
                        }
                        None => rest.len(),
                    }
                }
                Place::End if *byte == b'\n' => return Ok(Some(at + 1)),
                Place::Size
                | Place::Space
                | Place::Extension
                | Place::SizeCr
                | Place::DataEnd
                | Place::DataCr
                | Place::Trailer
                | Place::End => {
                    self.place = self.step(*byte).map_err(|flaw| (at, flaw))?;
                    1
                }
            };
        }
        Ok(None)
    }

    /// The place behind one more byte of a line.
    fn step(&mut self, byte: u8) -> Result<Place, Flaw> {
        match (&self.place, byte) {
            (Place::Size, b'\r') if self.digits > 0 => Ok(Place::SizeCr),
            (Place::Size, b';') if self.digits > 0 => self.extend(Place::Extension),
            (Place::Size, b' ' | b'\t') if self.digits > 0 => self.extend(Place::Space),
            (Place::Size, _) => self.grow(byte),
            (Place::Space, b' ' | b'\t') => self.extend(Place::Space),
            (Place::Extension, b'\r') => Ok(Place::SizeCr),
            (Place::Extension | Place::Trailer, b'\n') => Err(Flaw::BareLf),
            (Place::Extension, _) if byte.is_ascii_control() && byte != b'\t' => {
                Err(Flaw::ChunkExtension)
            }
            (Place::Space, b';') | (Place::Extension, _) => self.extend(Place::Extension),
            (Place::SizeCr, b'\n') => {
                self.digits = 0;
                Ok(match self.size {
                    0 => Place::Trailer,
                    _ => Place::Data,
                })
            }
            (Place::DataEnd, b'\r') => Ok(Place::DataCr),
            (Place::DataEnd, _) => Err(Flaw::ChunkEnd),
            (Place::DataCr, b'\n') => Ok(Place::Size),
            (Place::Trailer, b'\r') => Ok(Place::End),
            (Place::Trailer, b' ' | b'\t') => Err(Flaw::Folded),
            (Place::Trailer, _) => Ok(Place::TrailerRest(false)),
            (Place::SizeCr | Place::DataCr | Place::End, _) => Err(Flaw::BareCr),
            (Place::Space | Place::Data | Place::TrailerRest(_), _) => Err(Flaw::ChunkSize),
        }
    }

    fn grow(&mut self, byte: u8) -> Result<Place, Flaw> {
        let digit = char::from(byte).to_digit(16).ok_or(Flaw::ChunkSize)?;
        self.digits += 1;
        if self.digits > MOST_DIGITS {
            return Err(Flaw::ChunkSize);
        }
        // A chunk before left nothing of its size.
        self.size = self.size << 4 | u64::from(digit);
        Ok(Place::Size)
    }

    fn extend(&mut self, place: Place) -> Result<Place, Flaw> {
        self.extensions += 1;
        if self.extensions > MOST_EXTENSIONS {
            return Err(Flaw::ChunkExtension);
        }
        Ok(place)
    }
}
