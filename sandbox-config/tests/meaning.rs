//! What files mean: groups for each ABI, variables, what is left open, files together.

use sandboxed_config::{Config, Format, Kind, Source, read};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn sample(name: &str) -> Source {
    Source::of_file(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name)).unwrap()
}

fn config(names: &[&str]) -> Config {
    read(&names.iter().map(|name| sample(name)).collect::<Vec<_>>()).unwrap()
}

fn toml(text: &str) -> Config {
    read(&[Source::of_text(text, Format::Toml)]).unwrap()
}

/// The bits of kernel names.
fn bits(kind: Kind, names: &str) -> u64 {
    let bit = |name: &str| kind.rights().iter().find(|right| right.name == name).expect("a right").bit;
    names.split_whitespace().map(bit).fold(0, |bits, bit| bits | bit)
}

fn files(names: &str) -> u64 {
    bits(Kind::Files, names)
}

fn net(names: &str) -> u64 {
    bits(Kind::Net, names)
}

const ABI_1: &str = "execute write_file read_file read_dir remove_dir remove_file make_char make_dir make_reg \
                     make_sock make_fifo make_block make_sym";

/// What `LANDLOCK_ACCESS_FS_*` of an ABI is, from its documentation.
fn all_files(abi: u32) -> u64 {
    let since = [(1, ABI_1), (2, "refer"), (3, "truncate"), (5, "ioctl_dev"), (9, "resolve_unix")];
    since.iter().filter(|(least, _)| *least <= abi).map(|(_, names)| files(names)).sum()
}

fn all_net(abi: u32) -> u64 {
    let since = [(4, "bind_tcp connect_tcp"), (10, "bind_udp connect_send_udp")];
    since.iter().filter(|(least, _)| *least <= abi).map(|(_, names)| net(names)).sum()
}

fn paths(of: &[(&[&str], u64)]) -> BTreeMap<PathBuf, u64> {
    of.iter().flat_map(|(paths, bits)| paths.iter().map(|path| (PathBuf::from(path), *bits))).collect()
}

fn read_execute(abi: u32) -> u64 {
    all_files(abi) & files("execute read_file read_dir refer")
}

fn read_write(abi: u32) -> u64 {
    all_files(abi) & !files("execute")
}

#[test]
fn groups_are_those_of_the_files_abi() {
    for abi in 1..=12 {
        let text = |group| {
            format!(
                "abi = {abi}\n[[ruleset]]\nhandled_access_fs = [\"abi.all\"]\n\
                 [[path_beneath]]\nallowed_access = [\"{group}\"]\nparent = [\"/x\"]\n"
            )
        };
        for (group, expected) in [
            ("abi.all", all_files(abi)),
            ("abi.read_execute", read_execute(abi)),
            ("abi.read_write", read_write(abi)),
        ] {
            let config = toml(&text(group));
            assert_eq!(config.handled_files, all_files(abi), "{abi}");
            assert_eq!(config.paths, paths(&[(&["/x"], expected)]), "{abi} {group}");
            assert_eq!(config.ports, BTreeMap::new());
        }
        let config = toml(&format!(
            "abi = {abi}\n[[ruleset]]\nhandled_access_fs = [\"execute\"]\nhandled_access_net = [\"abi.all\"]\n\
             scoped = [\"abi.all\"]\n[[net_port]]\nallowed_access = [\"abi.all\"]\nport = [1]\n"
        ));
        assert_eq!(config.handled_net, all_net(abi), "{abi}");
        // A group that is empty for the ABI grants nothing.
        let port = BTreeMap::from([(1, all_net(abi))]);
        assert_eq!(config.ports, if abi < 4 { BTreeMap::new() } else { port }, "{abi}");
        let scopes = if abi < 6 { "" } else { "abstract_unix_socket signal" };
        assert_eq!(config.scoped, bits(Kind::Scopes, scopes), "{abi}");
    }
    // One that is not known yet is the newest that is.
    let text = "abi = 2147483647\n[[ruleset]]\nhandled_access_fs = [\"abi.all\"]";
    assert_eq!(toml(text).handled_files, all_files(11));
}

