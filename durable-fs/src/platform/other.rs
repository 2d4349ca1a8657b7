use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, OpenOptions};

use super::kind_of;
use crate::{ErrorKind, Executable, Metadata};

pub(crate) const HAS_SYNC_FILESYSTEM: bool = false;
pub(crate) const HAS_REFLINK: bool = false;

pub(crate) fn open_ambient_dir(path: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(path, cap_std::ambient_authority())
}

pub(crate) fn open_dir(dir: &Dir, name: &OsStr) -> io::Result<Dir> {
    dir.open_dir_nofollow(name)
}

pub(crate) const EVERYBODY: u32 = 0;
pub(crate) const OWNER: u32 = 0;

pub(crate) fn create_dir(dir: &Dir, name: &OsStr, _: u32) -> io::Result<()> {
    dir.create_dir(name)
}

pub(crate) fn remove_file(dir: &Dir, name: &OsStr) -> io::Result<()> {
    dir.remove_file(name)
}

pub(crate) fn remove_dir(dir: &Dir, name: &OsStr) -> io::Result<()> {
    dir.remove_dir(name)
}

pub(crate) fn rename(from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
    from.rename(name, to, to_name)
}

pub(crate) fn hard_link(from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
    from.hard_link(name, to, to_name)
}

#[cfg(windows)]
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

#[cfg(not(windows))]
pub(crate) fn write_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.write(bytes)
}

/// Windows syncs through writable handles only.
pub(crate) fn allow_sync(options: &mut OpenOptions) {
    options.write(true);
}

pub(crate) fn never_block(_: &mut OpenOptions) {}

pub(crate) fn links(_: &std::fs::Metadata) -> u64 {
    1
}

pub(crate) fn kind_of_os_error(_: i32) -> Option<ErrorKind> {
    None
}

pub(crate) fn metadata(dir: &Dir, name: &OsStr) -> io::Result<Metadata> {
    let metadata = dir.symlink_metadata(name)?;
    Ok(Metadata {
        kind: kind_of(metadata.file_type()),
        len: metadata.len(),
        executable: false,
        modified: metadata
            .modified()
            .ok()
            .map(cap_std::time::SystemTime::into_std),
        changed: 0,
        device: 0,
        inode: 0,
        links: 1,
    })
}

pub(crate) fn metadata_of(metadata: &std::fs::Metadata) -> Metadata {
    Metadata {
        kind: crate::FileKind::File,
        len: metadata.len(),
        executable: false,
        modified: metadata.modified().ok(),
        changed: 0,
        device: 0,
        inode: 0,
        links: 1,
    }
}

pub(crate) fn symlink(_: &Path, _: &Dir, _: &OsStr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn have_equal_modes(_: &File, _: &File) -> bool {
    true
}

pub(crate) fn copy_mode(_: &File, _: &File) -> io::Result<()> {
    Ok(())
}

pub(crate) fn copy_attributes(_: &File, _: &File) -> io::Result<()> {
    Ok(())
}

pub(crate) fn set_executable(_: &File, _: Executable) -> io::Result<()> {
    Ok(())
}

/// There is no such call; the file system's journal orders names.
pub(crate) fn sync_dir(_: &Dir) -> io::Result<()> {
    Ok(())
}

pub(crate) fn sync_filesystem(_: &Dir) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn reflink(_: &File, _: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn exchange(_: &Dir, _: &OsStr, _: &Dir, _: &OsStr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not atomic: there is no portable call that is.
pub(crate) fn rename_to_free_name(
    from: &Dir,
    name: &OsStr,
    to: &Dir,
    to_name: &OsStr,
) -> io::Result<()> {
    match metadata(to, to_name) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => from.rename(name, to, to_name),
        Err(error) => Err(error),
    }
}

pub(crate) fn free_space(_: &Dir) -> io::Result<Option<u64>> {
    Ok(None)
}

pub(crate) fn device(_: &Dir) -> io::Result<u64> {
    Ok(0)
}

pub(crate) fn lock_holder(_: u64, _: u64) -> Option<u32> {
    None
}
