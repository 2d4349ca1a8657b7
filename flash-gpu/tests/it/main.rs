//! The crate as its users meet it: installations in a folder, a Python that is a shell, and GPUs that a test makes up.

#[cfg(unix)]
mod again;
#[cfg(unix)]
mod effects;
#[cfg(unix)]
mod explore;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod keep;
#[cfg(unix)]
mod needs;
mod probes;
#[cfg(unix)]
mod python;
#[cfg(unix)]
mod scripts;
#[cfg(unix)]
mod smi;
#[cfg(unix)]
mod stopping;
#[cfg(unix)]
mod untouched;
#[cfg(unix)]
mod warm;
#[cfg(unix)]
mod world;
