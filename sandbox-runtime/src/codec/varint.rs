//! Lengths and counts, and the bytes that follow them.

use super::CodecError;

/// Appends a varint.
#[inline]
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A length or count; `usize` is at most 64 bits wide wherever Linux runs.
pub(super) fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Takes bytes off the front.
#[inline]
pub(super) fn take<'de>(bytes: &mut &'de [u8], length: usize) -> Result<&'de [u8], CodecError> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(CodecError::Truncated)?;
    *bytes = rest;
    Ok(taken)
}

/// Takes so many bytes as the array has off the front.
#[inline]
pub(super) fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], CodecError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(CodecError::Truncated)?;
    *bytes = rest;
    Ok(*taken)
}

/// Takes a varint off the front.
#[inline]
pub(super) fn take_varint(bytes: &mut &[u8]) -> Result<u64, CodecError> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let [byte] = take_array(bytes)?;
        let part = u64::from(byte & 0x7f);
        if (part << shift) >> shift != part {
            break;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(CodecError::Invalid("number"))
}

/// Takes a length or count off the front. What it counts takes at least a byte each, in what follows.
#[inline]
pub(super) fn take_length(bytes: &mut &[u8]) -> Result<usize, CodecError> {
    let length = take_varint(bytes)?;
    usize::try_from(length).ok().filter(|&length| length <= bytes.len()).ok_or(CodecError::Truncated)
}

/// Takes a length and so many bytes off the front.
#[inline]
pub(super) fn take_sized<'de>(bytes: &mut &'de [u8]) -> Result<&'de [u8], CodecError> {
    let length = take_length(bytes)?;
    take(bytes, length)
}
