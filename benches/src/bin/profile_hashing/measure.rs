use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lockstep_benches::{Access, Algorithm, MIB, hash_all};
use manifest_core::Sha256Digest;

/// How files are read, in the order of the table's columns.
pub(crate) const ACCESSES: [Access; 7] = [
    Access::Buffer(4 * 1024),
    Access::Buffer(64 * 1024),
    Access::Buffer(256 * 1024),
    Access::Buffer(MIB),
    Access::Buffer(8 * MIB),
    Access::Mapped,
    Access::Lockstep,
];
/// Less than that, and starting threads would be what is measured.
const LEAST: Duration = Duration::from_millis(100);

/// Whose code hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hasher {
    Ours(Algorithm),
    /// SHA-256 by the `openssl` program, with a buffer of its own choice.
    Openssl,
}

impl Hasher {
    pub(crate) const ALL: [Self; 4] = [
        Self::Ours(Algorithm::Sha256),
        Self::Openssl,
        Self::Ours(Algorithm::Blake3),
        Self::Ours(Algorithm::ReadAlone),
    ];
}

impl fmt::Display for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(algorithm) => algorithm.fmt(formatter),
            Self::Openssl => formatter.pad("openssl sha256"),
        }
    }
}

/// One way of hashing the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) hasher: Hasher,
    /// `None` where it is the program's own affair.
    pub(crate) access: Option<Access>,
    pub(crate) threads: NonZeroUsize,
}

impl Way {
    /// Every combination.
    pub(crate) fn all(threads: &[NonZeroUsize], with_openssl: bool) -> Vec<Self> {
        let mut ways = Vec::new();
        for hasher in Hasher::ALL {
            for &threads in threads {
                let way = |access| Self {
                    hasher,
                    access,
                    threads,
                };
                match hasher {
                    Hasher::Ours(algorithm) => {
                        let accesses = ACCESSES.into_iter().filter(|&access| {
                            algorithm != Algorithm::ReadAlone || access != Access::Lockstep
                        });
                        ways.extend(accesses.map(|access| way(Some(access))));
                    }
                    Hasher::Openssl if with_openssl => ways.push(way(None)),
                    Hasher::Openssl => {}
                }
            }
        }
        ways
    }

    fn run(&self, files: &[PathBuf]) -> Result<(), Box<dyn Error>> {
        match (self.hasher, self.access) {
            (Hasher::Ours(algorithm), Some(access)) => {
                hash_all(files, algorithm, access, self.threads).map_err(|error| {
                    format!("cannot hash with {} ({access}): {error}", self.hasher).into()
                })
            }
            _ => run_openssl(files, self.threads),
        }
    }
}

/// One process for each thread; starting them is measured, too.
fn run_openssl(files: &[PathBuf], processes: NonZeroUsize) -> Result<(), Box<dyn Error>> {
    let shares = files.chunks(files.len().div_ceil(processes.get()));
    let started: Result<Vec<_>, _> = shares
        .map(|share| {
            Command::new("openssl")
                .args(["dgst", "-sha256"])
                .args(share)
                .stdout(Stdio::null())
                .spawn()
        })
        .collect();
    for mut process in started? {
        let status = process.wait()?;
        if !status.success() {
            return Err(format!("openssl dgst failed: {status}").into());
        }
    }
    Ok(())
}

/// How fast a way was, in GB/s (10⁹ bytes in a second), in ascending order; never empty.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    pub(crate) way: Way,
    rates: Vec<f64>,
}

impl Measurement {
    pub(crate) fn new(way: Way, mut rates: Vec<f64>) -> Self {
        rates.sort_by(f64::total_cmp);
        Self { way, rates }
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.rates)
    }

    pub(crate) fn slowest(&self) -> f64 {
        self.rates[0]
    }

    pub(crate) fn fastest(&self) -> f64 {
        self.rates[self.rates.len() - 1]
    }
}

/// Of values in ascending order, at least one.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// Measures every way once in each round, after a round that does not count: it brings the files to the page cache and says
/// how often a quick way goes over them.
pub(crate) fn measure(
    ways: &[Way],
    files: &[PathBuf],
    rounds: NonZeroUsize,
    observer: impl Fn(usize),
) -> Result<Vec<Measurement>, Box<dyn Error>> {
    let mut bytes = 0;
    for file in files {
        bytes += file.metadata()?.len();
    }
    let mut repeats = Vec::new();
    for way in ways {
        way.run(files)?;
        let start = Instant::now();
        way.run(files)?;
        let elapsed = start.elapsed().max(Duration::from_nanos(1));
        repeats.push(LEAST.as_nanos().div_ceil(elapsed.as_nanos()) as usize);
    }
    let mut rates = vec![Vec::new(); ways.len()];
    for round in 1..=rounds.get() {
        observer(round);
        let mut order: Vec<_> = (0..ways.len()).collect();
        // Shuffled, each round in its own way, so that a burst of other work falls on nobody in particular.
        order.sort_by_cached_key(|index| Sha256Digest::of(format!("{round} {index}").as_bytes()));
        for index in order {
            let all = files.len() * repeats[index];
            let files: Vec<_> = files.iter().cycle().take(all).cloned().collect();
            let start = Instant::now();
            ways[index].run(&files)?;
            let bytes = bytes * repeats[index] as u64;
            #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2⁵³ bytes")]
            rates[index].push(bytes as f64 / 1e9 / start.elapsed().as_secs_f64());
        }
    }
    let measurement = |(&way, rates)| Measurement::new(way, rates);
    Ok(ways.iter().zip(rates).map(measurement).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_outliers() {
        let way = Way::all(&[NonZeroUsize::MIN], false)[0];
        let odd = Measurement::new(way, vec![3.0, 100.0, 1.0]);
        let text = format!("{} {} {}", odd.slowest(), odd.median(), odd.fastest());
        assert_eq!(text, "1 3 100");
        let even = Measurement::new(way, vec![2.0, 1.0, 4.0, 100.0]);
        assert!((even.median() - 3.0).abs() < 1e-9);
    }

    #[test]
    fn every_combination_is_measured() {
        let two = [NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap()];
        assert_eq!(Way::all(&two, false).len(), (7 + 7 + 6) * 2);
        assert_eq!(Way::all(&two, true).len(), (7 + 7 + 6 + 1) * 2);
    }
}
