//! `SANDBOXED_LEARN`: what is learned is what the enforced function needs. Without the feature there is no such variable.

#[cfg(feature = "learn")]
#[path = "support/logger.rs"]
mod logger;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/sys.rs"]
mod sys;

use processes::{is_rerun, rerun};
use sandboxed::{Error, sandboxed};
use std::path::Path;
use std::process::Output;

/// Runs the test of this name again, as a process of its own that learns.
fn learn(name: &str, to: &Path) -> Output {
    let mut command = rerun(&std::env::current_exe().unwrap(), name);
    let output = command.env("SANDBOXED_LEARN", to).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{}\n{stdout}\n{stderr}", output.status);
    output
}

#[sandboxed]
fn hosts() -> Result<Option<i32>, Error> {
    Ok(std::fs::read("/etc/hosts").err().and_then(|error| error.raw_os_error()))
}

#[cfg(not(feature = "learn"))]
#[test]
fn without_the_feature_the_variable_has_no_effect() {
    const NAME: &str = "without_the_feature_the_variable_has_no_effect";
    if is_rerun(NAME) {
        assert_eq!(hosts().unwrap(), Some(libc::EACCES));
        return assert_eq!(hosts().unwrap(), Some(libc::EACCES));
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    let output = learn(NAME, &file);
    assert!(!file.exists());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("UNENFORCED"));
    assert_eq!(said.matches("SANDBOXED_LEARN is set, and has no effect").count(), 1, "{said}");
    let output = rerun(&std::env::current_exe().unwrap(), NAME).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("SANDBOXED_LEARN"));
}

#[cfg(feature = "learn")]
mod with_the_feature {
    use super::*;
    use sandboxed::{Policy, observe};
    use std::fs::{self, File};
    use std::io::{self, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::process::Command;

    /// Where a rerun finds what was learned, and where it works.
    const LEARNED: &str = "TEST_LEARNED";
    const WORK: &str = "TEST_WORK";

    fn table(file: &Path) -> toml::Table {
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}")).parse().unwrap()
    }

