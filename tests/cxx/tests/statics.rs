//! Initialisers of C++ have run, once, before a body does.

use sandboxed::{Error, sandboxed};
use sandboxed_test_cxx::statics;

#[sandboxed]
fn statics_in_worker() -> Result<((i32, String, i32), u32), Error> {
    Ok((statics(), std::os::unix::process::parent_id()))
}

#[test]
fn statics_are_made_once_before_a_body() {
    let (made, text, maker) = statics();
    assert_eq!((made, maker.cast_unsigned()), (2, std::process::id()));
    for _ in 0..2 {
        let ((made_there, text_there, maker_there), template) = statics_in_worker().unwrap();
        assert_eq!((made_there, &text_there), (made, &text));
        let stat = std::fs::read_to_string(format!("/proc/{template}/stat")).unwrap();
        let parent = stat.rsplit(')').next().unwrap().split_ascii_whitespace().nth(1).unwrap();
        assert_eq!(maker_there.to_string(), parent, "they are the forkserver's, whose child the template is");
    }
    assert!(text.starts_with("made by an initialiser of C++"), "{text}");
}
