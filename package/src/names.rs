//! What archives are called.

use manifest_core::{ReleaseVersion, ToolId};
use url::Url;

use crate::{Error, ErrorKind, Result};

/// The name of the catalogue.
pub const CATALOG_FILE_NAME: &str = "catalog.json";

/// The name of the archive that holds a release: `tool_<id>_<version>.zip`, the version without a leading `v`.
#[must_use]
pub fn tool_asset_name(tool: &ToolId, version: &ReleaseVersion) -> String {
    format!("tool_{tool}_{version}.zip")
}

/// The name of the archive that holds a release's front end: `frontend_<id>_<version>.zip`.
#[must_use]
pub fn frontend_asset_name(tool: &ToolId, version: &ReleaseVersion) -> String {
    format!("frontend_{tool}_{version}.zip")
}

/// Where an archive is found below the address of a release.
pub(crate) fn asset_url(base: &Url, name: &str) -> Result<Url> {
    if base.cannot_be_a_base() {
        let text = format!("{base} cannot be the address of a release");
        return Err(Error::new(ErrorKind::Policy, text));
    }
    let mut url = base.clone();
    // Of what a name can hold, only this means something else to some servers: a space.
    let name = name.replace('+', "%2B");
    url.set_path(&format!("{}/{name}", base.path().trim_end_matches('/')));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_version_without_a_v() {
        let (tool, version) = ("z-image".parse().unwrap(), "v0.9.1+b2".parse().unwrap());
        assert_eq!(
            tool_asset_name(&tool, &version),
            "tool_z-image_0.9.1+b2.zip"
        );
        assert_eq!(
            frontend_asset_name(&tool, &version),
            "frontend_z-image_0.9.1+b2.zip"
        );
    }

    #[test]
    fn the_address_of_a_release_may_end_in_a_slash() {
        for base in ["https://h/o/r/v1", "https://h/o/r/v1/"] {
            let url = asset_url(&base.parse().unwrap(), "tool_a_1+2.zip").unwrap();
            assert_eq!(url.as_str(), "https://h/o/r/v1/tool_a_1%2B2.zip");
        }
        let error = asset_url(&"mailto:x@h".parse().unwrap(), "a").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy);
    }
}
