//! A service whose binary is replaced while it runs: once by one that works, once by one that does not.
//!
//! ```sh
//! cargo run --release -p lockstep-examples --example hot_swap
//! ```

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use hot_swap::{CancellationToken, Candidate, ErrorKind, Event, HotSwap, LocalProcess, OnFailure};

#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let service = LocalProcess::command(path("server"), ["serve"], path("server.pid"))
        .with_log(path("server.log"));
    let swap = |candidate: Candidate| {
        HotSwap::new(path("server"), candidate)
            .with_runtime(service.clone())
            .with_settle_time(Duration::from_millis(300))
            .with_observer(|event: &Event| {
                if let Event::Ended(step) = event {
                    println!("  {}: {:?}", step.step, step.outcome);
                }
            })
    };
    let never = CancellationToken::new();

    println!("the first binary: nothing to go back to, so that has to be allowed");
    write(&path("next"), "1.0", "exec sleep 1000")?;
    let first = swap(path("next").into()).with_on_failure(OnFailure::Leave);
    println!("{}\n", first.run(&never).await?);

    println!("one that works");
    write(&path("next"), "1.1", "exec sleep 1000")?;
    let report = swap(path("next").into())
        .with_version("1.1", ["--version"])
        .run(&never)
        .await?;
    println!("{report}\n");

    println!("one that does not");
    write(&path("next"), "1.2", "echo 'no such database'; exit 1")?;
    let error = swap(path("next").into()).run(&never).await;
    let error = error.expect_err("it ends at once");
    assert_eq!(error.kind(), ErrorKind::RolledBack);
    println!("{error:#}");
    let last_words = error.report().and_then(|report| report.log.last());
    println!("its last words: {last_words:?}");
    assert!(fs::read_to_string(path("server"))?.contains("1.1"));

    println!("\nback to the one before");
    println!("{}", swap(Candidate::previous()).run(&never).await?);
    assert!(fs::read_to_string(path("server"))?.contains("1.0"));

    let pid = fs::read_to_string(path("server.pid"))?;
    std::process::Command::new("kill")
        .arg(pid.trim())
        .status()?;
    Ok(())
}

/// A server in the shell's language.
#[cfg(unix)]
fn write(path: &Path, version: &str, serve: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo server {version}; exit; fi\n{serve}\n"
    );
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn main() {
    println!("the service of this example is a shell script");
}
