//! `fn main` in a worker, doing what its first argument says.
#![allow(unsafe_code)]

use sandboxed::sandboxed;
use std::io::Read;
use std::process::ExitCode;

static STARTED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

#[sandboxed(process)]
fn main() -> ExitCode {
    STARTED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = || args[1].parse::<i32>().unwrap();
    match args[0].as_str() {
        "show" => show(&args),
        "code" => return ExitCode::from(args[1].parse::<u8>().unwrap()),
        "exit" => std::process::exit(number()),
        "panic" => panic!("as told: {}", args[1]),
        // SAFETY: takes an integer.
        "signal" => drop(unsafe { libc::raise(number()) }),
        "abort" => std::process::abort(),
        "read" => println!("{}", programs::try_to_read(&args[1])),
        "pids" => println!("{} {}", std::process::id(), std::os::unix::process::parent_id()),
        "flood" => (0..100_000).for_each(|line| println!("{line}")),
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(300)),
        other => panic!("no such thing: {other}"),
    }
    ExitCode::SUCCESS
}

fn show(args: &[String]) {
    let mut stdin = String::new();
    std::io::stdin().read_to_string(&mut stdin).unwrap();
    println!("args: {args:?}");
    println!("stdin: {stdin:?}");
    println!("variable: {:?}", std::env::var("OF_THE_PROGRAM"));
    println!("mark: {:?}", std::env::var("SANDBOXED_FORKSERVER").is_ok());
    println!("started: {}", STARTED.load(std::sync::atomic::Ordering::Relaxed));
    eprintln!("on stderr");
}
