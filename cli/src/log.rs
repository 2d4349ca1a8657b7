//! What the libraries say while they work, on stderr.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{Arguments, Command};
use crate::progress;

/// `RUST_LOG` decides where it is set. A server says who asked for what without being told to.
pub(crate) fn start(arguments: &Arguments) {
    let serving = matches!(arguments.command, Command::Serve(_));
    let level = match arguments.verbose {
        0 if serving => "info",
        0 => "warn",
        1 => "info,hyper=warn,hyper_util=warn,rustls=warn,reqwest=warn",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_target(arguments.verbose > 1)
        .with_writer(AboveBars);
    if serving {
        builder.init();
    } else {
        builder.without_time().init();
    }
}

/// Writes to stderr without tearing the progress bars.
struct AboveBars;

impl MakeWriter<'_> for AboveBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::aside(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
