//! What is written is read again as it was.

use proptest::collection::btree_map;
use proptest::prelude::*;
use sandboxed_config::{Config, Format, Kind, Source, read, to_toml};
use std::path::PathBuf;

fn with_words(kind: Kind) -> u64 {
    kind.rights().iter().filter(|right| right.has_word).map(|right| right.bit).sum()
}

/// With words, in groups, and some that cannot be said.
fn file_rights() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 1..1u64 << 16, 1 => Just((1 << 17) - 1), 1 => Just((1 << 17) - 2), 1 => 1..1u64 << 17]
}

prop_compose! {
    /// Any that a file can say: what is granted is handled.
    fn configs()(
        handled_files in 0..1u64 << 16,
        handled_net in 0..4u64,
        scoped in 0..4u64,
        paths in btree_map("[a-z./$\\{\\}\"\\\\ \n\u{1}é]{1,8}", file_rights(), 0..6),
        ports in btree_map(any::<u16>(), prop_oneof![8 => 1..4u64, 1 => 1..16u64], 0..6),
    ) -> Config {
        let paths: std::collections::BTreeMap<_, _> =
            paths.into_iter().map(|(path, bits)| (PathBuf::from(path), bits)).collect();
        Config {
            handled_files: paths.values().fold(handled_files, |all, bits| all | bits),
            handled_net: ports.values().fold(handled_net, |all, bits| all | bits),
            scoped,
            paths,
            ports,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(config in configs()) {
        match to_toml(&config) {
            Ok(text) => {
                let again = read(&[Source::of_text(&text, Format::Toml)]);
                prop_assert_eq!(again, Ok(config), "{}", text);
            }
            Err(error) => {
                let handles = config.handled_files | config.handled_net | config.scoped;
                let files = config.handled_files & !with_words(Kind::Files);
                let wordless = files | (config.handled_net & !with_words(Kind::Net));
                prop_assert!(handles == 0 || wordless != 0, "{}", error);
            }
        }
    }
}

#[test]
fn what_has_no_word_is_said_by_groups_or_not_at_all() {
    let all_files: u64 = Kind::Files.rights().iter().map(|right| right.bit).sum();
    let unix = 1 << 16;
    let of_path = |bits| Config {
        handled_files: all_files,
        paths: [(PathBuf::from("/x"), bits)].into(),
        ..Config::default()
    };
    let text = to_toml(&of_path(all_files)).unwrap();
    assert!(text.contains("abi = 9"), "{text}");
    assert_eq!(read(&[Source::of_text(text, Format::Toml)]).unwrap(), of_path(all_files));
    for (config, expected) in [
        (of_path(unix), "a policy file cannot say `resolve_unix` alone, only with all that its ABI has"),
        (
            Config { handled_files: 1, paths: [("/\0".into(), 1)].into(), ..Config::default() },
            "a policy file cannot say the path \"/\\0\"",
        ),
        (
            Config { handled_files: 1, paths: [("".into(), 1)].into(), ..Config::default() },
            "a policy file cannot say the path \"\"",
        ),
        (
            Config { handled_net: 4, ports: [(53, 4)].into(), ..Config::default() },
            "a policy file cannot say `bind_udp` alone, only with all that its ABI has",
        ),
        (Config::default(), "a policy file cannot say a policy that refuses nothing"),
    ] {
        assert_eq!(to_toml(&config).unwrap_err().to_string(), expected);
    }
    let many = (0..10_001).map(|n| (PathBuf::from(format!("/{n}")), 1)).collect();
    let config = Config { handled_files: 1, paths: many, ..Config::default() };
    assert_eq!(to_toml(&config).unwrap_err().what, "more than 10000 paths");
    // Every port, each right on another half.
    let ports = (0..=u16::MAX).map(|port| (port, 1 << (port % 2))).collect();
    let config = Config { handled_net: 3, ports, ..Config::default() };
    let text = to_toml(&config).unwrap();
    assert_eq!(read(&[Source::of_text(text, Format::Toml)]), Ok(config));
}
