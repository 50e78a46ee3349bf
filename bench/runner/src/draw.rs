//! The tables as a picture: one panel per measure, one cell per row and
//! allocator, green where it is better than the reference and red where worse.

use crate::{
    record::Record,
    report::mean_cell,
    summary::{Measure, means, ratio},
};
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

/// Sizes in pixels.
const CELL: (i32, i32) = (64, 18);
const LABELS: i32 = 160;
const GAP: i32 = 24;
const TOP: i32 = 56;

/// The picture's drawing area.
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Writes the picture as SVG.
pub fn draw(record: &Record, out: &Path) -> Result<()> {
    let columns = record.allocators.len() as i32;
    let lines = record.rows.len() as i32 + means(record, Measure::Peak).len() as i32;
    let panel = columns * CELL.0 + GAP;
    let width = LABELS + panel * Measure::ALL.len() as i32;
    let height = TOP + lines * CELL.1 + GAP;
    let area = SVGBackend::new(out, (width as u32, height as u32)).into_drawing_area();
    let result = paint(&area, record, panel).and_then(|()| {
        area.present()?;
        Ok(())
    });
    result.map_err(|error| anyhow!("drawing {}: {error}", out.display()))
}

/// What plotters reports.
type Painted = std::result::Result<(), Box<dyn std::error::Error>>;

/// Paints labels and panels.
fn paint(area: &Area<'_>, record: &Record, panel: i32) -> Painted {
    area.fill(&WHITE)?;
    let title = format!("ratios to {}, {}", record.reference, record.machine.processor);
    write(area, &title, (8, 6), 15)?;
    let sets = means(record, Measure::Peak).into_iter().map(|(title, _)| title);
    let labels = record.rows.iter().map(|row| row.label()).chain(sets);
    for (place, label) in labels.enumerate() {
        write(area, &label, (8, TOP + place as i32 * CELL.1 + 3), 12)?;
    }
    for (place, measure) in Measure::ALL.into_iter().enumerate() {
        paint_panel(area, record, measure, LABELS + place as i32 * panel)?;
    }
    Ok(())
}

/// Paints the panel of one measure with its left edge at `left`.
fn paint_panel(area: &Area<'_>, record: &Record, measure: Measure, left: i32) -> Painted {
    write(area, measure.title(), (left, TOP - 32), 13)?;
    for (column, allocator) in record.allocators.iter().enumerate() {
        let x = left + column as i32 * CELL.0;
        write(area, &allocator.name, (x + 2, TOP - 15), 11)?;
        for (line, row) in record.rows.iter().enumerate() {
            let value = ratio(record, row, &allocator.name, measure);
            let text = value.map_or("–".to_owned(), |value| format!("{value:.2}"));
            let corner = (x, TOP + line as i32 * CELL.1);
            area.draw(&Rectangle::new(
                [corner, (corner.0 + CELL.0 - 1, corner.1 + CELL.1 - 1)],
                shade(value).filled(),
            ))?;
            write(area, &text, (corner.0 + 16, corner.1 + 3), 11)?;
        }
        for (place, (_, rows)) in means(record, measure).iter().enumerate() {
            let y = TOP + (record.rows.len() + place) as i32 * CELL.1;
            write(area, &mean_cell(record, rows, &allocator.name, measure), (x + 14, y + 3), 12)?;
        }
    }
    Ok(())
}

/// The colour of a ratio: white at 1, full at half and double.
fn shade(ratio: Option<f64>) -> RGBColor {
    let Some(ratio) = ratio else {
        return RGBColor(220, 220, 220);
    };
    let strength = ratio.log2().clamp(-1.0, 1.0);
    let fade = (255.0 - strength.abs() * 110.0) as u8;
    if strength > 0.0 { RGBColor(255, fade, fade) } else { RGBColor(fade, 255, fade) }
}

/// Writes text with its upper left corner at a point.
fn write(area: &Area<'_>, text: &str, corner: (i32, i32), size: i32) -> Painted {
    area.draw(&Text::new(text, corner, ("sans-serif", size)))?;
    Ok(())
}
