//! Measures whether the time of a verification reveals where a signature differs, with the method
//! of dudect: two classes of forged signatures are verified in random order, and Welch's t-test
//! compares their times, at several cuts that leave out the slowest of both.
//!
//! Run by hand: `cargo bench -p openmail-tests --bench timing`. |t| over 4.5 at any cut means a
//! leak. As a control, a comparison that does leak must be detected.

use std::{
    hint::black_box,
    time::{Duration, Instant, UNIX_EPOCH},
};

use openmail_tower::{Secret, Secrets, webhook::signature};

const NOW: u64 = 1_711_015_500;
const RUNS: usize = 2_000_000;
const LEAK: f64 = 4.5;

fn main() {
    let secret = Secret::new("whsec_16xf3d4ngxcpjd2kql81b319h6rew2on").expect("a good secret");
    let good = signature::sign(&secret, NOW, b"{}");
    let secrets = Secrets::new(secret);
    let verify = |signature: &[u8]| {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let tolerance = signature::DEFAULT_TOLERANCE;
        signature::verify_at(&secrets, "1711015500", signature, b"{}", now, tolerance).is_ok()
    };
    let good = good.into_bytes();
    let classes = [differing_at(&good, 0), differing_at(&good, good.len() - 1)];
    assert!(verify(&good) && !classes.iter().any(|forged| verify(forged)));
    println!("{RUNS} verifications, the first digit wrong or the last");
    let quiet = compare(&classes, verify);

    let long = good.repeat(16);
    let classes = [differing_at(&long, 0), differing_at(&long, long.len() - 1)];
    println!("a comparison of {} bytes that stops at the first difference", long.len());
    let loud = compare(&classes, |given| black_box(&long).iter().zip(given).all(|(a, b)| a == b));
    assert!(loud > LEAK, "this machine is too noisy to detect even a known leak");
    println!("verification: {}", if quiet > LEAK { "DIFFERS" } else { "no difference" });
}

/// Changes one character, a digit to a digit or a letter to a letter, so that parsing takes the
/// same path.
fn differing_at(good: &[u8], at: usize) -> Vec<u8> {
    let mut forged = good.to_owned();
    forged[at] = match good[at] {
        b'0' => b'1',
        b'1'..=b'9' => b'0',
        b'a' => b'b',
        _ => b'a',
    };
    forged
}

/// Returns the largest |t| over the cuts.
fn compare(classes: &[Vec<u8>; 2], run: impl Fn(&[u8]) -> bool) -> f64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut times = Vec::with_capacity(RUNS);
    // Both classes are read from the same place in memory.
    let mut given = classes[0].clone();
    for _ in 0..RUNS {
        // xorshift: the order of the classes must not follow a pattern that a cache could learn.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let class = state >> 63 == 1;
        given.copy_from_slice(&classes[usize::from(class)]);
        let start = Instant::now();
        black_box(run(black_box(&given)));
        times.push((class, start.elapsed().as_secs_f64() * 1e9));
    }
    let mut sorted: Vec<_> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut largest = 0.0_f64;
    for part in [0.5, 0.8, 0.9, 0.95, 0.99, 1.0] {
        #[expect(clippy::cast_possible_truncation, reason = "an index")]
        let cut = sorted[((RUNS - 1) as f64 * part) as usize];
        let [early, late] = [false, true].map(|class| {
            let of_class = times.iter().filter(|(of, time)| *of == class && *time <= cut);
            Moments::of(of_class.map(|(_, time)| *time))
        });
        let t = (late.mean - early.mean)
            / (late.variance / late.count + early.variance / early.count).sqrt();
        let (a, b) = (early.mean, late.mean);
        println!(
            "  fastest {:3.0} %: early {a:8.2} ns, late {b:8.2} ns, t = {t:6.2}",
            part * 100.0
        );
        largest = largest.max(t.abs());
    }
    largest
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(times: impl Iterator<Item = f64>) -> Self {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for time in times {
            count += 1.0;
            let off = time - mean;
            mean += off / count;
            squares += off * (time - mean);
        }
        Self { count, mean, variance: squares / (count - 1.0) }
    }
}
