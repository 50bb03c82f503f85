//! Parallel work with ordered results and a bounded queue: the one pattern that compressing and inflating share.
//!
//! Items go to whichever worker is free; each carries the way back for its result, and the ways back stand in a queue in
//! the items' order. The queue's length bounds the items in flight, and with it the memory.

use std::sync::mpsc::{Receiver, RecvError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, spawn};

type Task<I, O> = (I, SyncSender<O>);

/// Where items go in.
pub(super) struct Input<I, O> {
    tasks: SyncSender<Task<I, O>>,
    order: SyncSender<Receiver<O>>,
}

/// Where results come out, in the items' order.
pub(super) struct Output<O> {
    order: Receiver<Receiver<O>>,
    workers: Vec<JoinHandle<()>>,
}

/// The other side is gone.
#[derive(Debug)]
pub(super) struct Closed;

/// Starts `workers` threads, each with its own state made by `make`, that turn items into results.
pub(super) fn ordered<I, O, S, F>(
    workers: usize,
    in_flight: usize,
    make: impl Fn() -> S + Send + Sync + 'static,
    work: F,
) -> (Input<I, O>, Output<O>)
where
    I: Send + 'static,
    O: Send + 'static,
    F: Fn(&mut S, I) -> O + Send + Sync + 'static,
{
    let (tasks, waiting) = sync_channel::<Task<I, O>>(in_flight);
    let (order, results) = sync_channel(in_flight);
    let waiting = Arc::new(Mutex::new(waiting));
    let shared = Arc::new((make, work));
    let workers = (0..workers.max(1))
        .map(|_| {
            let (waiting, shared) = (Arc::clone(&waiting), Arc::clone(&shared));
            spawn(move || {
                let mut state = shared.0();
                while let Ok((item, reply)) = next(&waiting) {
                    // Nobody waits for the result any more: the consumer gave up.
                    let _ = reply.send(shared.1(&mut state, item));
                }
            })
        })
        .collect();
    (
        Input { tasks, order },
        Output {
            order: results,
            workers,
        },
    )
}

fn next<T>(waiting: &Mutex<Receiver<T>>) -> Result<T, RecvError> {
    waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
}

impl<I, O> Input<I, O> {
    /// Hands an item in; waits while too many are in flight.
    pub(super) fn send(&self, item: I) -> Result<(), Closed> {
        let (reply, result) = sync_channel(1);
        self.order.send(result).map_err(|_| Closed)?;
        self.tasks.send((item, reply)).map_err(|_| Closed)
    }
}

impl<O> Output<O> {
    /// The next result; `None` after the last.
    pub(super) fn next(&mut self) -> Option<O> {
        // A worker that panicked drops its way back: the stream ends, and `join` tells.
        self.order.recv().ok()?.recv().ok()
    }

    /// Ends the workers; false if one of them panicked.
    pub(super) fn join(self) -> bool {
        drop(self.order);
        let mut good = true;
        for worker in self.workers {
            good &= worker.join().is_ok();
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order() {
        let (input, mut output) = ordered(
            3,
            4,
            || (),
            |(), number: u64| {
                std::thread::yield_now();
                number * 2
            },
        );
        let feeder = spawn(move || (0..500).all(|number| input.send(number).is_ok()));
        let results: Vec<_> = std::iter::from_fn(|| output.next()).collect();
        assert_eq!(
            results,
            (0..500).map(|number| number * 2).collect::<Vec<_>>()
        );
        assert!(feeder.join().expect("feeder") && output.join());
    }

    #[test]
    fn a_consumer_that_leaves_ends_the_producer() {
        let (input, output) = ordered(2, 2, || (), |(), number: u64| number);
        let feeder = spawn(move || (0..1_000_000).all(|number| input.send(number).is_ok()));
        assert!(output.join());
        assert!(!feeder.join().expect("feeder"));
    }
}
