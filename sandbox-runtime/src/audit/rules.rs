//! Audit rules that hide the records that are waited for, such as others on the machine may have set.
//!
//! `struct audit_rule_data` of `linux/audit.h`.

use super::records::{LANDLOCK_ACCESS, LANDLOCK_DOMAIN, SECCOMP, SYSCALL};

/// `AUDIT_FILTER_TASK`: its rules choose the processes and threads whose calls are recorded, when they begin.
const FILTER_TASK: u32 = 1;
/// `AUDIT_FILTER_EXIT`: of calls.
const FILTER_EXIT: u32 = 4;
/// `AUDIT_FILTER_EXCLUDE`: of records, by their type.
const FILTER_EXCLUDE: u32 = 5;
/// `AUDIT_NEVER`.
const NEVER: u32 = 0;
/// The field `AUDIT_MSGTYPE`.
const MSGTYPE: u32 = 12;
const FIELDS: usize = 64;

/// What a rule hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hides {
    /// The types of records.
    pub(super) records: Vec<u16>,
    /// Only of some processes.
    pub(super) of_some: bool,
}

/// What this rule, as the kernel lists it, hides of the records that matter here; `None` if nothing.
pub(super) fn hides(rule: &[u8]) -> Option<Hides> {
    let word = |at: usize| Some(u32::from_ne_bytes(*rule.get(4 * at..)?.first_chunk()?));
    let [list, action, count] = [word(0)?, word(1)?, word(2)?];
    let count = FIELDS.min(usize::try_from(count).ok()?);
    // Behind the mask of calls: types, values and comparisons of the fields.
    let field = |at: usize| Some((word(67 + at)?, word(67 + FIELDS + at)?, word(67 + 2 * FIELDS + at)?));
    let fields: Vec<(u32, u32, u32)> = (0..count).map(field).collect::<Option<_>>()?;
    let of_some = fields.iter().any(|(kind, ..)| *kind != MSGTYPE);
    let records: Vec<u16> = match list {
        FILTER_EXCLUDE => [SYSCALL, SECCOMP, LANDLOCK_ACCESS, LANDLOCK_DOMAIN]
            .into_iter()
            .filter(|record| {
                let types = fields.iter().filter(|(kind, ..)| *kind == MSGTYPE);
                types.clone().all(|(_, value, comparison)| holds(u32::from(*record), *comparison, *value))
            })
            .collect(),
        FILTER_TASK | FILTER_EXIT if action == NEVER => vec![SYSCALL],
        _ => Vec::new(),
    };
    (!records.is_empty()).then_some(Hides { records, of_some })
}

/// `AUDIT_EQUAL` and the others.
fn holds(record: u32, comparison: u32, value: u32) -> bool {
    match comparison {
        0x4000_0000 => record == value,
        0x3000_0000 => record != value,
        0x1000_0000 => record < value,
        0x2000_0000 => record > value,
        0x5000_0000 => record <= value,
        0x6000_0000 => record >= value,
        // The kernel takes no others for this field; a new one may hide what it will.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EQUAL: u32 = 0x4000_0000;
    const PID: u32 = 0;

    fn rule(list: u32, action: u32, fields: &[(u32, u32, u32)]) -> Vec<u8> {
        let mut words = vec![0u32; 3 + 64 + 3 * FIELDS + 1];
        words[..3].copy_from_slice(&[list, action, u32::try_from(fields.len()).unwrap()]);
        for (at, (kind, value, comparison)) in fields.iter().enumerate() {
            words[67 + at] = *kind;
            words[67 + FIELDS + at] = *value;
            words[67 + 2 * FIELDS + at] = *comparison;
        }
        words.into_iter().flat_map(u32::to_ne_bytes).collect()
    }

    #[test]
    fn rules_hide_what_they_name() {
        let all = vec![SYSCALL, SECCOMP, LANDLOCK_ACCESS, LANDLOCK_DOMAIN];
        for (list, action, fields, expected) in [
            (FILTER_EXCLUDE, NEVER, vec![(MSGTYPE, 1423, EQUAL)], Some((vec![LANDLOCK_ACCESS], false))),
            // `always` is the old way to write it.
            (FILTER_EXCLUDE, 2, vec![(MSGTYPE, 1300, EQUAL)], Some((vec![SYSCALL], false))),
            (FILTER_EXCLUDE, NEVER, vec![(MSGTYPE, 1327, EQUAL)], None),
            (
                FILTER_EXCLUDE,
                NEVER,
                vec![(MSGTYPE, 1400, 0x6000_0000), (MSGTYPE, 1424, 0x1000_0000)],
                Some((vec![LANDLOCK_ACCESS], false)),
            ),
            (FILTER_EXCLUDE, NEVER, vec![(PID, 1, EQUAL)], Some((all, true))),
            (FILTER_TASK, NEVER, vec![], Some((vec![SYSCALL], false))),
            (FILTER_EXIT, 2, vec![], None),
        ] {
            let expected = expected.map(|(records, of_some)| Hides { records, of_some });
            assert_eq!(hides(&rule(list, action, &fields)), expected, "{list} {action} {fields:?}");
        }
    }

    #[test]
    fn what_is_cut_off_hides_nothing() {
        let rule = rule(FILTER_EXCLUDE, NEVER, &[(MSGTYPE, 1423, EQUAL)]);
        assert_eq!(hides(&rule[..700]).or(hides(&[])), None);
    }
}
