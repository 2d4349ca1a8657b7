//! `{repo, ref, commit}` to a source.

use serde_json::Value;

use super::GitSource;
use super::fields::Fields;
use super::notes::Notes;
use crate::text::quote;
use crate::{CommitId, ErrorKind, RefName, RepoUrl, Revision};

const SHAPE: &str = "write `{\"repo\": …, \"ref\": …}`";

/// The source that stands at a place by itself: an object with nothing else in it, or `"<url>@<ref>"`.
pub(super) fn source(value: &Value, at: &str, notes: &mut Notes) -> Option<GitSource> {
    if let Value::String(text) = value {
        return of_text(text, at, notes);
    }
    let fields = Fields::of(value, at, SHAPE, notes)?;
    let source = of_fields(&fields, notes);
    fields.finish(notes);
    source
}

/// `"<url>@<ref>"` where an object is due.
pub(super) fn of_text(text: &str, at: &str, notes: &mut Notes) -> Option<GitSource> {
    notes.warn(
        at,
        "a text is understood as the repository",
        format!("write `{{\"repo\": {}}}`", quote(text)),
    );
    match RepoUrl::split(text.trim()) {
        Ok((repo, revision)) => {
            let revision = revision.unwrap_or(Revision::Head);
            Some(GitSource::new(repo, revision))
        }
        Err(error) => {
            notes.refused(at, &error, SHAPE);
            None
        }
    }
}

/// The fields `repo`, `ref` and `commit`.
pub(super) fn of_fields(fields: &Fields<'_>, notes: &mut Notes) -> Option<GitSource> {
    let mut stated: Vec<(String, Revision)> = Vec::new();
    let repo = repo(fields, &mut stated, notes);
    let reference = fields.text("ref", "write the name of a branch or tag", notes);
    stated.extend(reference.and_then(|text| of_ref(text, &fields.pointer("ref"), notes)));
    let commit = fields.text(
        "commit",
        "write the 40 hexadecimal digits of a commit",
        notes,
    );
    stated.extend(commit.and_then(|text| of_commit(text, &fields.pointer("commit"), notes)));
    let (revision, named_ref) = combine(stated, notes)?;
    Some(GitSource {
        repo: repo?,
        revision,
        named_ref,
    })
}

fn repo(
    fields: &Fields<'_>,
    stated: &mut Vec<(String, Revision)>,
    notes: &mut Notes,
) -> Option<RepoUrl> {
    let hint = "write the address of the repository";
    let at = fields.pointer("repo");
    let Some(text) = fields.text("repo", hint, notes) else {
        if fields.value("repo").is_none_or(Value::is_string) {
            fields.missing(
                "repo",
                &["url", "repository", "git_url"],
                "add `\"repo\": …`, the address of the repository",
                notes,
            );
        }
        return None;
    };
    match RepoUrl::split(text.trim()) {
        Ok((repo, revision)) => {
            stated.extend(revision.map(|revision| (at, revision)));
            Some(repo)
        }
        Err(error) => {
            notes.refused(
                at,
                &error,
                "write the address of the repository, and a branch or tag into `ref`",
            );
            None
        }
    }
}

fn of_ref(text: &str, at: &str, notes: &mut Notes) -> Option<(String, Revision)> {
    match text.trim().parse::<Revision>() {
        Ok(revision) => {
            if revision.commit().is_some() {
                notes.warn(
                    at,
                    "a commit stands in `ref`; it is understood as one",
                    "write it into `commit`",
                );
            }
            Some((at.to_owned(), revision))
        }
        Err(error) => {
            notes.refused(at, &error, "write the name of a branch or tag");
            None
        }
    }
}

fn of_commit(text: &str, at: &str, notes: &mut Notes) -> Option<(String, Revision)> {
    let text = text.trim();
    if let Ok(commit) = text.parse::<CommitId>() {
        return Some((at.to_owned(), Revision::Commit(commit)));
    }
    if text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let message = format!(
            "{} has {} digits; no server finds a commit by a part of its name",
            quote(text),
            text.len()
        );
        let hint = "write all 40 digits; if it is the name of a branch or tag, write it into `ref`";
        notes.problem(ErrorKind::Spec, at, message, hint);
        return None;
    }
    match text.parse::<Revision>() {
        Ok(revision) => {
            let message = format!("{} is no commit; it is resolved like a ref", quote(text));
            notes.warn(
                at,
                message,
                format!("write \"ref\": {}, and leave `commit` out", quote(text)),
            );
            Some((at.to_owned(), revision))
        }
        Err(error) => {
            notes.refused(
                at,
                &error,
                "write the 40 hexadecimal digits of a commit, or leave it out",
            );
            None
        }
    }
}

/// One revision of what several fields say. A commit and a ref agree: the commit decides.
fn combine(
    stated: Vec<(String, Revision)>,
    notes: &mut Notes,
) -> Option<(Revision, Option<RefName>)> {
    let mut commit: Option<CommitId> = None;
    let mut other: Option<Revision> = None;
    let mut agrees = true;
    for (at, revision) in stated {
        let contradiction = match (&revision, &commit, &other) {
            (Revision::Commit(new), Some(old), _) if new != old => Some(old.to_string()),
            (Revision::Head | Revision::Ref(_), _, Some(old)) if revision != *old => {
                Some(old.to_string())
            }
            _ => None,
        };
        if let Some(old) = contradiction {
            let message = format!(
                "it asks for {}, and another field of the entry for {}",
                quote(&revision.to_string()),
                quote(&old)
            );
            notes.problem(ErrorKind::Spec, at, message, "leave one of the two");
            agrees = false;
        } else if let Revision::Commit(new) = revision {
            commit = Some(new);
        } else {
            other = Some(revision);
        }
    }
    if !agrees {
        return None;
    }
    Some(match (commit, other) {
        (Some(commit), Some(Revision::Ref(name))) => (Revision::Commit(commit), Some(name)),
        (Some(commit), _) => (Revision::Commit(commit), None),
        (None, other) => (other.unwrap_or(Revision::Head), None),
    })
}
