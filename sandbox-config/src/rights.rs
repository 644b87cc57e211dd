//! The rights that Landlock knows, and the words that the format has for them.

/// The newest Landlock ABI that is known; a newer one in a file means this one, as in landlockconfig.
pub const NEWEST_ABI: u32 = 11;

/// What a word of the format is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// File system rights.
    Files,
    /// Rights on ports.
    Net,
    /// Scopes.
    Scopes,
}

/// One right or scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The kernel's name.
    pub name: &'static str,
    /// The kernel's bit.
    pub bit: u64,
    /// The least ABI that has it.
    pub abi: u32,
    /// Whether the format has a word for it; otherwise it is in groups alone.
    pub has_word: bool,
}

const fn right(name: &'static str, bit: u32, abi: u32) -> Right {
    Right { name, bit: 1 << bit, abi, has_word: true }
}

const fn wordless(right: Right) -> Right {
    Right { has_word: false, ..right }
}

const FILES: &[Right] = &[
    right("execute", 0, 1),
    right("write_file", 1, 1),
    right("read_file", 2, 1),
    right("read_dir", 3, 1),
    right("remove_dir", 4, 1),
    right("remove_file", 5, 1),
    right("make_char", 6, 1),
    right("make_dir", 7, 1),
    right("make_reg", 8, 1),
    right("make_sock", 9, 1),
    right("make_fifo", 10, 1),
    right("make_block", 11, 1),
    right("make_sym", 12, 1),
    right("refer", 13, 2),
    right("truncate", 14, 3),
    right("ioctl_dev", 15, 5),
    wordless(right("resolve_unix", 16, 9)),
];

const NET: &[Right] = &[
    right("bind_tcp", 0, 4),
    right("connect_tcp", 1, 4),
    wordless(right("bind_udp", 2, 10)),
    wordless(right("connect_send_udp", 3, 10)),
];

const SCOPES: &[Right] = &[right("abstract_unix_socket", 0, 6), right("signal", 1, 6)];

/// `execute`
pub(crate) const EXECUTE: u64 = 1 << 0;
/// `refer`
pub(crate) const REFER: u64 = 1 << 13;
/// `resolve_unix`
pub(crate) const RESOLVE_UNIX: u64 = 1 << 16;
/// `abstract_unix_socket`
pub(crate) const ABSTRACT_UNIX_SOCKET: u64 = 1 << 0;

impl Kind {
    /// Every right of this kind, in the kernel's order.
    pub fn rights(self) -> &'static [Right] {
        match self {
            Kind::Files => FILES,
            Kind::Net => NET,
            Kind::Scopes => SCOPES,
        }
    }

    /// What the format has words for.
    pub(crate) fn with_words(self) -> u64 {
        self.rights().iter().filter(|right| right.has_word).fold(0, |bits, right| bits | right.bit)
    }

    /// What an ABI has.
    pub(crate) fn all(self, abi: u32) -> u64 {
        self.rights().iter().filter(|right| right.abi <= abi).fold(0, |bits, right| bits | right.bit)
    }
}
