//! Every kind of type that crosses without serde.

use std::borrow::{Borrow, Cow};
use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Seek, Write, pipe};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::*;

#[test]
fn owned_values_arrive() {
    macro_rules! arrive {
        ($($t:ty = $value:expr;)*) => {$(
            let value: $t = $value;
            assert_eq!(crossed!($t, value.clone()), value, stringify!($t));
        )*};
    }
    arrive! {
        () = ();
        bool = true;
        char = 'ß';
        u8 = 200; u16 = u16::MAX; u32 = u32::MAX; u64 = u64::MAX; u128 = u128::MAX; usize = usize::MAX;
        i8 = i8::MIN; i16 = i16::MIN; i32 = -1; i64 = i64::MIN; i128 = i128::MIN; isize = isize::MIN;
        f32 = f32::MIN_POSITIVE; f64 = f64::NEG_INFINITY;
        Vec<u8> = vec![0, 255];
        Box<[u8]> = Box::new([1, 2]);
        Rc<[u8]> = Rc::new([1, 2]);
        Arc<[u8]> = Arc::new([1, 2]);
        String = "ä".into();
        Box<str> = "ä".into();
        Arc<str> = "ä".into();
        PathBuf = "/a".into();
        OsString = "b".into();
        CString = c"c".into();
        [u8; 100] = [7; 100];
        Option<Vec<u8>> = Some(vec![1]);
        Option<PathBuf> = None;
        Option<()> = Some(());
        Option<Option<String>> = Some(None);
        Vec<Vec<u8>> = vec![vec![], vec![1, 2]];
        Vec<PathBuf> = vec!["a".into(), "b".into()];
        (Vec<u8>, u32, bool) = (vec![1], 2, true);
        Vec<(String, u8)> = vec![("a".into(), 1)];
        Result<Vec<u8>, String> = Err("no".into());
        Cow<'static, [u8]> = Cow::Borrowed(b"abc");
        Vec<u16> = vec![1, u16::MAX];
        Vec<i128> = vec![i128::MIN, 1];
        Box<[f64]> = Box::new([0.5, f64::INFINITY]);
        Arc<[isize]> = Arc::new([-1]);
        [u64; 40] = [7; 40];
        Vec<Vec<f32>> = vec![vec![], vec![1.5, 2.5]];
        (u8, Vec<u32>, Option<Vec<i64>>) = (1, vec![2], Some(vec![-3]));
    }
}

#[test]
fn what_is_not_text_survives() {
    let path = Path::new(OsStr::from_bytes(b"/\xff\xfe/x"));
    assert_eq!(crossed!(PathBuf, path.to_owned()), path);
    assert_eq!(crossed!(OsString, path.as_os_str().to_owned()), path);
    assert_eq!(crossed!(Vec<PathBuf>, vec![path.to_owned()]), [path]);
    assert_eq!(crossed!((PathBuf, u8), (path.to_owned(), 1)), (path.to_owned(), 1));
}

/// Encodes from an unsized value, and holds what borrows from the message.
macro_rules! borrowed {
    ($t:ty, $value:expr) => {{
        let value: &$t = $value;
        let bytes = encoded!($t, value);
        let mut input = Incoming::new(&bytes, []);
        let held = hold(codec!($t), Probe::<$t>::new(), &mut input).unwrap();
        assert_eq!(Borrow::<$t>::borrow(&held), value);
        assert_eq!(input.finish(), Ok(()));
    }};
}

