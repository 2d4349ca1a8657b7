//! Commands that read and write specs, and nothing else.

use serde_json::{Value, json};
use version_spec::{
    CancellationToken, Comfy, ErrorKind, Existing, ModelsDir, Parsed, RepoUrl, SpecDraft,
    SpecProblem, migrate as migrated, version_of_lock_file,
};

use super::setup::{read, specs};
use crate::args::comfy::{CloneVersion, Create, Folders, Migrate, Validate};
use crate::exit::{Exit, Failure};
use crate::output::{Reply, comfy as output};

pub(super) fn create(arguments: Create) -> Result<Reply, Failure> {
    let comfy = specs(&arguments.folders, arguments.cache.as_deref())?;
    let mut draft = SpecDraft::new(arguments.version_id, &arguments.comfy);
    for node in &arguments.nodes {
        draft = draft.with_node(node);
    }
    if let Some(file) = &arguments.node_list {
        draft = draft.with_node_list(&read(file)?);
    }
    if let Some(file) = &arguments.model_list {
        draft = draft.with_model_list(&read(file)?);
    }
    for package in &arguments.packages {
        draft = draft.with_python_package(package);
    }
    for variable in &arguments.env {
        let Some((name, value)) = variable.split_once('=') else {
            return Err(Failure::usage(format!(
                "--env takes NAME=VALUE, not {variable:?}"
            )));
        };
        draft = draft.with_env(name, value);
    }
    let models_dir = ModelsDir::new(comfy.models_dir().path());
    let mut parsed = draft
        .with_models_dir(models_dir.clone())
        .finish()
        .map_err(version_spec::Error::from)?;
    if arguments.checksums {
        parsed
            .spec
            .pin_local_models(&models_dir, &CancellationToken::new())?;
    }
    save(&comfy, &parsed, arguments.force)
}

pub(super) fn clone(arguments: &CloneVersion) -> Result<Reply, Failure> {
    let comfy = specs(&arguments.folders, None)?;
    let mut parsed = comfy.spec(&arguments.version_id)?;
    parsed.spec = parsed.spec.with_version_id(arguments.to.clone());
    save(&comfy, &parsed, arguments.force)
}

pub(super) fn migrate(arguments: Migrate) -> Result<Reply, Failure> {
    let comfy = specs(&arguments.folders, None)?;
    let name = arguments
        .file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let id = arguments.version_id.or_else(|| version_of_lock_file(&name));
    let id = id.ok_or_else(|| {
        Failure::usage(format!(
            "{name} does not say which version it is; name one by --version-id"
        ))
    })?;
    let repo: RepoUrl = arguments.comfy.parse()?;
    let parsed =
        migrated(&read(&arguments.file)?, &id, &repo).map_err(version_spec::Error::from)?;
    save(&comfy, &parsed, arguments.force)
}

fn save(comfy: &Comfy, parsed: &Parsed, force: bool) -> Result<Reply, Failure> {
    let existing = if force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let path = comfy
        .specs()
        .save(&parsed.spec, existing)
        .map_err(|error| match error.kind() {
            ErrorKind::Exists => Failure::from(error).with_hint("--force replaces it"),
            _ => error.into(),
        })?;
    let human = format!("wrote {}\n", path.display());
    let json = json!({"version_id": parsed.spec.version_id, "spec": path.display().to_string()});
    Ok(Reply::report(&human, json).with_warnings(texts(&parsed.warnings)))
}

fn texts(problems: &[SpecProblem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

pub(super) fn validate(arguments: &Validate) -> Result<Reply, Failure> {
    let found = found(arguments, &arguments.folders)?;
    let is_good = found.iter().all(|(_, checked)| checked.is_ok());
    let human = output::validated(&found);
    let json: Vec<Value> = found
        .iter()
        .map(|(name, checked)| output::validated_json(name, checked))
        .collect();
    let exit = if is_good { Exit::Done } else { Exit::Failed };
    Ok(Reply::report(&human, json!({"valid": is_good, "specs": json})).with_exit(exit))
}

pub(super) type Checked = Result<Parsed, version_spec::Error>;

fn found(arguments: &Validate, folders: &Folders) -> Result<Vec<(String, Checked)>, Failure> {
    if let Some(file) = &arguments.spec {
        let bytes = read(file)?;
        let checked = version_spec::SpecReader::new()
            .read(&bytes)
            .map_err(Into::into);
        return Ok(vec![(file.display().to_string(), checked)]);
    }
    let comfy = specs(folders, None)?;
    if let Some(id) = &arguments.version_id {
        let path = comfy.specs().path_of(id).display().to_string();
        return match comfy.spec(id) {
            Err(error) if error.problems().is_empty() => Err(error.into()),
            checked => Ok(vec![(path, checked)]),
        };
    }
    Ok(comfy
        .specs()
        .list()?
        .into_iter()
        .map(|stored| (stored.file_name, stored.spec))
        .collect())
}
