//! The torch of the base stays: a node that would replace it is refused by name.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::stream;

use super::locked::{Pin, name_of, pins};
use super::{AskerRole, PythonEnv, PythonRequest, Requirements};
use crate::text::without_secrets;
use crate::{CancellationToken, Error, ErrorKind};

/// What belongs together and to the driver of the machine. What else torch needs (`nvidia-*`) it pins itself.
const FAMILY: &[&str] = &[
    "torch",
    "torchvision",
    "torchaudio",
    "triton",
    "triton-windows",
    "pytorch-triton",
    "pytorch-triton-rocm",
];

/// How many resolutions run at a time when a culprit is looked for.
const AT_A_TIME: usize = 4;

/// Resolves all requirements together as [`PythonEnv::lock`] does, and holds the nodes to the torch that the base alone would get.
///
/// The base is ComfyUI, the packages of the spec, and the nodes that [may replace torch](PythonRequest::may_replace_torch). It is
/// resolved first; its torch, torchvision, torchaudio and triton then constrain the whole, so that a package of which an older version
/// fits that torch is taken in the older version. Two resolutions, then, and one if no node asks for anything or the base has no torch.
///
/// # Errors
/// `Torch` if nodes need another torch than the base has: the text names each with what it asks for, the version of the base, and the
/// version that it would become. Otherwise as [`PythonEnv::lock`].
pub async fn lock_together(
    env: &dyn PythonEnv,
    request: &PythonRequest,
    cancel: &CancellationToken,
) -> Result<String, Error> {
    let guarded = |asker: &&Requirements| {
        asker.role == AskerRole::Node
            && !asker.lines.is_empty()
            && !request.may_replace_torch.contains(&asker.asker)
    };
    let nodes: Vec<&Requirements> = request.requirements.iter().filter(guarded).collect();
    if nodes.is_empty() {
        return env.lock(request, cancel).await;
    }
    let mut base = request.clone();
    base.requirements.retain(|asker| !guarded(&asker));
    if !base
        .requirements
        .iter()
        .any(|asker| !asker.lines.is_empty())
    {
        return env.lock(request, cancel).await;
    }
    let torch = family(&env.lock(&base, cancel).await?);
    if torch.is_empty() {
        return env.lock(request, cancel).await;
    }
    let guard = Guard {
        env,
        base: &base,
        torch: &torch,
        cancel,
    };
    let refused = match guard.try_with(&request.requirements).await? {
        Outcome::Fits(locked) => return Ok(locked),
        Outcome::Refused(error) => error,
    };
    // Without the guard it is another error, or none.
    let unguarded = family(&env.lock(request, cancel).await?);
    if changes(&torch, &unguarded).is_empty() {
        return Err(refused);
    }
    tracing::debug!(error = %format!("{refused:#}"), "somebody would replace torch");
    Err(guard.culprits(&nodes, &unguarded, refused).await?)
}

/// The pins of torch and what belongs to it.
fn family(locked: &str) -> BTreeMap<String, Pin> {
    let pins = pins(locked).into_iter();
    let of_family = pins.filter(|pin| FAMILY.contains(&&*pin.name));
    of_family.map(|pin| (pin.name.clone(), pin)).collect()
}

struct Guard<'a> {
    env: &'a dyn PythonEnv,
    base: &'a PythonRequest,
    torch: &'a BTreeMap<String, Pin>,
    cancel: &'a CancellationToken,
}

enum Outcome {
    Fits(String),
    /// The resolver's reason.
    Refused(Error),
}

