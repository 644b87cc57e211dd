//! Functions of every kind, as data, one of them with a hostile name; and what they were denied.

use sandboxed::report::Row;
use sandboxed::{Allow, By, Denial, Function, Kernel, Object, Placement, Policy, Preset, Report};

const fn function(
    name: &'static str,
    line: u32,
    attribute: &'static str,
    policy: fn() -> Policy,
) -> Function {
    Function {
        name,
        file: "src/lib.rs",
        line,
        column: 1,
        placement: Placement::Process,
        attribute,
        policy: Some(policy),
        warm: None,
        test: false,
    }
}

pub const HOSTILE: &str = "hostile::<img src=x onerror=\"document.title='owned'\">\u{202e}\x1b[2J";

/// Out of order.
pub static FUNCTIONS: [Function; 9] = [
    Function {
        placement: Placement::InPlace,
        ..function(
            "site::serve",
            40,
            r#"read = ["/etc/site", "/var/www"], tcp_bind = 8080, preset(time_zone)"#,
            || Policy::for_program().read(["/etc/site", "/var/www"]).tcp_bind(8080).preset(Preset::TimeZone),
        )
    },
    function("image::decode", 12, "", Policy::new),
    Function {
        policy: None,
        ..function("config::load", 20, r#"read = path, memory = "256MiB""#, Policy::new)
    },
    function("dns::ask", 60, "udp_connect = 53", || Policy::new().udp_connect(53)),
    Function {
        placement: Placement::Thread,
        ..function("text::spell", 70, r#"thread, read = "/usr/share/dict""#, || {
            Policy::new().read("/usr/share/dict")
        })
    },
    function(
        "build::run",
        80,
        r#"execute = "/usr", write = "/tmp/build", allow(signal), threads = 4"#,
        || Policy::new().execute("/usr").write("/tmp/build").allow(Allow::Signal).best_effort().threads(4),
    ),
    function(HOSTILE, 90, r#"read = "</code><script>document.title='owned'</script>""#, || {
        Policy::new().read("/</code><script>document.title='owned'</script>").env("\"><b>")
    }),
    function("twin::run", 100, "", Policy::new),
    function("twin::run", 110, "", Policy::new),
];

pub fn report(kernel: Kernel) -> Report {
    Report::of(&FUNCTIONS, kernel)
}

fn denial(function: &str, line: u32, operation: &str, object: Object, by: By) -> Denial {
    Denial {
        function: function.into(),
        place: format!("src/lib.rs:{line}:1"),
        operation: operation.into(),
        call: "openat".into(),
        object,
        errno: 13,
        by,
        count: 1,
        grant: None,
        note: None,
    }
}

pub fn denials() -> Vec<Denial> {
    let path = |path: &str| Object::Path(path.into());
    vec![
        Denial {
            count: 3,
            grant: Some("read = \"/etc/hosts\"".into()),
            ..denial("site::serve", 40, "read_file", path("/etc/hosts"), By::Landlock)
        },
        denial("site::serve", 40, "socket(AF_INET, SOCK_DGRAM)", Object::Nothing, By::Filter),
        denial("site::serve", 40, "write_file", path("/etc/passwd"), By::Permissions),
        // The source has moved since.
        denial("config::load", 19, "read_dir", path("/home"), By::Landlock),
        denial("twin::run", 110, "make_reg", path("/x"), By::Filter),
        denial(
            HOSTILE,
            90,
            "read_file",
            path("/</pre><script>document.title='owned'</script>"),
            By::Landlock,
        ),
        denial("gone::since", 1, "read_file", path("/etc/shadow"), By::Landlock),
    ]
}

pub fn denied(row: &Row) -> u64 {
    row.cells.iter().map(|cell| cell.denied).sum()
}

/// Files of the rows, each with its line to compare by.
pub fn order(report: &Report) -> Vec<(&str, u32)> {
    let place = |row: &'_ Row| -> Option<(usize, u32)> {
        let (file, rest) = row.place.rsplit_once(':').and_then(|(place, _)| place.rsplit_once(':'))?;
        Some((file.len(), rest.parse().ok()?))
    };
    report.rows.iter().filter_map(|row| place(row).map(|(end, line)| (&row.place[..end], line))).collect()
}
