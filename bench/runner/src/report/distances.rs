//! How far each allocator is from the best of each row.

use super::{COLUMN, columns, label_width, line};
use crate::{
    record::Record,
    summary::{Measure, behind, best, distance},
};

/// The table for time, and for every measure who is how far behind, and where most.
pub fn render(record: &Record) -> String {
    let mut text = "\nbehind the best of the row, in time: medians, divided by the best one's, which the last column \
                    names\n"
        .to_owned();
    let width = label_width(record);
    line(&mut text, &format!("{:<width$} {}  best", "row/threads", columns(record, str::to_owned)));
    for row in &record.rows {
        let factor = |name: &str| behind(record, row, name, Measure::Time);
        let cells = columns(record, |name| factor(name).map_or("missing".to_owned(), |factor| format!("{factor:.2}")));
        let (_, name) = best(record, row, Measure::Time).unwrap_or((1.0, "nobody"));
        line(&mut text, &format!("{:<width$} {cells}  {name}", row.label()));
    }
    for measure in Measure::ALL {
        text += &summary(record, measure, width);
    }
    text
}

/// Mean, rows beyond a tenth, and the worst row of each allocator.
fn summary(record: &Record, measure: Measure, width: usize) -> String {
    let mut text = format!("\nbehind the best of the row, {}\n", measure.title());
    line(&mut text, &format!("{:<width$} {:>COLUMN$}{:>12}{:>10}  worst row", "", "mean", "above 1.10", "worst"));
    for allocator in &record.allocators {
        let Some(found) = distance(record, &allocator.name, measure) else { continue };
        let (factor, row) = found.worst;
        let figures = format!("{:>COLUMN$.3}{:>12}{factor:>10.2}", found.mean, found.beyond);
        line(&mut text, &format!("{:<width$} {figures}  {}", allocator.name, row.label()));
    }
    text
}
