use std::fmt::{self, Debug};
use std::path::Path;
use std::thread;

use durable_fs::Disk;

use super::run::Run;
use super::{Case, EIO, ENOSPC, Explored, Failures, Image, scratch};

/// Runs an operation again and again, with a fault at every effect, and checks what is left.
///
/// ```
/// use durable_fs::Disk;
/// use testkit::Exploration;
///
/// let explored = Exploration::new(
///     |root| std::fs::write(root.join("current.txt"), "v1").unwrap(),
///     |root, disk| disk.open_dir(root)?.replace_file("current.txt", b"v2"),
///     |root, case| {
///         let root = Disk::real().open_dir(root).unwrap();
///         let found = root.read("current.txt", 100).unwrap();
///         assert!(found == b"v2" || found == b"v1" && !case.must_be_new());
///     },
/// )
/// .run();
/// assert_eq!(explored.effects, 5);
/// println!("{explored}");
/// ```
///
/// The undisturbed operation is run first, to count its effects. Then, each time on a fresh copy of what
/// `setup` made:
///
/// - for each effect and each error number, this effect fails;
/// - for each effect, the process stops before it; for each write, within it;
/// - each write is short;
/// - the power is cut before each effect and after the last one, with every state that
///   [`Cut::states`](super::Cut::states) knows, each state once.
///
/// The check gets a tree on the real disk, which is its own: it may run the operation there to see that
/// it completes. It says by a panic that something is not right.
///
/// An operation with threads has no fixed order of effects; then a number is a random effect, and all are
/// still tried about once.
pub struct Exploration<'f> {
    pub(super) setup: Box<Setup<'f>>,
    pub(super) operation: Box<Operation<'f>>,
    pub(super) check: Box<Check<'f>>,
    pub(super) errnos: Vec<i32>,
    pub(super) states_per_cut: usize,
    pub(super) pairs: usize,
    pub(super) seed: u64,
    pub(super) threads: usize,
}

type Setup<'f> = dyn Fn(&Path) + Sync + 'f;
type Operation<'f> = dyn Fn(&Path, Disk) -> Result<(), String> + Sync + 'f;
type Check<'f> = dyn Fn(&Path, &Case) + Sync + 'f;

impl<'f> Exploration<'f> {
    /// `setup` makes the tree before the operation, in an empty folder; `operation` is given that folder
    /// or a copy.
    pub fn new<T, E: Debug>(
        setup: impl Fn(&Path) + Sync + 'f,
        operation: impl Fn(&Path, Disk) -> Result<T, E> + Sync + 'f,
        check: impl Fn(&Path, &Case) + Sync + 'f,
    ) -> Self {
        let operation = move |root: &Path, disk: Disk| {
            let done = operation(root, disk);
            done.map(drop).map_err(|error| format!("{error:?}"))
        };
        Self {
            setup: Box::new(setup),
            operation: Box::new(operation),
            check: Box::new(check),
            errnos: vec![EIO, ENOSPC],
            states_per_cut: 64,
            pairs: 0,
            seed: 0,
            threads: thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// With these error numbers for effects that fail, instead of [`EIO`] and [`ENOSPC`].
    #[must_use]
    pub fn with_errnos(mut self, errnos: impl Into<Vec<i32>>) -> Self {
        self.errnos = errnos.into();
        self
    }

    /// With at most so many combinations of losses for each power cut, instead of 64.
    #[must_use]
    pub fn with_states_per_cut(mut self, states: usize) -> Self {
        self.states_per_cut = states;
        self
    }

    /// With pairs of faults: each effect fails and then the power is cut; and in the recovery from so many
    /// of the states after a power cut, the process stops and the power is cut at each effect.
    #[must_use]
    pub fn with_pairs(mut self, states: usize) -> Self {
        self.pairs = states;
        self
    }

    /// With another choice where there are too many states.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// With so many threads, instead of one per core.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Tries everything.
    ///
    /// # Panics
    /// If anything is not right, with what was done and what the check said.
    #[expect(
        clippy::must_use_candidate,
        reason = "the counts are for whoever wants them"
    )]
    pub fn run(&self) -> Explored {
        self.try_run()
            .unwrap_or_else(|failures| panic!("not every fault is survived:\n{failures}"))
    }

    /// Tries everything.
    ///
    /// # Errors
    /// The first few faults after which something is not right.
    pub fn try_run(&self) -> Result<Explored, Failures> {
        let template = scratch();
        (self.setup)(template.path());
        let old = Image::read(template.path());
        drop(template);
        Run::new(self, old).all()
    }
}

impl Debug for Exploration<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Exploration")
            .field("errnos", &self.errnos)
            .field("states_per_cut", &self.states_per_cut)
            .field("pairs", &self.pairs)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