#[test]
fn groups_of_before_there_was_the_key_abi() {
    for abi in 1..=6 {
        for (group, expected) in
            [("all", all_files(abi)), ("read_execute", read_execute(abi)), ("read_write", read_write(abi))]
        {
            let config = toml(&format!("[[ruleset]]\nhandled_access_fs = [\"v{abi}.{group}\"]"));
            assert_eq!(config.handled_files, expected, "v{abi}.{group}");
        }
    }
    for abi in 4..=6 {
        let config = toml(&format!("[[ruleset]]\nhandled_access_net = [\"v{abi}.all\"]"));
        assert_eq!(config.handled_net, all_net(abi));
    }
    let config = toml("[[ruleset]]\nscoped = [\"v6.all\"]");
    assert_eq!(config.scoped, bits(Kind::Scopes, "abstract_unix_socket signal"));
}

#[test]
fn rules_alone_handle_what_they_grant() {
    let config = config(&["rules_alone.toml"]);
    assert_eq!(config.handled_files, all_files(5));
    assert_eq!((config.handled_net, config.scoped), (0, 0));
    let expected =
        paths(&[(&[".", "/opt/site", "/usr"], read_execute(5)), (&["/var/cache/site"], read_write(5))]);
    assert_eq!(config.paths, expected);
    // Named rights need no `abi`, and may be newer than it.
    let text = "abi = 1\n[[path_beneath]]\nallowed_access = [\"ioctl_dev\", \"truncate\"]\nparent = [\"/x\"]";
    assert_eq!(toml(text).handled_files, files("ioctl_dev truncate"));
}

#[test]
fn variables_stand_for_each_of_their_values() {
    let expected = paths(&[
        (&["/usr", "/srv/blue", "/srv/green"], read_execute(6)),
        (&["/tmp/blue", "/tmp/green", "/var/tmp/blue", "/var/tmp/green", "/home/$shared"], read_write(6)),
    ]);
    assert_eq!(config(&["variables.toml"]).paths, expected);
    let expected = paths(&[(&["/usr", "/etc"], read_execute(5)), (&["/tmp"], read_write(5))]);
    assert_eq!(config(&["old_groups.toml"]).paths, expected);
    // Rules may come first, and a name may come twice.
    let config = toml(
        "[[path_beneath]]\nallowed_access = [\"execute\"]\nparent = [\"/${v}\"]\n\
         [[variable]]\nname = \"v\"\nliteral = [\"a\"]\n[[variable]]\nname = \"v\"\nliteral = [\"${v}\"]\n",
    );
    // A value is text, whatever it looks like.
    assert_eq!(config.paths, paths(&[(&["/a", "/${v}"], files("execute"))]));
    // One without values is for other files to fill.
    let config = toml(
        "[[variable]]\nname = \"v\"\n[[path_beneath]]\nallowed_access = [\"execute\"]\nparent = [\"/${v}\", \"/x\"]",
    );
    assert_eq!(config.paths, paths(&[(&["/x"], files("execute"))]));
}

#[test]
fn toml_and_json_say_the_same() {
    let toml = config(&["ports.toml"]);
    assert_eq!(toml, config(&["ports.json"]));
    assert_eq!(toml.handled_files, all_files(5));
    assert_eq!(toml.handled_net, net("bind_tcp"));
    let port = net("bind_tcp");
    assert_eq!(toml.ports, BTreeMap::from([(8080, port), (8081, port), (8443, port)]));
}

