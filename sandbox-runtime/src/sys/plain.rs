//! Plain numbers as their bytes, and memory that can become a vector of either.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

/// A number that is nothing but its bytes.
///
/// # Safety
///
/// Every pattern of bits is a value of the type, and none of its bytes is padding.
pub unsafe trait Plain: Copy + 'static {}

macro_rules! plain {
    ($($number:ty)*) => {$(
        // SAFETY: a primitive number has no padding, and no pattern of bits that is not a value.
        unsafe impl Plain for $number {}
    )*};
}

plain! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }

/// The bytes of numbers.
pub(crate) fn bytes_of<N: Plain>(numbers: &[N]) -> &[u8] {
    // SAFETY: it is the same memory, all of which is initialised (`Plain`); bytes need no alignment.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// The numbers that these bytes are, if they are so many whole ones at an address for them.
pub(crate) fn numbers_in<N: Plain>(bytes: &[u8]) -> Option<&[N]> {
    // SAFETY: every pattern of bits is a number (`Plain`).
    let (before, numbers, after) = unsafe { bytes.align_to::<N>() };
    (before.is_empty() && after.is_empty()).then_some(numbers)
}

/// The numbers that these bytes are, wherever they lie. Those of one that is not whole are left out.
pub(crate) fn copied<N: Plain>(bytes: &[u8]) -> Vec<N> {
    let count = bytes.len() / size_of::<N>();
    let mut numbers = Vec::<N>::with_capacity(count);
    let to = numbers.as_mut_ptr().cast();
    // SAFETY: there is room for so many numbers, of the size of these bytes at least; they are apart.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count * size_of::<N>()) }
    // SAFETY: so many were written, and every pattern of bits is a number (`Plain`).
    unsafe { numbers.set_len(count) }
    numbers
}

/// Bytes at an alignment that is chosen when it begins, so that they can become a vector of numbers without a copy.
pub struct Buffer {
    start: NonNull<u8>,
    length: usize,
    /// A multiple of the alignment. No memory is allocated where it is 0.
    capacity: usize,
    align: usize,
}

// SAFETY: it owns its memory, as a `Vec<u8>` does.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// An empty one, for numbers of this alignment, which is a power of two.
    pub(crate) fn new(align: usize) -> Buffer {
        assert!(align.is_power_of_two());
        // An address that is never read, as aligned as it has to be.
        let start = NonNull::new(std::ptr::without_provenance_mut(align)).unwrap_or(NonNull::dangling());
        Buffer { start, length: 0, capacity: 0, align }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes room for so many bytes in all, and no more than the alignment asks for; says whether there is memory.
    pub(crate) fn try_reserve_exact(&mut self, capacity: usize) -> bool {
        let Some(capacity) = capacity.checked_next_multiple_of(self.align) else { return false };
        if capacity <= self.capacity {
            return true;
        }
        let Ok(layout) = Layout::from_size_align(capacity, self.align) else { return false };
        let start = match self.layout() {
            // SAFETY: the size is not 0, being above the capacity.
            None => unsafe { alloc(layout) },
            // SAFETY: the memory was allocated with that layout, the size is not 0 and was checked by the new one.
            Some(known) => unsafe { realloc(self.start.as_ptr(), known, capacity) },
        };
        let Some(start) = NonNull::new(start) else { return false };
        (self.start, self.capacity) = (start, capacity);
        true
    }

    /// Of the memory, if there is any.
    fn layout(&self) -> Option<Layout> {
        Layout::from_size_align(self.capacity, self.align).ok().filter(|layout| layout.size() > 0)
    }

    /// Where the next bytes go, with room for so many.
    pub(crate) fn room(&mut self, count: usize) -> *mut u8 {
        let needed = self.length.saturating_add(count);
        if needed > self.capacity && !self.try_reserve_exact(self.capacity.saturating_mul(2).max(needed)) {
            handle_alloc_error(Layout::new::<u8>());
        }
        // SAFETY: within the memory, or one past its end.
        unsafe { self.start.as_ptr().add(self.length) }
    }

    /// Makes what was written to its [room](Buffer::room) a part of it.
    ///
    /// # Safety
    ///
    /// There was room for so many bytes, and all of them were written.
    pub(crate) unsafe fn grow(&mut self, count: usize) {
        self.length += count;
    }

    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let to = self.room(bytes.len());
        // SAFETY: there is room, which the slice cannot overlap, since it is ours alone.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
        // SAFETY: so many were written.
        unsafe { self.grow(bytes.len()) }
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// The numbers, without a copy; `None` if it began with another alignment, or these are not whole ones.
    pub(crate) fn into_vec<N: Plain>(self) -> Option<Vec<N>> {
        let size = size_of::<N>();
        if self.align != align_of::<N>()
            || !self.length.is_multiple_of(size)
            || !self.capacity.is_multiple_of(size)
        {
            return None;
        }
        let this = ManuallyDrop::new(self);
        let start = this.start.as_ptr().cast();
        // SAFETY: allocated with the layout of so many numbers (alignment and size were compared above), or not at all;
        // the first of them are initialised; nobody else frees it.
        Some(unsafe { Vec::from_raw_parts(start, this.length / size, this.capacity / size) })
    }
}

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer::new(1)
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(vector: Vec<u8>) -> Buffer {
        let mut vector = ManuallyDrop::new(vector);
        let start = NonNull::new(vector.as_mut_ptr()).unwrap_or(NonNull::dangling());
        Buffer { start, length: vector.len(), capacity: vector.capacity(), align: 1 }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the bytes up to the length are initialised, and borrowed as the buffer is.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(layout) = self.layout() {
            // SAFETY: it was allocated with that layout, and nobody refers to it any more.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        let mut copy = Buffer::new(self.align);
        copy.extend_from_slice(self);
        copy
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Buffer) -> bool {
        **self == **other
    }
}

impl Eq for Buffer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_in_pieces_becomes_numbers_without_a_copy() {
        let mut buffer = Buffer::new(align_of::<u64>());
        assert!(buffer.try_reserve_exact(20));
        for byte in 0..24_u8 {
            buffer.extend_from_slice(&[byte]);
        }
        let start = buffer.as_ptr();
        let numbers = buffer.into_vec::<u64>().unwrap();
        assert_eq!(numbers[0], u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7]));
        assert_eq!((numbers.len(), numbers.as_ptr().cast()), (3, start));
        assert_eq!(numbers_in(bytes_of(&numbers)), Some(&numbers[..]));
    }

    #[test]
    fn other_alignments_and_broken_numbers_are_none() {
        let filled = |align, length| {
            let mut buffer = Buffer::new(align);
            buffer.extend_from_slice(&vec![1; length]);
            buffer
        };
        assert_eq!(filled(1, 8).into_vec::<u32>(), None);
        assert_eq!(filled(8, 8).into_vec::<u32>(), None);
        assert_eq!(filled(4, 7).into_vec::<u32>(), None);
        assert_eq!(filled(4, 8).into_vec::<f32>().map(|numbers| numbers.len()), Some(2));
        assert_eq!(Buffer::from(vec![1, 2]).into_vec::<u8>(), Some(vec![1, 2]));
        assert_eq!(Buffer::new(16).into_vec::<u128>(), Some(vec![]));
        assert_eq!(numbers_in::<u16>(&[0; 3]), None);
    }
}
