//! Calls made inside a sandbox, in every combination of placements: the inner body is never freer than the outer.

mod support;
#[path = "support/sys.rs"]
mod sys;

use sandboxed::{Error, Ran, sandboxed};
use std::fs;
use std::path::Path;
use support::{has_abi, in_child, output_in_child};

/// For each file whether it can be read: 0, or the errno.
type Reads = Vec<i32>;

fn read_all(files: &[&Path]) -> Reads {
    files
        .iter()
        .map(|file| fs::read(file).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0))
        .collect()
}

/// Files that are granted by both sandboxes, the outer alone, the inner alone, neither.
struct Files {
    directory: tempfile::TempDir,
}

const NAMES: [&str; 4] = ["both", "outer", "inner", "neither"];
const EXPECTED: [i32; 4] = [0, libc::EACCES, libc::EACCES, libc::EACCES];

impl Files {
    fn new() -> Files {
        let directory = tempfile::tempdir().unwrap();
        NAMES.iter().for_each(|name| fs::write(directory.path().join(name), name).unwrap());
        Files { directory }
    }
}

fn paths(directory: &Path) -> [std::path::PathBuf; 4] {
    NAMES.map(|name| directory.join(name))
}

/// The inner function in each placement: granted `both` and `inner`.
macro_rules! inner {
    ($($name:ident: $placement:ident,)*) => {$(
        #[sandboxed($placement, read = [directory.join("both"), directory.join("inner")])]
        fn $name(directory: &Path) -> Result<Reads, Error> {
            let paths = paths(directory);
            Ok(read_all(&paths.each_ref().map(|path| path.as_path())))
        }
    )*};
}
inner! { inner_process: process, inner_thread: thread, inner_in_place: in_place, }

/// Which inner function.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum Inner {
    Process,
    Thread,
    InPlace,
}

fn call(inner: Inner, from_thread: bool, directory: &Path) -> Result<Reads, Error> {
    let call = || match inner {
        Inner::Process => inner_process(directory),
        Inner::Thread => inner_thread(directory),
        Inner::InPlace => inner_in_place(directory),
    };
    if from_thread { std::thread::scope(|scope| scope.spawn(call).join().unwrap()) } else { call() }
}

/// The outer function in each placement: granted `both` and `outer`. Before the inner call and after it, its own
/// grants are what they are.
macro_rules! outer {
    ($($name:ident: $placement:ident,)*) => {$(
        #[sandboxed($placement, read = [directory.join("both"), directory.join("outer")])]
        fn $name(inner: Inner, from_thread: bool, directory: &Path) -> Result<Reads, Error> {
            let paths = paths(directory);
            let own = || read_all(&paths.each_ref().map(|path| path.as_path()));
            assert_eq!(own(), [0, 0, libc::EACCES, libc::EACCES]);
            call(inner, from_thread, directory)
        }
    )*};
}
outer! { outer_process: process, outer_thread: thread, outer_in_place: in_place, }

#[test]
fn process_in_process() {
    for from_thread in [false, true] {
        assert_eq!(
            outer_process(Inner::Process, from_thread, Files::new().directory.path()).unwrap(),
            EXPECTED
        );
    }
}

#[test]
fn thread_in_process() {
    for from_thread in [false, true] {
        assert_eq!(
            outer_process(Inner::Thread, from_thread, Files::new().directory.path()).unwrap(),
            EXPECTED
        );
    }
}

#[test]
fn in_place_in_process() {
    assert_eq!(outer_process(Inner::InPlace, false, Files::new().directory.path()).unwrap(), EXPECTED);
}

#[test]
fn process_in_thread() {
    for from_thread in [false, true] {
        assert_eq!(
            outer_thread(Inner::Process, from_thread, Files::new().directory.path()).unwrap(),
            EXPECTED
        );
    }
}

#[test]
fn thread_in_thread() {
    for from_thread in [false, true] {
        assert_eq!(
            outer_thread(Inner::Thread, from_thread, Files::new().directory.path()).unwrap(),
            EXPECTED
        );
    }
}

