//! The fuzz targets over the golden frames and over random damage to them, within an ordinary test run.

use headwater_fuzz::TARGETS;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

const INPUTS: u64 = 20_000;

fn corpus() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/fixtures/frames/v1");
    let mut corpus = Vec::new();
    for file in fs::read_dir(directory).expect("the golden frames are there") {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
        let bytes: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        // As it is, and as one frame of a connection.
        corpus.extend((bytes.len() < 256).then(|| [&[bytes.len() as u8], &bytes[..]].concat()));
        corpus.push(bytes);
    }
    corpus.sort();
    corpus
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn every_target_returns_from_the_corpus_and_from_damage_to_it() {
    let corpus = corpus();
    assert!(corpus.len() > 20);
    for (_, target) in TARGETS {
        corpus.iter().for_each(|bytes| target(bytes));
    }
    let fresh = std::env::var("HEADWATER_SEED").map_or_else(|_| RandomState::new().hash_one(0), |s| s.parse().unwrap());
    for seed in [1, fresh] {
        println!("seed {seed}");
        let mut state = seed;
        for _ in 0..INPUTS {
            // A few pieces of the corpus, then a few bytes changed.
            let mut bytes = Vec::new();
            for _ in 0..=next(&mut state) % 3 {
                bytes.extend_from_slice(&corpus[next(&mut state) as usize % corpus.len()]);
            }
            for _ in 0..next(&mut state) % 5 {
                let at = next(&mut state) as usize % bytes.len();
                bytes[at] = next(&mut state) as u8;
            }
            TARGETS.iter().for_each(|(_, target)| target(&bytes));
        }
    }
    println!("{} targets, {} inputs each, 0 panics", TARGETS.len(), 2 * INPUTS as usize + corpus.len());
}
