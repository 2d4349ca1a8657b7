//! The YAML that ComfyUI is given, as a parser of YAML reads it.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, Yaml};
use version_spec::{ErrorKind, ExtraModelPaths, GitSource, ModelEntry, ModelsDir, Revision, Spec};

fn parsed(paths: &ExtraModelPaths) -> (String, BTreeMap<String, String>) {
    let yaml = paths.to_yaml().unwrap();
    let documents = Yaml::load_from_str(&yaml).unwrap();
    let groups = documents[0].as_mapping().unwrap();
    assert_eq!((documents.len(), groups.len()), (1, 1));
    let (group, fields) = groups.iter().next().unwrap();
    let text = |node: &Yaml<'_>| node.as_str().expect("a text").to_owned();
    let fields = fields
        .as_mapping()
        .unwrap()
        .iter()
        .map(|(key, value)| (text(key), text(value)));
    (text(group), fields.collect())
}

#[test]
fn the_folders_of_comfyui_and_their_old_names() {
    let (group, fields) =
        parsed(&ExtraModelPaths::new(&ModelsDir::new("/data/models")).with_folder("clip"));
    assert_eq!((group.as_str(), fields.len()), ("lockstep", 2 + 19));
    for (key, value) in [
        ("base_path", "/data/models"),
        ("is_default", "true"),
        ("loras", "loras"),
        ("text_encoders", "clip\ntext_encoders"),
        ("diffusion_models", "unet\ndiffusion_models"),
    ] {
        assert_eq!(fields[key], value);
    }
    assert!(!fields.contains_key("clip") && !fields.contains_key("unet"));
}

#[test]
fn names_that_yaml_could_misread_come_through() {
    for name in [
        "a: b",
        "#x",
        "no",
        "null",
        "1e3",
        "{a}",
        "- x",
        "\"q\" \\ 'p'",
        "é 模型 😀",
        "a\u{7f}\u{85}\u{2028}\u{feff}b",
        "%x",
        "&x",
        "*x",
        "!x",
    ] {
        let paths = ExtraModelPaths::new(&ModelsDir::new(format!("/m/{name}")))
            .with_folder(name)
            .with_group(name);
        let (group, fields) = parsed(&paths);
        assert_eq!(group, name);
        assert_eq!(
            (fields[name].as_str(), fields["base_path"].as_str()),
            (name, format!("/m/{name}").as_str())
        );
        assert_eq!(paths.to_yaml().unwrap(), paths.to_yaml().unwrap());
    }
}

#[test]
fn a_folder_that_a_spec_names_is_there() {
    let comfy = GitSource::new("https://h/ComfyUI".parse().unwrap(), Revision::Head);
    let mut spec = Spec::new("v1".parse().unwrap(), comfy);
    let entry = |target: &str| {
        ModelEntry::new(
            "x".parse().unwrap(),
            "https://h/x".parse().unwrap(),
            target.parse().unwrap(),
        )
    };
    spec.models = vec![
        entry("insightface/models/x.onnx"),
        entry("unet/x.gguf"),
        entry("x.bin"),
    ];
    let (_, fields) = parsed(&ExtraModelPaths::of(&spec, &ModelsDir::new("/m")));
    assert_eq!(
        (fields["insightface"].as_str(), fields.len()),
        ("insightface", 2 + 20)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(b"/m/\xff"));
    let error = ExtraModelPaths::new(&ModelsDir::new(path))
        .to_yaml()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name);
}
