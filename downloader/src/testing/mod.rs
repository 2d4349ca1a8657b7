//! Tools for tests: of your own [`Downloader`](crate::Downloader), and of programs that use one.
//!
//! # A backend of your own
//!
//! Say how to put something where the backend finds it, and let [`conformance`] check every rule of the trait:
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use bytes::Bytes;
//! use downloader::testing::{Breaking, Claims, Fixture, Rule, Schemes, conformance};
//! use downloader::{Downloader, MemoryDownloader};
//! use url::Url;
//!
//! struct Memory(MemoryDownloader);
//!
//! fn url(name: &str) -> Url {
//!     Url::parse(&format!("memory://host/{name}")).unwrap()
//! }
//!
//! #[async_trait]
//! impl Fixture for Memory {
//!     fn downloader(&self) -> Arc<dyn Downloader> {
//!         Arc::new(self.0.clone())
//!     }
//!
//!     fn claims(&self) -> Claims {
//!         Claims::all().with_schemes(Schemes::Any) // memory holds any URL
//!     }
//!
//!     async fn publish(&self, name: &str, content: Bytes) -> Url {
//!         self.0.insert(url(name), content);
//!         url(name)
//!     }
//!
//!     async fn remove(&self, name: &str) {
//!         self.0.remove(&url(name));
//!     }
//!
//!     async fn open_breaking(&self, _: &str, _: Bytes, _: u64) -> Breaking {
//!         Breaking::Impossible("memory does not break")
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let report = conformance(&Memory(MemoryDownloader::new())).await;
//! assert_eq!(report.unchecked(), [Rule::BrokenBody]);
//! # }
//! ```
//!
//! A backend that breaks a rule makes it panic with what was asked, what should have come and what came:
//!
//! ```text
//! rule 4 (if-range-changed) of `Downloader` is broken
//!   rule:      With an `if_range` that is not the validator of what the URL names now, the answer is the whole of what it names now, …
//!   asked:     open memory://host/if-range-changed-content, offset 100001, if_range "5f…" (the content was replaced by a longer one)
//!   expected:  an answer that starts at byte 0
//!   got:       an answer that starts at byte 100001
//!   harm:      The end of one content is joined to the beginning of another: a file that never existed.
//!   run alone: downloader::testing::rules::if_range_changed(&fixture).await.unwrap()
//! ```
//!
//! - [`examine`] returns the same as a [`Report`], without the panic; [`rules`] has each rule as a function of its own.
//! - What a backend cannot do is claimed in [`Claims`] and [`Breaking`], and then stands in [`Report::unchecked`].
//! - The rules run in a tokio runtime with time, which must not be paused for a backend that waits for something outside of it. An `open`
//!   that blocks the thread blocks the suite.
//! - They open 16 bodies at a time at most, and move about 100 MB, most of which is dropped on the way.
//!
//! # A program that uses a downloader
//!
//! - [`Faulty`] is any downloader with faults, planned for each URL and `open`: how does the program take it when the third file breaks
//!   at byte 1,000 and its mirror stalls?
//! - [`ScriptedDownloader`] is told each answer, one after another, and says at the end whether all of them were used.
//! - [`MemoryDownloader`](crate::MemoryDownloader) serves bytes and counts; it needs no feature.

mod fault;
mod faulty;
mod fixture;
mod plan;
mod play;
mod probe;
mod reading;
mod rule;
pub mod rules;
mod scripted;
mod suite;
mod verdict;

pub use fault::{Failure, Fault, Point};
pub use faulty::Faulty;
pub use fixture::{Breaking, Claims, Fixture, Ranges, Schemes, Totals, Validators};
pub use plan::Plan;
pub use rule::Rule;
pub use scripted::{Reply, ScriptedDownloader, Unfinished};
pub use suite::{conformance, examine};
pub use verdict::{Outcome, Report, Verdict, Violation};
