//! Compressed bytes in, uncompressed bytes out in pieces of the caller's size: gzip, zstd or none.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Zstd,
    None,
}

impl Compression {
    /// The compression called `name` in the Python face.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// What one pull brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// So many bytes were written, at least one.
    Some(usize),
    /// All input is used up and more is to come.
    Starved,
    /// The stream is complete.
    Finished,
}

enum Engine {
    Plain,
    /// `None` between two members.
    Gzip(Option<Box<Decompress>>),
    /// `bool`: inside a frame.
    Zstd(Box<ZstdDecoder<'static>>, bool),
}

/// A push decompressor: holds the input not yet used, writes into the caller's buffer.
pub struct Inflate {
    engine: Engine,
    input: Vec<u8>,
    at: usize,
    taken: u64,
    streams: u64,
    ended: bool,
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const WINDOW_BITS: u8 = 15;

impl Inflate {
    /// A decompressor at the start of its stream.
    ///
    /// # Errors
    /// When libzstd cannot make a context.
    pub fn new(compression: Compression) -> Result<Self, String> {
        let engine = match compression {
            Compression::None => Engine::Plain,
            Compression::Gzip => Engine::Gzip(None),
            Compression::Zstd => Engine::Zstd(
                Box::new(ZstdDecoder::new().map_err(|e| format!("zstd context: {e}"))?),
                false,
            ),
        };
        Ok(Self {
            engine,
            input: Vec::new(),
            at: 0,
            taken: 0,
            streams: 0,
            ended: false,
        })
    }

    /// Adds compressed bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        if self.at == self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..self.at);
        }
        self.at = 0;
        self.input.extend_from_slice(chunk);
    }

    /// Says that no more bytes will come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether [`Inflate::end`] was called.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Writes the next uncompressed bytes to the front of `out` (which must not be empty).
    ///
    /// # Errors
    /// A text that says what is wrong with the compressed stream.
    pub fn pull(&mut self, out: &mut [u8]) -> Result<Pulled, String> {
        match self.engine {
            Engine::Plain => Ok(self.pull_plain(out)),
            Engine::Gzip(_) => self.pull_gzip(out),
            Engine::Zstd(..) => self.pull_zstd(out),
        }
    }

    fn advance(&mut self, used: usize) {
        self.at += used;
        self.taken += used as u64;
    }

    fn pull_plain(&mut self, out: &mut [u8]) -> Pulled {
        let count = out.len().min(self.input.len() - self.at);
        if count == 0 {
            return if self.ended { Pulled::Finished } else { Pulled::Starved };
        }
        out[..count].copy_from_slice(&self.input[self.at..self.at + count]);
        self.advance(count);
        Pulled::Some(count)
    }

    /// At the border of two members: true when another one starts, None when more input is needed to know.
    fn gzip_member_follows(&self) -> Result<Option<bool>, String> {
        let rest = &self.input[self.at..];
        if rest.len() >= 2 && rest[..2] == GZIP_MAGIC {
            return Ok(Some(true));
        }
        if rest.is_empty() && self.ended && self.streams > 0 {
            return Ok(Some(false));
        }
        if !self.ended && (rest.is_empty() || rest == &GZIP_MAGIC[..1]) {
            return Ok(None);
        }
        if self.streams > 0 {
            return Err(format!(
                "trailing bytes after the end of the gzip stream, at compressed byte {}",
                self.taken
            ));
        }
        Err(not_compressed("gzip", "1f 8b", rest))
    }

