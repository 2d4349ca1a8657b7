//! From a lock and the state of the disk to a plan.

use durable_fs::Dir;
use manifest_core::Sha256Digest;

use super::facts::{Facts, has_installer, python_inputs};
use super::{Action, Cost, Download, Missing, Plan, Step};
use crate::realize::{NodeThere, damage, in_the_way, look, must_be_free};
use crate::state::HomeState;
use crate::{
    Checkouts, Error, InstallRequirements, ModelSource, ModelStore, Presence, WantedModel,
    is_synced,
};

/// The file by which ComfyUI learns where models are.
pub(crate) const MODEL_PATHS: &str = "extra_model_paths.yaml";

/// The plan, and what was found on the way that a person should know.
pub(crate) fn make(facts: &Facts<'_>) -> Result<Plan, Error> {
    facts.lock.must_be_for(facts.spec)?;
    let inner = facts.inner;
    let (home, state) = match inner.disk.open_dir(facts.home.path()) {
        Ok(home) => {
            let state = HomeState::load(&home)?;
            if state.is_none() {
                must_be_free(&home)?;
            }
            (Some(home), state)
        }
        Err(error) if error.is_not_found() => (None, None),
        Err(error) => {
            return Err(Error::disk(
                format!("{} cannot be opened", facts.home.path().display()),
                error,
            ));
        }
    };
    let mut making = Making {
        facts,
        home,
        state,
        checkouts: inner.checkouts(),
        offline: inner.is_offline(facts.spec),
        plan: Plan {
            version_id: facts.spec.version_id.clone(),
            home: facts.home.path().to_owned(),
            steps: Vec::new(),
            missing: Vec::new(),
            warnings: Vec::new(),
        },
    };
    making.all()?;
    Ok(making.plan)
}

struct Making<'a> {
    facts: &'a Facts<'a>,
    home: Option<Dir>,
    state: Option<HomeState>,
    checkouts: Checkouts,
    offline: bool,
    plan: Plan,
}

/// Something that other steps need.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    Here,
    By(usize),
    /// It is not here, and cannot be had.
    Missing,
}

impl Needed {
    fn step(self) -> Option<usize> {
        match self {
            Self::By(step) => Some(step),
            Self::Here | Self::Missing => None,
        }
    }
}

