//! What the benches let functions do, and on what: the same jobs everywhere, so that their figures can be compared.

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::array;
use std::io::Cursor;
use std::time::Instant;

pub const MIB: usize = 1 << 20;

#[inline(never)]
pub fn add(a: u32, b: u32) -> u32 {
    a.wrapping_add(b)
}

#[inline(never)]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[inline(never)]
pub fn reverse(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

#[inline(never)]
pub fn decode(png: &[u8]) -> Vec<u8> {
    let picture = image::load_from_memory_with_format(png, ImageFormat::Png);
    picture.expect("it is a picture of our own").into_bytes()
}

/// Values that look random and are always the same.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(step).collect()
}

/// 3 MB of pixels that make 1 MB of PNG: a gradient with some noise in it.
pub fn picture() -> image::ImageResult<Vec<u8>> {
    const SIDE: usize = 1000;
    let noise = noise(SIDE * SIDE * 3);
    let picture = RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        let at = (y as usize * SIDE + x as usize) * 3;
        let gradient = [x / 5, y / 5, (x + y) / 10];
        Rgb(array::from_fn(|channel| gradient[channel] as u8 + noise[at + channel] % 3))
    });
    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

/// How many calls the clock needs for one sample.
pub fn batch(call: &dyn Fn()) -> u32 {
    let mut batch = 1;
    while time(call, batch) * f64::from(batch) < 20.0 {
        batch *= 4;
    }
    batch
}

/// The time of a call, in µs.
pub fn time(call: &dyn Fn(), batch: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..batch {
        call();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(batch)
}

pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
