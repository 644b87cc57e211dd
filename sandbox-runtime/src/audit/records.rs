//! One audit record: `audit(SECONDS.MILLISECONDS:SERIAL): KEY=VALUE KEY=VALUE ...`.
//!
//! Names in it are a stranger's. The kernel quotes them, and writes those with a space, a quote or a control character in
//! hexadecimal digits (`audit_log_untrustedstring`), so that none can look like a field.

use std::str::FromStr;

/// `AUDIT_SYSCALL`.
pub(super) const SYSCALL: u16 = 1300;
/// `AUDIT_PATH`.
pub(super) const PATH: u16 = 1302;
/// `AUDIT_SOCKADDR`.
pub(super) const SOCKADDR: u16 = 1306;
/// `AUDIT_CWD`.
pub(super) const CWD: u16 = 1307;
/// `AUDIT_EOE`: the last of an event.
pub(super) const EOE: u16 = 1320;
/// `AUDIT_SECCOMP`.
pub(super) const SECCOMP: u16 = 1326;
/// `AUDIT_LANDLOCK_ACCESS`.
pub(super) const LANDLOCK_ACCESS: u16 = 1423;
/// `AUDIT_LANDLOCK_DOMAIN`.
pub(super) const LANDLOCK_DOMAIN: u16 = 1424;

/// What the records of one event have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    seconds: u64,
    milliseconds: u64,
    serial: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) stamp: Stamp,
    fields: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    bytes: &'a [u8],
    quoted: bool,
}

impl<'a> Record<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Option<Record<'a>> {
        let (stamp, fields) = split(text.strip_prefix(b"audit(")?, b')')?;
        let (seconds, rest) = split(stamp, b'.')?;
        let (milliseconds, serial) = split(rest, b':')?;
        let stamp =
            Stamp { seconds: number(seconds)?, milliseconds: number(milliseconds)?, serial: number(serial)? };
        Some(Record { stamp, fields: fields.strip_prefix(b":")? })
    }

    /// The first field of this name.
    pub(super) fn field(&self, name: &str) -> Option<Value<'a>> {
        Fields(self.fields).find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = loop {
            let rest = self.0.trim_ascii_start();
            let end = rest.iter().position(|byte| matches!(byte, b'=' | b' '))?;
            self.0 = &rest[end + 1..];
            // A word alone is no field.
            if rest[end] == b'=' {
                break (&rest[..end], self.0);
            }
        };
        let (bytes, quoted) = match rest.strip_prefix(b"\"") {
            Some(rest) => (split(rest, b'"')?.0, true),
            None => (split(rest, b' ').map_or(rest, |(value, _)| value), false),
        };
        self.0 = &rest[bytes.len() + if quoted { 2 } else { 0 }..];
        Some((key, Value { bytes, quoted }))
    }
}

impl<'a> Value<'a> {
    /// What the kernel wrote as it is.
    pub(super) fn word(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes).ok().filter(|_| !self.quoted)
    }

    pub(super) fn number<N: FromStr>(self) -> Option<N> {
        number(self.bytes).filter(|_| !self.quoted)
    }

    pub(super) fn hexadecimal(self) -> Option<u64> {
        u64::from_str_radix(self.word()?, 16).ok()
    }

    /// What may be a stranger's: in quotes, or in digits.
    pub(super) fn name(self) -> Option<Vec<u8>> {
        if self.quoted {
            return Some(self.bytes.to_owned());
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pairs = self.bytes.chunks_exact(2);
        let whole = pairs.remainder().is_empty() && !self.bytes.is_empty();
        let name: Option<Vec<u8>> = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
        name.filter(|_| whole)
    }
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..position], &bytes[position + 1..]))
}

fn number<N: FromStr>(digits: &[u8]) -> Option<N> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(text: &str, name: &str) -> Option<Vec<u8>> {
        Record::parse(text.as_bytes())?.field(name)?.name()
    }

    #[test]
    fn a_name_is_quoted_or_in_digits() {
        let text = r#"audit(1.2:3): a="/b" c=6120 d=(null) e=612 f="g=1" h="unended"#;
        for (name, expected) in [
            ("a", Some("/b")),
            ("c", Some("a ")),
            ("d", None),
            ("e", None),
            ("f", Some("g=1")),
            ("g", None),
            ("h", None),
        ] {
            assert_eq!(field(text, name).as_deref(), expected.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn what_is_no_record_is_none() {
        for text in [
            "",
            "audit(",
            "audit(1.2:3)",
            "audit(1.2): ",
            "audit(-1.2:3): ",
            "audit(1.2:99999999999999999999): ",
        ] {
            assert!(Record::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    /// As `audit_log_n_untrustedstring` writes it.
    fn written(name: &[u8]) -> String {
        if name.iter().all(|byte| matches!(byte, 0x21..=0x7e) && *byte != b'"') {
            format!("\"{}\"", String::from_utf8_lossy(name))
        } else {
            name.iter().map(|byte| format!("{byte:02X}")).collect()
        }
    }

    proptest! {
        #[test]
        fn no_name_becomes_a_field(name in proptest::collection::vec(any::<u8>(), 1..40)) {
            let text = format!("audit(1.2:3): comm={} pid=7 exe={}", written(&name), written(b"\" pid=8"));
            let record = Record::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(record.field("comm").unwrap().name().unwrap(), name);
            prop_assert_eq!(record.field("pid").unwrap().number(), Some(7));
            prop_assert_eq!(Fields(record.fields).count(), 3);
        }
    }
}
