//! The front end of a tool.

use std::fs;

use manifest_core::{FrontendType, Sha256Digest};
use package::{ErrorKind, Packed};

use crate::support::{World, pack, refused, unpack};

const PAGE: &str = "frontend/index.html";

fn tool_json(frontend: &str) -> String {
    let comma = if frontend.is_empty() {
        ""
    } else {
        ", \"frontend\": "
    };
    format!(r#"{{"tool_id": "sketcher", "version": "1.2.0"{comma}{frontend}}}"#)
}

fn packed(files: &[&str], frontend: &str) -> (World, Packed) {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    world.write("tool/tool.json", tool_json(frontend));
    for file in files {
        world.write(&format!("tool/{file}"), format!("{file}\n"));
    }
    let addressed = world
        .packer()
        .with_release_url("https://h/v1/".parse().unwrap());
    let packed = pack(&addressed, &[tool]);
    (world, packed)
}

#[test]
fn a_folder_with_a_page_is_an_archive_that_the_manifest_and_the_catalogue_name() {
    let (world, packed) = packed(&[PAGE, "frontend/js/app.js", "frontend/run.log"], "");
    let release = &packed.tools[0].release;
    let asset = release.frontend.as_ref().unwrap();
    assert_eq!(asset.name, "frontend_sketcher_1.2.0.zip");
    let bytes = fs::read(world.dist().join(&asset.name)).unwrap();
    assert_eq!(
        (Sha256Digest::of(&bytes), bytes.len() as u64),
        (asset.sha256, asset.size)
    );
    let names: Vec<_> = unpack(&bytes).into_iter().map(|file| file.name).collect();
    assert_eq!(
        names,
        ["index.html", "js/app.js"],
        "a log is nobody's front end"
    );

    let frontend = release.manifest.frontend().unwrap();
    assert_eq!(frontend.kind, FrontendType::Web);
    assert_eq!(frontend.entry.as_deref(), Some("index.html"));
    assert_eq!(frontend.archive.as_deref(), Some(asset.name.as_str()));
    assert_eq!(frontend.sha256, Some(asset.sha256));
    assert!(
        release.manifest.file(PAGE).is_some(),
        "it is a part of the release, too"
    );

    let listed = &packed.catalog.tools()[0];
    assert!(listed.has_frontend);
    assert_eq!(listed.frontend_sha256, Some(asset.sha256));
    let url = listed.frontend_url.as_ref().unwrap().as_str();
    assert_eq!(url, "https://h/v1/frontend_sketcher_1.2.0.zip");
    let url = listed.download_url.as_ref().unwrap().as_str();
    assert_eq!(url, "https://h/v1/tool_sketcher_1.2.0.zip");
}

#[test]
fn tool_json_has_the_last_word() {
    let (world, without) = packed(&[PAGE], r#"{"type": "none"}"#);
    assert_eq!(without.tools[0].release.frontend, None);
    assert!(!without.catalog.tools()[0].has_frontend);
    assert_eq!(without.catalog.tools()[0].frontend_url, None);
    assert_eq!(world.listing().len(), 2);

    for (entry, page) in [
        (r#", "entry": "start.html""#, "start.html"),
        (r#", "entry": "frontend/start.html""#, "start.html"),
        (
            r#", "entry": "start.html", "archive": "x.zip", "port": 1"#,
            "start.html",
        ),
        ("", "index.html"),
    ] {
        let files = [PAGE, "frontend/start.html"];
        let (_, with) = packed(&files, &format!(r#"{{"type": "web"{entry}}}"#));
        let frontend = with.tools[0].release.manifest.frontend().unwrap();
        assert_eq!(frontend.entry.as_deref(), Some(page));
        let archive = frontend.archive.as_deref();
        assert_eq!(archive, Some("frontend_sketcher_1.2.0.zip"));
    }
}

#[test]
fn a_folder_without_a_page_is_no_front_end() {
    let (_, packed) = packed(&["frontend/app.js", "web/index.html", "index.html"], "");
    assert_eq!(packed.tools[0].release.frontend, None);
    assert_eq!(packed.tools[0].release.manifest.frontend(), None);
}

#[test]
fn a_front_end_without_its_page_is_refused() {
    for frontend in [
        r#"{"type": "web"}"#,
        r#"{"type": "web", "entry": "no.html"}"#,
    ] {
        let world = World::new();
        let tool = world.tool("tool", "sketcher", "1.2.0");
        world.write("tool/tool.json", tool_json(frontend));
        let error = refused(&world, &[tool], ErrorKind::Tool);
        let text = error.to_string();
        assert!(text.starts_with("/frontend/entry: "), "{text}");
        assert!(text.contains("tool.json"), "{text}");
    }
}
