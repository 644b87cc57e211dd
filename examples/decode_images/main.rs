//! Decodes pictures from strangers, several at once, each in a worker process of its own that may do nothing but compute.
//!
//! ```text
//! cargo run --release --example decode_images -- examples/data
//! cargo run --release --example decode_images -- --hostile
//! ```

mod hostile;
mod table;

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, ImageError, ImageFormat, ImageReader};
use indicatif::{ProgressBar, ProgressStyle};
use sandboxed::sandboxed;
use serde::{Deserialize, Serialize};
use std::io::{self, Cursor};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};
use table::{Outcome, Row, Table, printable};

/// What comes back from a worker, first of all the pixels of the first frame.
#[derive(Serialize, Deserialize)]
struct Picture {
    format: String,
    width: u32,
    height: u32,
    frames: u32,
    rgba: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum DecodeError {
    #[error("neither PNG nor JPEG, GIF or WebP")]
    NoPicture,
    #[error("{0}")]
    Malformed(String), // image's own error is not serde, so it crosses as text
    #[error(transparent)]
    Sandbox(#[from] sandboxed::Error),
}

impl From<ImageError> for DecodeError {
    fn from(error: ImageError) -> DecodeError {
        DecodeError::Malformed(error.to_string().trim_end().to_owned())
    }
}

/// May do nothing but compute: the attribute grants no file and no network. The host reads the file.
///
/// What it prints would cross the progress bar, and could steer the terminal: it is kept, for `Error::output`.
#[sandboxed(memory = "256MiB", timeout = "5s", stdio = "capture")]
fn decode(bytes: &[u8]) -> Result<Picture, DecodeError> {
    let format = image::guess_format(bytes).map_err(|_| DecodeError::NoPicture)?;
    let (first, frames) = if format == ImageFormat::Gif {
        let mut frames = GifDecoder::new(Cursor::new(bytes))?.into_frames();
        let first = frames.next().ok_or(DecodeError::NoPicture)??;
        let others = frames.try_fold(0, |count, frame| frame.map(|_| count + 1))?;
        (first.into_buffer(), 1 + others)
    } else {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        // The decoder's limits would stop some of the bombs; here all of them shall meet those of the sandbox.
        reader.no_limits();
        (reader.decode()?.into_rgba8(), 1)
    };
    let (width, height) = first.dimensions();
    Ok(Picture { format: format!("{format:?}"), width, height, frames, rgba: first.into_raw() })
}

/// A worker that was taken over sends what it likes, as long as it is a `Picture`. What has to agree in one is
/// for its receiver to check.
fn check(picture: &Picture) -> Result<(), &'static str> {
    let pixels = u64::from(picture.width) * u64::from(picture.height);
    let agrees = pixels.checked_mul(4) == Some(picture.rgba.len() as u64);
    agrees.then_some(()).ok_or("the number of pixels contradicts the dimensions")
}

fn decode_file(path: &Path) -> Row {
    let name = name(path);
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Row::new(name, Outcome::Refused("skipped"), error.to_string()),
    };
    let start = Instant::now();
    let result = decode(&bytes);
    let time = start.elapsed();
    let (outcome, detail) = match result {
        Ok(picture) => match check(&picture) {
            Ok(()) => (Outcome::Done("decoded"), describe(&picture)),
            Err(why) => (Outcome::Stopped("bad data"), why.to_owned()),
        },
        Err(DecodeError::Sandbox(error)) => (Outcome::of_sandbox(&error), error.to_string()),
        Err(error @ DecodeError::NoPicture) => (Outcome::Refused("no picture"), error.to_string()),
        Err(error @ DecodeError::Malformed(_)) => (Outcome::Refused("malformed"), error.to_string()),
    };
    Row { size: Some(bytes.len()), time: Some(time), ..Row::new(name, outcome, detail) }
}

fn name(path: &Path) -> String {
    printable(&path.file_name().unwrap_or_default().to_string_lossy())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A named pipe would keep us waiting for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    fs::read(path)
}

fn describe(picture: &Picture) -> String {
    let Picture { format, width, height, frames, .. } = picture;
    let frames = if *frames == 1 { String::new() } else { format!(", {frames} frames") };
    format!("{format}, {width} x {height}{frames}")
}

fn decode_folder(folder: &Path) -> io::Result<Vec<Outcome>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    let names = paths.iter().map(|path| name(path).chars().count());
    let table = Table { name_width: names.max().unwrap_or(0), size_width: 10 };
    // It draws on stderr, and only where that is a terminal.
    let bar = ProgressBar::new(paths.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed}  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    let rows = sandboxed::map(&paths, |path| {
        bar.set_message(name(path));
        decode_file(path)
    });
    let outcomes = rows
        .progress(|now| bar.set_position(now.finished))
        .run(|rows| rows.inspect(|row| bar.suspend(|| table.print(row))).map(|row| row.outcome).collect());
    bar.finish_and_clear();
    Ok(outcomes)
}

const HELP: &str = "\
Decodes every picture (PNG, JPEG, GIF, WebP) in a folder, each in a sandbox of its own.

usage: decode_images FOLDER      the files in FOLDER, good and bad
       decode_images --hostile   a decoder with planted bugs, one after the other

Prints a table: name, size, time of the call, what became of it. Exit codes:
  0  each file met the decoder in a sandbox, whatever came of it; each planted bug was stopped
  1  there was no sandbox to be had, or a planted bug was not stopped
  2  wrong usage, or the folder cannot be read";

fn main() -> ExitCode {
    match run() {
        Ok(outcomes) => {
            println!("{}", table::summary(&outcomes));
            if outcomes.iter().any(Outcome::is_failure) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("decode_images: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<Vec<Outcome>, String> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [argument] = arguments.as_slice() else {
        return Err("takes one folder, or --hostile, or --help".to_owned());
    };
    let path = Path::new(argument);
    match argument.to_str() {
        Some("--help" | "-h") => {
            println!("{HELP}");
            std::process::exit(0)
        }
        Some("--hostile") => {
            hostile::run_all().map_err(|error| format!("cannot listen on the loopback: {error}"))
        }
        Some(option) if option.starts_with('-') => Err(format!("no option `{option}`; try --help")),
        _ => {
            decode_folder(path).map_err(|error| format!("cannot read the folder {}: {error}", path.display()))
        }
    }
}