#[test]
fn what_is_not_handled_is_granted_everywhere() {
    // Neighbours are one range. `connect_tcp` is not handled, nor are scopes.
    let grants = config(&["ports.toml"]).grants();
    let (bind, connect) = (net("bind_tcp"), net("connect_tcp"));
    assert_eq!(grants.ports, [(bind, 8080..=8081), (bind, 8443..=8443), (connect, 0..=65535)]);
    assert_eq!(grants.scopes, bits(Kind::Scopes, "abstract_unix_socket signal"));
    // Before ABI 9 abstract and pathname sockets cannot be told apart, so they are open together.
    assert_eq!(grants.paths.get(Path::new("/")), Some(&files("resolve_unix")));

    // No file right is handled, so `refer` is free too. `resolve_unix` has no word, and stays refused.
    let grants = config(&["scopes.json"]).grants();
    assert_eq!(grants.paths, paths(&[(&["/"], all_files(8))]));
    assert_eq!((grants.ports, grants.scopes), (vec![], 0));

    // Landlock refuses `refer` along with any other.
    let grants = toml("[[ruleset]]\nhandled_access_fs = [\"execute\"]").grants();
    assert_eq!(grants.paths, paths(&[(&["/"], all_files(9) & !files("execute refer"))]));
    // With `/` granted something by the file itself.
    let text = "[[path_beneath]]\nallowed_access = [\"refer\", \"execute\"]\nparent = [\"//\"]";
    assert_eq!(toml(text).grants().paths, paths(&[(&["/"], all_files(9))]));
    let text = "abi = 9\n[[ruleset]]\nhandled_access_fs = [\"abi.all\"]";
    assert_eq!(toml(text).grants().paths, paths(&[]));

    // An old ABI leaves open what came after it, but for what has no word.
    let grants = toml("abi = 2\n[[ruleset]]\nhandled_access_fs = [\"abi.all\"]").grants();
    assert_eq!(grants.paths, paths(&[(&["/"], files("truncate ioctl_dev resolve_unix"))]));
    assert_eq!(grants.ports, [(bind, 0..=65535), (connect, 0..=65535)]);
}

#[test]
fn everything_is_handled_in_a_profile() {
    let grants = config(&["profile.toml"]).grants();
    let expected = paths(&[
        (&["/opt", "/usr"], read_execute(6)),
        (&["/dev/null", "/dev/zero"], read_write(6)),
        (&["/etc", "/proc/self"], files("read_dir read_file refer")),
    ]);
    assert_eq!((grants.paths, grants.ports, grants.scopes), (expected, vec![], 0));
    let spelled_out = config(&["spelled_out.json"]);
    assert_eq!(spelled_out.handled_files, all_files(8));
    assert_eq!(spelled_out.paths[Path::new(".")], read_execute(8));
    assert_eq!(
        spelled_out.paths[Path::new("/tmp")],
        read_write(8) & !files("make_char make_block ioctl_dev")
    );
}

#[test]
fn rules_for_one_path_add_up() {
    let config = toml(
        "[[path_beneath]]\nallowed_access = [\"execute\"]\nparent = [\"/a/\", \"/a/./b\"]\n\
         [[path_beneath]]\nallowed_access = [\"read_file\", \"read_file\"]\nparent = [\"/a\", \"//a//b\", \"/a\"]\n\
         [[net_port]]\nallowed_access = [\"bind_tcp\"]\nport = [0, 0, 0x50]\n\
         [[net_port]]\nallowed_access = [\"connect_tcp\"]\nport = [80]\n",
    );
    assert_eq!(config.paths, paths(&[(&["/a", "/a/b"], files("execute read_file"))]));
    let expected = BTreeMap::from([(0, net("bind_tcp")), (80, net("bind_tcp connect_tcp"))]);
    assert_eq!(config.ports, expected);
}

#[test]
fn files_together_handle_what_all_of_them_handle() {
    let composed = config(&["part_1.toml", "part_2.toml"]);
    assert_eq!(composed, config(&["whole.toml"]));
    assert_eq!(composed, config(&["part_2.toml", "part_1.toml"]));
    assert_eq!(composed, config(&["part_1.toml", "part_2.toml", "part_1.toml"]));
    // A grant of what is then not handled is nothing.
    let a = "[[ruleset]]\nhandled_access_fs = [\"read_file\"]\nhandled_access_net = [\"bind_tcp\"]\n\
             [[path_beneath]]\nallowed_access = [\"execute\"]\nparent = [\"/a\"]\n\
             [[net_port]]\nallowed_access = [\"bind_tcp\"]\nport = [1]\n";
    let b = "[[path_beneath]]\nallowed_access = [\"read_file\"]\nparent = [\"/b\"]\n";
    let [a, b] = [a, b].map(|text| Source::of_text(text, Format::Toml));
    let together = read(&[a, b]).unwrap();
    let expected = Config {
        handled_files: files("read_file"),
        paths: paths(&[(&["/b"], files("read_file"))]),
        ..Config::default()
    };
    assert_eq!(together, expected);
}
