//! The texts that are addresses of repositories, and why others are not.

use url::Url;

use crate::text::{is_token_field, without_secrets};

/// The forms in which an address is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `scheme://…`; `path` is where the path starts.
    Url { path: usize },
    /// `user@host:path`; `path` is where the path starts.
    Scp { path: usize },
    /// `/…`, or `X:/…` on Windows.
    Local,
}

/// Longer than any address in use; a bound for messages, locks and process arguments.
const LONGEST: usize = 2048;

/// Where the `@` of a ref stands.
pub(crate) fn ref_position(text: &str) -> Option<usize> {
    let start = match form_of(text)? {
        Form::Url { path } if !is_file(text) => path,
        Form::Scp { path } => path,
        Form::Url { .. } | Form::Local => text.rfind('/')?,
    };
    text[start..].find('@').map(|at| start + at)
}

/// Whether it is a `file:` URL.
pub(crate) fn is_file(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("file"))
}

/// How a text is written, if it can be an address at all.
pub(crate) fn form_of(text: &str) -> Option<Form> {
    if let Some(authority) = text.find("://") {
        let authority = authority + "://".len();
        let path = text[authority..].find('/').map(|slash| authority + slash);
        return path.map(|path| Form::Url { path });
    }
    let bytes = text.as_bytes();
    let drive = bytes.len() > 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && b"/\\".contains(&bytes[2]);
    if text.starts_with('/') || drive {
        return Some(Form::Local);
    }
    let colon = text.find(':')?;
    (!text[..colon].contains('/')).then_some(Form::Scp { path: colon + 1 })
}

/// Why an address is refused, and what to write instead.
pub(crate) struct Fault(pub(crate) String, pub(crate) String);

impl Fault {
    fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(reason.into(), hint.into())
    }
}

const FORMS: &str = "write an `https://` or `ssh://` address, `git@host:owner/repo`, or the absolute path of a local repository";

/// The address as git is called with.
pub(crate) fn normalise(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::new("it is empty", FORMS));
    }
    if text.len() > LONGEST {
        return Err(Fault::new(
            format!("it is longer than {LONGEST} bytes"),
            FORMS,
        ));
    }
    if text.starts_with('-') {
        return Err(Fault::new("git would take it for an option", FORMS));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(Fault::new(
            "it has control characters, or white space at an end",
            FORMS,
        ));
    }
    let address = match form_of(text) {
        Some(Form::Local) => Ok(text.trim_end_matches('/').to_owned()),
        Some(Form::Url { path }) => url(text, path),
        Some(Form::Scp { path }) => scp(text, path),
        None if text.contains("://") => Err(Fault::new(
            "it names a host, but no repository there",
            FORMS,
        )),
        None if text.starts_with(['~', '$']) => Err(Fault::new(
            "it is no absolute path",
            "write the path in full; neither `~` nor variables are expanded here",
        )),
        None if text.split('/').count() == 2 && !text.starts_with('.') => Err(Fault::new(
            "it has no host",
            format!(
                "write it in full, for example \"https://github.com/{}\"",
                text.trim_end_matches('/')
            ),
        )),
        None => Err(Fault::new(
            "it is neither a URL nor an absolute path",
            FORMS,
        )),
    }?;
    if address.is_empty() || address.ends_with(['/', ':']) {
        return Err(Fault::new("it names no repository", FORMS));
    }
    Ok(address)
}