#[test]
fn in_place_in_thread_is_refused() {
    in_child("in_place_in_thread_is_refused", || {
        let files = Files::new();
        let error = outer_thread(Inner::InPlace, false, files.directory.path()).unwrap_err();
        assert!(error.is_launch(), "{error}");
        assert_eq!(error.ran(), Ran::No);
        assert!(error.to_string().contains("sandboxed threads live"), "{error}");
        // Nothing was restricted.
        fs::read(files.directory.path().join("neither")).unwrap();
    });
}

/// Runs `body` in a process with one thread, whose directory somebody else tidies up.
fn alone(name: &str, body: impl FnOnce(&Path)) {
    in_child(name, || {
        let files = Files::new();
        let child = sys::fork(|| body(files.directory.path()));
        let status = sys::wait_for(child);
        assert!(status.success(), "{status}");
    });
}

#[test]
fn process_in_in_place() {
    alone("process_in_in_place", |directory| {
        assert_eq!(outer_in_place(Inner::Process, false, directory).unwrap(), EXPECTED);
        assert_eq!(outer_in_place(Inner::Process, true, directory).unwrap(), EXPECTED);
    });
}

#[test]
fn thread_in_in_place() {
    alone("thread_in_in_place", |directory| {
        assert_eq!(outer_in_place(Inner::Thread, false, directory).unwrap(), EXPECTED);
        assert_eq!(outer_in_place(Inner::Thread, true, directory).unwrap(), EXPECTED);
    });
}

#[test]
fn in_place_in_in_place() {
    alone("in_place_in_in_place", |directory| {
        assert_eq!(outer_in_place(Inner::InPlace, false, directory).unwrap(), EXPECTED);
    });
}

#[test]
fn in_place_while_a_sandboxed_thread_lives_elsewhere_is_refused() {
    if !support::has_abi(1, "a sandboxed thread") {
        return;
    }
    in_child("in_place_while_a_sandboxed_thread_lives_elsewhere_is_refused", || {
        let files = Files::new();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go, wait) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || occupy(begun, wait));
        has_begun.recv().unwrap();
        let error = inner_in_place(files.directory.path()).unwrap_err();
        assert!(error.to_string().contains("sandboxed threads live"), "{error}");
        go.send(()).unwrap();
        thread.join().unwrap();
        // When it is gone that is no reason any more.
        let later = inner_in_place(files.directory.path());
        assert!(
            later.as_ref().map_or_else(|error| !error.to_string().contains("live"), |_| true),
            "{later:?}"
        );
    });
}

/// Leaves a thread behind that is as restricted as it is, and outlives it.
#[sandboxed(thread)]
fn leave_a_thread_behind(
    file: std::path::PathBuf,
    wait: std::sync::mpsc::Receiver<()>,
) -> std::thread::JoinHandle<i32> {
    std::thread::spawn(move || {
        wait.recv().unwrap();
        read_all(&[&file])[0]
    })
}

/// The kernel restricts all threads by replacing what restricted them before.
#[test]
fn in_place_frees_no_thread_that_a_sandboxed_one_left_behind() {
    if !support::has_abi(8, "restricting several threads in place") {
        return;
    }
    in_child("in_place_frees_no_thread_that_a_sandboxed_one_left_behind", || {
        let files = Files::new();
        let (go, wait) = std::sync::mpsc::channel();
        let left = leave_a_thread_behind(files.directory.path().join("both"), wait);
        let error = inner_in_place(files.directory.path()).unwrap_err();
        assert!(error.to_string().contains("is in a sandbox of its own"), "{error}");
        assert_eq!(error.ran(), Ran::No);
        go.send(()).unwrap();
        assert_eq!(left.join().unwrap(), libc::EACCES);
        // Nor is anything else restricted: this process, or its workers.
        fs::read(files.directory.path().join("neither")).unwrap();
        assert_eq!(outer_process(Inner::Process, false, files.directory.path()).unwrap(), EXPECTED);
    });
}

#[sandboxed(thread)]
fn occupy(begun: std::sync::mpsc::Sender<()>, wait: std::sync::mpsc::Receiver<()>) {
    begun.send(()).unwrap();
    wait.recv().unwrap();
}

/// The worker of an inner call is the outer one: nobody else could be asked from inside.
#[sandboxed]
fn outer_pid() -> Result<(u32, u32), Error> {
    Ok((std::process::id(), inner_pid()?))
}

