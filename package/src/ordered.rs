//! Work done by several threads, taken in order.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::Result;

/// How many threads are worth starting.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Calls `work` for each item on one of `threads` threads, and `take` on this one with each result, in the
/// order of the items. No thread is more than two results for each thread ahead of it.
///
/// # Errors
/// The first one, in the order of the items; what is under way is finished then, nothing more is begun.
pub(crate) fn in_order<'i, I: Sync, M: Send, S>(
    items: &'i [I],
    threads: usize,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&'i I, &mut S) -> Result<M> + Sync,
    mut take: impl FnMut(&'i I, M) -> Result<()>,
) -> Result<()> {
    let threads = threads.clamp(1, items.len().max(1));
    let queue = Queue::new(2 * threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _stop = StopOnPanic(&queue);
                let mut scratch = scratch();
                while let Some(index) = queue.next(items.len()) {
                    let made = work(&items[index], &mut scratch);
                    queue.put(index, made);
                }
            });
        }
        // Also when `take` fails or panics: the threads must not wait for ever.
        let _stop = StopOnDrop(&queue);
        for (index, item) in items.iter().enumerate() {
            // None only after a panic, which the end of the scope hands on.
            let Some(made) = queue.wait_for(index) else {
                break;
            };
            take(item, made?)?;
        }
        Ok(())
    })
}

struct Queue<M> {
    next: AtomicUsize,
    /// How far ahead of the taker a thread may be.
    window: usize,
    state: Mutex<State<M>>,
    changed: Condvar,
}

struct State<M> {
    made: BTreeMap<usize, Result<M>>,
    taken: usize,
    is_stopped: bool,
}

impl<M> Queue<M> {
    fn new(window: usize) -> Self {
        Self {
            next: AtomicUsize::new(0),
            window,
            state: Mutex::new(State {
                made: BTreeMap::new(),
                taken: 0,
                is_stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item to work on, as soon as it is near enough.
    fn next(&self, count: usize) -> Option<usize> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= count {
            return None;
        }
        let wait = |state: &mut State<M>| !state.is_stopped && index >= state.taken + self.window;
        let state = self
            .changed
            .wait_while(self.state(), wait)
            .unwrap_or_else(PoisonError::into_inner);
        (!state.is_stopped).then_some(index)
    }

    fn put(&self, index: usize, made: Result<M>) {
        self.state().made.insert(index, made);
        self.changed.notify_all();
    }

    fn wait_for(&self, index: usize) -> Option<Result<M>> {
        let wait = |state: &mut State<M>| !state.is_stopped && !state.made.contains_key(&index);
        let mut state = self
            .changed
            .wait_while(self.state(), wait)
            .unwrap_or_else(PoisonError::into_inner);
        let made = state.made.remove(&index)?;
        state.taken = index + 1;
        self.changed.notify_all();
        Some(made)
    }

    fn stop(&self) {
        self.state().is_stopped = true;
        self.changed.notify_all();
    }
}

struct StopOnDrop<'q, M>(&'q Queue<M>);

impl<M> Drop for StopOnDrop<'_, M> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

struct StopOnPanic<'q, M>(&'q Queue<M>);

impl<M> Drop for StopOnPanic<'_, M> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, ErrorKind};

    fn refused(number: usize) -> Error {
        Error::new(ErrorKind::Tool, number.to_string())
    }

    #[test]
    fn results_are_taken_in_order_by_any_number_of_threads() {
        let items: Vec<usize> = (0..500).collect();
        for threads in [0, 1, 2, 7, 1_000] {
            let mut taken = Vec::new();
            let make = |item: &usize, made: &mut usize| {
                *made += 1;
                Ok(item * 2)
            };
            in_order(
                &items,
                threads,
                || 0,
                make,
                |item, made| {
                    taken.push((*item, made));
                    Ok(())
                },
            )
            .unwrap();
            let expected: Vec<_> = (0..500).map(|item| (item, item * 2)).collect();
            assert_eq!(taken, expected);
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let items: Vec<usize> = (0..500).collect();
        let make = |item: &usize, (): &mut ()| {
            if item % 100 == 99 {
                return Err(refused(*item));
            }
            Ok(())
        };
        let mut taken = 0;
        let error = in_order(
            &items,
            4,
            || (),
            make,
            |_, ()| {
                taken += 1;
                Ok(())
            },
        )
        .unwrap_err();
        assert_eq!((error.to_string().as_str(), taken), ("99", 99));
        let error = in_order(
            &items,
            4,
            || (),
            |_, ()| Ok(()),
            |item, ()| Err(refused(*item)),
        );
        assert_eq!(error.unwrap_err().to_string(), "0");
    }

    #[test]
    fn no_thread_runs_far_ahead() {
        let items: Vec<usize> = (0..100).collect();
        let begun = AtomicUsize::new(0);
        let make = |_: &usize, (): &mut ()| Ok(begun.fetch_add(1, Ordering::SeqCst));
        in_order(
            &items,
            2,
            || (),
            make,
            |item, _| {
                assert!(begun.load(Ordering::SeqCst) <= item + 1 + 4);
                Ok(())
            },
        )
        .unwrap();
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_handed_on() {
        let make = |_: &usize, (): &mut ()| -> Result<()> { panic!("broken") };
        let _ = in_order(&[1, 2, 3], 2, || (), make, |_, ()| Ok(()));
    }
}
