//! Output that can only grow, such as a pipe.
//!
//! It stands where a file that is written at any offset is asked for, for writers that never go back; one that does gets an
//! error.

use std::io::{self, Write};

use super::read_at::{ReadAt, WriteAt};

/// Bytes written one behind the other.
pub struct SequentialOutput<'w> {
    out: &'w mut (dyn Write + Send + Sync),
    written: u64,
}

impl<'w> SequentialOutput<'w> {
    /// Writes to `out`, which must be at its start.
    #[must_use]
    pub fn new(out: &'w mut (dyn Write + Send + Sync)) -> Self {
        Self { out, written: 0 }
    }

    /// Hands all bytes over.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(self) -> io::Result<()> {
        self.out.flush().map_err(told)
    }
}

/// A reader that goes away has not got all: unlike that of a listing, its going is a failure.
fn told(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::BrokenPipe => io::Error::other("the reader of the pipe has closed it"),
        _ => e,
    }
}

impl ReadAt for SequentialOutput<'_> {
    fn size(&self) -> u64 {
        self.written
    }

    fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a pipe cannot be read back"))
    }
}

impl WriteAt for SequentialOutput<'_> {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset != self.written {
            return Err(io::Error::new(
                io::ErrorKind::NotSeekable,
                "a pipe cannot be written at another place",
            ));
        }
        self.out.write_all(bytes).map_err(told)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        match bytes == self.written {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::NotSeekable, "a pipe cannot be cut")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_nothing_else() {
        let mut bytes = Vec::new();
        let mut output = SequentialOutput::new(&mut bytes);
        output.write_all_at(b"abc", 0).unwrap();
        output.write_all_at(b"de", 3).unwrap();
        assert!(output.write_all_at(b"x", 0).is_err());
        assert!(output.read_exact_at(&mut [0], 0).is_err());
        assert!(output.set_length(5).is_ok() && output.set_length(4).is_err());
        assert_eq!(output.size(), 5);
        output.finish().unwrap();
        assert_eq!(bytes, b"abcde");
    }

    #[test]
    fn a_closed_pipe_is_not_told_as_one() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut closed = Closed;
        let error = SequentialOutput::new(&mut closed).write_all_at(b"abc", 0).unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
