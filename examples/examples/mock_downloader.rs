//! How to test a program that embeds the updater, without a network: what it does when all is well, and when it is not.
//!
//! ```sh
//! cargo run -p lockstep-examples --example mock_downloader   # one line for each check
//! cargo test -p lockstep-examples --example mock_downloader  # the same as tests
//! ```
//!
//! The program is [`nightly_update`]. The checks show three ways to stand in for the network:
//!
//! - `MemoryDownloader` serves what it was given, and counts;
//! - `Faulty` puts faults into the answers of another downloader, at the very byte;
//! - `MockDownloader`, made by `mockall`, answers what the test says and counts the calls.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use downloader::testing::{Fault, Faulty, Plan};
use downloader::{Downloader, MemoryDownloader, MockDownloader};
use manifest_core::{Manifest, ManifestBuilder, Sha256Digest, file_url};
use tempfile::TempDir;
use updater::{CancellationToken, ErrorKind, RetryPolicy, TrustPolicy, Updater, Url};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

// The program.

/// What the night shift tells the day shift.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Updated {
        files: u64,
    },
    UpToDate,
    /// It may work the next night.
    TryAgain(ErrorKind),
    /// It will not.
    CallSomebody(ErrorKind),
}

/// Updates the tool to the release that HQ names.
async fn nightly_update(updater: &Updater, manifest: &Url, release: Sha256Digest) -> Outcome {
    let never = CancellationToken::new();
    match updater
        .update(manifest, &TrustPolicy::Pinned(release), &never)
        .await
    {
        Ok(report) if report.from_version.as_ref() == Some(&report.to_version) => Outcome::UpToDate,
        Ok(report) => Outcome::Updated {
            files: report.downloaded,
        },
        Err(error) if error.is_temporary() => Outcome::TryAgain(error.kind()),
        Err(error) => Outcome::CallSomebody(error.kind()),
    }
}

// What the checks share.

const BASE: &str = "https://hq.example/tools/";
const MODEL: &str = "models/sketch.safetensors";
const MODEL_SIZE: usize = 300_000;

/// A worker's disk, and HQ in memory.
struct Night {
    folder: TempDir,
    hq: MemoryDownloader,
    first: Manifest,
    second: Manifest,
}

impl Night {
    fn new() -> Result<Self> {
        let hq = MemoryDownloader::new();
        Ok(Self {
            folder: tempfile::tempdir()?,
            first: publish(&hq, "1.0.0", vec![1; MODEL_SIZE])?,
            second: publish(&hq, "1.1.0", vec![2; MODEL_SIZE])?,
            hq,
        })
    }

    /// The program under test asks `network`; all else is the real thing.
    async fn update(&self, network: impl Downloader + 'static, to: &Manifest) -> Result<Outcome> {
        let updater = Updater::builder(self.folder.path())
            .with_downloader(Arc::new(network))
            .with_retry(RetryPolicy::new().with_attempts(2))
            // One after the other, the largest first: what is there when one fails is no accident.
            .with_parallel_downloads(NonZeroUsize::MIN)
            .build()?;
        Ok(nightly_update(&updater, &manifest_url(to)?, to.manifest_hash()).await)
    }

    /// A worker on which the first release is installed.
    async fn after_the_first() -> Result<Self> {
        let night = Self::new()?;
        night.update(night.hq.clone(), &night.first).await?;
        Ok(night)
    }

    fn active(&self) -> Result<String> {
        let path: PathBuf = self.folder.path().join("current.txt");
        Ok(std::fs::read_to_string(path)?)
    }
}

/// Puts a release of two files where workers will ask for it.
fn publish(hq: &MemoryDownloader, version: &str, model: Vec<u8>) -> Result<Manifest> {
    let script = format!("print('sketcher {version}')\n").into_bytes();
    let mut builder =
        ManifestBuilder::new("sketcher".parse()?, version.parse()?).with_base_url(BASE.parse()?);
    let files = [("run.py", script), (MODEL, model)];
    for (path, content) in &files {
        let (digest, size) = (Sha256Digest::of(content), content.len() as u64);
        builder = builder.with_file(path.parse()?, digest, size, false);
    }
    let manifest = builder.build()?;
    for (path, content) in files {
        hq.insert(url_of(&manifest, path)?, content);
    }
    hq.insert(manifest_url(&manifest)?, manifest.to_bytes());
    Ok(manifest)
}

fn url_of(manifest: &Manifest, path: &str) -> Result<Url> {
    let (tool, version) = (manifest.tool_id(), manifest.tool_version());
    Ok(file_url(&BASE.parse()?, tool, version, &path.parse()?)?)
}

fn manifest_url(manifest: &Manifest) -> Result<Url> {
    Ok(Url::parse(BASE)?.join(&format!(
        "{}/{}/manifest.json",
        manifest.tool_id(),
        manifest.tool_version()
    ))?)
}

// The checks.

