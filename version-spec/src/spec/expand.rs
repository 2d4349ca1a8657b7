//! Variables in texts. `COMFY_HOME` and `MODELS_DIR` stay symbols, so that a spec means the same on every machine.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::text::quote;

/// A folder whose place the machine decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Home,
    Models,
}

impl Base {
    pub(super) const ALL: [Self; 2] = [Self::Home, Self::Models];

    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Home => "COMFY_HOME",
            Self::Models => "MODELS_DIR",
        }
    }

    pub(super) fn named(variable: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|base| base.variable() == variable)
    }
}

/// Longest expanded text, and most steps on the way: variables that double each other grow without bound.
const LONGEST: usize = 32 * 1024;
const MOST_STEPS: usize = 10_000;
/// Most steps for all texts of a spec, which may have a hundred thousand.
const MOST_STEPS_OF_ALL: usize = 1_000_000;
/// Most variables that are in each other's values; a bound for the stack.
const DEEPEST: usize = 64;

/// The variables of a spec.
#[derive(Debug, Default)]
pub(super) struct Variables {
    env: BTreeMap<String, String>,
    /// Where the bases are, as far as it is known: absolute, without a slash at the end.
    roots: Vec<(String, Base)>,
    /// Where `COMFY_HOME` and `MODELS_DIR` are, if they are to be filled in.
    filled: Option<(String, String)>,
    /// Steps that were taken.
    steps: Cell<usize>,
}

/// Why a text could not be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: String,
    /// The variables in whose values it lies: all of a cycle, and of what grows too long or too deep; otherwise one, or none if it is
    /// in the text itself.
    pub(super) inside: Vec<String>,
}

/// A text in which only a base at its start is left to fill in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) base: Option<Base>,
    pub(super) text: String,
}

impl Variables {
    pub(super) fn new(env: BTreeMap<String, String>) -> Self {
        Self {
            env,
            roots: Vec::new(),
            filled: None,
            steps: Cell::new(0),
        }
    }

    /// Fills the bases in, wherever they stand.
    pub(super) fn filled_with(mut self, home: &str, models: &str) -> Self {
        self.filled = Some((home.to_owned(), models.to_owned()));
        self
    }

    /// Tells where a base is, so that absolute paths below it are known for what they are.
    pub(super) fn add_root(&mut self, path: &str, base: Base) {
        let path = path.trim_end_matches('/');
        if path.starts_with('/') {
            self.roots.push((path.to_owned(), base));
        }
    }

