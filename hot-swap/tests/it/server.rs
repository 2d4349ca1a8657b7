//! A real binary in any number of versions, and who asks it.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The binary without a version, compiled once.
fn compiled() -> &'static [u8] {
    static COMPILED: OnceLock<Vec<u8>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("server");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/server.rs");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let built = Command::new(rustc)
            .args(["--edition=2024", "-Cstrip=symbols", "-Cpanic=abort", "-o"])
            .args([&binary, &source])
            .output()
            .unwrap();
        assert!(built.status.success(), "{built:?}");
        fs::read(binary).unwrap()
    })
}

/// The bytes of a version of the server.
pub(crate) fn server(version: &str) -> Vec<u8> {
    let mut binary = compiled().to_vec();
    binary.extend_from_slice(format!("\nversion {version}\n").as_bytes());
    binary
}

pub(crate) fn write_server(path: &Path, version: &str) {
    fs::write(path, server(version)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the server says that wrote its address into a file; `None` if there is none.
pub(crate) fn ask(address_file: &Path) -> Option<String> {
    let address = fs::read_to_string(address_file).ok()?;
    let mut connection = TcpStream::connect(address).ok()?;
    let mut version = String::new();
    connection.read_to_string(&mut version).ok()?;
    let version = version.trim().to_owned();
    (!version.is_empty()).then_some(version)
}

/// A probe: the server that writes its address into this file answers with this version.
#[derive(Debug)]
pub(crate) struct Answers(pub(crate) PathBuf, pub(crate) String);

#[async_trait::async_trait]
impl hot_swap::HealthProbe for Answers {
    async fn check(&self, _: &Path) -> Result<(), hot_swap::Unhealthy> {
        while ask(&self.0).as_ref() != Some(&self.1) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    }
}