/// When all is well, each content comes once, and the second night there is nothing to do.
async fn a_good_night_updates_and_the_next_one_rests() -> Result<()> {
    let night = Night::after_the_first().await?;
    let outcome = night.update(night.hq.clone(), &night.second).await?;
    assert_eq!(outcome, Outcome::Updated { files: 2 });
    assert_eq!(night.hq.offsets(&url_of(&night.second, MODEL)?), [0]);

    let served = night.hq.requests().len();
    let outcome = night.update(night.hq.clone(), &night.second).await?;
    assert_eq!(outcome, Outcome::UpToDate);
    assert_eq!(night.hq.requests().len(), served + 1, "the manifest alone");
    Ok(())
}

/// When the line drops in the middle of the model, the rest of it comes, and no byte twice.
async fn a_broken_connection_is_resumed() -> Result<()> {
    let night = Night::after_the_first().await?;
    let model = url_of(&night.second, MODEL)?;
    let faulty = Faulty::new(night.hq.clone()).with_plan(
        &model,
        Fault::error_at(100_000, downloader::ErrorKind::Network),
    );
    let outcome = night.update(faulty.clone(), &night.second).await?;
    assert_eq!(outcome, Outcome::Updated { files: 2 });
    assert_eq!(night.hq.offsets(&model), [0, 100_000]);
    assert_eq!(faulty.bytes(&model), MODEL_SIZE as u64);
    faulty.assert_played();
    Ok(())
}

/// When HQ serves a wrong byte, somebody has to look at it, and the old release works on.
async fn a_wrong_byte_is_never_installed() -> Result<()> {
    let night = Night::after_the_first().await?;
    let script = url_of(&night.second, "run.py")?;
    let faulty =
        Faulty::new(night.hq.clone()).with_plan(&script, Plan::always(Fault::corrupt_at(0)));
    let outcome = night.update(faulty.clone(), &night.second).await?;
    assert_eq!(outcome, Outcome::CallSomebody(ErrorKind::Integrity));
    assert_eq!(night.active()?, "v1.0.0");

    // Somebody did; the model, which came before the script, is not fetched again.
    faulty.set_plan(&script, Plan::default());
    let outcome = night.update(faulty.clone(), &night.second).await?;
    assert_eq!(outcome, Outcome::Updated { files: 1 });
    assert_eq!(night.active()?, "v1.1.0");
    Ok(())
}

/// When HQ goes silent, the program does not wait for ever. The clock is tokio's paused one, so that the check takes no time.
async fn a_silent_hq_is_left_until_the_next_night() -> Result<()> {
    let night = Night::after_the_first().await?;
    let model = url_of(&night.second, MODEL)?;
    for silence in [Fault::silent(), Fault::stalled_at(1000)] {
        let faulty = Faulty::new(night.hq.clone()).with_plan(&model, Plan::always(silence));
        let outcome = night.update(faulty.clone(), &night.second).await?;
        assert_eq!(outcome, Outcome::TryAgain(ErrorKind::Network));
        assert_eq!(faulty.bodies_alive(&model), 0, "nothing is left open");
        assert_eq!(night.active()?, "v1.0.0");
    }
    Ok(())
}

/// When HQ is too busy even for the manifest, it is asked twice, as the retry policy says.
async fn a_busy_hq_is_asked_twice() -> Result<()> {
    let night = Night::new()?;
    let mut mock = MockDownloader::new();
    mock.expect_open()
        .withf(|request| request.url().path().ends_with("/manifest.json"))
        .times(2) // mockall panics at the end if it were not twice
        .returning(|request| {
            let busy = downloader::Error::new(downloader::ErrorKind::Status, "503");
            Err(busy.temporary().with_url(request.url()))
        });
    let outcome = night.update(mock, &night.first).await?;
    assert_eq!(outcome, Outcome::TryAgain(ErrorKind::Network));
    Ok(())
}

// As a program.

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", lockstep_examples::explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(async {
        a_good_night_updates_and_the_next_one_rests().await?;
        println!("memory: a good night updates, and the next one rests");
        a_broken_connection_is_resumed().await?;
        println!("faulty: a broken connection is resumed, and no byte comes twice");
        a_wrong_byte_is_never_installed().await?;
        println!("faulty: a wrong byte is never installed");
        a_silent_hq_is_left_until_the_next_night().await?;
        println!("faulty: a silent HQ is left until the next night, in no time");
        a_busy_hq_is_asked_twice().await?;
        println!("mock:   a busy HQ is asked twice");
        Ok(())
    })
}

// As tests.

#[cfg(test)]
mod tests {
    use super::Result;

    macro_rules! tests {
        ($($name:ident,)*) => {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() -> Result<()> {
                    super::$name().await
                }
            )*
        };
    }

    tests! {
        a_good_night_updates_and_the_next_one_rests,
        a_broken_connection_is_resumed,
        a_wrong_byte_is_never_installed,
        a_silent_hq_is_left_until_the_next_night,
        a_busy_hq_is_asked_twice,
    }
}
