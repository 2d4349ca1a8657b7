use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::{ErrorKind, Executable, FileKind, Metadata};

pub(crate) const HAS_SYNC_FILESYSTEM: bool = cfg!(target_os = "linux");
pub(crate) const HAS_REFLINK: bool = cfg!(target_os = "linux");

// `name` is one component everywhere below, so that each of these is one system call.

// Folders are opened here, not by `cap_std`, whose handles are `O_PATH` on Linux: those cannot be synced.

pub(crate) fn open_ambient_dir(path: &Path) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::open(path, flags, Mode::empty())?;
    Ok(Dir::from_std_file(handle.into()))
}

/// Opens a folder that is no link.
pub(crate) fn open_dir(dir: &Dir, name: &OsStr) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    Ok(Dir::from_std_file(handle.into()))
}

/// Whom a folder is for: the process's mask takes away from it.
pub(crate) const EVERYBODY: u32 = 0o777;
pub(crate) const OWNER: u32 = 0o700;

pub(crate) fn create_dir(dir: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(mode))?)
}

pub(crate) fn remove_file(dir: &Dir, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
}

pub(crate) fn remove_dir(dir: &Dir, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

pub(crate) fn rename(from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::renameat(from, name, to, to_name)?)
}

pub(crate) fn hard_link(from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::linkat(
        from,
        name,
        to,
        to_name,
        AtFlags::empty(),
    )?)
}

/// Writes at a place, wherever the file's own position is.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

/// Syncing works through any handle.
pub(crate) fn allow_sync(_: &mut OpenOptions) {}

/// Opening a FIFO waits for its other end otherwise.
pub(crate) fn never_block(options: &mut OpenOptions) {
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
}

pub(crate) fn links(metadata: &std::fs::Metadata) -> u64 {
    metadata.nlink()
}

pub(crate) fn kind_of_os_error(code: i32) -> Option<ErrorKind> {
    Some(match Errno::from_raw_os_error(code) {
        // With O_NOFOLLOW, a link as the last component is ELOOP.
        Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO => ErrorKind::NotRegular,
        Errno::NOSPC | Errno::DQUOT => ErrorKind::NoSpace,
        Errno::MFILE | Errno::NFILE => ErrorKind::TooManyOpenFiles,
        Errno::FBIG => ErrorKind::TooLarge,
        Errno::NOTEMPTY => ErrorKind::NotEmpty,
        Errno::NAMETOOLONG => ErrorKind::InvalidPath,
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY => ErrorKind::Unsupported,
        _ => return None,
    })
}

/// The types of the two fields differ between systems.
fn nanoseconds(seconds: impl Into<i128>, nanoseconds: impl Into<i128>) -> i128 {
    seconds.into() * 1_000_000_000 + nanoseconds.into()
}

#[allow(
    clippy::unnecessary_cast,
    reason = "the fields of stat are narrower on some systems"
)]
pub(crate) fn metadata(dir: &Dir, name: &OsStr) -> io::Result<Metadata> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = stat.st_mode;
    let modified = nanoseconds(stat.st_mtime, stat.st_mtime_nsec);
    let changed = nanoseconds(stat.st_ctime, stat.st_ctime_nsec);
    let modified = u64::try_from(modified)
        .ok()
        .map(|nanos| UNIX_EPOCH + Duration::from_nanos(nanos));
    Ok(Metadata {
        kind: match FileType::from_raw_mode(mode) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Dir,
            FileType::Symlink => FileKind::Symlink,
            _ => FileKind::Other,
        },
        len: u64::try_from(stat.st_size).unwrap_or_default(),
        executable: mode & 0o111 != 0,
        modified,
        changed,
        device: stat.st_dev as u64,
        inode: stat.st_ino,
        links: stat.st_nlink as u64,
    })
}

/// Of a file that is open, and known to be a file.
pub(crate) fn metadata_of(metadata: &std::fs::Metadata) -> Metadata {
    Metadata {
        kind: FileKind::File,
        len: metadata.len(),
        executable: metadata.mode() & 0o111 != 0,
        modified: metadata.modified().ok(),
        changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        device: metadata.dev(),
        inode: metadata.ino(),
        links: metadata.nlink(),
    }
}

pub(crate) fn symlink(target: &Path, dir: &Dir, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::symlinkat(target, dir, name)?)
}

pub(crate) fn have_equal_modes(one: &File, other: &File) -> bool {
    let mode = |file: &File| {
        file.metadata()
            .map(|metadata| metadata.permissions().mode() & 0o777)
    };
    matches!((mode(one), mode(other)), (Ok(one), Ok(other)) if one == other)
}

/// Without the set-user and set-group bits: a copy belongs to whoever made it.
pub(crate) fn copy_mode(source: &File, copy: &File) -> io::Result<()> {
    let mode = source.metadata()?.permissions().mode() & 0o777;
    copy.set_permissions(std::fs::Permissions::from_mode(mode))
}

pub(crate) fn set_executable(file: &File, executable: Executable) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    let mode = permissions.mode();
    permissions.set_mode(match executable {
        Executable::Yes => mode | (mode & 0o444) >> 2,
        Executable::No => mode & !0o111,
    });
    file.set_permissions(permissions)
}