impl Guard<'_> {
    /// Resolves these requirements with the base's torch.
    async fn try_with(&self, requirements: &[Requirements]) -> Result<Outcome, Error> {
        let mut request = self.base.clone();
        request.requirements = requirements.to_vec();
        let held = self.torch.values().map(|pin| pin.requirement.clone());
        request.constraints.extend(held);
        match self.env.lock(&request, self.cancel).await {
            Ok(locked) => {
                // `==2.4.0` allows `2.4.0+cu121`, which an index that a node brings may have.
                let changes = changes(self.torch, &family(&locked));
                Ok(if changes.is_empty() {
                    Outcome::Fits(locked)
                } else {
                    Outcome::Refused(Error::new(ErrorKind::Torch, changes))
                })
            }
            Err(error) if error.kind() == ErrorKind::Python => Ok(Outcome::Refused(error)),
            Err(error) => Err(error),
        }
    }

    async fn try_with_nodes(&self, nodes: &[&Requirements]) -> Result<Outcome, Error> {
        let mut all = self.base.requirements.clone();
        all.extend(nodes.iter().copied().cloned());
        self.try_with(&all).await
    }

    /// The error that names the nodes: those that do not go with the base's torch one by one, else the first that does not go with
    /// those before it.
    async fn culprits(
        &self,
        nodes: &[&Requirements],
        unguarded: &BTreeMap<String, Pin>,
        refused: Error,
    ) -> Result<Error, Error> {
        let alone: Vec<Result<Outcome, Error>> = stream::iter(nodes.iter().copied().map(Some))
            .map(|node| async move { self.try_with_nodes(node.as_slice()).await })
            .buffered(AT_A_TIME)
            .collect()
            .await;
        let mut sentences = Vec::new();
        let mut culprits = Vec::new();
        let mut cause = None;
        for (node, outcome) in nodes.iter().copied().zip(alone) {
            if let Outcome::Refused(error) = outcome? {
                let becomes = self.what_becomes(node, unguarded).await?;
                sentences.push(format!(
                    "{} would replace the base's {becomes}{}",
                    node.asker,
                    asks(node)
                ));
                culprits.push(node);
                cause.get_or_insert(error);
            }
        }
        if culprits.is_empty() {
            let mut count = 2;
            while count < nodes.len()
                && matches!(
                    self.try_with_nodes(&nodes[..count]).await?,
                    Outcome::Fits(_)
                )
            {
                count += 1;
            }
            let node = nodes[count.min(nodes.len()) - 1];
            let becomes = changes(self.torch, unguarded);
            sentences.push(format!(
                "{}, together with other nodes, would replace the base's {becomes}{}",
                node.asker,
                asks(node)
            ));
            culprits.push(node);
        }
        let names: Vec<&str> = culprits.iter().map(|node| &*node.asker).collect();
        let hint = format!(
            "leave {} out, take another version of it, or write \"allow_torch\": true for it",
            names.join(", ")
        );
        let mut error = Error::new(ErrorKind::Torch, sentences.join("; "))
            .with_hint(hint)
            .with_source(cause.unwrap_or(refused));
        if let Some(pointer) = culprits.iter().find_map(|node| node.pointer.as_ref()) {
            error = error.at(pointer);
        }
        Ok(error)
    }

    /// What torch would become if this node alone came to the base; if that cannot be resolved, what it would become with all.
    async fn what_becomes(
        &self,
        node: &Requirements,
        unguarded: &BTreeMap<String, Pin>,
    ) -> Result<String, Error> {
        let mut request = self.base.clone();
        request.requirements.push(node.clone());
        let alone = match self.env.lock(&request, self.cancel).await {
            Ok(locked) => changes(self.torch, &family(&locked)),
            Err(error) if error.kind() == ErrorKind::Python => String::new(),
            Err(error) => return Err(error),
        };
        Ok(if alone.is_empty() {
            changes(self.torch, unguarded)
        } else {
            alone
        })
    }
}

/// `torch 2.1 by 2.0, torchvision …`.
fn changes(before: &BTreeMap<String, Pin>, after: &BTreeMap<String, Pin>) -> String {
    let changed = before.iter().filter_map(|(name, pin)| {
        let becomes = after.get(name);
        if becomes.is_some_and(|becomes| becomes.requirement == pin.requirement) {
            return None;
        }
        let version = without_secrets(pin.version());
        Some(match becomes {
            Some(becomes) => format!("{name} {version} by {}", without_secrets(becomes.version())),
            None => format!("{name} {version} by nothing"),
        })
    });
    changed.collect::<Vec<_>>().join(", ")
}

/// What of the node's own requirements has to do with it.
fn asks(node: &Requirements) -> String {
    let own = node.lines.iter().filter(|line| {
        line.starts_with('-') || name_of(line).is_some_and(|name| FAMILY.contains(&&*name))
    });
    let own: Vec<String> = own
        .map(|line| format!("{:?}", without_secrets(line)))
        .collect();
    if own.is_empty() {
        " (a package that it asks for needs that)".to_owned()
    } else {
        format!(" (it asks for {})", own.join(", "))
    }
}
