//! Long values: sequences of plain numbers cross as the bytes that they are.

use sandboxed::{Error, sandboxed};
use serde::{Deserialize, Serialize};

/// With something ahead of the numbers that could bring them out of step.
#[sandboxed(env = ["PATH"])]
fn scaled(_name: &str, by: f32, samples: &[f32], weights: Vec<u16>) -> Result<(Vec<f32>, Box<[u64]>), Error> {
    assert!(samples.as_ptr().is_aligned());
    let weights = weights.into_iter().map(u64::from);
    Ok((samples.iter().map(|sample| sample * by).collect(), weights.collect()))
}

#[sandboxed]
fn negated(numbers: &mut [i128], list: &mut Vec<f64>) -> Result<(), Error> {
    numbers.iter_mut().for_each(|number| *number = -*number);
    list.retain(|number| *number > 0.0);
    Ok(())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Picture {
    name: String,
    pixels: Vec<u32>,
}

/// Within a type of serde's they cross as everything does.
#[sandboxed]
fn inverted(picture: &Picture) -> Result<Picture, Error> {
    let pixels = picture.pixels.iter().map(|pixel| !pixel).collect();
    Ok(Picture { name: picture.name.clone(), pixels })
}

#[test]
fn numbers_of_every_count_cross() {
    // In the message, lent to it, apart from it, and longer than the window.
    for count in [0, 1, 3, 1000, 4097, 100_001, 20 << 20] {
        for name in ["", "a", "three"] {
            let samples: Vec<f32> = (0..count).map(|number| number as f32).collect();
            let weights: Vec<u16> = (0..count).map(|number| number as u16).collect();
            let (scaled, wide) = scaled(name, 2.0, &samples, weights).unwrap();
            let is_double = |(number, scaled): (u32, &f32)| number as f32 * 2.0 == *scaled;
            assert_eq!((scaled.len(), wide.len()), (count as usize, count as usize));
            assert!((0..).zip(&scaled).all(is_double), "{count}");
            assert!((0..).zip(&wide).all(|(number, wide): (u32, _)| u64::from(number as u16) == *wide));
            if count > 1 << 20 {
                break;
            }
        }
    }
}

#[test]
fn changed_numbers_come_back() {
    let mut numbers: Vec<i128> = (0..50_000).map(|number| number << 70).collect();
    let mut list = vec![1.5, -2.0, 0.5];
    negated(&mut numbers, &mut list).unwrap();
    assert!((0..).zip(&numbers).all(|(number, negated): (i128, _)| -(number << 70) == *negated));
    assert_eq!(list, [1.5, 0.5]);
}

#[test]
fn numbers_within_other_types_cross_with_them() {
    let picture = Picture { name: "grey".into(), pixels: vec![0x7f7f_7f7f; 100_000] };
    let inverted = inverted(&picture).unwrap();
    assert_eq!(inverted, Picture { name: "grey".into(), pixels: vec![!0x7f7f_7f7f; 100_000] });
}
