//! The patterns, and the one table that names them.
//!
//! A new pattern is a function from a [`Job`] to [`Books`] and a line in
//! [`TABLE`]; the runner reads the table from the binary.

mod algebra;
mod churn;
mod handoff;
mod large;
mod larson;
mod programs;
mod sharing;
mod small;
mod stress;

use crate::{heap::Books, job::Job};

/// A kind of pattern, whose rows have a mean of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Group {
    /// Objects of up to some kilobytes, which their own thread frees.
    Small,
    /// Objects that change their thread, threads that come and go, and lines of the cache that threads share.
    Threads,
    /// Large, growing, zeroed and aligned objects.
    Large,
}

impl Group {
    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Group::Small => "small objects",
            Group::Threads => "threads that exchange",
            Group::Large => "large and growing",
        }
    }
}

/// One pattern and the thread counts it is run with.
pub struct Row {
    /// Its name on the command line and in every table.
    pub name: &'static str,
    /// Its kind.
    pub group: Group,
    /// Thread counts in full mode.
    pub threads: &'static [usize],
    /// Thread counts in quick mode; a part of `threads`.
    pub quick: &'static [usize],
    /// The pattern itself.
    pub run: fn(&Job) -> Books,
}

const fn row(
    name: &'static str,
    group: Group,
    threads: &'static [usize],
    quick: &'static [usize],
    run: fn(&Job) -> Books,
) -> Row {
    Row { name, group, threads, quick, run }
}

use Group::{Large, Small, Threads};

/// Every pattern, the ones that quick mode must not miss first.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row("short-lived",         Small,   &[1, 2, 8], &[1, 2, 8], small::short_lived),
    row("churn",               Small,   &[1, 2, 8], &[1, 2, 8], churn::even),
    row("larson",              Threads, &[1, 2, 8], &[2, 8],    larson::server),
    row("producer-consumer",   Threads, &[2, 8],    &[2, 8],    handoff::producer_consumer),
    row("asymmetric",          Threads, &[2, 8],    &[2, 8],    handoff::asymmetric),
    row("large-touch",         Large,   &[1, 2, 8], &[1, 2],    large::first_touch),
    row("realloc-many",        Large,   &[1, 2, 8], &[1, 8],    large::grow_many),
    row("realloc-one",         Large,   &[1],       &[1],       large::grow_one),
    row("power-law",           Small,   &[1, 2, 8], &[1, 8],    churn::power_law),
    row("medium",              Small,   &[1, 2, 8], &[8],       churn::medium),
    row("stages",              Threads, &[1, 2, 8], &[2, 8],    stress::stages),
    row("tree",                Small,   &[1, 2, 8], &[1],       programs::tree),
    row("key-value",           Small,   &[1, 2, 8], &[1],       programs::key_value),
    row("strings",             Small,   &[1, 2, 8], &[1],       programs::strings),
    row("long-numbers",        Small,   &[1, 2, 8], &[1],       programs::long_numbers),
    row("ping-pong",           Small,   &[1, 2, 8], &[1],       small::ping_pong),
    row("batches",             Small,   &[1, 2, 8], &[1],       small::batches),
    row("sized-free",          Small,   &[1, 2, 8], &[],        small::sized),
    row("queues",              Threads, &[2, 8],    &[8],       handoff::queues),
    row("windows",             Small,   &[1, 2, 8], &[1],       stress::windows),
    row("crossing-windows",    Threads, &[2, 8],    &[8],       stress::crossing_windows),
    row("thread-churn",        Threads, &[1, 2, 8], &[2],       larson::thread_churn),
    row("calloc-fresh",        Large,   &[1, 2, 8], &[1],       large::calloc_fresh),
    row("calloc-recycled",     Large,   &[1, 2, 8], &[1],       large::calloc_recycled),
    row("aligned",             Large,   &[1, 2, 8], &[1],       large::aligned),
    row("algebra",             Small,   &[1, 2, 8], &[1],       algebra::derivatives),
    row("larson-sized",        Threads, &[1, 2, 8], &[8],       larson::sized_server),
    row("bursts",              Threads, &[2, 8],    &[2],       handoff::bursts),
    row("large-range",         Large,   &[1, 2, 8], &[1],       large::large_range),
    row("thread-waves",        Threads, &[64],      &[],        larson::thread_waves),
    row("sharing-active",      Threads, &[2, 8],    &[],        sharing::active),
    row("sharing-passive",     Threads, &[2, 8],    &[2],       sharing::passive),
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
