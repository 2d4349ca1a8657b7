//! The list of tools.

use std::fs;

use manifest_core::Sha256Digest;
use package::{Catalog, CatalogTool, ErrorKind, Latest, Listing};
use serde_json::{Value, json};

use crate::support::{World, pack, refused};

fn read(world: &World) -> Value {
    serde_json::from_slice(&fs::read(world.dist().join("catalog.json")).unwrap()).unwrap()
}

#[test]
fn it_says_what_tool_json_says_and_what_was_packed() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    let text = json!({
        "tool_id": "sketcher", "version": "v1.2.0", "name": "Sketcher ✎", "category": "image",
        "platforms": ["windows", "linux"], "entrypoint_windows": "run.ps1", "api_contract": "runtime/1",
        "supports_gpu_persistence": true, "something": "else",
    });
    world.write("tool/tool.json", text.to_string());
    let plain = world.tool("plain", "another", "0.1");
    let addressed = world.packer().with_release_url(
        "https://github.com/o/r/releases/download/v1"
            .parse()
            .unwrap(),
    );
    let packed = pack(&addressed, &[tool, plain]);
    let [sketcher, another] = packed.tools.as_slice() else {
        panic!("two were packed");
    };
    let expected = json!({
        "catalog_version": "1.0",
        "tools": [{
            "tool_id": "another", "name": "another", "latest": "0.1",
            "asset_name": "tool_another_0.1.zip", "sha256": another.asset.sha256, "platforms": [],
            "manifest_hash": another.release.manifest.manifest_hash(),
            "download_url": "https://github.com/o/r/releases/download/v1/tool_another_0.1.zip",
            "has_frontend": false,
        }, {
            "tool_id": "sketcher", "name": "Sketcher ✎", "latest": "1.2.0",
            "asset_name": "tool_sketcher_1.2.0.zip", "sha256": sketcher.asset.sha256,
            "platforms": ["windows", "linux"], "category": "image",
            "manifest_hash": sketcher.release.manifest.manifest_hash(),
            "download_url": "https://github.com/o/r/releases/download/v1/tool_sketcher_1.2.0.zip",
            "has_frontend": false, "api_contract": "runtime/1", "supports_gpu_persistence": true,
        }],
    });
    assert_eq!(read(&world), expected);
    assert!(packed.warnings.is_empty(), "{:?}", packed.warnings);
    assert_eq!(packed.tools[0].listing, Listing::Added);
}

#[test]
fn tools_that_are_not_packed_stay_as_they_are() {
    let world = World::new();
    let old = world.tool("old", "sketcher", "1.2.0");
    let other = world.tool("other", "another", "1.0");
    pack(&world.packer(), &[old, other]);
    let mut edited = read(&world);
    edited["note"] = "of another program".into();
    edited["tools"][0]["stars"] = 5.into();
    edited["tools"][1]["stars"] = 4.into();
    fs::write(world.dist().join("catalog.json"), edited.to_string()).unwrap();

    let new = world.tool("new", "sketcher", "1.10.0");
    let packed = pack(&world.packer(), &[new]);
    let from = "1.2.0".parse().unwrap();
    assert_eq!(packed.tools[0].listing, Listing::Updated { from });
    let merged = read(&world);
    assert_eq!(merged["note"], edited["note"]);
    assert_eq!(merged["tools"][0], edited["tools"][0]);
    assert_eq!(merged["tools"][1]["latest"], "1.10.0");
    assert_eq!(
        merged["tools"][1]["stars"],
        Value::Null,
        "of a release that is not listed any more"
    );
    assert!(world.dist().join("tool_sketcher_1.2.0.zip").exists());
}

#[test]
fn an_older_release_is_packed_and_not_the_latest() {
    let world = World::new();
    pack(&world.packer(), &[world.tool("new", "sketcher", "1.10.0")]);
    let before = read(&world);
    let old = [world.tool("old", "sketcher", "1.9.9")];
    let packed = pack(&world.packer(), &old);
    let latest = "1.10.0".parse().unwrap();
    assert_eq!(packed.tools[0].listing, Listing::KeptNewer { latest });
    assert!(
        packed.warnings[0].contains("1.10.0"),
        "{:?}",
        packed.warnings
    );
    assert_eq!(read(&world), before);
    assert!(world.dist().join("tool_sketcher_1.9.9.zip").exists());

    let packed = pack(&world.packer().with_latest(Latest::Packed), &old);
    assert!(
        packed.warnings[0].contains("older than 1.10.0"),
        "{:?}",
        packed.warnings
    );
    assert_eq!(read(&world)["tools"][0]["latest"], "1.9.9");

    let nightly = [world.tool("nightly", "sketcher", "nightly")];
    let packed = pack(&world.packer(), &nightly);
    assert!(
        packed.warnings[0].contains("which is newer"),
        "{:?}",
        packed.warnings
    );
    assert_eq!(read(&world)["tools"][0]["latest"], "nightly");
}