#[test]
fn borrowed_values_arrive() {
    borrowed!([u8], b"bytes");
    borrowed!(str, "text");
    borrowed!(Path, Path::new("/etc"));
    borrowed!(OsStr, OsStr::new("os"));
    borrowed!(CStr, c"c");
    borrowed!([u32], &[1, 1000]);
    borrowed!([char], &['a', 'ß']);
    borrowed!([f64], &[]);
    borrowed!([i8], &[-1]);
    borrowed!([&str], &["a", "b"]);
    borrowed!([PathBuf], &["a".into()]);
    borrowed!(Option<&[u8]>, &Some(b"bytes"));
    borrowed!(Option<&Path>, &None);
    borrowed!(Vec<&str>, &vec!["a", "b"]);
    borrowed!((&str, u32), &("a", 1));
    borrowed!(Cow<'_, str>, &Cow::Borrowed("a"));
}

#[test]
fn bytes_are_a_length_and_themselves() {
    assert_eq!(encoded!([u8], b"abc"), b"\x03abc");
    assert_eq!(encoded!(Vec<u8>, &b"abc".to_vec()), b"\x03abc");
    assert_eq!(encoded!(str, "abc"), b"\x03abc");
    assert_eq!(encoded!([u8], &[9; 300])[..2], [300_u16 as u8 | 0x80, 2]);
}

#[test]
fn many_bytes_are_lent_and_few_are_copied() {
    let many = vec![1_u8; BORROW_FROM];
    let few = vec![2_u8; BORROW_FROM - 1];
    let mut out = Outgoing::new();
    put(codec!([u8]), &many[..], &mut out).unwrap();
    put(codec!(u32), &7, &mut out).unwrap();
    put(codec!(Vec<u8>), &few, &mut out).unwrap();
    put(codec!(Option<Vec<u8>>), &None::<Vec<u8>>, &mut out).unwrap();
    let segments: Vec<&[u8]> = out.segments().collect();
    assert_eq!(segments.iter().map(|segment| segment.len()).collect::<Vec<_>>(), [2, 4096, 1 + 2 + 4095 + 1]);
    assert_eq!(segments[1].as_ptr(), many.as_ptr());
}

#[test]
fn a_slice_is_lent_to_the_receiver() {
    let bytes = encoded!([u8], &[5; 10_000]);
    let mut input = Incoming::new(&bytes, []);
    let held = hold(codec!([u8]), Probe::<[u8]>::new(), &mut input).unwrap();
    assert_eq!(held.as_ptr(), bytes[2..].as_ptr());
}

#[test]
fn numbers_are_lent_where_they_lie_at_an_address_for_them() {
    let numbers: Vec<u128> = (0..1000).collect();
    let mut out = Outgoing::new();
    put(codec!(str), "odd", &mut out).unwrap();
    put(codec!([u128]), &numbers[..], &mut out).unwrap();
    put(codec!([u16]), &[1_u16, 2][..], &mut out).unwrap();
    assert!(out.segments().any(|segment| segment.as_ptr() == numbers.as_ptr().cast()), "no copy goes");
    // An address that numbers can have, and two beside it.
    for offset in [0, 1, 8] {
        let mut memory = vec![0; 32 + out.len()];
        let start = memory.as_ptr().align_offset(16) + offset;
        let arrived = &mut memory[start..][..out.len()];
        arrived.copy_from_slice(&joined(&out));
        let mut input = Incoming::new(arrived, []);
        assert_eq!(hold(codec!(str), Probe::<str>::new(), &mut input), Ok("odd"));
        let held = hold(codec!([u128]), Probe::<[u128]>::new(), &mut input).unwrap();
        assert_eq!((&*held, matches!(held, Cow::Borrowed(_))), (&numbers[..], offset == 0), "{offset}");
        assert_eq!(*hold(codec!([u16]), Probe::<[u16]>::new(), &mut input).unwrap(), [1, 2]);
        assert_eq!(input.finish(), Ok(()));
    }
}

#[test]
fn a_mutable_slice_goes_as_a_slice_and_comes_as_a_vector() {
    macro_rules! alike {
        ($t:ty, $value:expr) => {
            assert_eq!(encoded!([$t], &$value), encoded!(Vec<$t>, &$value.to_vec()));
        };
    }
    alike!(u8, [1, 2, 3]);
    alike!(u32, [1, 2000, 3]);
    alike!(f32, [1.0, f32::MAX]);
    alike!(String, ["a".to_owned()]);
    alike!(PathBuf, [PathBuf::from("a")]);
    alike!(Option<f32>, [Some(1.5), None]);
}

/// What the worker receives: duplicates, as a socket makes them.
fn received(out: &Outgoing<'_>) -> VecDeque<OwnedFd> {
    out.fds().iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect()
}

#[test]
fn descriptors_arrive_in_order() {
    macro_rules! arrive {
        ($t:ty, $value:expr, $numbers:expr) => {{
            let value: &$t = $value;
            let mut out = Outgoing::new();
            put(codec!($t), value, &mut out).unwrap();
            let sent: Vec<i32> = out.fds().iter().map(|fd| fd.as_raw_fd()).collect();
            let numbers: Vec<i32> = $numbers(value);
            assert_eq!(sent, numbers);
            let bytes = joined(&out);
            let mut input = Incoming::new(&bytes, received(&out));
            hold(codec!($t), Probe::<$t>::new(), &mut input).unwrap();
            input.finish().unwrap();
        }};
        ($t:ty, $value:expr) => {
            arrive!($t, $value, |value: &$t| vec![value.as_fd().as_raw_fd()])
        };
    }
    let file = File::open("/dev/null").unwrap();
    let (reader, writer) = pipe().unwrap();
    let (stream, other) = UnixStream::pair().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    arrive!(TcpStream, &TcpStream::connect(tcp.local_addr().unwrap()).unwrap());
    arrive!(TcpListener, &tcp);
    arrive!(UdpSocket, &UdpSocket::bind("127.0.0.1:0").unwrap());
    arrive!(UnixDatagram, &UnixDatagram::unbound().unwrap());
    arrive!(UnixListener, &UnixListener::from(OwnedFd::from(other)));
    arrive!(UnixStream, &stream);
    arrive!(PipeReader, &reader);
    arrive!(PipeWriter, &writer);
    arrive!(OwnedFd, &OwnedFd::from(stream));
    arrive!(File, &file);
    arrive!(Option<File>, &None, |_: &_| vec![]);
    arrive!(Option<File>, &Some(file.try_clone().unwrap()), |value: &Option<File>| {
        value.iter().map(|file| file.as_raw_fd()).collect()
    });
    arrive!(Vec<File>, &vec![file.try_clone().unwrap(), file], |value: &Vec<File>| {
        value.iter().map(|file| file.as_raw_fd()).collect()
    });
}

#[test]
fn a_received_descriptor_works() {
    let (mut reader, writer) = pipe().unwrap();
    let mut out = Outgoing::new();
    put(codec!(PipeWriter), &writer, &mut out).unwrap();
    let mut input = Incoming::new(&[], received(&out));
    drop(writer);
    let mut writer = hold(codec!(PipeWriter), Probe::<PipeWriter>::new(), &mut input).unwrap();
    writer.write_all(b"over").unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "over");
}

