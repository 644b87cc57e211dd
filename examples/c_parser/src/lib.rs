//! A parser in C, called from Rust as it is and in a sandbox, and cards that exploit its bugs.

use sandboxed::sandboxed;
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, c_char, c_int};
use std::io;

const TITLE: usize = 96;

unsafe extern "C" {
    fn card_parse(bytes: *const u8, length: usize, title: *mut c_char) -> c_int;
}

/// What a card says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub title: String,
}

/// Trusts the parser: a card can make this program do what it likes.
pub fn parse(card: &[u8]) -> io::Result<Card> {
    let mut title: [c_char; TITLE] = [0; TITLE];
    // SAFETY: the pointers are to live memory of the lengths that the parser is told or takes for granted. That does not
    // make it safe, as the parser has bugs; see the other function.
    match unsafe { card_parse(card.as_ptr(), card.len(), title.as_mut_ptr()) } {
        0 => {
            let bytes = title.map(c_char::cast_unsigned);
            let title = CStr::from_bytes_until_nul(&bytes).map_err(io::Error::other)?;
            Ok(Card { title: title.to_string_lossy().into_owned() })
        }
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// The same, by one line more: whatever a card makes of the worker, it may do nothing but compute.
#[sandboxed(memory = "128MiB", timeout = "5s", stdio = "capture")]
pub fn parse_sandboxed(card: &[u8]) -> io::Result<Card> {
    parse(card)
}

/// What an exploit calls, by its place in the parser's table.
#[derive(Clone, Copy)]
pub enum Target {
    /// Writes the file.
    Save = 2,
    /// Connects to the port on the loopback.
    Share = 3,
    /// Runs the command.
    Open = 4,
}

/// A card as its author meant it.
pub fn good(title: &str) -> Vec<u8> {
    card(1, title.as_bytes(), 0)
}

/// A card whose title is longer than the space for it, and goes on where the style is.
pub fn exploit(target: Target, argument: &str) -> Vec<u8> {
    assert!(argument.len() < TITLE, "too long for the title: {argument}");
    let mut title = argument.as_bytes().to_vec();
    title.resize(TITLE, 0);
    title.extend((target as u32).to_ne_bytes());
    card(0, &title, 0)
}

/// A card whose mark is where no program has memory, on either architecture.
pub fn crash() -> Vec<u8> {
    card(0, b"far away", 1 << 55)
}

fn card(style: u8, title: &[u8], offset: u64) -> Vec<u8> {
    let length = u8::try_from(title.len()).expect("a length is one byte");
    [b"CARD", [style, length].as_slice(), title, &offset.to_le_bytes()].concat()
}
