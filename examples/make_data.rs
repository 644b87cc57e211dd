//! Makes the files in `examples/data` again: `cargo run --release --example make_data -- examples/data`.
//!
//! The good ones are drawn, the bad ones are good ones that were damaged, or written byte by byte. Nothing is
//! random, so the same files come out each time.

use flate2::{Compression, Crc, write::ZlibEncoder};
use image::codecs::{gif::GifEncoder, jpeg::JpegEncoder};
use image::{Delay, DynamicImage, Frame, ImageFormat, Rgb, RgbImage};
use std::error::Error;
use std::io::{Cursor, Write};
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).ok_or("usage: make_data FOLDER")?;
    let write = |name: &str, bytes: &[u8]| fs::write(Path::new(&folder).join(name), bytes);

    let png = encode(mandelbrot(400, 300), ImageFormat::Png)?;
    let webp = encode(spheres(320, 240), ImageFormat::WebP)?;
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 90).encode_image(&landscape(640, 400))?;
    let gif = game_of_life(24)?;
    write("mandelbrot.png", &png)?;
    write("landscape.jpg", &jpeg)?;
    write("spheres.webp", &webp)?;
    write("life.gif", &gif)?;

    write("empty.png", b"")?;
    write("text.jpg", b"This is a text that somebody gave the name of a picture.\n")?;
    write("truncated.png", &png[..png.len() / 2])?;
    write("truncated.gif", &gif[..gif.len() / 2])?;
    write("truncated.webp", &webp[..webp.len() / 2])?;
    write("truncated.jpg", &jpeg[..100])?;
    // Places in a PNG: 8 bytes of signature, then length, "IHDR", 13 bytes, check sum; then the next chunk.
    write("wrong-checksum.png", &with_byte(&png, 8 + 8 + 13, 0xff))?;
    write("wrong-length.png", &with_byte(&png, 8, 0x7f))?;
    // In a JPEG, the length of the first segment follows two bytes of signature and two of its marker.
    write("wrong-length.jpg", &with_byte(&jpeg, 4, 0xff))?;

    write("bomb-dimensions.png", &png_file(100_000, &[(b"IDAT", &zlib_zeros(1000)?)]))?;
    let profile = [b"bomb\0\0", zlib_zeros(300 << 20)?.as_slice()].concat();
    write(
        "bomb-profile.png",
        &png_file(16, &[(b"iCCP", &profile), (b"IDAT", &zlib_zeros(16 * (1 + 3 * 16))?)]),
    )?;
    write("bomb-frames.gif", &gif_bomb(3000, 2000))?;
    Ok(())
}

fn encode(picture: RgbImage, format: ImageFormat) -> image::ImageResult<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut file, format)?;
    Ok(file.into_inner())
}

fn with_byte(file: &[u8], place: usize, byte: u8) -> Vec<u8> {
    let mut file = file.to_vec();
    file[place] = byte;
    file
}

/// A PNG of a square with 3 times 8 bits a pixel, from its chunks between the first and the last.
fn png_file(side: u32, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header.as_slice())].iter().chain(chunks).chain(&[(b"IEND", &[][..])]) {
        let mut sum = Crc::new();
        sum.update(*kind);
        sum.update(data);
        let length = data.len() as u32;
        file.extend([&length.to_be_bytes(), kind.as_slice(), data, &sum.sum().to_be_bytes()].concat());
    }
    file
}

/// A thousand times smaller than what comes out of it.
fn zlib_zeros(count: usize) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    for part in vec![0; count].chunks(1 << 20) {
        encoder.write_all(part)?;
    }
    encoder.finish()
}

