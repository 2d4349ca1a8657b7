//! Hashes a folder as `lockstep manifest create` does, or one file, with a given number of threads:
//! `hash_tree PATH [THREADS]`. `scripts/compare-rsync` takes its time.

use std::error::Error;
use std::fs::File;
use std::path::PathBuf;
use std::{env, io};

use manifest_core::{ScanOptions, hash_file, scan};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let path = arguments
        .next()
        .map(PathBuf::from)
        .ok_or("usage: hash_tree PATH [THREADS]")?;
    if path.is_file() {
        println!("{}", hash_file(&File::open(path)?)?.0);
        return Ok(());
    }
    let mut options = ScanOptions::new()
        .with_tool_id("bench".parse()?)
        .with_tool_version("1.0.0".parse()?);
    if let Some(threads) = arguments.next() {
        let threads = threads
            .to_str()
            .ok_or_else(|| io::Error::other("not a number"))?;
        options = options.with_threads(threads.parse()?);
    }
    println!("{}", scan(&path, &options)?.manifest.manifest_hash());
    Ok(())
}
