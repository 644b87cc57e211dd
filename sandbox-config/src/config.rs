//! What policy files say.

use crate::rights::{ABSTRACT_UNIX_SOCKET, Kind, REFER, RESOLVE_UNIX};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// What one or more policy files say: rights that are handled, which means refused unless granted, and grants.
/// Rights are the kernel's bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `LANDLOCK_ACCESS_FS_*`
    pub handled_files: u64,
    /// `LANDLOCK_ACCESS_NET_*`
    pub handled_net: u64,
    /// `LANDLOCK_SCOPE_*`
    pub scoped: u64,
    /// What is granted at and below a path, all of it handled.
    pub paths: BTreeMap<PathBuf, u64>,
    /// What is granted on a port, all of it handled.
    pub ports: BTreeMap<u16, u64>,
}

/// What a policy grants that refuses everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// File system rights at and below paths.
    pub paths: BTreeMap<PathBuf, u64>,
    /// One right on a range of ports each.
    pub ports: Vec<(u64, RangeInclusive<u16>)>,
    /// Scopes that are not closed.
    pub scopes: u64,
}

impl Config {
    pub(crate) fn handles_anything(&self) -> bool {
        self.handled_files | self.handled_net | self.scoped != 0
    }

    /// Only what both handle is handled; of that, what either grants is granted.
    pub fn compose(&mut self, other: Config) {
        self.handled_files &= other.handled_files;
        self.handled_net &= other.handled_net;
        self.scoped &= other.scoped;
        union(&mut self.paths, other.paths, self.handled_files);
        union(&mut self.ports, other.ports, self.handled_net);
    }

    /// The grants of a policy that leaves open what this does: what the format has words for and is not handled is
    /// granted everywhere. What it has no words for is refused, unless a group grants it; but where abstract sockets
    /// are open, so are pathname sockets, since no layer tells them apart before ABI 9.
    pub fn grants(&self) -> Grants {
        let mut paths = self.paths.clone();
        let open_files = self.open_files();
        if open_files != 0 {
            *paths.entry(PathBuf::from("/")).or_default() |= open_files;
        }
        let open_net = Kind::Net.with_words() & !self.handled_net;
        let ports = Kind::Net.rights().iter().flat_map(|right| match open_net & right.bit {
            0 => self.ranges(right.bit),
            bit => vec![(bit, 0..=u16::MAX)],
        });
        Grants { paths, ports: ports.collect(), scopes: Kind::Scopes.with_words() & !self.scoped }
    }

    fn open_files(&self) -> u64 {
        let mut open = Kind::Files.with_words();
        if self.handled_files != 0 {
            // Landlock refuses it along with any other, handled or not.
            open &= !REFER;
        }
        if self.scoped & ABSTRACT_UNIX_SOCKET == 0 {
            open |= RESOLVE_UNIX;
        }
        open & !self.handled_files
    }

    /// The ports with a right, neighbours together.
    fn ranges(&self, bit: u64) -> Vec<(u64, RangeInclusive<u16>)> {
        let mut ranges: Vec<(u64, RangeInclusive<u16>)> = Vec::new();
        for port in self.ports.iter().filter(|(_, bits)| **bits & bit != 0).map(|(port, _)| *port) {
            match ranges.last_mut() {
                Some((_, range)) if *range.end() + 1 == port => *range = *range.start()..=port,
                _ => ranges.push((bit, port..=port)),
            }
        }
        ranges
    }
}

fn union<K: Ord>(all: &mut BTreeMap<K, u64>, other: BTreeMap<K, u64>, handled: u64) {
    for (key, bits) in other {
        *all.entry(key).or_default() |= bits;
    }
    all.retain(|_, bits| {
        *bits &= handled;
        *bits != 0
    });
}
