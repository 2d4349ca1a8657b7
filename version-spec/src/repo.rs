//! Where a repository is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::address::{Fault, Form, form_of, is_file, normalise, ref_position};
use crate::text::{quote, without_secrets};
use crate::{Error, ErrorKind, Revision};

/// The address of a git repository: an `https:`, `http:`, `ssh:`, `git:` or `file:` URL, `user@host:path`, or an absolute local path.
///
/// It holds no secret: user information is accepted for ssh alone, where it is a name, and no password. Addresses that git would take
/// for an option or for a command to run (`ext::…`) are refused. It ends in no slash, and only a local one may have an `@` in
/// its path, so that `<url>@<ref>` can be split again.
///
/// `Display` and `Debug` show of the user no more than `git`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoUrl(Box<str>);

impl RepoUrl {
    /// The address as git is called with.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part of the address without `.git`, as it is; the name that people know the repository by.
    #[must_use]
    pub fn name(&self) -> &str {
        let last = self.0.rsplit(['/', ':', '\\']).next().unwrap_or(&self.0);
        last.strip_suffix(".git").unwrap_or(last)
    }

    /// Where it is on this machine, if it is: an absolute path or a `file:` URL. No network is needed then.
    #[must_use]
    pub fn local_path(&self) -> Option<PathBuf> {
        match form_of(&self.0) {
            Some(Form::Local) => Some(PathBuf::from(&*self.0)),
            Some(Form::Url { .. }) if is_file(&self.0) => {
                Url::parse(&self.0).ok()?.to_file_path().ok()
            }
            _ => None,
        }
    }

    /// Reads `<url>@<ref>` or `<url>`.
    ///
    /// The first `@` behind the host starts the ref. In a local address, whose folders may have an `@` in their names, only one in
    /// the last part does; a slash at the end says that even that one belongs to the path.
    ///
    /// # Errors
    /// `Spec` if the address or the ref is none.
    pub fn split(text: &str) -> Result<(Self, Option<Revision>), Error> {
        match ref_position(text) {
            None => Ok((text.parse()?, None)),
            Some(at) => Ok((text[..at].parse()?, Some(text[at + 1..].parse()?))),
        }
    }

    /// The address such that [`split`](Self::split) finds no ref in it.
    pub(crate) fn without_ref(&self) -> String {
        let slash = if ref_position(&self.0).is_some() {
            "/"
        } else {
            ""
        };
        format!("{}{slash}", self.0)
    }
}

impl TryFrom<String> for RepoUrl {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        match normalise(&text) {
            Ok(address) => Ok(Self(address.into())),
            Err(Fault(reason, hint)) => {
                let message = format!("{} is no address of a repository: {reason}", quote(&text));
                Err(Error::new(ErrorKind::Spec, message).with_hint(hint))
            }
        }
    }
}

impl FromStr for RepoUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl From<RepoUrl> for String {
    fn from(repo: RepoUrl) -> Self {
        repo.0.into()
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Form::Scp { path }) = form_of(&self.0)
            && let Some((user, _)) = self.0[..path].split_once('@')
            && user != "git"
        {
            return formatter.pad(&format!("…{}", &self.0[user.len()..]));
        }
        formatter.pad(&without_secrets(&self.0))
    }
}

impl fmt::Debug for RepoUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RepoUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (String, Option<String>) {
        let (repo, revision) =
            RepoUrl::split(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (
            repo.as_str().to_owned(),
            revision.map(|revision| revision.to_string()),
        )
    }

