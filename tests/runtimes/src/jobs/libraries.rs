//! What libraries do that many programs have.

use crate::Came;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use image::{DynamicImage, ImageFormat, RgbImage, imageops::FilterType};
use rusqlite::Connection;
use std::io::{Cursor, Read, Write};
use std::path::Path;

pub fn flate2(_: &Path) -> Came {
    let text = b"so much of the same ".repeat(10_000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&text)?;
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&text)?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    GzDecoder::new(gzip.finish()?.as_slice()).read_to_end(&mut first)?;
    ZlibDecoder::new(zlib.finish()?.as_slice()).read_to_end(&mut second)?;
    Ok(format!("{} {}", first == text, second == text))
}

pub fn image(_: &Path) -> Came {
    let picture = RgbImage::from_fn(300, 200, |x, y| image::Rgb([x, y, x ^ y].map(|channel| channel as u8)));
    let picture = DynamicImage::from(picture);
    let mut sums = Vec::new();
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format)?;
        let decoded = image::load_from_memory(&file.into_inner())?;
        let small = decoded.resize_exact(64, 48, FilterType::Lanczos3).into_rgb8();
        sums.push(small.as_raw().iter().map(|byte| u64::from(*byte)).sum::<u64>());
    }
    Ok(format!("{sums:?}"))
}

pub fn regex(_: &Path) -> Came {
    let dates = regex::Regex::new(r"(?<year>\d{4})-(?<month>\d{2})-\d{2}")?;
    let text = "from 2024-01-31 to 2025-12-01, and on";
    let years: Vec<_> = dates.captures_iter(text).map(|date| date["year"].to_owned()).collect();
    Ok(format!("{years:?} {}", regex::Regex::new(r"(?i)\p{Greek}+")?.is_match("ΑΒΓ")))
}

pub fn sqlite_delete(directory: &Path) -> Came {
    sqlite(directory, "DELETE")
}

pub fn sqlite_wal(directory: &Path) -> Came {
    sqlite(directory, "WAL")
}

fn sqlite(directory: &Path, mode: &str) -> Came {
    let path = directory.join("database");
    let mut database = Connection::open(&path)?;
    let mode: String = database.pragma_update_and_check(None, "journal_mode", mode, |row| row.get(0))?;
    database.execute_batch("CREATE TABLE squares (number INTEGER PRIMARY KEY, square INTEGER, text TEXT)")?;
    let changes = database.transaction()?;
    for number in 0..1000 {
        changes.execute("INSERT INTO squares VALUES (?1, ?1 * ?1, ?2)", (number, "x".repeat(100)))?;
    }
    changes.commit()?;
    let undone = database.transaction()?;
    undone.execute("DELETE FROM squares", ())?;
    undone.rollback()?;
    // Another connection sees it, by locks and, with WAL, by shared memory.
    let other = Connection::open(&path)?;
    let sum: i64 = other.query_row("SELECT sum(square) FROM squares", (), |row| row.get(0))?;
    // Sorts more than fits into its cache.
    let last: i64 =
        other.query_row("SELECT number FROM squares ORDER BY text, -square LIMIT 1", (), |row| row.get(0))?;
    other.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(format!("{mode} {sum} {last}"))
}
