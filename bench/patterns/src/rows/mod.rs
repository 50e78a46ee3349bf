//! The patterns, and the one table that names them.
//!
//! A new pattern is a function from a [`Job`] to [`Books`] and a line in
//! [`TABLE`]; the runner reads the table from the binary.

mod churn;
mod handoff;
mod large;
mod larson;
mod programs;
mod sharing;
mod small;
mod stress;

use crate::{heap::Books, job::Job};

/// One pattern and the thread counts it is run with.
pub struct Row {
    /// Its name on the command line and in every table.
    pub name: &'static str,
    /// Thread counts in full mode.
    pub threads: &'static [usize],
    /// Thread counts in quick mode; a part of `threads`.
    pub quick: &'static [usize],
    /// The pattern itself.
    pub run: fn(&Job) -> Books,
}

const fn row(name: &'static str, threads: &'static [usize], quick: &'static [usize], run: fn(&Job) -> Books) -> Row {
    Row { name, threads, quick, run }
}

/// Every pattern, the ones that quick mode must not miss first.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row("short-lived",       &[1, 2, 8], &[1, 2, 8], small::short_lived),
    row("churn",             &[1, 2, 8], &[1, 2, 8], churn::even),
    row("larson",            &[1, 2, 8], &[2, 8],    larson::server),
    row("producer-consumer", &[2, 8],    &[2, 8],    handoff::producer_consumer),
    row("asymmetric",        &[2, 8],    &[2, 8],    handoff::asymmetric),
    row("large-touch",       &[1, 2],    &[1, 2],    large::first_touch),
    row("realloc-many",      &[1, 2, 8], &[1, 8],    large::grow_many),
    row("realloc-one",       &[1],       &[1],       large::grow_one),
    row("power-law",         &[1, 2, 8], &[1, 8],    churn::power_law),
    row("medium",            &[1, 2, 8], &[8],       churn::medium),
    row("stages",            &[1, 2, 8], &[2, 8],    stress::stages),
    row("tree",              &[1, 2, 8], &[1],       programs::tree),
    row("key-value",         &[1, 2, 8], &[1],       programs::key_value),
    row("strings",           &[1, 2],    &[1],       programs::strings),
    row("long-numbers",      &[1],       &[1],       programs::long_numbers),
    row("ping-pong",         &[1, 2, 8], &[1],       small::ping_pong),
    row("batches",           &[1, 2],    &[1],       small::batches),
    row("sized-free",        &[1, 2],    &[],        small::sized),
    row("queues",            &[2, 8],    &[8],       handoff::queues),
    row("windows",           &[1, 8],    &[1],       stress::windows),
    row("crossing-windows",  &[2, 8],    &[8],       stress::crossing_windows),
    row("thread-churn",      &[1, 2, 8], &[2],       larson::thread_churn),
    row("calloc-fresh",      &[1],       &[1],       large::calloc_fresh),
    row("calloc-recycled",   &[1, 8],    &[1],       large::calloc_recycled),
    row("aligned",           &[1, 2, 8], &[1],       large::aligned),
    row("sharing-active",    &[2, 8],    &[],        sharing::active),
    row("sharing-passive",   &[2, 8],    &[2],       sharing::passive),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_runs_and_its_books_close() {
        for row in TABLE {
            for &threads in row.threads {
                (row.run)(&Job { threads, percent: 1 }).close();
            }
        }
    }

    #[test]
    fn quick_rows_are_rows() {
        for row in TABLE {
            assert!(row.quick.iter().all(|count| row.threads.contains(count)), "{}", row.name);
        }
    }
}
