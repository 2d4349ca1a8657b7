//! What goes to stdout and stderr.

pub(crate) mod comfy;
pub(crate) mod doctor;
pub(crate) mod flash_gpu;
pub(crate) mod hot_swap;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod pack;
mod table;

use std::io::{self, Write as _};

use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::progress;

/// For whom the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Human,
    Json,
}

/// What a command answers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) exit: Exit,
    human: String,
    json: Value,
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl Reply {
    /// A report for either reader.
    pub(crate) fn report(human: &str, json: Value) -> Self {
        Self {
            exit: Exit::Done,
            human: clean(human),
            json,
            warnings: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A text that is printed as it is: a document, or nothing.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            exit: Exit::Done,
            human: text.into(),
            json: Value::Null,
            warnings: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// What else there is to say to a person, on stderr after the answer.
    pub(crate) fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    /// What a person should know: on stderr for people, a field for programs.
    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        if let Value::Object(object) = &mut self.json {
            object.insert("warnings".into(), warnings.clone().into());
        }
        self.warnings = warnings;
        self
    }
}

/// Prints the result of a command, and says how the program ends.
pub(crate) fn finish(result: Result<Reply, Failure>, format: Format) -> Exit {
    let shown = match (result, format) {
        (Ok(reply), Format::Human) => show(&reply),
        (Ok(reply), Format::Json) if reply.json.is_null() => Ok(reply.exit),
        (Ok(reply), Format::Json) => print(&json::line(&reply.json)).map(|()| reply.exit),
        (Err(failure), Format::Human) => Err(failure),
        (Err(failure), Format::Json) => {
            print(&json::line(&json::failure(&failure))).map(|()| failure.exit)
        }
    };
    shown.unwrap_or_else(|failure| {
        note(&human::failure(&failure));
        failure.exit
    })
}

fn show(reply: &Reply) -> Result<Exit, Failure> {
    for warning in &reply.warnings {
        note(&format!("warning: {warning}"));
    }
    print(&reply.human)?;
    for text in &reply.notes {
        note(text);
    }
    Ok(reply.exit)
}

/// Writes to stdout. Whoever reads it may stop when they have seen enough.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io("cannot write to stdout".into(), &error))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr, above the progress bars.
pub(crate) fn note(text: &str) {
    // If not even stderr can be written to, there is nobody to tell.
    let _ = progress::aside(|| writeln!(io::stderr(), "{}", clean(text)));
}

/// Replaces what could command a terminal or reorder text: names of files can hold anything.
pub(crate) fn clean(text: &str) -> String {
    let is_harmful = |letter: char| {
        (letter.is_control() && letter != '\n')
            || matches!(letter, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_harmful(letter) {
            clean.extend(letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_commands_a_terminal() {
        assert_eq!(
            clean("a\u{1b}[2Jb\r\n\u{202E}c\u{e9}"),
            "a\\u{1b}[2Jb\\r\n\\u{202e}c\u{e9}"
        );
    }
}
