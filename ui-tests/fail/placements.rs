use sandboxed::sandboxed;

#[sandboxed(process, thread)]
fn two() {}

#[sandboxed(in_place, in_place)]
fn twice() {}

#[sandboxed(thread, timeout = "1s", memory = "1MiB", cpu = "1s", open_files = 1, file_size = "1B", env = "A", stdio = "null")]
fn limits_of_a_thread() {}

#[sandboxed(timeout = "1s", memory = "1MiB", cpu = "1s", open_files = 1, file_size = "1B", env = "A", stdio = "null")]
fn main() {}

#[sandboxed(thread_sync = "signal")]
fn no_threads_to_sync() {}

#[sandboxed(thread, thread_sync = "signal")]
fn one_thread_to_sync() {}

#[sandboxed(thread, threads = 2, namespaces)]
fn namespaces_of_a_thread() {}

#[sandboxed(in_place, threads = 0, namespaces = true)]
fn namespaces_in_place() {}