impl Making<'_> {
    fn all(&mut self) -> Result<(), Error> {
        let python = self.facts.inner.python_part == crate::Part::Make;
        let python_is_done = !python || self.python_is_done()?;
        let damaged = self.damage()?;
        let comfy = if damaged.is_none() && python_is_done {
            Needed::Here
        } else {
            self.fetch_comfy()
        };
        let nodes: Vec<Needed> = (0..self.facts.lock.custom_nodes.len())
            .map(|index| self.fetch_node(index))
            .collect();

        let brought = self.bring(damaged, comfy);
        let mut links = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            links.push(self.link(index, *node)?);
        }
        self.unlink();
        if python {
            let synced = if python_is_done {
                Needed::Here
            } else {
                self.python(comfy, &nodes)?
            };
            self.installers(brought, &nodes, &links, synced);
        }
        if self.facts.inner.makes_models(self.facts.spec) {
            self.models();
        }
        self.model_paths()
    }

    fn push(
        &mut self,
        action: Action,
        cost: Cost,
        after: impl IntoIterator<Item = Option<usize>>,
    ) -> Needed {
        let mut after: Vec<usize> = after.into_iter().flatten().collect();
        after.sort_unstable();
        after.dedup();
        self.plan.steps.push(Step {
            action,
            cost,
            after,
        });
        Needed::By(self.plan.steps.len() - 1)
    }

    /// What keeps the home from having ComfyUI at the commit: `None` if nothing does.
    fn damage(&self) -> Result<Option<Vec<String>>, Error> {
        let (Some(home), Some(state)) = (&self.home, &self.state) else {
            return Ok(Some(Vec::new()));
        };
        let comfy = &self.facts.lock.comfy;
        let is_at = |core: &&crate::state::CoreState| {
            core.repo == comfy.repo && core.commit == comfy.commit
        };
        let Some(core) = state
            .core
            .as_ref()
            .filter(is_at)
            .filter(|_| state.incoming.is_empty())
        else {
            return Ok(Some(Vec::new()));
        };
        let damaged = damage(home, core).map_err(|error| {
            Error::disk(format!("{} cannot be read", home.path().display()), error)
        })?;
        Ok(if damaged.is_empty() {
            None
        } else {
            Some(damaged)
        })
    }

    fn fetch_comfy(&mut self) -> Needed {
        let into = self.facts.comfy_checkout();
        let source = &self.facts.lock.comfy;
        if self.checkouts.is_present(&into) {
            return Needed::Here;
        }
        if self.offline && source.repo.local_path().is_none() {
            let message = format!("ComfyUI {} is not in the cache", source.commit.short());
            self.plan.missing.push(Missing::new("/comfy", message));
            return Needed::Missing;
        }
        let action = Action::FetchComfy {
            repo: source.repo.clone(),
            commit: source.commit.clone(),
            into,
        };
        self.push(action, FETCH, [])
    }

    fn fetch_node(&mut self, index: usize) -> Needed {
        let into = self.facts.node_checkout(index);
        let node = &self.facts.lock.custom_nodes[index];
        if self.checkouts.is_present(&into) {
            return Needed::Here;
        }
        // Two names may stand for one checkout.
        let same = self.plan.steps.iter().position(
            |step| matches!(&step.action, Action::FetchNode { into: other, .. } if *other == into),
        );
        if let Some(step) = same {
            return Needed::By(step);
        }
        if self.offline && node.source.repo.local_path().is_none() {
            let message = format!(
                "the node {} {} is not in the cache",
                node.name,
                node.source.commit.short()
            );
            self.plan
                .missing
                .push(Missing::new(format!("/custom_nodes/{index}"), message));
            return Needed::Missing;
        }
        let action = Action::FetchNode {
            name: node.name.clone(),
            repo: node.source.repo.clone(),
            commit: node.source.commit.clone(),
            into,
        };
        self.push(action, FETCH, [])
    }

    fn bring(&mut self, damaged: Option<Vec<String>>, comfy: Needed) -> Needed {
        let Some(damaged) = damaged else {
            return Needed::Here;
        };
        if comfy == Needed::Missing {
            return Needed::Missing;
        }
        let from = self
            .state
            .as_ref()
            .and_then(|state| Some(state.core.as_ref()?.commit.clone()));
        let action = Action::BringComfy {
            commit: self.facts.lock.comfy.commit.clone(),
            from,
            damaged,
        };
        self.push(action, Cost::default(), [comfy.step()])
    }

    fn link(&mut self, index: usize, node: Needed) -> Result<Needed, Error> {
        let target = self.facts.node_checkout(index);
        let name = &self.facts.lock.custom_nodes[index].name;
        let recorded = self.state.as_ref().and_then(|state| state.nodes.get(name));
        let there = match &self.home {
            Some(home) => {
                let found = look(home, &self.facts.inner.cache, name, &target, recorded);
                if found
                    .as_ref()
                    .is_ok_and(|found| *found == NodeThere::Theirs)
                {
                    return Err(in_the_way(home, name).at(format!("/custom_nodes/{index}/name")));
                }
                found?
            }
            None => NodeThere::Nothing,
        };
        let is_known = recorded.is_some_and(|recorded| recorded.target == target.to_string_lossy());
        if matches!(there, NodeThere::Right(_)) && is_known {
            return Ok(Needed::Here);
        }
        if node == Needed::Missing {
            return Ok(Needed::Missing);
        }
        let action = Action::LinkNode {
            name: name.clone(),
            target,
        };
        Ok(self.push(action, Cost::default(), [node.step()]))
    }

    fn unlink(&mut self) {
        let Some(state) = &self.state else { return };
        let is_wanted = |name: &crate::NodeName| {
            self.facts
                .lock
                .custom_nodes
                .iter()
                .any(|node| node.name == *name)
        };
        let gone: Vec<_> = state
            .nodes
            .keys()
            .filter(|name| !is_wanted(name))
            .cloned()
            .collect();
        for name in gone {
            self.push(Action::UnlinkNode { name }, Cost::default(), []);
        }
    }

    /// Whether the environment has what these commits ask for, as far as that was recorded.
    fn python_is_done(&self) -> Result<bool, Error> {
        let (Some(python), Some(state)) = (&self.facts.lock.python, &self.state) else {
            return Ok(false);
        };
        let Some(done) = &state.python else {
            return Ok(false);
        };
        let is_recorded = done.inputs == python_inputs(self.facts.spec, self.facts.lock)
            && done.request == python.request_digest;
        Ok(is_recorded
            && is_synced(
                &self.facts.venv(),
                &python.requirements,
                &self.facts.bare_request()?,
            ))
    }

    fn python(&mut self, comfy: Needed, nodes: &[Needed]) -> Result<Needed, Error> {
        let facts = self.facts;
        let askers: Vec<Needed> = std::iter::once(comfy)
            .chain(
                nodes
                    .iter()
                    .zip(&facts.spec.custom_nodes)
                    .filter_map(|(needed, node)| {
                        (node.requirements == InstallRequirements::Install).then_some(*needed)
                    }),
            )
            .collect();
        let all_here = askers.iter().all(|asker| *asker == Needed::Here);
        let is_locked = match &facts.lock.python {
            None => false,
            Some(python) if all_here => facts.request()?.digest() == python.request_digest,
            // Whether it still fits shows when everybody is here.
            Some(_) => true,
        };
        if askers.contains(&Needed::Missing) && !is_locked {
            self.plan.missing.push(Missing::new(
                "",
                "the Python packages cannot be locked without what is missing",
            ));
            return Ok(Needed::Missing);
        }
        let steps = askers.iter().map(|asker| asker.step());
        let mut after: Vec<Option<usize>> = steps.collect();
        if !is_locked {
            let cost = Cost {
                download: Download::Nothing,
                process: true,
            };
            let locked = self.push(
                Action::LockPython {
                    askers: facts.askers(),
                },
                cost,
                after,
            );
            after = vec![locked.step()];
        }
        let packages = facts.lock.python.as_ref().filter(|_| is_locked);
        let action = Action::SyncPython {
            venv: facts.venv(),
            packages: packages.map(|python| count_packages(&python.requirements)),
        };
        let is_synced = match packages {
            Some(python) => is_synced(&facts.venv(), &python.requirements, &facts.bare_request()?),
            None => false,
        };
        let download = if is_synced {
            Download::Nothing
        } else {
            Download::Unknown
        };
        Ok(self.push(
            action,
            Cost {
                download,
                process: !is_synced,
            },
            after,
        ))
    }

    /// One after the other: they write into one environment.
    fn installers(&mut self, brought: Needed, nodes: &[Needed], links: &[Needed], synced: Needed) {
        let packages = self
            .facts
            .lock
            .python
            .as_ref()
            .map(|python| Sha256Digest::of(python.requirements.as_bytes()));
        let mut before: Option<usize> = None;
        for index in 0..nodes.len() {
            let locked = &self.facts.lock.custom_nodes[index];
            let is_wanted =
                self.facts.spec.custom_nodes[index].requirements == InstallRequirements::Install;
            let needs = [brought, nodes[index], links[index], synced];
            if !is_wanted || needs.contains(&Needed::Missing) {
                continue;
            }
            let if_any = nodes[index] != Needed::Here;
            if !if_any && !has_installer(&self.facts.node_checkout(index)) {
                continue;
            }
            let done = self
                .state
                .as_ref()
                .and_then(|state| state.installers.get(&locked.name));
            let is_done = done.is_some_and(|done| {
                done.commit == locked.source.commit && Some(done.packages) == packages
            });
            if is_done && synced == Needed::Here {
                continue;
            }
            let action = Action::RunInstaller {
                name: locked.name.clone(),
                if_any,
            };
            let after = needs.into_iter().map(Needed::step).chain([before]);
            let cost = Cost {
                download: Download::Nothing,
                process: true,
            };
            before = self.push(action, cost, after).step();
        }
    }

    fn models(&mut self) {
        let facts = self.facts;
        let store: ModelStore = facts.inner.model_store(facts.spec);
        for wanted in WantedModel::all(facts.spec, Some(facts.lock)) {
            let entry = wanted.entry();
            let target = facts.inner.models_dir.path().join(entry.target.as_str());
            let index = wanted.index();
            let (action, download) = match store.presence(&wanted) {
                Presence::Placed => continue,
                Presence::Stored | Presence::Unknown { .. } => {
                    (Action::PlaceModel { index, target }, Download::Nothing)
                }
                Presence::Missing { bytes } => {
                    let is_local = matches!(entry.source, ModelSource::File(_))
                        || facts.inner.has_local_mirror();
                    if self.offline && !is_local {
                        let message =
                            format!("the model {} is not here: {}", entry.name, entry.source);
                        self.plan
                            .missing
                            .push(Missing::new(format!("/models/{index}"), message));
                        continue;
                    }
                    let source = entry.source.to_string();
                    let download = bytes.map_or(Download::Unknown, Download::Bytes);
                    (
                        Action::FetchModel {
                            index,
                            source,
                            target,
                        },
                        download,
                    )
                }
            };
            self.push(
                action,
                Cost {
                    download,
                    process: false,
                },
                [],
            );
        }
    }

    fn model_paths(&mut self) -> Result<(), Error> {
        let path = self.facts.home.path().join(MODEL_PATHS);
        let ours = self
            .state
            .as_ref()
            .map_or(&[][..], |state| &state.model_paths);
        let wanted = self.facts.model_paths()?;
        let found = match &self.home {
            Some(home) => match home.read(MODEL_PATHS, 16 << 20) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.is_not_found() => None,
                Err(error) => {
                    return Err(Error::disk(
                        format!("{} cannot be read", path.display()),
                        error,
                    ));
                }
            },
            None => None,
        };
        match found {
            Some(found) if found == wanted => {}
            Some(found) if !ours.contains(&Sha256Digest::of(&found)) => {
                let models = self.facts.inner.models_dir.path().display();
                let warning = format!(
                    "{} is of somebody else's making and stays as it is; let it name {models}",
                    path.display()
                );
                self.plan.warnings.push(warning);
            }
            _ => drop(self.push(Action::WriteModelPaths { path }, Cost::default(), [])),
        }
        Ok(())
    }
}

/// How much git fetches shows when it does.
const FETCH: Cost = Cost {
    download: Download::Unknown,
    process: true,
};

fn count_packages(requirements: &str) -> usize {
    let is_package = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    requirements.lines().filter(is_package).count()
}
