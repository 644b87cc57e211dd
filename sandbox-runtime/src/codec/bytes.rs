//! [`Bytes`]: in a file that goes along, in the file that came for the result, or as other bytes cross.

use super::native::{ComesBack, Item, Native};
use super::{CodecError, Incoming, Outgoing};
use crate::bytes::Bytes;

/// What follows.
const BYTES: u8 = 0;
const FILE: u8 = 1;
const RESULT: u8 = 2;

impl<'i> Native<'i> for Bytes {
    type Held = Bytes;

    const IN_FILE: bool = true;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        if self.is_result() && out.may_be_in_file() {
            out.put_byte(RESULT);
            out.put_count(self.len());
        } else if let Some(file) = self.file().filter(|_| out.has_room_for_files()) {
            out.put_byte(FILE);
            out.put_count(self.len());
            out.put_file(file, self.len());
        } else {
            out.put_byte(BYTES);
            out.put_bytes(self);
        }
        Ok(())
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Bytes, CodecError> {
        match input.take_byte()? {
            BYTES => input.take_vec().map(Bytes::on_heap),
            FILE => {
                let length = input.take_length()?;
                let file = input.take_fd()?;
                Bytes::of_sealed(file, length).map_err(|_| CodecError::TooLarge(length as u64))
            }
            RESULT => {
                let length = input.take_length()?;
                input.take_result()?.into_bytes(length)
            }
            _ => Err(CodecError::Invalid("kind of bytes")),
        }
    }
}

impl ComesBack for Bytes {}
impl Item for Bytes {}
