use std::fmt;
use std::fmt::Write as _;
use std::num::NonZeroUsize;

use lockstep_benches::{Access, Algorithm, size_label};
use serde_json::json;

use crate::machine::Machine;
use crate::measure::{ACCESSES, Hasher, Measurement, median};

/// Everything that was measured, and on what. As text it is the table, with what it says of Lockstep's own choices.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) machine: Machine,
    pub(crate) file_length: usize,
    pub(crate) files: usize,
    pub(crate) rounds: NonZeroUsize,
    /// In the order of [`Way::all`](crate::measure::Way::all).
    pub(crate) measurements: Vec<Measurement>,
}

impl Profile {
    /// The numbers of threads, ascending.
    pub(crate) fn threads(&self) -> Vec<NonZeroUsize> {
        let mut threads: Vec<_> = self
            .measurements
            .iter()
            .map(|one| one.way.threads)
            .collect();
        threads.sort_unstable();
        threads.dedup();
        threads
    }

    /// The median rate in GB/s, if this was measured. For openssl the access does not matter.
    pub(crate) fn rate(
        &self,
        hasher: Hasher,
        access: Access,
        threads: NonZeroUsize,
    ) -> Option<f64> {
        self.measurements
            .iter()
            .find(|Measurement { way, .. }| {
                way.hasher == hasher
                    && way.threads == threads
                    && way.access.is_none_or(|its| its == access)
            })
            .map(Measurement::median)
    }

    /// What was hashed, and how often.
    pub(crate) fn method(&self) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        format!(
            "{} file{} of {} in the page cache, median of {} round{}",
            self.files,
            plural(self.files),
            size_label(self.file_length),
            self.rounds,
            plural(self.rounds.get()),
        )
    }

    pub(crate) fn csv(&self) -> String {
        let mut text = String::from("algorithm,access,threads,gb_per_s,slowest,fastest\n");
        for one in &self.measurements {
            let _ = writeln!(
                text,
                "{},{},{},{:.4},{:.4},{:.4}",
                one.way.hasher,
                access_label(one),
                one.way.threads,
                one.median(),
                one.slowest(),
                one.fastest()
            );
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let measurements: Vec<_> = self
            .measurements
            .iter()
            .map(|one| {
                json!({
                    "algorithm": one.way.hasher.to_string(),
                    "access": access_label(one),
                    "threads": one.way.threads,
                    "gb_per_s": one.median(),
                    "slowest": one.slowest(),
                    "fastest": one.fastest(),
                })
            })
            .collect();
        let document = json!({
            "processor": self.machine.processor,
            "cores": self.machine.cores,
            "sha_instructions": self.machine.sha_instructions,
            "openssl": self.machine.openssl,
            "files": self.files,
            "file_length": self.file_length,
            "rounds": self.rounds,
            "measurements": measurements,
        });
        format!("{document:#}\n")
    }

    /// By how much the median of a way lies below its fastest round, typically: 0 on a machine that does nothing else.
    fn unrest(&self) -> f64 {
        let shortfall = |one: &Measurement| 1.0 - one.median() / one.fastest();
        let mut shortfalls: Vec<_> = self.measurements.iter().map(shortfall).collect();
        shortfalls.sort_by(f64::total_cmp);
        median(&shortfalls)
    }

    /// What the figures say of how Lockstep computes the SHA-256 of a file.
    fn verdicts(&self) -> Vec<String> {
        let sha256 = Hasher::Ours(Algorithm::Sha256);
        let threads = self.threads();
        let Some((&least, more)) = threads.split_first() else {
            return Vec::new();
        };
        let rate = |hasher, access| self.rate(hasher, access, least);
        let Some(ours) = rate(sha256, Access::Lockstep) else {
            return Vec::new();
        };
        let buffers = ACCESSES
            .iter()
            .filter(|access| matches!(access, Access::Buffer(_)));
        let best = buffers
            .filter_map(|&access| rate(sha256, access))
            .fold(0.0, f64::max);
        let beside =
            |rate: Option<f64>, what| rate.map(|rate| format!("{:.2} {what}", ours / rate));
        [
            beside(Some(best), "of the fastest buffer's speed"),
            beside(rate(sha256, Access::Mapped), "of that of mapped files"),
            beside(rate(Hasher::Openssl, Access::Lockstep), "of openssl's"),
            beside(
                rate(Hasher::Ours(Algorithm::Blake3), Access::Lockstep),
                "of BLAKE3's",
            ),
        ]
        .into_iter()
        .chain(more.iter().map(|&threads| {
            let rate = self.rate(sha256, Access::Lockstep, threads)?;
            Some(format!(
                "with {threads} threads {:.2} times that",
                rate / ours
            ))
        }))
        .flatten()
        .collect()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        write!(formatter, "{}, {} cores", machine.processor, machine.cores)?;
        if let Some(sha) = machine.sha_instructions {
            let has = if sha { "with" } else { "without" };
            write!(formatter, ", {has} SHA instructions")?;
        }
        if let Some(openssl) = &machine.openssl {
            write!(formatter, "; {openssl}")?;
        }
        writeln!(
            formatter,
            "\nGB/s (10⁹ bytes in a second): {}\n",
            self.method()
        )?;

        write!(formatter, "{:<15}{:>7}", "algorithm", "threads")?;
        for access in ACCESSES {
            write!(formatter, "{access:>9}")?;
        }
        writeln!(formatter)?;
        for hasher in Hasher::ALL {
            for threads in self.threads() {
                let rates = ACCESSES.map(|access| self.rate(hasher, access, threads));
                let Some(first) = rates[0] else { continue };
                write!(formatter, "{hasher:<15}{threads:>7}")?;
                if hasher == Hasher::Openssl {
                    write!(formatter, "{first:>9.2}  by its own buffer")?;
                } else {
                    for rate in rates.into_iter().flatten() {
                        write!(formatter, "{rate:>9.2}")?;
                    }
                }
                writeln!(formatter)?;
            }
        }

        let unrest = 100.0 * self.unrest();
        write!(
            formatter,
            "\nThe median is typically {unrest:.0} % below the fastest round"
        )?;
        if unrest > 5.0 {
            write!(
                formatter,
                ": THE MACHINE IS BUSY, measure again when it is not"
            )?;
        }
        writeln!(formatter, ".")?;

        let threads = self.threads()[0];
        let plural = if threads == NonZeroUsize::MIN {
            ""
        } else {
            "s"
        };
        writeln!(
            formatter,
            "\nsha256 as Lockstep computes it, {threads} thread{plural}:"
        )?;
        for verdict in self.verdicts() {
            writeln!(formatter, "  {verdict}")?;
        }
        Ok(())
    }
}

