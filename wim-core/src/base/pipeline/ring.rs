//! The ring on top of `rayon`: items go out while permits last, results come back into order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::budget::Budget;
use crate::base::context::Context;
use crate::base::error::Result;

/// How often the calling thread looks at the cancel flag while it waits for a result.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// What an item will take from the budget between its reading and the end of its sink.
pub trait Cost {
    /// Bytes: compressed bound plus uncompressed size.
    fn cost(&self) -> u64;
}

/// Runs workers over `items` and hands the results to `sink` in item order, within `budget`.
///
/// `new_worker` makes the worker of one thread with its codec and scratch; at most `budget.workers` exist. A permit of
/// [`Cost::cost`] bytes is taken before an item is handed out and given back after its sink; an item larger than all
/// permits runs alone. When the caller is itself a thread of the pool, or there is one thread only, items run inline.
///
/// # Errors
/// The first error in item order, of a worker or of the sink; `Cancelled` when the flag of `cx` is raised.
///
/// # Panics
/// Resumes the panic of a worker, after all others have finished.
pub fn map_in_order<I, N, W, T, S>(
    cx: &Context<'_>,
    budget: &Budget,
    items: I,
    new_worker: N,
    mut sink: S,
) -> Result<()>
where
    I: IntoIterator,
    I::Item: Cost + Send,
    N: Fn() -> W + Sync,
    W: FnMut(I::Item) -> Result<T> + Send,
    T: Send,
    S: FnMut(T) -> Result<()>,
{
    let items = items.into_iter();
    if cx.threads() == 1 || budget.workers == 1 {
        return run_inline(cx, items, new_worker(), sink);
    }
    let pool = cx.pool()?;
    if pool.current_thread_index().is_some() {
        return run_inline(cx, items, new_worker(), sink);
    }
    let shared =
        Shared { idle: Mutex::new(Vec::new()), stop: AtomicBool::new(false), new_worker: &new_worker };
    pool.in_place_scope(|scope| {
        let (results, arrivals) = crossbeam_channel::unbounded();
        // Two tasks a worker keep it busy while this thread is in the sink; when memory allows fewer workers than the
        // pool has threads, the number of tasks is what holds them down.
        let most_running = if budget.workers < cx.threads() { budget.workers } else { budget.workers * 2 };
        let mut ring = Ring::new(items.peekable(), budget.permit_bytes, most_running);
        let outcome = ring.run(cx, &arrivals, &mut sink, |number, item| {
            let (shared, results) = (&shared, results.clone());
            scope.spawn(move |_| shared.work(number, item, &results));
        });
        // Tasks that have not begun see this and return at once; the scope waits for the others.
        shared.stop.store(true, Ordering::Relaxed);
        outcome
    })
}

fn run_inline<Item, T>(
    cx: &Context<'_>,
    items: impl Iterator<Item = Item>,
    mut worker: impl FnMut(Item) -> Result<T>,
    mut sink: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    for item in items {
        cx.cancel.check()?;
        sink(worker(item)?)?;
    }
    Ok(())
}

/// What came back for an item.
enum Outcome<T> {
    Done(Result<T>),
    /// The worker panicked, or never ran because the job had stopped.
    Lost,
}

struct Shared<'n, W, N> {
    /// Workers not in use; the newest, with the warmest caches, on top.
    idle: Mutex<Vec<W>>,
    stop: AtomicBool,
    new_worker: &'n N,
}

impl<W, N: Fn() -> W> Shared<'_, W, N> {
    fn work<Item, T>(&self, number: u64, item: Item, results: &Sender<(u64, Outcome<T>)>)
    where
        W: FnMut(Item) -> Result<T>,
    {
        // Sends `Lost` when this function is left by a panic, so that the sink does not wait for ever.
        let mut slot = Slot { number, results, outcome: Outcome::Lost };
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut worker = idle.unwrap_or_else(|| (self.new_worker)());
        slot.outcome = Outcome::Done(worker(item));
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }
}

struct Slot<'r, T> {
    number: u64,
    results: &'r Sender<(u64, Outcome<T>)>,
    outcome: Outcome<T>,
}

impl<T> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Lost);
        // The receiver lives as long as the scope; if it is gone, nobody waits.
        let _ = self.results.send((self.number, outcome));
    }
}

/// The calling thread's side: what is out, what has come back, what it costs.
struct Ring<I: Iterator, T> {
    items: std::iter::Peekable<I>,
    permit_bytes: u64,
    most_running: usize,
    /// One entry for each item from the next to sink onwards.
    waiting: VecDeque<Entry<T>>,
    first_waiting: u64,
    running: usize,
    permits_out: u64,
}

struct Entry<T> {
    cost: u64,
    result: Option<Outcome<T>>,
}