/// Frames of a single pixel each on a large canvas, of which a decoder composes every pixel for every frame.
fn gif_bomb(side: u16, frames: usize) -> Vec<u8> {
    let [low, high] = side.to_le_bytes();
    let mut file =
        [b"GIF89a".as_slice(), &[low, high, low, high, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    // At (1, 1), 1 by 1 pixels; their LZW code: clear, colour 1, end, of 3 bits each.
    let frame = [0x2c, 1, 0, 1, 0, 1, 0, 1, 0, 0, 2, 2, 0x4c, 0x01, 0];
    file.extend(frame.repeat(frames));
    file.push(0x3b);
    file
}

fn mandelbrot(width: u32, height: u32) -> RgbImage {
    const LIMIT: u32 = 160;
    let escape = |x: f64, y: f64| {
        let (mut re, mut im, mut steps) = (0.0, 0.0, 0);
        while re * re + im * im < 16.0 && steps < LIMIT {
            (re, im, steps) = (re * re - im * im + x, 2.0 * re * im + y, steps + 1);
        }
        let t = f64::from(steps) / f64::from(LIMIT);
        let u = 1.0 - t;
        [9.0 * u * t * t * t, 15.0 * u * u * t * t, 8.5 * u * u * u * t]
    };
    supersampled(width, height, |x, y| {
        let scale = 2.6 / f64::from(height);
        escape((x - f64::from(width) * 0.66) * scale, (y - f64::from(height) / 2.0) * scale)
    })
}

/// Hills in the evening, each row darker than the one behind it.
fn landscape(width: u32, height: u32) -> DynamicImage {
    let (far, near) = ([0.62, 0.42, 0.52], [0.05, 0.06, 0.12]);
    let picture = supersampled(width, height, |x, y| {
        let (x, y) = (x / f64::from(height), y / f64::from(height));
        let row = (0..6).rev().find(|&row| y > ridge(row, x));
        let Some(row) = row else {
            let sun = ((x - 1.1) * (x - 1.1) + (y - 0.45) * (y - 0.45)).sqrt();
            let glow = (0.05 / sun).min(1.0);
            let sky = mix([0.14, 0.20, 0.42], [0.98, 0.62, 0.38], (y / 0.62).min(1.0));
            return mix(sky, [1.0, 0.95, 0.75], if sun < 0.05 { 1.0 } else { glow * 0.6 });
        };
        let mist = (y - ridge(row, x)).min(0.15);
        mix(mix(far, near, f64::from(row) / 5.0), [0.85, 0.6, 0.55], mist)
    });
    DynamicImage::from(picture)
}

/// The height at which a row of hills meets what is behind it.
fn ridge(row: u32, x: f64) -> f64 {
    let octaves = (0..6).map(|octave| {
        let scale = f64::from(1 << octave);
        noise(x * 2.0 * scale + f64::from(row) * 37.0, row * 8 + octave) / scale
    });
    0.38 + 0.1 * f64::from(row) - 0.09 * octaves.sum::<f64>()
}

/// Smooth values between -1 and 1.
fn noise(x: f64, seed: u32) -> f64 {
    let at = |cell: f64| {
        let mut bits = (cell as u32).wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b);
        for _ in 0..2 {
            bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
        }
        f64::from(bits >> 16) / 32768.0 - 1.0
    };
    let (cell, part) = (x.floor(), x - x.floor());
    let smooth = part * part * (3.0 - 2.0 * part);
    at(cell) * (1.0 - smooth) + at(cell + 1.0) * smooth
}

/// Three balls on a chequered floor, with shadows.
fn spheres(width: u32, height: u32) -> RgbImage {
    let balls = [
        ([-1.3, 0.0, 5.0], [0.9, 0.25, 0.2]),
        ([0.3, 0.0, 4.2], [0.95, 0.75, 0.2]),
        ([1.9, 0.0, 5.6], [0.2, 0.5, 0.9]),
    ];
    let light = unit([-0.6, 0.8, -0.5]);
    // How far along a ray from `from` the first ball is met.
    let meet = |from: [f64; 3], way: [f64; 3]| {
        let distances = balls.iter().filter_map(|&(middle, colour)| {
            let to = [0, 1, 2].map(|i| from[i] - middle[i]);
            let (b, c) = (dot(to, way), dot(to, to) - 1.0);
            let root = (b * b - c >= 0.0).then(|| -b - (b * b - c).sqrt())?;
            (root > 1e-6).then_some((root, middle, colour))
        });
        distances.min_by(|a, b| a.0.total_cmp(&b.0))
    };
    supersampled(width, height, |x, y| {
        let scale = f64::from(height);
        let eye = [0.0, 0.6, 0.0];
        let way = unit([(x - f64::from(width) / 2.0) / scale, 0.42 - y / scale, 1.0]);
        let floor = (-1.0 - eye[1]) / way[1];
        let (distance, normal, colour) = match meet(eye, way) {
            Some((distance, middle, colour)) => {
                (distance, unit([0, 1, 2].map(|i| eye[i] + way[i] * distance - middle[i])), colour)
            }
            None if floor > 0.0 && floor < 40.0 => {
                let dark = (way[0] * floor).floor() + (way[2] * floor).floor();
                let colour = if dark.rem_euclid(2.0) < 1.0 { [0.9; 3] } else { [0.35; 3] };
                (floor, [0.0, 1.0, 0.0], colour)
            }
            None => return mix([0.75, 0.85, 0.95], [0.3, 0.5, 0.8], way[1].max(0.0) * 2.0),
        };
        let point = [0, 1, 2].map(|i| eye[i] + way[i] * distance);
        let lit = if meet(point, light).is_some() { 0.0 } else { dot(normal, light).max(0.0) };
        colour.map(|c: f64| c * (0.25 + 0.75 * lit))
    })
}

/// Conway's game of life from five cells, every fourth generation a frame.
fn game_of_life(frames: u32) -> image::ImageResult<Vec<u8>> {
    const WIDTH: usize = 64;
    const HEIGHT: usize = 48;
    let mut cells = vec![false; WIDTH * HEIGHT];
    for (x, y) in [(1, 0), (2, 0), (0, 1), (1, 1), (1, 2)] {
        cells[(y + HEIGHT / 2) * WIDTH + x + WIDTH / 2] = true;
    }
    let mut file = Vec::new();
    let mut encoder = GifEncoder::new(&mut file);
    for _ in 0..frames {
        let picture = RgbImage::from_fn(WIDTH as u32 * 4, HEIGHT as u32 * 4, |x, y| {
            let alive = cells[y as usize / 4 * WIDTH + x as usize / 4];
            let grid = x % 4 == 3 || y % 4 == 3;
            Rgb(if alive && !grid { [250, 200, 60] } else { [24, 28, 48] })
        });
        let delay = Delay::from_numer_denom_ms(120, 1);
        encoder.encode_frame(Frame::from_parts(DynamicImage::from(picture).into_rgba8(), 0, 0, delay))?;
        for _ in 0..4 {
            cells = next_generation(&cells, WIDTH, HEIGHT);
        }
    }
    drop(encoder);
    Ok(file)
}

fn next_generation(cells: &[bool], width: usize, height: usize) -> Vec<bool> {
    let alive = |x: usize, y: usize| cells[y % height * width + x % width];
    let step = |place: usize| {
        let (x, y) = (place % width + width, place / width + height);
        let around = (0..9).filter(|&i| i != 4 && alive(x + i % 3 - 1, y + i / 3 - 1)).count();
        around == 3 || around == 2 && alive(x, y)
    };
    (0..cells.len()).map(step).collect()
}

/// A picture of a function from place to colour, four places to a pixel.
fn supersampled(width: u32, height: u32, colour: impl Fn(f64, f64) -> [f64; 3]) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let places = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)];
        let colours = places.map(|(dx, dy)| colour(f64::from(x) + dx, f64::from(y) + dy));
        Rgb([0, 1, 2]
            .map(|i| (colours.iter().map(|c| c[i].clamp(0.0, 1.0)).sum::<f64>() / 4.0 * 255.0) as u8))
    })
}

fn mix(a: [f64; 3], b: [f64; 3], part: f64) -> [f64; 3] {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * part)
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn unit(a: [f64; 3]) -> [f64; 3] {
    a.map(|c| c / dot(a, a).sqrt())
}