    fn pull_gzip(&mut self, out: &mut [u8]) -> Result<Pulled, String> {
        loop {
            let Engine::Gzip(state) = &mut self.engine else {
                unreachable!("engine is fixed at construction")
            };
            let Some(engine) = state else {
                match self.gzip_member_follows()? {
                    None => return Ok(Pulled::Starved),
                    Some(false) => return Ok(Pulled::Finished),
                    Some(true) => self.engine = Engine::Gzip(Some(Box::new(Decompress::new_gzip(WINDOW_BITS)))),
                }
                continue;
            };
            let (before_in, before_out) = (engine.total_in(), engine.total_out());
            let status = engine
                .decompress(&self.input[self.at..], out, FlushDecompress::None)
                .map_err(|error| gzip_error(error.message().unwrap_or("invalid data"), self.taken))?;
            let used = usize::try_from(engine.total_in() - before_in).unwrap_or(usize::MAX);
            let made = usize::try_from(engine.total_out() - before_out).unwrap_or(usize::MAX);
            if status == Status::StreamEnd {
                self.engine = Engine::Gzip(None);
                self.streams += 1;
            }
            self.advance(used);
            if made > 0 {
                return Ok(Pulled::Some(made));
            }
            if status != Status::StreamEnd && self.at == self.input.len() {
                if self.ended {
                    return Err(format!("gzip stream is cut off after {} compressed bytes", self.taken));
                }
                return Ok(Pulled::Starved);
            }
            if status == Status::BufError && used == 0 {
                return Err(format!(
                    "gzip stream makes no progress at compressed byte {}",
                    self.taken
                ));
            }
        }
    }

    fn pull_zstd(&mut self, out: &mut [u8]) -> Result<Pulled, String> {
        loop {
            let Engine::Zstd(engine, inside) = &mut self.engine else {
                unreachable!("engine is fixed at construction")
            };
            let rest = &self.input[self.at..];
            if rest.is_empty() && !*inside {
                return match (self.ended, self.streams) {
                    (false, _) => Ok(Pulled::Starved),
                    (true, 0) => Err(not_compressed("zstd", "28 b5 2f fd", rest)),
                    (true, _) => Ok(Pulled::Finished),
                };
            }
            if !*inside && self.streams == 0 && self.taken == 0 && rest.len() >= 4 && !zstd_magic(rest) {
                return Err(not_compressed("zstd", "28 b5 2f fd", rest));
            }
            if !*inside && self.streams > 0 && rest.len() >= 4 && !zstd_magic(rest) {
                return Err(format!(
                    "trailing bytes after the end of the zstd stream, at compressed byte {}",
                    self.taken
                ));
            }
            if !*inside && !self.ended && rest.len() < 4 {
                return Ok(Pulled::Starved);
            }
            let mut source = InBuffer::around(rest);
            let mut target = OutBuffer::around(&mut *out);
            let hint = engine
                .run(&mut source, &mut target)
                .map_err(|error| format!("zstd: {error}, near compressed byte {}", self.taken))?;
            let (used, made) = (source.pos(), target.pos());
            *inside = hint != 0;
            if hint == 0 {
                self.streams += 1;
            }
            let stuck = made == 0 && hint != 0 && used == rest.len();
            self.advance(used);
            if made > 0 {
                return Ok(Pulled::Some(made));
            }
            if stuck {
                if self.ended {
                    return Err(format!("zstd stream is cut off after {} compressed bytes", self.taken));
                }
                return Ok(Pulled::Starved);
            }
        }
    }
}

fn zstd_magic(rest: &[u8]) -> bool {
    rest[..4] == [0x28, 0xb5, 0x2f, 0xfd] || (rest[1..4] == [0x2a, 0x4d, 0x18] && rest[0] & 0xf0 == 0x50)
}

fn gzip_error(message: &str, at: u64) -> String {
    let meaning = match message {
        "incorrect data check" => "wrong CRC",
        "incorrect length check" => "wrong length",
        _ => "damaged",
    };
    format!(
        "gzip stream is {}: {message}, near compressed byte {at}",
        if meaning == "damaged" {
            "damaged".to_owned()
        } else {
            format!("damaged ({meaning})")
        }
    )
}

fn not_compressed(kind: &str, magic: &str, rest: &[u8]) -> String {
    if rest.is_empty() {
        return format!("empty file: 0 bytes where a {kind} stream was expected");
    }
    let start: Vec<String> = rest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let looks = if rest[0] == b'<' {
        " (looks like an HTML or XML page)"
    } else {
        ""
    };
    format!("not {kind}: starts with {}{looks}, expected {magic}", start.join(" "))
}
