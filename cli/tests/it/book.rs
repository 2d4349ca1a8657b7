//! The commands in the pages of `docs/`, run as they stand there.
//!
//! In a block marked `console`, a line that starts with `$ ` is a command; it goes on after a `\` at its end. The lines
//! below it are what it prints, in full, or not at all; `…` stands for any text, and as a line for any lines. It ends
//! with exit code 0, or as `# exits with 4` behind it says. A command with `&` at its end is a server, which
//! gets a port of its own in place of the one that the page says.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::world::World;

struct Step {
    line: usize,
    command: String,
    exit: i32,
    output: Vec<String>,
}

#[test]
fn the_commands_of_every_page_work() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut commands = 0;
    for entry in fs::read_dir(docs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path).unwrap();
            let page = path.file_name().unwrap().to_string_lossy();
            commands += run_page(&page, &steps(&text));
        }
    }
    assert!(commands > 20, "only {commands} commands were found");
}

/// Runs a page from top to bottom in a folder with two releases, `sketcher-1.0` and `sketcher-1.1`.
fn run_page(page: &str, steps: &[Step]) -> usize {
    let world = World::new();
    fs::rename(world.path("v1"), world.path("sketcher-1.0")).unwrap();
    fs::rename(world.path("v2"), world.path("sketcher-1.1")).unwrap();
    let mut servers = Vec::new();
    for step in steps {
        let place = format!("docs/{page}:{}: $ {}", step.line, step.command);
        let command = served(&step.command, &servers);
        if let Some(command) = command.strip_suffix('&') {
            servers.push(Server::start(&world, command.trim_end()));
            continue;
        }
        let output = shell(&world, &command).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let printed = format!("{stdout}{stderr}");
        assert_eq!(output.status.code(), Some(step.exit), "{place}\n{printed}");
        let lines: Vec<&str> = printed.lines().collect();
        assert!(
            step.output.is_empty() || matches(&step.output, &lines),
            "{place}\nprints:\n{printed}\nand not:\n{}\n",
            step.output.join("\n")
        );
    }
    steps.len()
}

/// The command with the ports that the servers really have.
fn served(command: &str, servers: &[Server]) -> String {
    servers.iter().fold(command.to_owned(), |command, server| {
        command.replace(&server.written, &server.real)
    })
}

fn shell(world: &World, command: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_lockstep"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(world.path(""))
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().unwrap().display()),
        )
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    shell
}

/// `lockstep serve … --listen ADDRESS &`.
struct Server {
    child: Child,
    written: String,
    real: String,
}

impl Server {
    fn start(world: &World, command: &str) -> Self {
        let (before, written) = command
            .split_once("--listen ")
            .expect("a server in a page says where it listens");
        let written = written.split(' ').next().unwrap_or(written);
        let rest = &command[before.len() + "--listen ".len() + written.len()..];
        let command = format!("exec {before}--listen 127.0.0.1:0{rest}");
        let mut child = shell(world, &command)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut base = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut base)
            .unwrap();
        let real = base
            .strip_prefix("http://")
            .and_then(|base| base.split('/').next());
        let real = real.expect("a server prints its URL").to_owned();
        let written = written.to_owned();
        Self {
            child,
            written,
            real,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut goes_on) = (false, false);
    for (number, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line == "```console";
            goes_on = false;
        } else if !inside {
        } else if goes_on {
            let step = steps
                .last_mut()
                .expect("a command goes on after its first line");
            goes_on = line.ends_with('\\');
            step.command
                .push_str(line.trim_start().trim_end_matches('\\'));
        } else if let Some(command) = line.strip_prefix("$ ") {
            goes_on = line.ends_with('\\');
            steps.push(Step {
                line: number + 1,
                command: command.trim_end_matches('\\').to_owned(),
                exit: 0,
                output: Vec::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            step.output.push(line.to_owned());
        }
    }
    for step in &mut steps {
        if let Some((command, exit)) = step.command.split_once("# exits with ") {
            step.exit = exit.trim().parse().expect("an exit code is a number");
            step.command = command.trim_end().to_owned();
        }
    }
    steps
}

/// Whether all the lines are as the patterns say.
fn matches(patterns: &[String], lines: &[&str]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..]))
        }
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| is_like(line, first) && matches(rest, lines)),
    }
}

fn is_like(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.trim_end().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.trim_end().strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        last = Some(part);
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || last.is_some_and(|last| last.is_empty() || rest.ends_with(last))
}

#[test]
fn a_pattern_is_as_strict_as_it_looks() {
    assert!(is_like("took 12 ms", "took … ms"));
    assert!(is_like("a b c b", "a…b"));
    assert!(is_like("anything", "…"));
    assert!(!is_like("took 12 s", "took … ms"));
    assert!(!is_like("took 12 ms or so", "took … ms"));
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&lines("a … d"), &["a", "b", "c", "d"]));
    assert!(!matches(&lines("a d"), &["a", "b", "d"]));
    assert!(!matches(&lines("a … d"), &["a", "b"]));
}
