//! Prints the public API of one crate, one item a line: `public-api-lines target/doc/some_crate.json`.

use std::env;
use std::process::ExitCode;

/// Traits that types gain and lose without anybody's asking, or together with another one that is shown.
const SKIPPED: [&str; 6] = [
    "core::marker::Freeze",
    "core::marker::StructuralPartialEq",
    "core::marker::Unpin",
    "core::marker::UnsafeUnpin",
    "core::panic::unwind_safe::RefUnwindSafe",
    "core::panic::unwind_safe::UnwindSafe",
];

fn main() -> ExitCode {
    let Some(path) = env::args_os().nth(1) else {
        eprintln!("usage: public-api-lines <the rustdoc JSON of a crate>");
        return ExitCode::from(2);
    };
    let api = public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .build();
    match api {
        Ok(api) => {
            for line in chosen(api.items().map(ToString::to_string)) {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Leaves out what says nothing: the skipped traits, and the methods of every trait that is implemented, which
/// the trait itself has already said.
fn chosen(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut methods_of_trait: Option<String> = None;
    let mut kept = Vec::new();
    for line in lines {
        if let Some((implemented, target)) = implementation(&line) {
            methods_of_trait = Some(format!("{target}::"));
            if SKIPPED.iter().any(|skipped| implemented.ends_with(skipped)) {
                continue;
            }
        } else if line.starts_with("impl") {
            methods_of_trait = None;
        } else if let Some(prefix) = &methods_of_trait {
            let of_the_trait =
                function(&line).is_some_and(|name| name.starts_with(prefix.as_str()));
            if of_the_trait {
                continue;
            }
        }
        kept.push(line);
    }
    kept
}

/// `impl<T> Trait for Type where …` as (`impl<T> Trait`, `Type`).
fn implementation(line: &str) -> Option<(&str, &str)> {
    let (implemented, target) = line
        .starts_with("impl")
        .then_some(line)?
        .rsplit_once(" for ")?;
    Some((
        implemented,
        target.split(" where ").next().unwrap_or(target),
    ))
}

fn function(line: &str) -> Option<&str> {
    let (_, name) = line.split_once("pub ")?.1.split_once("fn ")?;
    Some(name)
}
