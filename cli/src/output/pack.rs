//! What was packed, or would be.

use std::fmt::Write as _;
use std::path::Path;

use package::{Asset, AssetState, CATALOG_FILE_NAME, Listing, Packed, PackedTool, Plan, Release};
use serde_json::{Value, json};

use super::human::{bytes, count, release};
use super::json::value;

pub(crate) fn packed(dist: &Path, packed: &Packed) -> String {
    let mut text = String::new();
    for tool in &packed.tools {
        let _ = writeln!(text, "{}", head(&tool.release));
        let assets = assets(tool);
        let width = assets.iter().map(|(asset, _)| asset.name.len()).max();
        let width = width.unwrap_or(0);
        for (asset, state) in assets {
            let state = match state {
                AssetState::New => "new",
                AssetState::Unchanged => "unchanged",
                AssetState::Replaced => "replaced",
                _ => "done",
            };
            let (name, size, sha256) = (&asset.name, bytes(asset.size), asset.sha256);
            let _ = writeln!(
                text,
                "  {name:width$}  {size:>10}  {state:9}  sha256 {sha256}"
            );
        }
        let _ = writeln!(text, "  {}", listing(&tool.release, &tool.listing));
    }
    let tools = count(packed.catalog.tools().len() as u64, "tool");
    let _ = writeln!(text, "{}: {tools}", dist.join(CATALOG_FILE_NAME).display());
    text
}

pub(crate) fn packed_json(dist: &Path, packed: &Packed) -> Value {
    let tool = |tool: &PackedTool| {
        let asset = |(asset, state): (&Asset, AssetState)| {
            let mut object = value(asset);
            object["state"] = value(&state);
            object
        };
        let mut object = described(&tool.release, &tool.listing);
        object["assets"] = assets(tool).into_iter().map(asset).collect();
        object
    };
    json!({
        "dist": dist.display().to_string(),
        "tools": packed.tools.iter().map(tool).collect::<Vec<_>>(),
    })
}

pub(crate) fn plan(dist: &Path, plan: &Plan) -> String {
    let mut text = String::new();
    for tool in &plan.tools {
        let _ = writeln!(text, "{}", head(&tool.release));
        let frontend = tool.release.frontend.as_ref();
        let frontend = frontend.map(|asset| asset.name.as_str());
        for name in [tool.asset_name.as_str()].into_iter().chain(frontend) {
            let what = if tool.existing.iter().any(|there| there == name) {
                "is there; would be compared"
            } else {
                "would be written"
            };
            let _ = writeln!(text, "  {}  {what}", dist.join(name).display());
        }
        let _ = writeln!(text, "  {}", listing(&tool.release, &tool.listing));
    }
    text
}

pub(crate) fn plan_json(dist: &Path, plan: &Plan) -> Value {
    let tools = plan.tools.iter().map(|tool| {
        let frontend = tool.release.frontend.as_ref().map(|asset| &asset.name);
        let asset = |name: &String| json!({"name": name, "exists": tool.existing.contains(name)});
        let mut object = described(&tool.release, &tool.listing);
        object["assets"] = [&tool.asset_name]
            .into_iter()
            .chain(frontend)
            .map(asset)
            .collect();
        object
    });
    json!({
        "dist": dist.display().to_string(),
        "tools": tools.collect::<Vec<_>>(),
        "dry_run": true,
    })
}

fn head(described: &Release) -> String {
    let manifest = &described.manifest;
    format!(
        "{}, manifest hash {}",
        release(manifest),
        manifest.manifest_hash()
    )
}

fn assets(tool: &PackedTool) -> Vec<(&Asset, AssetState)> {
    let frontend = tool.release.frontend.as_ref().zip(tool.frontend_state);
    [(&tool.asset, tool.state)]
        .into_iter()
        .chain(frontend)
        .collect()
}

fn listing(release: &Release, listing: &Listing) -> String {
    let version = release.manifest.tool_version();
    match listing {
        Listing::Added => format!("catalogue: {version}, the first one"),
        Listing::Updated { from } => format!("catalogue: {from} → {version}"),
        Listing::Same => format!("catalogue: {version}, as before"),
        Listing::KeptNewer { latest } => format!("catalogue: {latest}, as before, which is newer"),
        _ => format!("catalogue: {version}"),
    }
}

fn described(release: &Release, listing: &Listing) -> Value {
    let mut object = super::json::release(&release.manifest);
    object["catalog"] = value(listing);
    object
}
