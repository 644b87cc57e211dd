//! A process that is no relative of a sandbox.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

/// A process that does nothing until it is dropped.
pub struct Bystander(Child);

impl Bystander {
    pub fn new() -> Bystander {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Once it answers, it runs the program and not the copy of this one.
        child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "hello\n");
        Bystander(child)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}