impl<I, T> Ring<I, T>
where
    I: Iterator,
    I::Item: Cost,
{
    fn new(items: std::iter::Peekable<I>, permit_bytes: u64, most_running: usize) -> Self {
        Self {
            items,
            permit_bytes,
            most_running,
            waiting: VecDeque::new(),
            first_waiting: 0,
            running: 0,
            permits_out: 0,
        }
    }

    fn run(
        &mut self,
        cx: &Context<'_>,
        arrivals: &Receiver<(u64, Outcome<T>)>,
        sink: &mut impl FnMut(T) -> Result<()>,
        mut spawn: impl FnMut(u64, I::Item),
    ) -> Result<()> {
        loop {
            cx.cancel.check()?;
            self.hand_out(&mut spawn);
            if self.waiting.is_empty() {
                return Ok(());
            }
            match arrivals.recv_timeout(CANCEL_POLL) {
                Ok((number, outcome)) => self.place(number, outcome),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            while let Ok((number, outcome)) = arrivals.try_recv() {
                self.place(number, outcome);
            }
            if !self.drain(cx, sink)? {
                return Ok(());
            }
        }
    }

    /// Hands out items while permits and workers last; one item always, if none is out.
    fn hand_out(&mut self, spawn: &mut impl FnMut(u64, I::Item)) {
        while self.running < self.most_running {
            let Some(item) = self.items.peek() else { return };
            let cost = item.cost();
            let fits = self.permits_out.saturating_add(cost) <= self.permit_bytes;
            if !fits && !self.waiting.is_empty() {
                return;
            }
            let Some(item) = self.items.next() else { return };
            let number = self.first_waiting + self.waiting.len() as u64;
            self.waiting.push_back(Entry { cost, result: None });
            self.permits_out = self.permits_out.saturating_add(cost);
            self.running += 1;
            spawn(number, item);
        }
    }

    fn place(&mut self, number: u64, outcome: Outcome<T>) {
        self.running -= 1;
        let index = number.checked_sub(self.first_waiting).and_then(|i| usize::try_from(i).ok());
        if let Some(entry) = index.and_then(|i| self.waiting.get_mut(i)) {
            entry.result = Some(outcome);
        }
    }

    /// Sinks what is due. False when a worker was lost: the scope will resume its panic.
    fn drain(&mut self, cx: &Context<'_>, sink: &mut impl FnMut(T) -> Result<()>) -> Result<bool> {
        while let Some(Entry { result: Some(_), .. }) = self.waiting.front() {
            let Some(Entry { cost, result: Some(outcome) }) = self.waiting.pop_front() else { break };
            self.first_waiting += 1;
            let Outcome::Done(result) = outcome else { return Ok(false) };
            sink(result?)?;
            self.permits_out = self.permits_out.saturating_sub(cost);
            cx.cancel.check()?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Cancel, Error, ErrorKind, Silent};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, AtomicUsize};

    struct Item(u64, u64);
    impl Cost for Item {
        fn cost(&self) -> u64 {
            self.1
        }
    }

    fn items(n: u64, cost: u64) -> impl Iterator<Item = Item> {
        (0..n).map(move |i| Item(i, cost))
    }

    fn budgets(threads: usize) -> [Budget; 3] {
        [100, 64 << 10, 1 << 20].map(|permit_bytes| Budget {
            workers: threads,
            permit_bytes,
            scratch_bytes: 0,
            batch_bytes: 1,
        })
    }

    /// Runs `test` at 1, 2 and 8 threads and three budgets.
    fn everywhere(test: impl Fn(&Context<'_>, &Budget)) {
        for threads in [1, 2, 8] {
            for budget in budgets(threads) {
                let cancel = Cancel::new();
                test(&Context::new(&Silent, &cancel).with_threads(threads), &budget);
            }
        }
    }

    /// Work of a length that makes results arrive out of order.
    fn jitter(i: u64) {
        std::thread::sleep(Duration::from_micros((i * 7919) % 400));
    }

    #[test]
    fn promise_1_the_sink_sees_item_order_on_the_calling_thread() {
        everywhere(|cx, budget| {
            let (mut seen, caller) = (Vec::new(), std::thread::current().id());
            let worker = || {
                |item: Item| {
                    jitter(item.0);
                    Ok(item.0)
                }
            };
            map_in_order(cx, budget, items(200, 64), worker, |i| {
                assert_eq!(std::thread::current().id(), caller);
                seen.push(i);
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, (0..200).collect::<Vec<_>>());
        });
    }

    #[test]
    fn promise_2_permits_stay_within_the_budget_and_a_huge_item_runs_alone() {
        everywhere(|cx, budget| {
            let (out, peak) = (AtomicU64::new(0), AtomicU64::new(0));
            let costs = |i: u64| if i % 50 == 49 { 10 << 20 } else { 40 };
            let sources = (0..200).map(|i| Item(i, costs(i)));
            let worker = || {
                |item: Item| {
                    let now = out.fetch_add(item.1, Ordering::SeqCst) + item.1;
                    peak.fetch_max(if item.1 > budget.permit_bytes { 0 } else { now }, Ordering::SeqCst);
                    jitter(item.0);
                    Ok(item.1)
                }
            };
            map_in_order(cx, budget, sources, worker, |cost| {
                out.fetch_sub(cost, Ordering::SeqCst);
                Ok(())
            })
            .unwrap();
            let peak = peak.load(Ordering::SeqCst);
            assert!(peak <= budget.permit_bytes, "peak {peak} over {budget:?}");
        });
    }

    #[test]
    fn promise_3_a_slow_first_item_does_not_deadlock_a_small_budget() {
        everywhere(|cx, budget| {
            let worker = || {
                |item: Item| {
                    if item.0 == 0 {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Ok(())
                }
            };
            let mut sunk = 0;
            map_in_order(cx, budget, items(500, 33), worker, |()| {
                sunk += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(sunk, 500);
        });
    }

    #[test]
    fn promise_3_a_nested_call_on_the_same_pool_runs_inline() {
        let cancel = Cancel::new();
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
        let cx = Context::new(&Silent, &cancel).with_pool(Arc::clone(&pool));
        let budget = Budget { workers: 2, permit_bytes: 100, scratch_bytes: 0, batch_bytes: 1 };
        let mut total = 0;
        map_in_order(
            &cx,
            &budget,
            items(20, 10),
            || {
                |_| {
                    let inner_cx = Context::new(&Silent, &cancel).with_pool(Arc::clone(&pool));
                    let mut inner = 0;
                    map_in_order(
                        &inner_cx,
                        &budget,
                        items(5, 10),
                        || |i: Item| Ok(i.0),
                        |i| {
                            inner += i;
                            Ok(())
                        },
                    )?;
                    Ok(inner)
                }
            },
            |inner| {
                total += inner;
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(total, 200);
    }

    #[test]
    fn promise_4_the_first_error_in_item_order_wins() {
        everywhere(|cx, budget| {
            let mut sunk = Vec::new();
            let worker = || {
                |item: Item| {
                    jitter(item.0);
                    if item.0 >= 20 { Err(Error::corrupt(format!("item {}", item.0))) } else { Ok(item.0) }
                }
            };
            let error = map_in_order(cx, budget, items(100, 10), worker, |i| {
                sunk.push(i);
                Ok(())
            })
            .unwrap_err();
            assert_eq!(error.message(), "item 20");
            assert_eq!(sunk, (0..20).collect::<Vec<_>>());
        });
    }

    #[test]
    fn promise_4_an_error_of_the_sink_and_a_raised_flag_end_the_job() {
        everywhere(|cx, budget| {
            let error = map_in_order(
                cx,
                budget,
                items(100, 10),
                || |i: Item| Ok(i.0),
                |i| {
                    if i == 7 { Err(Error::limit("full")) } else { Ok(()) }
                },
            )
            .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit);
            cx.cancel.raise();
            let error =
                map_in_order(cx, budget, items(100, 10), || |i: Item| Ok(i.0), |_| Ok(())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);
        });
    }

    #[test]
    fn promise_4_a_panicking_worker_is_resumed_and_not_waited_for() {
        for threads in [1, 2, 8] {
            let cancel = Cancel::new();
            let cx = Context::new(&Silent, &cancel).with_threads(threads);
            let budget = Budget { workers: threads, permit_bytes: 1000, scratch_bytes: 0, batch_bytes: 1 };
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                map_in_order(
                    &cx,
                    &budget,
                    items(50, 10),
                    || {
                        |i: Item| {
                            assert!(i.0 != 13, "thirteen");
                            Ok(())
                        }
                    },
                    |()| Ok(()),
                )
            }));
            assert!(result.is_err(), "{threads} threads");
        }
    }

    #[test]
    fn promise_2_fewer_workers_than_threads_are_made_when_memory_is_short() {
        let cancel = Cancel::new();
        let cx = Context::new(&Silent, &cancel).with_threads(8);
        let budget = Budget { workers: 2, permit_bytes: 1 << 20, scratch_bytes: 0, batch_bytes: 1 };
        let made = AtomicUsize::new(0);
        let worker = || {
            made.fetch_add(1, Ordering::SeqCst);
            |item: Item| {
                jitter(item.0);
                Ok(())
            }
        };
        map_in_order(&cx, &budget, items(200, 10), worker, |()| Ok(())).unwrap();
        assert!(made.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn promise_5_workers_are_reused() {
        everywhere(|cx, budget| {
            let made = AtomicUsize::new(0);
            let worker = || {
                made.fetch_add(1, Ordering::SeqCst);
                |item: Item| Ok(item.0)
            };
            map_in_order(cx, budget, items(300, 10), worker, |_| Ok(())).unwrap();
            let made = made.load(Ordering::SeqCst);
            assert!(made <= budget.workers, "{made} workers made for {budget:?}");
        });
    }
}
