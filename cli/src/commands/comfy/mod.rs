//! `lockstep comfy …`: one function for each command.

mod compare;
mod realize;
mod setup;
mod specs;

use crate::args::comfy::{Comfy, ComfyCommand};
use crate::exit::Failure;
use crate::output::Reply;

pub(crate) async fn run(arguments: Comfy) -> Result<Reply, Failure> {
    match arguments.command {
        ComfyCommand::Create(arguments) => specs::create(arguments),
        ComfyCommand::Validate(arguments) => specs::validate(&arguments),
        ComfyCommand::Clone(arguments) => specs::clone(&arguments),
        ComfyCommand::Migrate(arguments) => specs::migrate(arguments),
        ComfyCommand::Resolve(arguments) => realize::resolve(arguments).await,
        ComfyCommand::Realize(arguments) => realize::realize(arguments).await,
        ComfyCommand::Delete(arguments) => realize::delete(arguments).await,
        ComfyCommand::VerifyModels(arguments) => realize::verify_models(arguments).await,
        ComfyCommand::Pin(arguments) => realize::pin(arguments).await,
        ComfyCommand::Bundle(arguments) => realize::bundle(arguments).await,
        ComfyCommand::Compare(arguments) => compare::compare(arguments).await,
        ComfyCommand::Diff(arguments) => compare::diff(arguments).await,
    }
}
