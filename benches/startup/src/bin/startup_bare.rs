//! A function that is not called.

fn add(a: usize, b: usize) -> usize {
    a + b
}

fn main() {
    let arguments = std::env::args().count();
    if arguments > 1 {
        println!("{}", add(arguments, 1));
    }
}