fn access_label(measurement: &Measurement) -> String {
    measurement
        .way
        .access
        .map_or_else(|| "its own".into(), |access| access.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::Way;

    /// The n-th way has n GB/s.
    pub(crate) fn profile(openssl: bool) -> Profile {
        let threads = [1, 2].map(|threads| NonZeroUsize::new(threads).unwrap());
        let rates = (1..).map(|rate| vec![f64::from(rate)]);
        let ways = Way::all(&threads, openssl);
        Profile {
            machine: Machine {
                processor: "Test <& CPU>".into(),
                sha_instructions: Some(true),
                cores: threads[1],
                openssl: openssl.then(|| "OpenSSL 3".into()),
            },
            file_length: 1 << 20,
            files: 3,
            rounds: NonZeroUsize::MIN,
            measurements: ways
                .into_iter()
                .zip(rates)
                .map(|(way, rates)| Measurement::new(way, rates))
                .collect(),
        }
    }

    #[test]
    fn the_table_has_each_rate_in_its_place() {
        let text = profile(true).to_string();
        for line in [
            "Test <& CPU>, 2 cores, with SHA instructions; OpenSSL 3",
            "algorithm      threads    4 KiB   64 KiB  256 KiB    1 MiB    8 MiB   mapped lockstep",
            "sha256               1     1.00     2.00     3.00     4.00     5.00     6.00     7.00",
            "sha256               2     8.00     9.00    10.00    11.00    12.00    13.00    14.00",
            "openssl sha256       2    16.00  by its own buffer",
            "read alone           1    31.00    32.00    33.00    34.00    35.00    36.00",
            "The median is typically 0 % below the fastest round.",
            "  1.40 of the fastest buffer's speed",
            "  1.17 of that of mapped files",
            "  0.47 of openssl's",
            "  0.30 of BLAKE3's",
            "  with 2 threads 2.00 times that",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line:?} is not in\n{text}"
            );
        }
        assert!(!profile(false).to_string().contains("openssl"));
    }

    #[test]
    fn a_busy_machine_is_told_from_an_idle_one() {
        let mut profile = profile(false);
        let way = profile.measurements[0].way;
        profile.measurements = vec![Measurement::new(way, vec![1.0, 1.5, 2.0])];
        let text = profile.to_string();
        assert!(
            text.contains("typically 25 % below the fastest round: THE MACHINE IS BUSY"),
            "{text}"
        );
    }

    #[test]
    fn csv_and_json_have_all_measurements() {
        let profile = profile(true);
        let csv = profile.csv();
        assert_eq!(csv.lines().count(), 1 + profile.measurements.len());
        assert!(
            csv.contains("\nsha256,4 KiB,1,1.0000,1.0000,1.0000\n"),
            "{csv}"
        );
        assert!(
            csv.contains("\nopenssl sha256,its own,1,15.0000,15.0000,15.0000\n"),
            "{csv}"
        );
        let json: serde_json::Value = serde_json::from_str(&profile.json()).unwrap();
        assert_eq!(
            json["measurements"].as_array().map(Vec::len),
            Some(profile.measurements.len())
        );
        assert_eq!(json["measurements"][7]["gb_per_s"], 8.0);
        assert_eq!(json["processor"], "Test <& CPU>");
    }
}
