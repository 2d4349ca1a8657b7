//! What may stand in `python_packages`: one requirement, and nothing that a `requirements.txt` would take for more.

use url::Url;

use crate::text::{is_token_field, quote};

type Refusal = (String, String);

const FORM: &str = "write one requirement as pip knows it, for example \"onnx>=1.14\"";

/// Checks the form: PEP 508, or the address of a package or repository. What it means, Python finds out.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    let refuse = |reason: &str, hint: &str| {
        Err((
            format!("{} is no requirement: {reason}", quote(text)),
            hint.to_owned(),
        ))
    };
    if text.chars().any(char::is_control) {
        return refuse(
            "it has control characters",
            "write one requirement an entry",
        );
    }
    if text.starts_with('-') {
        let hint = match text.split([' ', '=']).next() {
            Some("-e" | "--editable") => "write \"<name> @ git+https://…\"",
            Some("-r" | "--requirement") => "write the packages themselves",
            _ => "write packages alone; where they are taken from, the command says",
        };
        return refuse("options are not allowed", hint);
    }
    if text.contains("${") {
        // The programs that read it would fill in what the machine has there, tokens too.
        return refuse("variables are not expanded here", "write the value itself");
    }
    if text.ends_with('\\') {
        return refuse("it ends in a backslash", FORM);
    }
    if text.starts_with('#') || text.contains(" #") {
        return refuse("comments are not allowed", "leave the comment out");
    }
    if is_address(text) {
        return address(text).or_else(|reason| refuse(&reason, FORM));
    }
    let (requirement, marker) = match text.split_once(';') {
        Some((requirement, marker)) => (requirement.trim_end(), Some(marker.trim())),
        None => (text, None),
    };
    if let Some((name, url)) = requirement.split_once('@') {
        // An address may hold `;`, and then the marker stands behind ` ;`.
        let url = text[name.len() + 1..]
            .split(" ;")
            .next()
            .unwrap_or(url)
            .trim();
        return name_and_extras(name.trim())
            .and_then(|rest| {
                if rest.is_empty() {
                    address(url)
                } else {
                    Err("the name is none".into())
                }
            })
            .or_else(|reason| refuse(&reason, "write \"<name> @ <address>\""));
    }
    if marker.is_some_and(str::is_empty) {
        return refuse("it has no marker behind `;`", FORM);
    }
    let rest = match name_and_extras(requirement) {
        Ok(rest) => rest,
        Err(_) if text.contains('/') => {
            return refuse("a path is none", "write \"<name> @ file:///…\"");
        }
        Err(reason) => return refuse(&reason, FORM),
    };
    specifiers(rest).or_else(|reason| refuse(&reason, FORM))
}

/// Whether it starts as a URL does, not with a name.
fn is_address(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else {
        return false;
    };
    scheme
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "+.-".contains(letter))
}

fn address(text: &str) -> Result<(), String> {
    let plain = ["git+", "hg+", "svn+", "bzr+"]
        .iter()
        .find_map(|vcs| text.strip_prefix(vcs));
    let url = Url::parse(plain.unwrap_or(text))
        .map_err(|error| format!("the address is no URL: {error}"))?;
    if !matches!(url.scheme(), "https" | "http" | "ssh" | "git" | "file") {
        return Err(format!("the scheme `{}` is not known", url.scheme()));
    }
    if text.contains(char::is_whitespace) {
        return Err("the address has white space".into());
    }
    let user_is_a_name = url.scheme() == "ssh";
    if url.password().is_some() || !(url.username().is_empty() || user_is_a_name) {
        return Err("the address holds user information, which can be a secret".into());
    }
    if url.query_pairs().any(|(key, _)| is_token_field(&key)) {
        return Err("the address holds a secret".into());
    }
    Ok(())
}

/// What stands behind `name[extra, extra]`.
fn name_and_extras(text: &str) -> Result<&str, String> {
    let end = text
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || "._-".contains(letter)))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !is_name(name) {
        return Err("it does not start with the name of a package".into());
    }
    let rest = rest.trim_start();
    let Some(extras) = rest.strip_prefix('[') else {
        return Ok(rest);
    };
    let (extras, rest) = extras.split_once(']').ok_or("a `[` has no `]`")?;
    if !extras.trim().is_empty() && !extras.split(',').all(|extra| is_name(extra.trim())) {
        return Err(format!("{} are no extras", quote(extras)));
    }
    Ok(rest.trim_start())
}

fn is_name(name: &str) -> bool {
    let ends = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    name.chars().all(letters) && ends(name.chars().next()) && ends(name.chars().last())
}

/// `>=1.0, !=1.5`, with or without brackets, or nothing.
fn specifiers(text: &str) -> Result<(), String> {
    const OPERATORS: [&str; 8] = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"];
    let text = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
        .unwrap_or(text)
        .trim();
    if text.is_empty() {
        return Ok(());
    }
    for specifier in text.trim_end_matches(',').split(',') {
        let specifier = specifier.trim();
        let Some(version) = OPERATORS
            .iter()
            .find_map(|operator| specifier.strip_prefix(operator))
        else {
            return Err(match specifier.strip_prefix('=') {
                Some(version) => format!("an equal sign is written twice: `=={}`", version.trim()),
                None => format!("{} is no condition on a version", quote(specifier)),
            });
        };
        let version = version.trim();
        let letters = |letter: char| letter.is_ascii_alphanumeric() || ".*+!_-".contains(letter);
        if version.is_empty() || !version.chars().all(letters) {
            return Err(format!("{} is no version", quote(version)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_accepted() {
        for text in [
            "sageattention",
            "onnx>=1.14",
            "a==1.0+cu121",
            "A.b-c_d",
            "a[x,y] >=1,<2",
            "a[]",
            "a (>=1.0)",
            "a~=1.0; python_version < \"3.12\"",
            "a ; sys_platform == 'linux'",
            "a===1",
            "a!=1.*",
            "a >= 1!2.0,",
            "a @ https://h/a.whl",
            "a@git+https://h/r@main#subdirectory=x",
            "a[x] @ git+ssh://git@h/r@v1 ; python_version > '3'",
            "git+https://h/r.git@main",
            "https://h/a-1-py3-none-any.whl#sha256=00",
            "a @ file:///x/a.whl",
            "a @ https://h/a;b.whl",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_a_requirement_is_refused() {
        for text in [
            "-r x.txt",
            "--index-url https://h",
            "-e git+https://h/r",
            "--extra-index-url=https://h",
            "a\n--index-url https://h",
            "a\rb",
            "a\\",
            "# x",
            "a # x",
            "a @ https://h/${HF_TOKEN}",
            "${A}",
            "a=1",
            "a 1.0",
            "a>=",
            "a>=1 2",
            "a;",
            "a[",
            "a[x",
            "a[-]",
            "./a",
            "/a",
            "a.whl/b",
            "../a.whl",
            "~/a",
            "a @",
            "a @ x",
            "a @ ftp://h/x",
            "a @ https://u:topsecret@h/x",
            "git+https://topsecret@h/r",
            "https://h/x.whl?token=topsecret",
            "ext+x://h/x",
            "@ https://h/x",
            "_a",
            "a-",
            "é",
            "a b @ https://h/x",
            "a>=1,,<2",
        ] {
            let (message, hint) = check(text).expect_err(text);
            assert!(
                !hint.is_empty() && !message.contains("topsecret"),
                "{message}"
            );
        }
        assert!(check("a=1").unwrap_err().0.contains("`==1`"));
    }
}