pub(crate) fn copy_attributes(model: &File, file: &File) -> io::Result<()> {
    let (wanted, found) = (model.metadata()?, file.metadata()?);
    let differing = |wanted: u32, found: u32| (wanted != found).then_some(wanted);
    let owner = differing(wanted.uid(), found.uid()).map(rustix::fs::Uid::from_raw);
    let group = differing(wanted.gid(), found.gid()).map(rustix::fs::Gid::from_raw);
    if owner.is_some() || group.is_some() {
        rustix::fs::fchown(file, owner, group)?;
    }
    // Another owner clears the set-user and set-group bits and the capabilities, so that they come afterwards.
    let mode = wanted.permissions().mode();
    if file.metadata()?.permissions().mode() != mode {
        file.set_permissions(std::fs::Permissions::from_mode(mode & 0o7777))?;
    }
    copy_capabilities(model, file)
}

#[cfg(target_os = "linux")]
fn copy_capabilities(model: &File, file: &File) -> io::Result<()> {
    const CAPABILITIES: &str = "security.capability";
    // Longer than any version of the structure in linux/capability.h.
    let read = |file: &File| {
        let mut value = [0; 64];
        match rustix::fs::fgetxattr(file, CAPABILITIES, &mut value) {
            Ok(length) => Ok(value[..length].to_vec()),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    };
    let (wanted, found) = (read(model)?, read(file)?);
    if wanted == found {
        return Ok(());
    }
    if wanted.is_empty() {
        return Ok(rustix::fs::fremovexattr(file, CAPABILITIES)?);
    }
    let flags = rustix::fs::XattrFlags::empty();
    Ok(rustix::fs::fsetxattr(file, CAPABILITIES, &wanted, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn copy_capabilities(_: &File, _: &File) -> io::Result<()> {
    Ok(())
}

pub(crate) fn sync_dir(dir: &Dir) -> io::Result<()> {
    Ok(rustix::fs::fsync(dir)?)
}

#[cfg(target_os = "linux")]
pub(crate) fn sync_filesystem(dir: &Dir) -> io::Result<()> {
    Ok(rustix::fs::syncfs(dir)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_filesystem(_: &Dir) -> io::Result<()> {
    Err(Errno::NOSYS.into())
}

#[cfg(target_os = "linux")]
pub(crate) fn reflink(source: &File, clone: &File) -> io::Result<()> {
    match rustix::fs::ioctl_ficlone(clone, source) {
        // What file systems without clones answer differs.
        Err(Errno::INVAL | Errno::NOTTY | Errno::PERM) => Err(Errno::OPNOTSUPP.into()),
        cloned => Ok(cloned?),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn reflink(_: &File, _: &File) -> io::Result<()> {
    Err(Errno::OPNOTSUPP.into())
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(crate) fn exchange(from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
    rename_with(from, name, to, to_name, rustix::fs::RenameFlags::EXCHANGE)
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(crate) fn rename_to_free_name(
    from: &Dir,
    name: &OsStr,
    to: &Dir,
    to_name: &OsStr,
) -> io::Result<()> {
    match rename_with(from, name, to, to_name, rustix::fs::RenameFlags::NOREPLACE) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            look_then_rename(from, name, to, to_name)
        }
        renamed => renamed,
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn rename_with(
    from: &Dir,
    name: &OsStr,
    to: &Dir,
    to_name: &OsStr,
    flags: rustix::fs::RenameFlags,
) -> io::Result<()> {
    match rustix::fs::renameat_with(from, name, to, to_name, flags) {
        // The file system does not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        renamed => Ok(renamed?),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) fn exchange(_: &Dir, _: &OsStr, _: &Dir, _: &OsStr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) fn rename_to_free_name(
    from: &Dir,
    name: &OsStr,
    to: &Dir,
    to_name: &OsStr,
) -> io::Result<()> {
    look_then_rename(from, name, to, to_name)
}

/// Not atomic: only for file systems that have nothing better.
fn look_then_rename(from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
    match metadata(to, to_name) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => rename(from, name, to, to_name),
        Err(error) => Err(error),
    }
}

pub(crate) fn free_space(dir: &Dir) -> io::Result<Option<u64>> {
    let stat = rustix::fs::fstatvfs(dir)?;
    Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

#[allow(
    clippy::unnecessary_cast,
    reason = "the field is narrower on some systems"
)]
pub(crate) fn device(dir: &Dir) -> io::Result<u64> {
    Ok(rustix::fs::fstat(dir)?.st_dev as u64)
}

/// From the kernel's list of locks, proc_locks(5):
/// `1: FLOCK  ADVISORY  WRITE 4711 fd:01:131074 0 EOF`.
#[cfg(target_os = "linux")]
pub(crate) fn lock_holder(device: u64, inode: u64) -> Option<u32> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let mut held = locks
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let held =
        held.find(|words| words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&&*file))?;
    held.get(4)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn lock_holder(_: u64, _: u64) -> Option<u32> {
    None
}
