//! By the crate `backtrace`, with which the standard library does the same.

use super::Offset;
use crate::sys::image::Image;
use backtrace::{BacktraceFmt, BacktraceFrameFmt, BytesOrWideString, PrintFmt, Symbol, SymbolName};
use std::ffi::{OsStr, c_void};
use std::fmt;
use std::sync::OnceLock;

/// How many frames are told at most: the inner ones.
const MOST: usize = 128;

/// What `RUST_BACKTRACE` of this process says, as the standard library reads it.
fn style() -> Option<PrintFmt> {
    static STYLE: OnceLock<Option<PrintFmt>> = OnceLock::new();
    let read = |value: &OsStr| match value.as_encoded_bytes() {
        b"0" => None,
        b"full" => Some(PrintFmt::Full),
        _ => Some(PrintFmt::Short),
    };
    *STYLE.get_or_init(|| std::env::var_os("RUST_BACKTRACE").as_deref().and_then(read))
}

pub(crate) fn is_wanted() -> bool {
    style().is_some()
}

/// The frames of this thread, the innermost first.
pub(crate) fn capture() -> Vec<Offset> {
    let (mut offsets, image) = (Vec::new(), Image::ours());
    backtrace::trace(|frame| {
        offsets.push(image.and_then(|image| image.offset_of(frame.ip() as usize)));
        offsets.len() < MOST
    });
    offsets
}

/// The text of what a worker says are its frames; `None` without frames.
pub(crate) fn text(offsets: &[Offset]) -> Option<String> {
    let offsets = &offsets[..offsets.len().min(MOST)];
    let print = |style| Frames { offsets, style }.to_string();
    let text = print(style().unwrap_or(PrintFmt::Short));
    // Without symbols nothing says where the body begins.
    let text = if text.is_empty() { print(PrintFmt::Full) } else { text };
    (!offsets.is_empty()).then_some(text)
}

struct Frames<'a> {
    offsets: &'a [Offset],
    style: PrintFmt,
}

impl fmt::Display for Frames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = std::env::current_dir().unwrap_or_default();
        let mut print_path = move |f: &mut fmt::Formatter<'_>, path: BytesOrWideString<'_>| {
            let path = path.into_path_buf();
            match path.strip_prefix(&directory) {
                Ok(below) if !directory.as_os_str().is_empty() => write!(f, "./{}", below.display()),
                _ => write!(f, "{}", path.display()),
            }
        };
        let mut text = BacktraceFmt::new(f, self.style, &mut print_path);
        let mut bounds = Bounds { is_short: self.style == PrintFmt::Short, is_inside: false };
        self.offsets.iter().try_for_each(|offset| {
            match offset.and_then(|offset| Image::ours()?.address_at(offset)) {
                Some(address) => print(&mut text, address, &mut bounds),
                None if bounds.has(None) => {
                    let name = Some(SymbolName::new(b"<in a shared library>"));
                    text.frame().print_raw(address_of(1), name, None, None)
                }
                None => Ok(()),
            }
        })
    }
}

/// What the standard library prints of a panic: from where it leaves the panic's own code, outwards to the body's begin.
struct Bounds {
    is_short: bool,
    is_inside: bool,
}

impl Bounds {
    /// Whether this is to be printed; an inlined function is a symbol of its own.
    fn has(&mut self, symbol: Option<&Symbol>) -> bool {
        let name = symbol.and_then(Symbol::name).map(|name| name.to_string()).unwrap_or_default();
        let is_begin = name.contains("__rust_begin_short_backtrace");
        let is_end = name.contains("__rust_end_short_backtrace");
        self.is_inside = (self.is_inside || is_end) && !is_begin;
        !self.is_short || (self.is_inside && !is_end)
    }
}

/// Prints a frame, of which a stranger may have made up the address: it is in our code.
fn print(text: &mut BacktraceFmt<'_, '_>, address: usize, bounds: &mut Bounds) -> fmt::Result {
    let address = address_of(address);
    // One that is begun has a number, printed or not.
    let (mut text, mut frame) = (Some(text), None);
    let (mut is_known, mut result) = (false, Ok(()));
    backtrace::resolve(address, |symbol| {
        is_known = true;
        if bounds.has(Some(symbol)) && result.is_ok() {
            let (file, line, column) = (symbol.filename_raw(), symbol.lineno(), symbol.colno());
            frame = frame.take().or_else(|| text.take().map(BacktraceFmt::frame));
            let print = |frame: &mut BacktraceFrameFmt<'_, '_, '_>| {
                frame.print_raw_with_column(address, symbol.name(), file, line, column)
            };
            result = frame.as_mut().map_or(Ok(()), print);
        }
    });
    match text {
        Some(text) if !is_known && bounds.has(None) => text.frame().print_raw(address, None, None, None),
        _ => result,
    }
}

fn address_of(address: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(address)
}