    pub(super) fn expand(&self, text: &str) -> Result<Expanded, Fault> {
        let mut expanded = Expanded::default();
        self.expand_into(text, &mut expanded, &mut Vec::new(), &mut 0)?;
        if expanded.base.is_none() {
            let below = |(root, base): &(String, Base)| {
                let rest = expanded.text.strip_prefix(root.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then_some((root.len(), *base))
            };
            if let Some((length, base)) = self
                .roots
                .iter()
                .filter_map(below)
                .max_by_key(|(length, _)| *length)
            {
                expanded.text.drain(..length);
                expanded.base = Some(base);
            }
        }
        Ok(expanded)
    }

    fn expand_into<'s>(
        &'s self,
        text: &'s str,
        into: &mut Expanded,
        open: &mut Vec<&'s str>,
        steps: &mut usize,
    ) -> Result<(), Fault> {
        let fault = |open: &[&str], message: String, hint: String| {
            let inside = open
                .last()
                .map(|name| (*name).to_owned())
                .into_iter()
                .collect();
            Err(Fault {
                message,
                hint,
                inside,
            })
        };
        let endless = |open: &[&str], message: String| {
            Err(Fault {
                message,
                hint: "write it without variables that are made of others".into(),
                inside: open.iter().map(|name| (*name).to_owned()).collect(),
            })
        };
        if open.len() > DEEPEST {
            let message = format!("more than {DEEPEST} variables are in each other's values");
            return endless(open, message);
        }
        let mut rest = text;
        loop {
            *steps += 1;
            self.steps.set(self.steps.get() + 1);
            if into.text.len() + rest.len() > LONGEST || *steps > MOST_STEPS {
                let message = format!("with its variables it is longer than {LONGEST} bytes");
                return endless(open, message);
            }
            if self.steps.get() > MOST_STEPS_OF_ALL {
                let message = "the variables of the spec are too many to be expanded";
                return endless(open, message.to_owned());
            }
            let Some(at) = rest.find('$') else {
                into.text += rest;
                return Ok(());
            };
            into.text += &rest[..at];
            let (name, after) = match variable(&rest[at + 1..]) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    into.text.push('$');
                    // `$$` is one dollar sign; one before anything else is itself.
                    rest = rest[at + 1..].strip_prefix('$').unwrap_or(&rest[at + 1..]);
                    continue;
                }
                Err(message) => {
                    return fault(
                        open,
                        message,
                        "write `$NAME` or `${NAME}`, and `$$` for a dollar sign".into(),
                    );
                }
            };
            rest = after;
            if let Some(base) = Base::named(name) {
                if let Some((home, models)) = &self.filled {
                    into.text += if base == Base::Home { home } else { models };
                    continue;
                }
                if into.base.is_some() || !into.text.is_empty() {
                    let message = format!("`${name}` stands in the middle of it");
                    return fault(
                        open,
                        message,
                        format!("start with `${name}`, which is an absolute path"),
                    );
                }
                if !(rest.is_empty() || rest.starts_with('/')) {
                    let message = format!("`${name}` is followed by {}", quote(rest));
                    return fault(open, message, format!("write `${name}/…`"));
                }
                into.base = Some(base);
            } else if let Some(first) = open.iter().position(|known| *known == name) {
                let cycle = &open[first..];
                let message = match cycle {
                    [name] => format!("the variable {} is defined by itself", quote(name)),
                    names => format!("the variables {} are defined by each other", list(names)),
                };
                return Err(Fault {
                    message,
                    hint: "give one of them a value without variables".into(),
                    inside: cycle.iter().map(|name| (*name).to_owned()).collect(),
                });
            } else if let Some((name, value)) = self.env.get_key_value(name) {
                open.push(name);
                self.expand_into(value, into, open, steps)?;
                open.pop();
            } else {
                let message = format!("the variable {} is not known", quote(name));
                let hint = "`$COMFY_HOME`, `$MODELS_DIR` and what `env` defines are known; \
                            write the value itself, or `$$` for a dollar sign";
                return fault(open, message, hint.into());
            }
        }
    }

    /// Everything that is wrong with the definitions: the variable, and why.
    pub(super) fn faults(&self) -> Vec<(String, Fault)> {
        let mut faults = Vec::new();
        // Outside paths a base may stand anywhere.
        let filled = Self::new(self.env.clone()).filled_with("/", "/");
        for (name, value) in &filled.env {
            // Seen from inside itself, so that its own faults and cycles carry its name.
            let mut open = vec![name.as_str()];
            let result = filled.expand_into(value, &mut Expanded::default(), &mut open, &mut 0);
            if let Err(fault) = result
                && fault.inside.contains(name)
            {
                faults.push((name.clone(), fault));
            }
        }
        faults
    }
}

