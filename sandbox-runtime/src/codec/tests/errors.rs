//! Errors that serde does not know.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::num::ParseIntError;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn messages(error: &(dyn Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |&error| error.source()).map(|error| error.to_string()).collect()
}

#[test]
fn an_io_error_keeps_its_code() {
    let error = crossed!(io::Error, io::Error::from_raw_os_error(13));
    assert_eq!(error.raw_os_error(), Some(13));
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn an_io_error_keeps_its_kind_and_message() {
    for &kind in super::super::remote::KINDS {
        let bare = crossed!(io::Error, io::Error::from(kind));
        assert_eq!((bare.kind(), bare.to_string()), (kind, kind.to_string()));
        assert!(bare.get_ref().is_none());
        let told = crossed!(io::Error, io::Error::new(kind, "why"));
        assert_eq!((told.kind(), told.to_string()), (kind, "why".to_owned()));
    }
    // A message of the standard library, which is neither bare nor custom.
    let short = io::Read::read_exact(&mut io::empty(), &mut [0]).unwrap_err();
    let crossed = crossed!(io::Error, io::Read::read_exact(&mut io::empty(), &mut [0]).unwrap_err());
    assert_eq!((crossed.kind(), crossed.to_string()), (short.kind(), short.to_string()));
}

#[test]
fn an_io_error_keeps_what_it_is_about() {
    let error =
        crossed!(io::Error, io::Error::new(ErrorKind::InvalidData, Outer(io::Error::from_raw_os_error(2))));
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(messages(&error), ["outer", "No such file or directory (os error 2)"]);
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.raw_os_error(), Some(2));
}

#[test]
fn a_boxed_error_keeps_its_sources() {
    let error = crossed!(Box<dyn Error>, Box::new(Outer(io::Error::from_raw_os_error(2))) as _);
    assert_eq!(messages(&*error), ["outer", "No such file or directory (os error 2)"]);
    assert!(error.downcast_ref::<RemoteError>().unwrap().source().unwrap().is::<io::Error>());
    let error = crossed!(Box<dyn Error + Send>, "text".to_owned().into_send());
    assert!(error.is::<RemoteError>());
}

trait IntoSend {
    fn into_send(self) -> Box<dyn Error + Send>;
}

impl IntoSend for String {
    fn into_send(self) -> Box<dyn Error + Send> {
        Box::<dyn Error + Send + Sync>::from(self)
    }
}

#[test]
fn a_boxed_io_error_stays_one() {
    let error: Box<dyn Error + Send + Sync> = io::Error::from(ErrorKind::TimedOut).into();
    let error = crossed!(Box<dyn Error + Send + Sync>, error);
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), ErrorKind::TimedOut);
}

#[test]
fn an_endless_chain_is_cut() {
    #[derive(Debug)]
    struct Mine;
    impl fmt::Display for Mine {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }
    impl Error for Mine {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Mine)
        }
    }
    assert_eq!(messages(&*crossed!(Box<dyn Error>, Box::new(Mine) as _)).len(), 64);
}

#[test]
fn chains_that_are_none_are_refused() {
    for bytes in [
        encoded!(Vec<u32>, &vec![]),
        encoded!(Vec<u32>, &vec![1]),
        encoded!(Vec<u32>, &vec![1; 100]),
        encoded!(u32, &7),
    ] {
        decoded!(io::Error, &bytes).unwrap_err();
        decoded!(Box<dyn Error>, &bytes).unwrap_err();
    }
}

#[test]
fn results_cross_by_their_parts() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Config {
        a: u32,
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Mine {
        No(String),
    }
    fn shown<T: fmt::Debug, E: fmt::Display>(result: Result<T, E>) -> String {
        match result {
            Ok(value) => format!("{value:?}"),
            Err(error) => format!("{error}!"),
        }
    }
    impl fmt::Display for Mine {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("mine")
        }
    }
    macro_rules! both {
        ($ok:ty, $value:expr, $err:ty, $error:expr) => {
            assert_eq!(shown(crossed!(Result<$ok, $err>, Ok($value))), format!("{:?}", $value));
            assert_eq!(shown(crossed!(Result<$ok, $err>, Err($error))), format!("{}!", $error));
        };
    }
    both!(Vec<u8>, vec![1_u8], io::Error, io::Error::other("x"));
    both!((), (), Box<dyn Error>, Box::<dyn Error>::from("x"));
    both!(Config, Config { a: 1 }, io::Error, io::Error::other("x"));
    both!(Vec<u8>, vec![1_u8], Mine, Mine::No("a".into()));
    both!(Config, Config { a: 1 }, Mine, Mine::No("a".into()));
    both!(Option<Vec<u8>>, Some(vec![1_u8]), fmt::Error, fmt::Error);
}

#[test]
fn errors_of_parsing_stay_what_they_are() {
    for text in ["", "-", "x", "256", "1"] {
        let result = text.parse::<u8>();
        assert_eq!(crossed!(Result<u8, ParseIntError>, result.clone()), result);
    }
    let float = "x".parse::<f64>();
    assert_eq!(crossed!(Result<f64, std::num::ParseFloatError>, float.clone()), float);
    assert_eq!(crossed!(Result<(), fmt::Error>, Err(fmt::Error)), Err(fmt::Error));
    decoded!(ParseIntError, &encoded!(usize, &99)).unwrap_err();
}

#[cfg(feature = "anyhow")]
#[test]
fn anyhow_errors_keep_their_chain() {
    use anyhow::Context;
    let error = Err::<(), _>(io::Error::from_raw_os_error(2)).context("inner").context("outer").unwrap_err();
    let (alternate, debug) = (format!("{error:#}"), messages(error.as_ref()));
    let error = crossed!(anyhow::Error, error);
    assert_eq!(error.to_string(), "outer");
    assert_eq!(format!("{error:#}"), alternate);
    assert_eq!(messages(error.as_ref()), debug);
    assert!(format!("{error:?}").contains("Caused by:\n    0: inner\n    1: No such file"));
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().raw_os_error(), Some(2));

    let plain = crossed!(anyhow::Error, anyhow::anyhow!("alone"));
    assert_eq!(format!("{plain:#}"), "alone");
}
