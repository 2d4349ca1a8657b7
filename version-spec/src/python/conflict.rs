//! Who asks for what, where the resolver only knows packages.

use super::PythonRequest;
use super::locked::{name_of, normalised};
use crate::text::without_secrets;
use crate::{Error, ErrorKind};

/// The error for requirements that do not go together, or that nothing satisfies: `said` is the resolver's reason.
pub(super) fn error(request: &PythonRequest, said: &str) -> Error {
    let message = match askers_in(said, request) {
        Some(askers) => format!("the Python packages cannot be resolved together: {askers}"),
        None => "the Python packages cannot be resolved together".to_owned(),
    };
    Error::new(ErrorKind::Python, message).with_source(without_secrets(said).into_owned())
}

/// More would hide what matters.
const NAMED: usize = 6;

/// Who asks for the packages that a text mentions: `KJNodes asks for "numpy<2", rgthree for "numpy>=2"`. `None` if nobody does.
///
/// Where several ask for one package and others are asked for only once, those with several askers are named.
pub(super) fn askers_in(said: &str, request: &PythonRequest) -> Option<String> {
    let mentioned: Vec<String> = said
        .split(|letter: char| !(letter.is_ascii_alphanumeric() || "._-".contains(letter)))
        .map(|word| normalised(word.trim_matches(['.', '-', '_'])))
        .collect();
    let mut packages: Vec<(String, Vec<String>)> = Vec::new();
    for asker in &request.requirements {
        for line in &asker.lines {
            let Some(name) = name_of(line).filter(|name| mentioned.contains(name)) else {
                continue;
            };
            let asks = format!("{} asks for {:?}", asker.asker, without_secrets(line));
            match packages.iter_mut().find(|(known, _)| *known == name) {
                Some((_, asked)) => asked.push(asks),
                None => packages.push((name, vec![asks])),
            }
        }
    }
    if packages.iter().any(|(_, asked)| asked.len() > 1) {
        packages.retain(|(_, asked)| asked.len() > 1);
    }
    let mut asked: Vec<String> = packages.into_iter().flat_map(|(_, asked)| asked).collect();
    let more = asked.len().saturating_sub(NAMED);
    asked.truncate(NAMED);
    if more > 0 {
        asked.push(format!("and {more} more"));
    }
    (!asked.is_empty()).then(|| asked.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AskerRole, Requirements};

    fn request(askers: &[(&str, &[&str])]) -> PythonRequest {
        let add = |request: PythonRequest, (asker, lines): &(&str, &[&str])| {
            request.with_requirements(Requirements::new(
                *asker,
                AskerRole::Node,
                lines.iter().copied(),
            ))
        };
        askers.iter().fold(PythonRequest::new("cache"), add)
    }

    #[test]
    fn askers_are_found_by_the_packages_that_are_mentioned() {
        let request = request(&[
            ("One", &["numpy<2", "other"]),
            ("Two", &["NumPy>=2", "single==1"]),
        ]);
        let said = "Because you require numpy<2 and numpy>=2 and single==1, that is unsatisfiable.";
        let text = askers_in(said, &request).unwrap();
        assert_eq!(text, r#"One asks for "numpy<2", Two asks for "NumPy>=2""#);
        let text = askers_in("Because single was not found.", &request).unwrap();
        assert_eq!(text, r#"Two asks for "single==1""#);
        assert_eq!(askers_in("Because of the weather.", &request), None);
    }

    #[test]
    fn many_askers_are_counted() {
        let names: Vec<String> = (0..10).map(|number| format!("n{number}")).collect();
        let askers: Vec<(&str, &[&str])> = names
            .iter()
            .map(|name| (&**name, &["x"] as &[&str]))
            .collect();
        let text = askers_in("x", &request(&askers)).unwrap();
        assert!(text.ends_with("n5 asks for \"x\", and 4 more"), "{text}");
    }
}
