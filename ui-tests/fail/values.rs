use sandboxed::sandboxed;

#[sandboxed(read = 5, write = "", execute = "etc/passwd", unix = "~/socket")]
fn paths() {}

#[sandboxed(read = ["/a", "/b", "/a/"], write = optional("lib64"), execute = optional(), fs(refer = true))]
fn lists_of_paths() {}

#[sandboxed(tcp_bind = 99999, tcp_connect = -1, udp_bind = "80", udp_connect = 80u8)]
fn ports() {}

#[sandboxed(tcp_bind = [1, 2, 1], tcp_connect = [1..=5, 3], udp_bind = 5..=1, udp_connect = ..)]
fn lists_of_ports() {}

#[sandboxed(timeout = 2, memory = 0, cpu = 1, open_files = 0, file_size = -1)]
fn limits_of_wrong_types() {}

#[sandboxed(timeout = "2", memory = "256", cpu = "1", open_files = "16", file_size = "1")]
fn limits_without_unit() {}

#[sandboxed(timeout = "2sec", memory = "256MB", cpu = "2m", file_size = "1M")]
fn limits_with_unknown_unit() {}

#[sandboxed(timeout = "0s", memory = "0B", cpu = "0ms", file_size = "0KiB")]
fn limits_of_zero() {}

#[sandboxed(timeout = "99999999999h", memory = "99999999TiB")]
fn limits_that_overflow() {}

#[sandboxed(timeout = "newer", memory = "limited", cpu = "never", file_size = "unlimited")]
fn limits_with_misspelt_words() {}

#[sandboxed(memory = 1 << 64)]
fn arithmetic() {}

#[sandboxed(env = ["A", "B=C", "A"], stdio = "nul")]
fn names_and_choices() {}

#[sandboxed(env = 5, stdio = NULL)]
fn names_and_choices_of_wrong_types() {}

macro_rules! make {
    ($path:literal, $port:expr) => {
        #[sandboxed(read = $path, tcp_bind = $port)]
        fn made() {}
    };
}
make!("etc", 70000);

#[sandboxed(read = "/a\0b", timeout = "soon", memory = "12 parsecs")]
fn no_path_and_no_quantities() {}

fn main() {}
