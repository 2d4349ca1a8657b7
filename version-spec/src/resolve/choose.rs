//! Which ref a name means.

use crate::text::quote;
use crate::{CommitId, Error, ErrorKind, RefName, RemoteRef, RepoUrl, Revision};

/// The ref that a revision means.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) commit: CommitId,
    /// The tag of the same name as the branch that was chosen, if it means another commit or not.
    pub(super) hidden_tag: Option<String>,
}

/// A name given in full means that ref; else a branch is looked for, then a tag, then `refs/<name>` (`pull/1/head`).
pub(super) fn choose(
    repo: &RepoUrl,
    revision: &Revision,
    refs: &[RemoteRef],
) -> Result<Chosen, Error> {
    let find = |name: &str| refs.iter().find(|candidate| candidate.name == name);
    let chosen = |found: &RemoteRef| Chosen {
        name: found.name.clone(),
        commit: found.commit.clone(),
        hidden_tag: None,
    };
    let name = match revision {
        Revision::Ref(name) => name,
        Revision::Head | Revision::Commit(_) => {
            return find("HEAD").map(chosen).ok_or_else(|| no_head(repo, refs));
        }
    };
    if let Some(found) = find(name.as_str()).filter(|_| name.is_full()) {
        return Ok(chosen(found));
    }
    let tag = find(&format!("refs/tags/{name}"));
    if let Some(branch) = find(&format!("refs/heads/{name}")) {
        let hidden_tag = tag.map(|tag| tag.name.clone());
        return Ok(Chosen {
            hidden_tag,
            ..chosen(branch)
        });
    }
    let found = tag.or_else(|| find(&format!("refs/{name}")));
    found.map(chosen).ok_or_else(|| no_ref(repo, name, refs))
}

fn no_head(repo: &RepoUrl, refs: &[RemoteRef]) -> Error {
    if refs.is_empty() {
        let message = format!("{repo} has no commits yet");
        return Error::new(ErrorKind::NotFound, message)
            .with_hint("see whether the address is right, or push something to it");
    }
    let message = format!("the HEAD of {repo} points to no branch that exists");
    Error::new(ErrorKind::NotFound, message).with_hint(format!("add a `ref`; {}", branches(refs)))
}

fn no_ref(repo: &RepoUrl, name: &RefName, refs: &[RemoteRef]) -> Error {
    let text = name.as_str();
    let message = format!("{repo} has no branch or tag {}", quote(text));
    let is_hexadecimal =
        (4..40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hint = if is_hexadecimal {
        "if it is the start of a commit, write all 40 digits; servers know no shorter ones"
            .to_owned()
    } else if let Some(meant) = meant(text, refs) {
        format!("write {}", quote(meant))
    } else {
        branches(refs)
    };
    Error::new(ErrorKind::NotFound, message).with_hint(hint)
}

/// The branch or tag that is most likely meant.
fn meant<'r>(text: &str, refs: &'r [RemoteRef]) -> Option<&'r str> {
    let short = |candidate: &'r RemoteRef| {
        let name = candidate.name.as_str();
        name.strip_prefix("refs/heads/")
            .or_else(|| name.strip_prefix("refs/tags/"))
    };
    let bare = text.rsplit_once("origin/").map_or(text, |(_, name)| name);
    let same = |name: &str| {
        let alike = |other: &str| name.eq_ignore_ascii_case(other);
        alike(bare) || alike(&format!("v{bare}")) || bare.strip_prefix('v').is_some_and(alike)
    };
    let renamed = |name: &str| matches!((bare, name), ("master", "main") | ("main", "master"));
    let names = || refs.iter().filter_map(short);
    names()
        .find(|name| same(name))
        .or_else(|| names().find(|name| renamed(name)))
}

fn branches(refs: &[RemoteRef]) -> String {
    const SHOWN: usize = 5;
    let names: Vec<&str> = refs
        .iter()
        .filter_map(|found| found.name.strip_prefix("refs/heads/"))
        .collect();
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| quote(name)).collect();
    match names.len().saturating_sub(SHOWN) {
        0 if names.is_empty() => "it has no branches".into(),
        0 => format!("its branches are {}", shown.join(", ")),
        more => format!("its branches are {} and {more} more", shown.join(", ")),
    }
}