/// What stands behind a `$`: a variable and the rest; `None` if it is no variable.
fn variable(text: &str) -> Result<Option<(&str, &str)>, String> {
    let is_name = |name: &str| {
        !name.starts_with(|letter: char| letter.is_ascii_digit())
            && !name.is_empty()
            && name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    if let Some(braced) = text.strip_prefix('{') {
        let Some((name, rest)) = braced.split_once('}') else {
            return Err("a `${` has no `}`".into());
        };
        if !is_name(name) {
            return Err(format!("{} is no name of a variable", quote(name)));
        }
        return Ok(Some((name, rest)));
    }
    let end = text
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    Ok(is_name(name).then_some((name, rest)))
}

fn list(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(env: &[(&str, &str)]) -> Variables {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Variables::new(env.collect())
    }

    #[test]
    fn bases_stay_symbols() {
        let mut variables =
            variables(&[("LORAS", "${MODELS_DIR}/loras"), ("X", "x"), ("EMPTY", "")]);
        variables.add_root("/data/models/", Base::Models);
        variables.add_root("/data", Base::Home);
        for (text, base, rest) in [
            ("loras/x", None, "loras/x"),
            ("$MODELS_DIR/a", Some(Base::Models), "/a"),
            ("${COMFY_HOME}", Some(Base::Home), ""),
            ("$LORAS/$X.y", Some(Base::Models), "/loras/x.y"),
            ("$EMPTY$MODELS_DIR", Some(Base::Models), ""),
            ("a$$b$$", None, "a$b$"),
            ("a$5$", None, "a$5$"),
            ("/data/models/a", Some(Base::Models), "/a"),
            ("/data/modelsx/a", Some(Base::Home), "/modelsx/a"),
            ("/database", None, "/database"),
        ] {
            let expanded = variables.expand(text).unwrap();
            assert_eq!(
                (expanded.base, expanded.text.as_str()),
                (base, rest),
                "{text}"
            );
        }
    }

    #[test]
    fn faults_are_found_where_they_are() {
        let variables = variables(&[
            ("A", "$B"),
            ("B", "x$C"),
            ("C", "$A"),
            ("D", "$A"),
            ("E", "$NO"),
            ("F", "$E"),
            ("S", "$S"),
            ("M", "-m=$MODELS_DIR"),
        ]);
        let faults = variables.faults();
        let names: Vec<_> = faults.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["A", "B", "C", "E", "S"],
            "D and F are as good as what they refer to"
        );
        for text in [
            "$NO",
            "${NO}",
            "${",
            "${a-b}",
            "${}",
            "x$MODELS_DIR",
            "$MODELS_DIR$COMFY_HOME",
            "${MODELS_DIR}x",
            "$A",
        ] {
            let fault = variables.expand(text).expect_err(text);
            assert!(!fault.hint.is_empty());
        }
    }

    #[test]
    fn bases_are_filled_in_anywhere() {
        let variables = variables(&[("A", "-m=$MODELS_DIR")]).filled_with("/h", "/m");
        let expanded = variables.expand("$A:$COMFY_HOME/x").unwrap();
        assert_eq!(
            (expanded.base, expanded.text.as_str()),
            (None, "-m=/m:/h/x")
        );
    }

    #[test]
    fn growth_is_bounded() {
        let mut env = BTreeMap::new();
        for depth in 0..60 {
            env.insert(
                format!("V{depth}"),
                format!("$V{next}$V{next}", next = depth + 1),
            );
        }
        for last in ["", "x"] {
            env.insert("V60".into(), last.into());
            let variables = Variables::new(env.clone());
            let fault = variables.expand("$V0").unwrap_err();
            assert!(fault.message.contains("longer"), "{}", fault.message);
            let faults = variables.faults();
            assert!(faults.iter().any(|(name, _)| name == "V0"), "{faults:?}");
        }
        let many = (0..1000).map(|number| (format!("W{number}"), "$V0".to_owned()));
        let variables = Variables::new(env.into_iter().chain(many).collect());
        let faults = variables.faults();
        let (_, last) = faults.last().unwrap();
        assert!(last.message.contains("too many"), "{}", last.message);
    }

    #[test]
    fn depth_is_bounded() {
        let link = |number| (format!("V{number}"), format!("$V{}", number + 1));
        let mut env: BTreeMap<_, _> = (0..1000).map(link).collect();
        env.insert("V1000".into(), String::new());
        let variables = Variables::new(env);
        let fault = variables.expand("$V0").unwrap_err();
        assert!(fault.message.contains("in each other"), "{}", fault.message);
        assert!(variables.expand("$V990").is_ok());
        let faults = variables.faults();
        assert!(faults.iter().any(|(name, _)| name == "V0"));
        assert!(faults.iter().all(|(name, _)| name != "V990"));
    }
}
