//! Audit records, in which paths and names of processes are a stranger's.

use crate::audit::{Event, Events};

/// Lines of a type and a text.
pub fn audit(input: &[u8]) {
    let mut events = Events::default();
    let mut found = Vec::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some((kind, text)) = line.split_at_checked(5) else { continue };
        let kind = std::str::from_utf8(kind).ok().and_then(|kind| kind.trim_end().parse().ok());
        found.extend(events.take(kind.unwrap_or(0), text));
    }
    found.extend(events.rest());
    assert!(events.rest().is_empty(), "it is told twice");
    for event in found {
        let Event::Refused(refused) = event else { continue };
        let denial = refused.denial("a::function", "a.rs:1:1");
        let is_a_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(is_a_word(&denial.operation) && !denial.operation.is_empty(), "{denial:?}");
        assert!(is_a_word(&denial.call), "{denial:?}");
        assert!(denial.errno >= 0, "{denial:?}");
        assert!(denial.to_string().chars().all(|letter| letter == '\n' || !letter.is_control()), "{denial}");
    }
}
