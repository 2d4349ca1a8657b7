//! `lockstep`: publish, serve, update, verify, repair, roll back. Arguments, progress bars, reports and
//! exit codes; the work is done by the library crates.

mod args;
mod commands;
mod exit;
mod log;
mod output;
mod progress;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    log::start(&arguments);
    let format = arguments.command.format();
    let result = commands::run(arguments.command);
    output::finish(result, format).into()
}
