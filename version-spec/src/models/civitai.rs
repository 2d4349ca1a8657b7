//! What Civitai says about a model: <https://developer.civitai.com/docs/api/public-rest#get-apiv1modelsmodelid>.

use serde::Deserialize;

/// The description of a model with hundreds of versions has a few MiB.
pub(super) const LARGEST: u64 = 64 << 20;

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "modelVersions", default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    id: u64,
}

/// The number of the newest version in the document about a model, which lists it first.
pub(super) fn newest_version(document: &[u8]) -> Result<u64, String> {
    let model: Model = serde_json::from_slice(document)
        .map_err(|error| format!("Civitai's answer is not understood: {error}"))?;
    let newest = model.versions.first();
    newest
        .map(|version| version.id)
        .ok_or_else(|| "the model has no version that could be downloaded".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_is_the_newest() {
        let document = br#"{"id": 1, "name": "x", "modelVersions": [{"id": 30, "name": "b", "files": []}, {"id": 20}]}"#;
        assert_eq!(newest_version(document), Ok(30));
        assert!(
            newest_version(br#"{"modelVersions": []}"#)
                .unwrap_err()
                .contains("no version")
        );
        assert!(
            newest_version(br#"{"error": "x"}"#)
                .unwrap_err()
                .contains("no version")
        );
        assert!(
            newest_version(b"<html>")
                .unwrap_err()
                .contains("not understood")
        );
    }
}
