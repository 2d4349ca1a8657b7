//! A small resolver for [`FakePython`](super::FakePython): right, and slow.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::locked::name_of;

/// By name, by version: what it needs.
pub(super) type Index = BTreeMap<String, BTreeMap<Version, Vec<String>>>;

/// A version as far as it is numbers: `2.1.0`. Equal ones may be written differently (`2.1`).
#[derive(Clone, Debug)]
pub(super) struct Version(pub(super) String);

impl Version {
    fn parts(&self) -> Vec<u64> {
        let mut parts: Vec<u64> = self
            .0
            .split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect();
        while parts.last() == Some(&0) {
            parts.pop();
        }
        parts
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

/// What the requirements lead to: the newest versions that go together. Otherwise what does not, as a sentence.
pub(super) fn solve(
    index: &Index,
    requirements: &[String],
    constraints: &[String],
) -> Result<BTreeMap<String, Version>, String> {
    let mut search = Search {
        index,
        constraints,
        reason: None,
    };
    search
        .go(requirements, BTreeMap::new())
        .ok_or_else(|| search.reason.take().unwrap_or_default())
}

struct Search<'a> {
    index: &'a Index,
    constraints: &'a [String],
    reason: Option<String>,
}

impl Search<'_> {
    fn go(
        &mut self,
        asked: &[String],
        chosen: BTreeMap<String, Version>,
    ) -> Option<BTreeMap<String, Version>> {
        let next = asked.iter().filter_map(|line| name_of(line));
        let next = next.filter(|name| !chosen.contains_key(name)).min();
        let Some(name) = next else {
            return Some(chosen);
        };
        let Some(versions) = self.index.get(&name) else {
            self.because(format!("{name} was not found"));
            return None;
        };
        let limits: Vec<&String> = asked
            .iter()
            .chain(self.constraints)
            .filter(|line| name_of(line).as_ref() == Some(&name))
            .collect();
        for (version, needs) in versions.iter().rev() {
            if !limits.iter().all(|line| allows(line, version)) {
                continue;
            }
            let mut chosen = chosen.clone();
            chosen.insert(name.clone(), version.clone());
            let mut asked = asked.to_vec();
            asked.extend(needs.iter().cloned());
            let broken = chosen.iter().any(|(name, version)| {
                let mut needs = needs.iter();
                needs.any(|line| name_of(line).as_ref() == Some(name) && !allows(line, version))
            });
            if broken {
                self.because(format!(
                    "{name} {} needs {}",
                    version.0,
                    needs.join(" and ")
                ));
                continue;
            }
            if let Some(solved) = self.go(&asked, chosen) {
                return Some(solved);
            }
        }
        let limits: Vec<&str> = limits.iter().map(|line| line.trim()).collect();
        self.because(format!("no {name} satisfies {}", limits.join(" and ")));
        None
    }

    /// The first reason is the deepest one.
    fn because(&mut self, reason: String) {
        self.reason.get_or_insert(reason);
    }
}

/// Whether the specifiers of a requirement allow a version. Extras and markers are not looked at.
fn allows(requirement: &str, version: &Version) -> bool {
    let specifiers = requirement.split(';').next().unwrap_or_default();
    let start = specifiers.find(['=', '<', '>', '!', '~']);
    let specifiers = start.map_or("", |start| &specifiers[start..]);
    specifiers
        .split(',')
        .map(str::trim)
        .filter(|specifier| !specifier.is_empty())
        .all(|specifier| {
            let end = specifier.find(|letter| !"=<>!~".contains(letter));
            let (operator, wanted) = specifier.split_at(end.unwrap_or(specifier.len()));
            let wanted = Version(wanted.trim().to_owned());
            match operator {
                "==" | "===" => *version == wanted,
                "!=" => *version != wanted,
                "<" => *version < wanted,
                "<=" => *version <= wanted,
                ">" => *version > wanted,
                ">=" => *version >= wanted,
                "~=" => {
                    let parts = wanted.parts();
                    let kept = wanted.0.split('.').count().saturating_sub(1);
                    *version >= wanted
                        && version
                            .parts()
                            .iter()
                            .take(kept)
                            .eq(parts.iter().take(kept))
                }
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(packages: &[(&str, &str, &[&str])]) -> Index {
        let mut index = Index::new();
        for (name, version, needs) in packages {
            let needs = needs.iter().map(|line| (*line).to_owned()).collect();
            let versions = index.entry((*name).to_owned()).or_default();
            versions.insert(Version((*version).to_owned()), needs);
        }
        index
    }

    fn solved(
        index: &Index,
        requirements: &[&str],
        constraints: &[&str],
    ) -> Result<String, String> {
        let own = |lines: &[&str]| {
            lines
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()
        };
        let solved = solve(index, &own(requirements), &own(constraints))?;
        let text = solved
            .iter()
            .map(|(name, version)| format!("{name}={}", version.0));
        Ok(text.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_newest_that_go_together_are_taken() {
        let index = index(&[
            ("torch", "2.0", &[]),
            ("torch", "2.1", &[]),
            ("torch", "2.10", &[]),
            ("kit", "1.0", &["torch<2.1"]),
            ("kit", "0.9", &["torch"]),
        ]);
        assert_eq!(solved(&index, &["torch"], &[]).unwrap(), "torch=2.10");
        assert_eq!(solved(&index, &["torch~=2.0"], &[]).unwrap(), "torch=2.10");
        assert_eq!(solved(&index, &["kit"], &[]).unwrap(), "kit=1.0 torch=2.0");
        assert_eq!(
            solved(&index, &["kit"], &["torch==2.1"]).unwrap(),
            "kit=0.9 torch=2.1"
        );
        let reason = solved(&index, &["torch<2.1", "torch>2.1"], &[]).unwrap_err();
        assert_eq!(reason, "no torch satisfies torch<2.1 and torch>2.1");
        assert_eq!(solved(&index, &["x"], &[]).unwrap_err(), "x was not found");
    }
}