    #[test]
    fn all_forms_are_split() {
        for (text, repo, revision) in [
            ("https://h/o/r", "https://h/o/r", None),
            ("https://H/o/r.git/", "https://h/o/r.git", None),
            (
                "https://h:8443/o/r@main",
                "https://h:8443/o/r",
                Some("main"),
            ),
            (
                "https://h/o/r@feature/x",
                "https://h/o/r",
                Some("feature/x"),
            ),
            ("https://h/o/r@pkg@1.0", "https://h/o/r", Some("pkg@1.0")),
            (
                "https://h/o/r@refs/pull/1/head",
                "https://h/o/r",
                Some("refs/pull/1/head"),
            ),
            ("git@h:o/r", "git@h:o/r", None),
            ("git@h:o/r.git@v1", "git@h:o/r.git", Some("v1")),
            ("h.example:r@v1", "h.example:r", Some("v1")),
            ("ssh://git@h:22/~u/r@v1", "ssh://git@h:22/~u/r", Some("v1")),
            ("ssh://h/r", "ssh://h/r", None),
            ("SSH://h/r@x", "ssh://h/r", Some("x")),
            ("FILE:///srv/a@b/r@x", "file:///srv/a@b/r", Some("x")),
            ("HTTPS://h/o%20r", "https://h/o%20r", None),
            ("git://h/r@x", "git://h/r", Some("x")),
            ("/srv/r", "/srv/r", None),
            ("/srv/r@main", "/srv/r", Some("main")),
            ("/srv/a@b/r", "/srv/a@b/r", None),
            ("/srv/r@main/", "/srv/r@main", None),
            ("file:///srv/a@b/r@main", "file:///srv/a@b/r", Some("main")),
            ("C:\\x\\r", "C:\\x\\r", None),
            ("C:/x/r@v1", "C:/x/r", Some("v1")),
        ] {
            let revision = revision.map(str::to_owned);
            assert_eq!(split(text), (repo.to_owned(), revision), "{text}");
            let repo: RepoUrl = repo.parse().unwrap();
            assert_eq!(
                split(&repo.without_ref()),
                (repo.as_str().to_owned(), None),
                "{text}"
            );
        }
        let commit = "c".repeat(40);
        let (_, revision) = RepoUrl::split(&format!("https://h/r@{commit}")).unwrap();
        assert!(matches!(revision, Some(Revision::Commit(_))));
    }

    #[test]
    fn hostile_and_hopeless_addresses_are_refused_with_a_hint() {
        for text in [
            "",
            "-u",
            "--upload-pack=touch /tmp/x",
            "ext::sh -c touch",
            "ext::ssh%20x",
            "fd::17",
            "ssh://-oProxyCommand=x/r",
            "ssh://%2doProxyCommand=x/r",
            "ssh://%2dx@h/r",
            "https://h/%0ahost=evil/r",
            "https://h%0aevil/r",
            "-o@h:r",
            "git@-h:r",
            "git@h:-r",
            "https://alice@h/r",
            "https://u:p@h/r",
            "ssh://u:p@h/r",
            "ssh://-u@h/r",
            "https://h",
            "https://h/",
            "https:///",
            "https://h/r?token=x",
            "https://h/r#main",
            "javascript://x/y",
            "s3://b/k",
            "file://host/r",
            "./r",
            "../r",
            "r",
            "~/r",
            "$HOME/r",
            "/",
            "C:r",
            "https://h/a b",
            " https://h/r",
            "https://h/r\n",
            "https://h/r@-x",
            "https://h/r@",
            "https://h/r@a..b",
            "git+https://h/r",
            "owner/repo",
            "https://github.com/o/r/tree/main",
        ] {
            let error = RepoUrl::split(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Spec, "{text}");
            let (message, hint) = (error.to_string(), error.hint().unwrap_or_default());
            assert!(
                !message.contains("u:p") && !message.contains("alice"),
                "{message}"
            );
            assert!(
                !hint.is_empty() || message.contains("branch or tag"),
                "{text}: no hint"
            );
        }
    }

    #[test]
    fn hints_say_what_to_write() {
        let hint = |text: &str| {
            text.parse::<RepoUrl>()
                .unwrap_err()
                .hint()
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            hint("o/r"),
            "write it in full, for example \"https://github.com/o/r\""
        );
        assert_eq!(hint("git+ssh://git@h/r"), "write `ssh://` in its place");
        assert_eq!(
            hint("https://github.com/o/r/tree/feature/x"),
            "write \"https://github.com/o/r\", and \"feature/x\" into `ref`"
        );
    }

    #[test]
    fn users_are_not_shown() {
        let show = |text: &str| {
            let repo = text.parse::<RepoUrl>().unwrap();
            assert_eq!(format!("{repo:?}"), format!("RepoUrl({repo})"));
            repo.to_string()
        };
        assert_eq!(show("git@h:o/r"), "git@h:o/r");
        assert_eq!(show("alice@h:o/r"), "…@h:o/r");
        assert_eq!(show("ssh://alice@h/r"), "ssh://…@h/r");
        assert_eq!(show("ssh://git@h/r"), "ssh://git@h/r");
    }

    #[test]
    fn a_repository_has_a_name_and_perhaps_a_path() {
        let repo = |text: &str| text.parse::<RepoUrl>().unwrap();
        assert_eq!(
            repo("https://h/o/ComfyUI-KJNodes.git/").name(),
            "ComfyUI-KJNodes"
        );
        assert_eq!(repo("git@h:r.git").name(), "r");
        assert_eq!(repo("/srv/r").local_path(), Some("/srv/r".into()));
        assert_eq!(
            repo("file:///srv/a%20b").local_path(),
            Some("/srv/a b".into())
        );
        assert_eq!(repo("https://h/r").local_path(), None);
    }
}
