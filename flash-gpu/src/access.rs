//! What may this process do, by what the system says?

use std::io;
use std::path::Path;

/// Whether files can be created in a folder. Nothing is tried; a system that cannot be asked says yes.
#[cfg(unix)]
pub(crate) fn may_be_written(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD};
    use rustix::io::Errno;
    let access = Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::accessat(CWD, folder, access, AtFlags::EACCESS) {
        Err(refused @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => Err(refused.into()),
        // Anything else is for the warm-up to find out.
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
pub(crate) fn may_be_written(_: &Path) -> io::Result<()> {
    Ok(())
}
