//! Descriptors, which the host hands to a worker.

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use super::native::{Item, Native};
use super::{CodecError, Incoming, Outgoing};

/// Each takes no bytes and one descriptor. None [comes back](super::native::ComesBack): a host accepts no
/// descriptor from a worker.
macro_rules! descriptors {
    ($($descriptor:ty,)*) => {$(
        impl<'i> Native<'i> for $descriptor {
            type Held = Self;

            const COMES_BACK: bool = false;

            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                out.put_fd(self.as_fd());
                Ok(())
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
                input.take_fd().map(Self::from)
            }
        }

        impl Item for $descriptor {}
    )*};
}

descriptors! {
    File, OwnedFd, PipeReader, PipeWriter,
    TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
}
