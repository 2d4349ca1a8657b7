use std::ffi::OsString;
use std::path::{Path, PathBuf};

use subprocess::{CancellationToken, Command, Failed, Until};

use crate::event::{Event, Observer};
use crate::{Error, ErrorKind};

/// What makes the candidate.
///
/// ```
/// use hot_swap::{Build, HotSwap};
///
/// let build = Build::new("cargo", ["build", "--release"]).in_folder("/home/me/server");
/// let swap = HotSwap::new("/srv/bin/server", "/home/me/server/target/release/server")
///     .with_build(build)
///     .with_sources("/home/me/server"); // to notice a build that is not reproducible
/// # let _ = swap;
/// ```
#[derive(Clone, Debug)]
pub struct Build {
    program: OsString,
    arguments: Vec<OsString>,
    folder: Option<PathBuf>,
}

impl Build {
    /// A program, found as the operating system finds it, and its arguments. Exit code 0 means that it succeeded.
    #[must_use]
    pub fn new(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            folder: None,
        }
    }

    /// Where it is run; without, where this process is.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    pub(crate) async fn run(
        &self,
        observer: &dyn Observer,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let program = Path::new(&self.program).display();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let say = |line: &str| observer.notify(&Event::Output(line.to_owned()));
        let failed = |text: String| Error::new(ErrorKind::Build, text);
        match subprocess::stream(&mut command, &Until::cancelled(cancel), say).await {
            Ok(built) if built.status.success() => Ok(()),
            Ok(built) => Err(failed(format!(
                "the build failed, {program} {}",
                built.how_it_ended(2000)
            ))),
            Err(Failed::Cancelled) => Err(Error::cancelled()),
            Err(error) => {
                Err(failed(format!("the build failed, {program} cannot be run")).with_source(error))
            }
        }
    }
}
