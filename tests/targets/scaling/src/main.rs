//! What limits the kernel with many threads, on paper: the real code runs for up to 256 threads by turns, every access
//! to its memory is seen, and a model says which lines and locks they would have waited for.
//!
//! `docs/scaling.md` has the method and what came of it.

mod hooks;
mod machine;
mod model;
mod patterns;
mod places;
mod run;
mod table;
mod world;

use places::Code;
use run::{AT_RANDOM, Order, Plan, run};

/// The arguments, as they were understood.
struct Line {
    quick: bool,
    plain: bool,
    only: Option<String>,
    threads: Vec<usize>,
    top: usize,
}

fn line() -> Result<Line, String> {
    let mut line = Line { quick: false, plain: false, only: None, threads: Vec::new(), top: 0 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let (word, mut given) = match word.split_once('=') {
            Some((word, value)) => (word.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let mut value = || given.take().or_else(|| words.next()).ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => line.quick = true,
            "--plain" => line.plain = true,
            "--only" => line.only = Some(value()?),
            "--top" => line.top = value()?.parse().map_err(|e| format!("--top: {e}"))?,
            "--threads" => {
                let numbers = value()?.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>();
                line.threads = numbers.map_err(|e| format!("--threads: {e}"))?;
            }
            other => return Err(format!("unknown argument {other}")),
        }
    }
    if line.threads.is_empty() {
        line.threads = if line.quick { vec![1, 8] } else { vec![1, 2, 8, 64, 256] };
    }
    match line.threads.iter().find(|&&n| n == 0 || n >= model::MOST) {
        Some(n) => Err(format!("{n} threads are too few or too many")),
        None => Ok(line),
    }
}

fn main() {
    let line = match line() {
        Ok(line) => line,
        Err(what) => {
            eprintln!("scaling: {what}");
            std::process::exit(2);
        }
    };
    if !hooks::are_called() {
        eprintln!("scaling: built without the flags of flags.txt, so nothing is seen");
        std::process::exit(3);
    }
    let code = Code::own();
    let mut results = Vec::new();
    for row in patterns::TABLE.iter().filter(|row| line.only.as_ref().is_none_or(|only| only == row.name)) {
        for &threads in line.threads.iter().filter(|&&threads| threads >= row.least) {
            // Those who read do so in time, and at random more threads take longer than they are worth.
            let timed = row.reader || threads > AT_RANDOM;
            let orders: &[Order] = if timed { &[Order::Time] } else { &[Order::Time, Order::Random] };
            for &order in orders {
                let result = run(row, &Plan::new(row, threads, order, line.quick), &code);
                if line.plain {
                    println!("{}", result.plain());
                }
                results.push(result);
            }
        }
    }
    if !line.plain {
        print!("{}", table::tables(&results));
    }
    if line.top > 0 {
        print!("{}", table::lines(&results, line.top));
    }
}
