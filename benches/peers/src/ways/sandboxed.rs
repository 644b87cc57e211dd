//! `#[sandboxed]` in its placements. Arguments and results are the function's own types.

use crate::task::{self, Answer, Task};
use crate::{Result, Way};

// Input:   Process: "#[sandboxed]" in in_process;
// Output:  mod in_process { #[sandboxed] pub fn add(…) … }, and Process, the way that calls those
macro_rules! placements {
    ($($way:ident: $name:literal in $module:ident($($keys:tt)*);)*) => { $(
        mod $module {
            #[sandboxed::sandboxed($($keys)*)]
            pub fn add(a: u32, b: u32) -> u32 {
                super::task::add(a, b)
            }

            #[sandboxed::sandboxed($($keys)*)]
            pub fn crc32(bytes: &[u8]) -> u32 {
                super::task::crc32(bytes)
            }

            #[sandboxed::sandboxed($($keys)*)]
            pub fn reverse(bytes: &[u8]) -> Vec<u8> {
                super::task::reverse(bytes)
            }

            #[sandboxed::sandboxed($($keys)*)]
            pub fn decode(png: &[u8]) -> Vec<u8> {
                super::task::decode(png)
            }

            #[sandboxed::sandboxed($($keys)*)]
            pub fn echo(bytes: &[u8]) -> Vec<u8> {
                super::task::echo(bytes)
            }

            #[sandboxed::sandboxed($($keys)*)]
            pub fn probe(host: u32, port: u16) -> u32 {
                super::task::probe(host, port)
            }
        }

        #[doc = concat!("`", $name, "`")]
        pub struct $way;

        impl Way for $way {
            const NAME: &'static str = $name;

            fn prepare() -> Result<$way> {
                Ok($way)
            }

            fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
                Ok(match task {
                    Task::Add(a, b) => Answer::Number($module::add(a, b)),
                    Task::Crc32(bytes) => Answer::Number($module::crc32(bytes)),
                    Task::Reverse(bytes) => Answer::Bytes($module::reverse(bytes)),
                    Task::Decode(png) => Answer::Bytes($module::decode(png)),
                    Task::Echo(bytes) => Answer::Bytes($module::echo(bytes)),
                    Task::Probe(secrets) => Answer::Number($module::probe(secrets.host, secrets.port)),
                })
            }
        }
    )* };
}

placements! {
    Thread: "#[sandboxed(thread)]" in in_thread(thread);
    Process: "#[sandboxed]" in in_process();
    Workers: "#[sandboxed(workers(reuse = 4294967295))]" in in_workers(workers(reuse = 4294967295));
}
