//! Which hosts there are, and which gave no answer.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::{Error, ErrorKind};

/// How long other sources are asked before a host that gave no answer: long enough for thousands of small files, short enough that
/// a server which comes back is used again.
const AVOIDED: Duration = Duration::from_secs(30);

/// What became of the hosts that were asked. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    found: HashSet<String>,
    silent: HashMap<(String, Option<u16>), Instant>,
}

impl Hosts {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn found(&self, url: &Url) {
        let Some(host) = url.host_str() else {
            return;
        };
        let mut hosts = self.lock();
        if !hosts.found.contains(host) {
            hosts.found.insert(host.to_owned());
        }
        if !hosts.silent.is_empty()
            && let Some(server) = server(url)
        {
            hosts.silent.remove(&server);
        }
    }

    pub(super) fn was_found(&self, url: &Url) -> bool {
        let hosts = self.lock();
        url.host_str()
            .is_some_and(|host| hosts.found.contains(host))
    }

    /// Remembers a server that did not even begin to answer.
    pub(super) fn failed(&self, url: &Url, error: &Error) {
        let is_silent = matches!(
            error.kind(),
            ErrorKind::Network | ErrorKind::UnknownHost | ErrorKind::Stalled
        );
        if is_silent && let Some(server) = server(url) {
            self.lock().silent.insert(server, Instant::now());
        }
    }

    /// Whether a server gave no answer a moment ago: others are asked before it.
    pub(super) fn is_avoided(&self, url: &Url) -> bool {
        let hosts = self.lock();
        if hosts.silent.is_empty() {
            return false;
        }
        let since = server(url).and_then(|server| hosts.silent.get(&server));
        since.is_some_and(|since| since.elapsed() < AVOIDED)
    }
}

/// A machine may have several.
fn server(url: &Url) -> Option<(String, Option<u16>)> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some((host.to_owned(), url.port_or_known_default()))
}
