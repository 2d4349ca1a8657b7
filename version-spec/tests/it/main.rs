//! The crate as its users meet it.

#[cfg(feature = "testing")]
mod checkouts;
#[cfg(feature = "testing")]
mod delete;
mod extra_paths;
#[cfg(unix)]
mod git_program;
#[cfg(unix)]
mod git_repos;
mod locks;
#[cfg(unix)]
mod models;
#[cfg(unix)]
mod models_bad;
#[cfg(unix)]
mod models_faults;
#[cfg(all(unix, feature = "http"))]
mod models_http;
#[cfg(unix)]
mod models_kept;
#[cfg(unix)]
mod models_world;
#[cfg(feature = "testing")]
mod python_fake;
mod python_uv;
#[cfg(feature = "testing")]
mod realize;
#[cfg(all(unix, feature = "testing"))]
mod realize_faults;
#[cfg(unix)]
mod realize_real;
#[cfg(feature = "testing")]
mod realize_world;
#[cfg(feature = "testing")]
mod resolve;
mod spec_bad;
mod spec_laws;
mod spec_loose;
mod spec_migrate;
#[cfg(feature = "schema")]
mod spec_schema;
mod spec_store;
mod wheels;