#[test]
fn two_versions_at_once_list_the_higher_one_whatever_the_order() {
    for order in [[0, 1], [1, 0]] {
        let world = World::new();
        let tools = [
            world.tool("a", "sketcher", "2.0"),
            world.tool("b", "sketcher", "10.0"),
        ];
        let packed = pack(&world.packer(), &order.map(|index| tools[index].clone()));
        assert_eq!(packed.warnings, [""; 0]);
        assert_eq!(read(&world)["tools"][0]["latest"], "10.0");
        assert_eq!(world.listing().len(), 3);
    }
}

#[test]
fn a_catalogue_that_cannot_be_read_is_left_alone() {
    let world = World::new();
    let tool = [world.tool("tool", "sketcher", "1.2.0")];
    pack(&world.packer(), &tool);
    let good = read(&world);
    let edit = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        value.to_string()
    };
    for (text, hint) in [
        ("{".into(), "EOF"),
        ("[]".into(), "invalid"),
        (format!("{good} 1"), "trailing"),
        (
            edit(&|value| value["catalog_version"] = "2.0".into()),
            "/catalog_version: ",
        ),
        (
            r#"{"catalog_version": "2.0", "releases": {}}"#.into(),
            "version \"2.0\" is not known",
        ),
        (
            edit(&|value| value["tools"][0]["tool_id"] = "../x".into()),
            "/tools/0",
        ),
        (
            edit(&|value| value["tools"][0]["sha256"] = "abc".into()),
            "SHA-256",
        ),
        (
            edit(&|value| value["tools"][0]["asset_name"] = "../x.zip".into()),
            "/tools/0/asset_name: ",
        ),
        (
            edit(&|value| value["tools"][0]["download_url"] = "x".into()),
            "/tools/0",
        ),
        (
            edit(&|value| {
                let mut twin = value["tools"][0].clone();
                twin["tool_id"] = "SKETCHER".into();
                value["tools"].as_array_mut().unwrap().push(twin);
            }),
            "/tools/1/tool_id: ",
        ),
    ] {
        fs::write(world.dist().join("catalog.json"), &text).unwrap();
        let error = refused(&world, &tool, ErrorKind::Catalog);
        assert!(format!("{error:#}").contains(hint), "{hint}: {error:#}");
        assert!(error.to_string().contains("catalog.json"), "{error}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let digest = Sha256Digest::of(b"");
    let tool = |id: &str, version: &str| {
        let (id, version) = (id.parse().unwrap(), version.parse().unwrap());
        CatalogTool::new(id, version, "tool.zip", digest, digest)
    };
    let mut catalog = Catalog::new();
    assert_eq!(
        catalog.to_bytes(),
        b"{\n  \"catalog_version\": \"1.0\",\n  \"tools\": []\n}\n"
    );
    for id in ["zz", "aa", "mm"] {
        catalog.list(tool(id, "1.0"), Latest::Highest);
    }
    let ids: Vec<_> = catalog
        .tools()
        .iter()
        .map(|tool| tool.tool_id.as_str())
        .collect();
    assert_eq!(ids, ["aa", "mm", "zz"]);
    let mut full = tool("full", "2.0");
    full.download_url = Some("https://h/x.zip".parse().unwrap());
    full.has_frontend = true;
    full.frontend_url = Some("https://h/y.zip".parse().unwrap());
    full.frontend_sha256 = Some(digest);
    full.category = Some("image".into());
    full.supports_gpu_persistence = Some(false);
    catalog.list(full, Latest::Highest);
    let read = Catalog::parse(&catalog.to_bytes()).unwrap();
    assert_eq!(read, catalog);
    assert_eq!(read.to_bytes(), catalog.to_bytes());
    assert_eq!(
        read.tool(&"full".parse().unwrap()).unwrap().latest.as_str(),
        "2.0"
    );
    let same = catalog.list(tool("aa", "1.0"), Latest::Highest);
    assert_eq!(same, Listing::Same);
}
