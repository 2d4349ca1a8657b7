//! One function for each command: calls the library, and shapes its answer.

mod comfy;
mod doctor;
mod flash_gpu;
mod hot_swap;
mod installation;
mod manifest;
mod pack;
mod publish;
mod serve;
mod update;

use std::future::Future;

use crate::args::Command;
use crate::exit::Failure;
use crate::output::Reply;

pub(crate) fn run(command: Command) -> Result<Reply, Failure> {
    match command {
        Command::Manifest(command) => manifest::run(command),
        Command::Publish(arguments) => block_on(async { publish::run(arguments) }),
        Command::Pack(arguments) => block_on(async { pack::run(&arguments) }),
        Command::Serve(arguments) => block_on(serve::run(arguments)),
        Command::Update(arguments) => block_on(update::run(arguments)),
        Command::Status(place) => block_on(installation::status(place)),
        Command::Verify(place) => block_on(installation::verify(place)),
        Command::Repair(arguments) => block_on(installation::repair(arguments)),
        Command::Rollback(arguments) => block_on(installation::rollback(arguments)),
        Command::Prune(arguments) => block_on(installation::prune(arguments)),
        Command::Doctor(arguments) => block_on(doctor::run(arguments)),
        Command::History(place) => block_on(installation::history(place)),
        Command::Eligibility(arguments) => block_on(installation::eligibility(arguments)),
        Command::Comfy(arguments) => block_on(comfy::run(arguments)),
        Command::FlashGpu(arguments) => block_on(flash_gpu::run(arguments)),
        Command::HotSwap(arguments) => block_on(hot_swap::run(*arguments)),
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // tokio needs six handles to start, and panics where it cannot make its pair of sockets.
    #[cfg(unix)]
    (0..3)
        .map(|_| std::os::unix::net::UnixStream::pair())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| {
            Failure::io("cannot start threads".into(), &error)
                .with_hint("too many files are open: raise the limit (`ulimit -n`), or close some")
        })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot start threads".into(), &error))?;
    runtime.block_on(work)
}