#[sandboxed]
fn inner_pid() -> Result<u32, Error> {
    Ok(std::process::id())
}

#[test]
fn a_process_call_inside_a_worker_stays_there() {
    let (outer, inner) = outer_pid().unwrap();
    assert_eq!(outer, inner);
    assert_ne!(outer, std::process::id());
}

/// The fate is shared: what kills the inner kills the outer.
#[sandboxed]
fn outer_of_a_crash() -> Result<(), Error> {
    inner_crash()
}

#[sandboxed]
fn inner_crash() -> Result<(), Error> {
    sys::raise(libc::SIGKILL);
    Ok(())
}

#[test]
fn a_crash_inside_is_the_outers() {
    let error = outer_of_a_crash().unwrap_err();
    assert_eq!(error.signal(), Some(libc::SIGKILL), "{error}");
    assert!(error.function().ends_with("outer_of_a_crash"), "{error}");
}

/// A failure inside is a value to the outer.
#[sandboxed]
fn outer_of_a_panic() -> Result<String, Error> {
    let error = inner_panic(7).unwrap_err();
    Ok(error.panic_message().unwrap().to_owned())
}

#[sandboxed]
fn inner_panic(number: u32) -> Result<(), Error> {
    panic!("inner {number}")
}

#[test]
fn a_panic_inside_is_the_inners() {
    if !has_abi(1, "grants of files") {
        return;
    }
    assert_eq!(outer_of_a_panic().unwrap(), "inner 7");
}

/// Arguments there and back, and descriptors, as with a worker.
#[sandboxed]
fn outer_of_values(bytes: &mut Vec<u8>) -> Result<usize, Error> {
    inner_of_values(bytes, "text")
}

#[sandboxed]
fn inner_of_values(bytes: &mut Vec<u8>, text: &str) -> Result<usize, Error> {
    bytes.extend_from_slice(text.as_bytes());
    Ok(bytes.len())
}

#[test]
fn values_cross_inside_too() {
    let mut bytes = vec![1];
    assert_eq!(outer_of_values(&mut bytes).unwrap(), 5);
    assert_eq!(bytes, b"\x01text");
}

#[sandboxed(thread)]
fn deep(layers: u32) -> Result<u32, Error> {
    if layers == 1 { Ok(1) } else { Ok(deep(layers - 1)? + 1) }
}

#[sandboxed]
fn deep_in_process(layers: u32) -> Result<u32, Error> {
    if layers == 1 { Ok(1) } else { Ok(deep_in_process(layers - 1)? + 1) }
}

#[test]
fn the_seventeenth_layer_is_an_error() {
    // `LANDLOCK_MAX_NUM_LAYERS`
    let most = 16;
    for deep in [deep as fn(u32) -> Result<u32, Error>, deep_in_process] {
        assert_eq!(deep(most).unwrap(), most);
        let error = deep(most + 1).unwrap_err();
        assert!(error.is_launch(), "{error}");
        assert_eq!(error.ran(), Ran::No);
        assert!(error.to_string().contains("16 layers"), "{error}");
    }
}

/// Starts a forkserver, where it is of no use.
#[sandboxed(thread, execute = "/")]
fn start_in_thread() -> Result<(), Error> {
    sandboxed::start()
}

#[sandboxed]
fn forkserver() -> Result<u32, Error> {
    Ok(std::os::unix::process::parent_id())
}

#[test]
fn a_start_inside_leaves_the_hosts_forkserver_alone() {
    in_child("a_start_inside_leaves_the_hosts_forkserver_alone", || {
        let before = forkserver().unwrap();
        start_in_thread().unwrap();
        assert_eq!(forkserver().unwrap(), before);
    });
}

#[test]
fn output_inside_reaches_the_host() {
    let name = "output_inside_reaches_the_host";
    let Some(output) = output_in_child(name, || print_outer().unwrap()) else { return };
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("outer before\ninner\nouter after\n"), "{stdout}");
}

#[sandboxed]
fn print_outer() -> Result<(), Error> {
    println!("outer before");
    print_inner()?;
    println!("outer after");
    Ok(())
}

#[sandboxed]
fn print_inner() -> Result<(), Error> {
    println!("inner");
    Ok(())
}