fn url(text: &str, path: usize) -> Result<String, Fault> {
    let scheme = text[..path]
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match scheme.as_str() {
        "https" | "http" | "ssh" | "git" | "file" => {}
        "git+https" | "git+http" | "git+ssh" | "ssh+git" | "git+file" => {
            let plain = if scheme == "ssh+git" {
                "ssh"
            } else {
                &scheme["git+".len()..]
            };
            return Err(Fault::new(
                format!("git knows no scheme `{scheme}`"),
                format!("write `{plain}://` in its place"),
            ));
        }
        _ => {
            return Err(Fault::new(
                format!(
                    "the scheme `{}` is none for git here",
                    without_secrets(&scheme)
                ),
                FORMS,
            ));
        }
    }
    if text.chars().any(char::is_whitespace) && scheme != "file" {
        return Err(Fault::new("it has white space", FORMS));
    }
    let url =
        Url::parse(text).map_err(|error| Fault::new(format!("it is no URL: {error}"), FORMS))?;
    if url.query().is_some() || url.fragment().is_some() {
        let secret = url.query_pairs().any(|(key, _)| is_token_field(&key));
        let hint = if secret {
            "leave the token out of the file; git asks its credential helper for it"
        } else {
            "leave out what stands behind `?` or `#`; a branch or tag goes into `ref`"
        };
        return Err(Fault::new("it has a query or a fragment", hint));
    }
    // git decodes these, and hands them to credential helpers, for which a line break ends a field: CVE-2020-5260.
    let mut encoded = text.match_indices('%').map(|(at, _)| &text[at + 1..]);
    if encoded.any(|digits| digits.starts_with(['0', '1'])) {
        return Err(Fault::new("it has an encoded control character", FORMS));
    }
    user_information(&url, &scheme)?;
    host(&url, &scheme)?;
    if url.path().trim_matches('/').is_empty() {
        return Err(Fault::new(
            "it names a host, but no repository there",
            FORMS,
        ));
    }
    if scheme != "file" && url.path().contains('@') {
        return Err(Fault::new(
            "it has an `@` in its path",
            "write the ref behind the `@` into `ref`",
        ));
    }
    if let Some((repository, rest)) = web_page(&url) {
        return Err(Fault::new(
            "it is the address of a page, not of a repository",
            format!("write \"{repository}\", and \"{rest}\" into `ref`"),
        ));
    }
    // Only for these does the crate know which spellings mean the same.
    let address = if matches!(scheme.as_str(), "https" | "http") {
        url.as_str().to_owned()
    } else {
        format!("{scheme}{}", &text[scheme.len()..])
    };
    Ok(address.trim_end_matches('/').to_owned())
}

fn user_information(url: &Url, scheme: &str) -> Result<(), Fault> {
    // An encoded dash would be decoded on its way to ssh.
    let user_is_a_name = scheme == "ssh" && !url.username().starts_with(['-', '%']);
    if url.password().is_some() || !(url.username().is_empty() || user_is_a_name) {
        return Err(Fault::new(
            "it holds user information, which can be a secret",
            "write it without what stands before the `@`; git asks its credential helper, or ssh, who you are",
        ));
    }
    Ok(())
}

fn host(url: &Url, scheme: &str) -> Result<(), Fault> {
    let host = url.host_str().unwrap_or_default();
    if scheme == "file" {
        if host.is_empty() || host == "localhost" {
            return Ok(());
        }
        return Err(Fault::new(
            "a `file:` address has no host",
            "write three slashes: `file:///…`",
        ));
    }
    // ssh would take a leading dash for an option: CVE-2017-1000117.
    if host.is_empty() || host.starts_with(['-', '%']) {
        return Err(Fault::new("it names no host", FORMS));
    }
    Ok(())
}

/// Pages of the well-known forges that people copy from the browser: the repository, and the ref behind it.
fn web_page(url: &Url) -> Option<(String, String)> {
    let host = url.host_str()?;
    let parts: Vec<&str> = url.path_segments()?.collect();
    let at = parts
        .iter()
        .position(|part| matches!(*part, "tree" | "commit"))?;
    let repository = match host {
        "github.com" | "www.github.com" | "huggingface.co" if at == 2 => &parts[..2],
        "gitlab.com" if at > 2 && parts[at - 1] == "-" => &parts[..at - 1],
        _ => return None,
    };
    let rest = parts[at + 1..].join("/");
    (!rest.is_empty()).then(|| (format!("https://{host}/{}", repository.join("/")), rest))
}

fn scp(text: &str, path: usize) -> Result<String, Fault> {
    let (login, path) = (&text[..path - 1], &text[path..]);
    let (user, host) = match login.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, login),
    };
    let plain = |part: &str| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
        !part.is_empty() && !part.starts_with('-') && part.chars().all(allowed)
    };
    // One letter alone is a drive of Windows; two colons name a program that git would run.
    if login.len() < 2 || !plain(host) || !user.is_none_or(plain) || path.starts_with(':') {
        return Err(Fault::new(
            "it is neither a URL nor `user@host:path`",
            FORMS,
        ));
    }
    if path.starts_with('-') || path.contains('@') || path.chars().any(char::is_whitespace) {
        return Err(Fault::new("its path is none of a repository", FORMS));
    }
    Ok(text.trim_end_matches('/').to_owned())
}
