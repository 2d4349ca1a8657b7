//! How fast does this machine hash? Prints a table of GB/s by algorithm, buffer and threads, and writes it as CSV, JSON
//! and a plot. `scripts/profile-hashing` builds and runs it; `docs/profile-hashing.md` says how to read it.

mod machine;
mod measure;
mod plot;
mod report;

use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use lockstep_benches::{MIB, size_label, write_tree};

use crate::machine::Machine;
use crate::measure::{Way, measure};
use crate::report::Profile;

/// Large enough for the largest buffer, and so many that threads end together.
const FILE_LENGTH: usize = 16 * MIB;

/// Measures how fast this machine hashes files that are in the page cache.
///
/// Each round measures every combination of algorithm, buffer and number of threads once, so that whatever else the machine
/// does falls on all of them; the median of the rounds counts.
#[derive(Debug, Parser)]
#[command(name = "profile-hashing", max_term_width = 100)]
struct Arguments {
    /// How much to hash each time, such as 256MiB or 1GiB, in files of 16 MiB [default: 256MiB, or two files per core].
    #[arg(long, value_parser = parse_size)]
    size: Option<usize>,
    /// Where to put hashing.svg, hashing.csv and hashing.json.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/profile-hashing"))]
    out: PathBuf,
    /// How often to measure each combination.
    #[arg(long, default_value_t = NonZeroUsize::new(7).expect("seven is not zero"))]
    rounds: NonZeroUsize,
    /// How many files to hash at a time; may be given several times [default: 1, 2, 4 … all cores].
    #[arg(long = "threads")]
    threads: Vec<NonZeroUsize>,
    /// Where to put the files that are hashed, in a folder of their own [default: the system's folder for temporary files].
    #[arg(long)]
    work: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let machine = Machine::this();
    let mut threads = arguments.threads;
    if threads.is_empty() {
        threads = powers_of_two(machine.cores);
    }
    threads.sort_unstable();
    threads.dedup();
    let most = threads.last().map_or(1, |most| most.get());
    let size = arguments.size.unwrap_or(FILE_LENGTH * (2 * most).max(16));
    let count = size.div_ceil(FILE_LENGTH);
    if count < most {
        let least = size_label(most * FILE_LENGTH).replace(' ', "");
        return Err(format!(
            "too little for {most} threads: give --size {least} or fewer --threads"
        )
        .into());
    }

    fs::create_dir_all(&arguments.out).map_err(|error| cannot("create", &arguments.out, &error))?;
    let work = arguments.work.unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new()
        .prefix("profile-hashing-")
        .tempdir_in(&work)
        .map_err(|error| cannot("write to", &work, &error))?;
    eprintln!(
        "writing {count} files of {} to {}",
        size_label(FILE_LENGTH),
        folder.path().display()
    );
    let files = write_tree(folder.path(), count as u64, FILE_LENGTH)
        .map_err(|error| cannot("write to", folder.path(), &error))?;
    for file in &files {
        fs::File::open(file)?.sync_all()?; // written now, not while the time runs
    }

    let ways = Way::all(&threads, machine.openssl.is_some());
    let measurements = measure(&ways, &files, arguments.rounds, |round| {
        eprintln!("round {round} of {}", arguments.rounds);
    })?;
    let profile = Profile {
        machine,
        file_length: FILE_LENGTH,
        files: count,
        rounds: arguments.rounds,
        measurements,
    };
    print!("\n{profile}");

    let out = arguments.out.canonicalize()?;
    println!();
    for (name, text) in [
        ("hashing.svg", plot::svg(&profile)?),
        ("hashing.csv", profile.csv()),
        ("hashing.json", profile.json()),
    ] {
        let path = out.join(name);
        fs::write(&path, text).map_err(|error| cannot("write", &path, &error))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}

/// 1, 2, 4 … and `cores` itself.
fn powers_of_two(cores: NonZeroUsize) -> Vec<NonZeroUsize> {
    let mut threads: Vec<_> = (0..usize::BITS)
        .filter_map(|power| NonZeroUsize::new(1 << power))
        .take_while(|&threads| threads < cores)
        .collect();
    threads.push(cores);
    threads
}

fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = match text[digits.len()..].trim() {
        "KiB" => Some(1024),
        "MiB" => Some(MIB),
        "GiB" => Some(1024 * MIB),
        _ => None,
    };
    let size = digits.parse::<usize>().ok().zip(unit);
    size.and_then(|(number, unit)| number.checked_mul(unit))
        .filter(|&size| size > 0)
        .ok_or_else(|| "give a number of KiB, MiB or GiB, such as 256MiB".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_binary_units() {
        assert_eq!(parse_size("256MiB"), Ok(256 * MIB));
        assert_eq!(parse_size("1 GiB"), Ok(1024 * MIB));
        for bad in [
            "",
            "256",
            "MiB",
            "1.5GiB",
            "-1MiB",
            "0MiB",
            "256MB",
            "99999999999999GiB",
        ] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn threads_double_up_to_all_cores() {
        for (cores, expected) in [(1, vec![1]), (2, vec![1, 2]), (6, vec![1, 2, 4, 6])] {
            let threads = powers_of_two(NonZeroUsize::new(cores).unwrap());
            assert_eq!(
                threads
                    .iter()
                    .map(|threads| threads.get())
                    .collect::<Vec<_>>(),
                expected
            );
        }
    }
}