    /// What was learned of a function, if anything was.
    fn of<'a>(table: &'a toml::Table, function: &str) -> Option<&'a toml::Value> {
        let mut functions = table["function"].as_table()?.iter();
        functions.find(|(name, _)| name.ends_with(&format!("::{function}"))).map(|(_, value)| value)
    }

    fn text<'a>(table: &'a toml::Table, function: &str, key: &str) -> &'a str {
        let function = of(table, function).unwrap_or_else(|| panic!("nothing of `{function}`: {table:#?}"));
        function[key].as_str().unwrap()
    }

    /// The policy that was learned, in a process that is to run under it; else one that grants nothing.
    fn learned(function: &str) -> Policy {
        match std::env::var_os(LEARNED) {
            Some(file) => Policy::from_toml(text(&table(file.as_ref()), function, "landlockconfig")).unwrap(),
            None => Policy::new(),
        }
    }

    /// Learns from the test of this name, run again, and runs it once more under what it learned. In both it is told where
    /// to work. Returns the file.
    fn round_trip(name: &str, directory: &Path) -> toml::Table {
        let file = directory.join("policy.toml");
        let run = |variable: &str| {
            let mut command = rerun(&std::env::current_exe().unwrap(), name);
            let output = command.env(variable, &file).env(WORK, directory).output().unwrap();
            let said = [&output.stdout, &output.stderr]
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .concat();
            let learned = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                output.status.success() && said.contains("1 passed"),
                "{variable}: {}\n{said}\n{learned}",
                output.status
            );
        };
        run("SANDBOXED_LEARN");
        run(LEARNED);
        table(&file)
    }

    /// A directory for a test, of which the name does not look as if it were another next time.
    fn directory() -> tempfile::TempDir {
        let directory = tempfile::Builder::new().prefix("learn-").suffix("-site").tempdir().unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        directory
    }

    /// In a rerun: runs a function, which is denied nothing, and ends the test.
    fn rerun_of<R>(function: impl FnOnce(&Path) -> Result<R, Error>) -> R {
        let work = PathBuf::from(std::env::var_os(WORK).unwrap());
        let (result, denials) = observe(|| function(&work));
        let denied = denials.iter().filter(|denial| denial.by != sandboxed::By::Missing);
        let denials: Vec<String> = denied.map(ToString::to_string).collect();
        assert!(denials.is_empty(), "{}", denials.concat());
        result.unwrap_or_else(|error| panic!("{error}"))
    }

    fn files(work: &Path) -> io::Result<usize> {
        let mut length = fs::read(work.join("one"))?.len();
        let absent = File::open(work.join("absent")).map(drop);
        assert_eq!(absent.unwrap_err().kind(), io::ErrorKind::NotFound);
        for number in 0..12 {
            length += fs::read(work.join(format!("many/{number}")))?.len();
        }
        let new = work.join("out/new");
        File::create(&new)?.write_all(b"result")?;
        fs::rename(new, work.join("out/result"))?;
        length += fs::read(work.join("out/result"))?.len();
        Ok(length)
    }

    #[sandboxed(policy = learned("files_in_process"), timeout = "20s")]
    fn files_in_process(work: &Path) -> Result<usize, Error> {
        files(work).map_err(|error| panic!("{error}"))
    }

    #[sandboxed(thread, policy = learned("files_in_thread"))]
    fn files_in_thread(work: &Path) -> Result<usize, Error> {
        files(work).map_err(|error| panic!("{error}"))
    }

    #[sandboxed(in_place, thread_sync = "signal", policy = learned("files_in_place"))]
    fn files_in_place(work: &Path) -> Result<usize, Error> {
        files(work).map_err(|error| panic!("{error}"))
    }

    fn learns_files(name: &str, function: fn(&Path) -> Result<usize, Error>, of_function: &str, keep: &str) {
        if is_rerun(name) {
            return assert_eq!(rerun_of(function), 1 + 12 + 6);
        }
        let directory = directory();
        let work = directory.path().canonicalize().unwrap();
        fs::create_dir(work.join("many")).unwrap();
        fs::create_dir(work.join("out")).unwrap();
        fs::write(work.join("one"), "1").unwrap();
        (0..12).for_each(|number| fs::write(work.join(format!("many/{number}")), "1").unwrap());
        let everybody = fs::Permissions::from_mode(0o777);
        fs::set_permissions(work.join("out"), everybody).unwrap();
        let table = round_trip(name, &work);
        let path = |name: &str| format!("{:?}", work.join(name));
        let [many, out, absent, one] = ["many", "out", "absent", "one"].map(path);
        let reads = format!("read = [optional({absent}), {many}, {one}, {out}]");
        let attribute = text(&table, of_function, "attribute");
        assert_eq!(attribute, format!("#[sandboxed({keep}{reads}, write = {out})]"));
        let grants = &of(&table, of_function).unwrap()["grants"];
        assert_eq!(grants[&format!("read = {many}")].as_integer(), Some(12), "{grants}");
    }

    #[test]
    fn files_of_a_process() {
        let name = "with_the_feature::files_of_a_process";
        learns_files(name, files_in_process, "files_in_process", "timeout = \"20s\", ");
    }

    #[test]
    fn files_of_a_thread() {
        learns_files("with_the_feature::files_of_a_thread", files_in_thread, "files_in_thread", "thread, ");
    }

    #[test]
    fn files_in_place_of_a_program() {
        let name = "with_the_feature::files_in_place_of_a_program";
        learns_files(name, files_in_place, "files_in_place", "in_place, thread_sync = \"signal\", ");
    }

    #[sandboxed(policy = learned("program_in_process"))]
    fn program_in_process() -> Result<Vec<u8>, Error> {
        let output = Command::new("/bin/echo").arg("hello").output();
        Ok(output.unwrap_or_else(|error| panic!("{error}")).stdout)
    }

    #[test]
    fn a_program_and_what_it_is_made_of() {
        const NAME: &str = "with_the_feature::a_program_and_what_it_is_made_of";
        if is_rerun(NAME) {
            return assert_eq!(rerun_of(|_| program_in_process()), b"hello\n");
        }
        let directory = directory();
        let table = round_trip(NAME, directory.path());
        let echo = fs::canonicalize("/bin/echo").unwrap();
        let attribute = text(&table, "program_in_process", "attribute");
        assert!(attribute.contains("execute = ") && attribute.contains(&format!("{echo:?}")), "{attribute}");
    }

    #[sandboxed(policy = learned("connects"))]
    fn connects(port: u16) -> Result<u8, Error> {
        let mut byte = [0];
        let stream = TcpStream::connect(("127.0.0.1", port));
        stream.and_then(|mut stream| stream.read_exact(&mut byte)).unwrap_or_else(|error| panic!("{error}"));
        Ok(byte[0])
    }

    #[test]
    fn a_port_is_learned_and_called_dangerous() {
        const NAME: &str = "with_the_feature::a_port_is_learned_and_called_dangerous";
        if is_rerun(NAME) {
            let port = |work: &Path| fs::read_to_string(work.join("port")).unwrap().parse().unwrap();
            return assert_eq!(rerun_of(|work| connects(port(work))), 7);
        }
        if sandboxed::kernel().abi < 4 {
            return eprintln!("not checked: ports need Landlock ABI 4");
        }
        let directory = directory();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        fs::write(directory.path().join("port"), port.to_string()).unwrap();
        std::thread::spawn(
            move || while listener.accept().and_then(|(mut peer, _)| peer.write_all(&[7])).is_ok() {},
        );
        let table = round_trip(NAME, directory.path());
        assert_eq!(text(&table, "connects", "attribute"), format!("#[sandboxed(tcp_connect = {port})]"));
        let dangerous = of(&table, "connects").unwrap()["dangerous"].as_array().unwrap();
        assert_eq!(dangerous[0].as_str().unwrap(), format!("tcp_connect = {port}"));
    }

    #[sandboxed(thread)]
    fn inner() -> Result<bool, Error> {
        Ok(Path::new("/etc/hostname").exists() | fs::read("/etc/passwd").is_ok())
    }

    #[sandboxed]
    fn outer() -> Result<bool, Error> {
        Ok(fs::read("/etc/group").is_ok() & inner()?)
    }

    #[sandboxed(in_place)]
    fn everything() -> Result<bool, Error> {
        Ok(fs::read("/etc/os-release").is_ok() & outer()? & inner()?)
    }

    #[test]
    fn each_function_is_learned_apart_and_with_what_it_calls() {
        const NAME: &str = "with_the_feature::each_function_is_learned_apart_and_with_what_it_calls";
        if is_rerun(NAME) {
            return assert!(everything().unwrap_or_else(|error| panic!("{error}")));
        }
        let directory = directory();
        let file = directory.path().join("policy.toml");
        learn(NAME, &file);
        let table = table(&file);
        let release = fs::canonicalize("/etc/os-release").unwrap();
        let group = "/etc/group".to_owned();
        let passwd = "/etc/passwd".to_owned();
        let read = |paths: &[&String]| {
            let paths: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
            if paths.len() == 1 {
                format!("read = {}", paths[0])
            } else {
                format!("read = [{}]", paths.join(", "))
            }
        };
        let release = release.to_str().unwrap().to_owned();
        let cases = [
            ("outer", format!("#[sandboxed({})]", read(&[&group, &passwd]))),
            ("inner", format!("#[sandboxed(thread, {})]", read(&[&passwd]))),
            ("everything", format!("#[sandboxed(in_place, {})]", read(&[&passwd, &release]))),
        ];
        for (function, attribute) in cases {
            assert_eq!(text(&table, function, "attribute"), attribute, "{table:#?}");
        }
    }

    #[test]
    fn a_second_run_adds() {
        const NAME: &str = "with_the_feature::a_second_run_adds";
        if is_rerun(NAME) {
            return assert_eq!(hosts().unwrap(), None);
        }
        let directory = directory();
        let file = directory.path().join("policy.toml");
        for times in 1..3 {
            let said = learn(NAME, &file).stderr;
            let said = String::from_utf8_lossy(&said);
            assert_eq!(said.matches("UNENFORCED").count(), 1, "{said}");
            let warnings = usize::from(cfg!(not(debug_assertions)));
            assert_eq!(said.matches("must not be shipped").count(), warnings, "{said}");
            let table = table(&file);
            let seen = &of(&table, "hosts").unwrap()["seen"]["read_file /etc/hosts"];
            assert_eq!(seen.as_integer(), Some(times));
        }
        fs::write(&file, "mine = 7").unwrap();
        let said = learn(NAME, &file).stderr;
        assert!(String::from_utf8_lossy(&said).contains("it is left as it is"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine = 7");
    }

    /// Whether it learns or not, and before its `main`; the forkserver says nothing.
    #[test]
    fn a_release_build_warns_when_it_starts() {
        const NAME: &str = "with_the_feature::a_release_build_warns_when_it_starts";
        if is_rerun(NAME) {
            eprintln!("it has begun");
            return assert_eq!(hosts().unwrap(), Some(libc::EACCES));
        }
        let output = rerun(&std::env::current_exe().unwrap(), NAME).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let warnings = usize::from(cfg!(not(debug_assertions)));
        let (before, after) = said.split_once("it has begun").unwrap();
        let count = |said: &str| said.matches("must not be shipped").count();
        assert_eq!((count(before), count(after)), (warnings, 0), "{said}");
    }

    #[sandboxed]
    fn nothing() -> Result<u8, Error> {
        Ok(7)
    }

    #[sandboxed]
    fn many_kinds(work: &Path) -> Result<(), Error> {
        let done = || -> io::Result<()> {
            let out = work.join("out");
            fs::write(&out, "")?;
            fs::set_permissions(&out, fs::Permissions::from_mode(0o600))?;
            fs::create_dir(work.join("made"))?;
            fs::write(work.join("made/file"), "")?;
            fs::remove_dir_all(work.join("made"))?;
            let _memory = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::empty())?;
            let _changes = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::empty())?;
            let parent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
            rustix::process::test_kill_process(parent)?;
            rustix::process::test_kill_process(rustix::process::getpid())?;
            fs::read_to_string("/proc/self/status").map(drop)
        };
        done().unwrap_or_else(|error| panic!("{error}"));
        Ok(())
    }

    #[test]
    fn other_kinds_of_grants() {
        const NAME: &str = "with_the_feature::other_kinds_of_grants";
        if is_rerun(NAME) {
            assert_eq!(nothing().unwrap(), 7);
            return many_kinds(&PathBuf::from(std::env::var_os(WORK).unwrap())).unwrap();
        }
        let directory = directory();
        let (work, file) = (directory.path().join("work"), directory.path().join("policy.toml"));
        fs::create_dir(&work).unwrap();
        let work = work.canonicalize().unwrap();
        let output = rerun(&std::env::current_exe().unwrap(), NAME)
            .env(WORK, &work)
            .env("SANDBOXED_LEARN", &file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let table = table(&file);
        assert_eq!(text(&table, "nothing", "attribute"), "#[sandboxed]");
        let attribute = format!(
            "#[sandboxed(read = \"/proc\", write = {work:?}, fs(read_dir = {work:?}), allow(signal, metadata), \
             memory = \"unlimited\")]"
        );
        assert_eq!(text(&table, "many_kinds", "attribute"), attribute, "{table:#?}");
        let not_grantable = of(&table, "many_kinds").unwrap()["not_grantable"].as_array().unwrap();
        assert_eq!(not_grantable[0].as_str(), Some("refused inotify_init1"));
        assert_eq!(not_grantable.len(), 1, "{not_grantable:?}");
    }

    #[sandboxed]
    fn panics() -> Result<(), Error> {
        let _hosts = fs::read("/etc/hosts");
        panic!("as ever")
    }

    #[sandboxed(timeout = "300ms")]
    fn hangs() -> Result<(), Error> {
        let _hosts = fs::read("/etc/hosts");
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn a_body_that_fails_is_learned_from_too() {
        const NAME: &str = "with_the_feature::a_body_that_fails_is_learned_from_too";
        if is_rerun(NAME) {
            assert!(panics().unwrap_err().to_string().contains("as ever"));
            return assert!(hangs().unwrap_err().is_timeout());
        }
        let directory = directory();
        let file = directory.path().join("policy.toml");
        learn(NAME, &file);
        let table = table(&file);
        assert_eq!(text(&table, "panics", "attribute"), "#[sandboxed(read = \"/etc/hosts\")]");
        assert_eq!(
            text(&table, "hangs", "attribute"),
            "#[sandboxed(timeout = \"300ms\", read = \"/etc/hosts\")]"
        );
    }

    #[sandboxed]
    fn logs() -> Result<(), Error> {
        log::error!("a record");
        Ok(())
    }

    #[sandboxed(in_place, thread_sync = "signal")]
    fn goes_on() -> Result<(), Error> {
        Ok(())
    }

    /// It panics in the midst of what is the library's, which ends there.
    #[test]
    fn what_a_program_does_after_its_logger_panicked_is_learned() {
        const NAME: &str = "with_the_feature::what_a_program_does_after_its_logger_panicked_is_learned";
        if is_rerun(NAME) {
            goes_on().unwrap();
            log::set_logger(&logger::Panics).unwrap();
            log::set_max_level(log::LevelFilter::Error);
            std::panic::catch_unwind(logs).unwrap_err();
            return drop(fs::read("/etc/hosts").unwrap());
        }
        let directory = directory();
        let file = directory.path().join("policy.toml");
        learn(NAME, &file);
        let table = table(&file);
        let seen = &of(&table, "goes_on").unwrap()["seen"];
        assert_eq!(seen["read_file /etc/hosts"].as_integer(), Some(1), "{seen}");
    }
}