#[test]
fn descriptors_are_neither_missing_nor_left_over() {
    let fd = || OwnedFd::from(File::open("/dev/null").unwrap());
    let mut input = Incoming::new(&[], []);
    let missing = hold(codec!(File), Probe::<File>::new(), &mut input).unwrap_err();
    assert_eq!(missing, CodecError::MissingDescriptor);
    let mut input = Incoming::new(&[], [fd(), fd()]);
    hold(codec!(File), Probe::<File>::new(), &mut input).unwrap();
    assert_eq!(input.finish(), Err(CodecError::ExtraDescriptors(1)));
    // A count of descriptors that are not there.
    let mut input = Incoming::new(b"\x05", [fd()]);
    assert_eq!(
        hold(codec!(Vec<File>), Probe::<Vec<File>>::new(), &mut input).unwrap_err(),
        CodecError::Truncated
    );
}

#[test]
fn descriptors_do_not_come_back() {
    let mut file = tempfile();
    let mut out = Outgoing::new();
    put_back(codec!(File), &file, &mut out).unwrap();
    assert!(out.is_empty() && out.fds().is_empty());
    assert!(take_back(codec!(File), Probe::<File>::new(), &mut Incoming::new(&[], [])).unwrap().is_none());
    file.rewind().unwrap();
}

fn tempfile() -> File {
    File::open("/dev/zero").unwrap()
}

#[test]
fn what_is_changed_comes_back() {
    let mut out = Outgoing::new();
    let list = vec!["a".to_owned()];
    put_back(codec!(Vec<String>), &list, &mut out).unwrap();
    put_back(codec!(u32), &7, &mut out).unwrap();
    let bytes = joined(&out);
    let mut input = Incoming::new(&bytes, []);
    assert_eq!(
        take_back(codec!(Vec<String>), Probe::<Vec<String>>::new(), &mut input),
        Ok(Some(vec!["a".to_owned()]))
    );
    assert_eq!(take_back(codec!(u32), Probe::<u32>::new(), &mut input), Ok(Some(7)));
    assert_eq!(input.finish(), Ok(()));
}

#[test]
fn shared_state_is_refused_before_serde_accepts_it() {
    let _: LostUpdates = codec!(Mutex<u32>);
    let _: LostUpdates = codec!(Arc<Mutex<u32>>);
    let _: LostUpdates = codec!(Option<Box<std::cell::Cell<u8>>>);
    let _: LostUpdates = codec!(std::sync::atomic::AtomicU64);
    let _: Unsupported = codec!(Rc<u32>);
    let _: Serde = codec!(Vec<char>);
    let _: AsNative = codec!([f32]);
    let _: AsNative = codec!(Result<u32, std::io::Error>);
    let _: Parts<Serde, AsNative> = codec!(Result<Vec<bool>, std::io::Error>);
    let _: Parts<AsNative, Serde> = codec!(Result<(), Vec<bool>>);
}
