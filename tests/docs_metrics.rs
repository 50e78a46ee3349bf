//! Compares `docs/metrics.md` and `docs/metrics.schema.json` with the table of metrics, and writes them with
//! `CROSSFOOT_BLESS=1`.

use std::fmt::Write;

use crossfoot::metrics::{IDENTITIES, Kind, Metric, NOTES, TABLE};

const HEAD: &str = "\
# Metrics

All metrics of Crossfoot. This page is generated from the table in `src/metrics/table.rs` and the notes beside it:
`CROSSFOOT_BLESS=1 cargo test --test docs_metrics` writes it anew.

Names are those of Go's `runtime/metrics` where Go has one, else names of the same form: `/path:unit`. Of Go's names for
memory, those about a garbage collector are missing (`/gc/heap/live:bytes`, `/gc/heap/goal:bytes`), and
`/gc/heap/tiny/allocs:objects`: there is no tiny allocator. [The guide](guide.md#what-the-numbers-mean) explains how to
read the numbers together.

## How to read them

- **In Rust**: `crossfoot::process::metrics::{all, read}`, with samples by name. **In C**: `crossfoot-metrics.h`.
- **At exit**: `exit_report` and `exit_format`, or `crossfoot run --report PATH --format table|json|openmetrics`.

`read` computes the metrics of its samples only. The figures of the books come from one consistent snapshot, for which no
allocating thread is stopped or waited for. `read`

- allocates only for a sample that is a vector or a histogram, at its first read;
- makes system calls for the time, for the process id if a sample asks for it, and for the snapshot's `membarrier`;
- takes figures of the OS from the last audit, with their age;
- takes the metrics lock, and waits for it while another thread reads metrics. So a signal handler must not call it;
  `process::last` is for signal handlers.

A value is a *number*, a *vector* (a number for each label: the size of a class, the rank of a lock, the name of a system
call), or a *histogram* (a count for each group, and the sum of all values). A value that is not known is left out of
every format; it is never written as zero. A name that no metric has is `Bad`. *Cumulative* metrics only grow, from the
start of the process.

## The formats

- **Table**: for people. Elements of vectors and histograms that are zero are left out.
- **JSON**: one object, described by [metrics.schema.json](metrics.schema.json). A vector is an object, label → number. A
  histogram has `bounds`, `counts` (one more, because the last group has no bound) and `sum`. The member `crossfoot` is
  the result of the check of the books.
- **OpenMetrics**: a family for each metric. Its name is `crossfoot`, the path and the unit, joined by underscores, with
  `_total` if it is cumulative; labels are `size`, `rank`, `call`. Nanoseconds become seconds. Counts of a histogram are
  cumulative over the bounds, as the format requires; a histogram that may decrease is a `gaugehistogram`.
  `crossfoot_balanced` is 1 or 0, and missing if it is not known.

For Prometheus: the share of the process's memory that no object uses, and the share of a CPU's time spent waiting for
locks:

```text
1 - crossfoot_memory_classes_heap_objects_bytes / crossfoot_memory_ready_bytes
rate(crossfoot_lock_wait_seconds_total[5m])
```
";

fn kind(metric: &Metric) -> String {
    let kind = match metric.kind() {
        Kind::Bad => unreachable!("no row of the table is bad"),
        Kind::Uint64 => "number".to_owned(),
        Kind::Vector => format!("vector by {}", metric.labels().expect("a vector has labels").key()),
        Kind::Histogram => "histogram".to_owned(),
    };
    kind + if metric.cumulative { ", cumulative" } else { "" }
}

fn document() -> String {
    let mut text = String::from(HEAD);
    text += "\n## Identities\n\nThey hold in every reading with a complete snapshot, and are tested. `Σ`: the sum of a vector's numbers or of a\nhistogram's counts. `∫`: the sum of a histogram's values.\n\n";
    for identity in IDENTITIES {
        writeln!(text, "- `{identity}`").unwrap();
    }
    text += "\n## The table\n";
    for metric in &TABLE {
        let (_, note) = NOTES.iter().find(|(name, _)| *name == metric.name()).expect("it has a note");
        writeln!(text, "\n### `{}`\n\n*{}.* {} {note}", metric.name(), kind(metric), metric.help()).unwrap();
    }
    text
}

fn schema() -> String {
    let mut properties = serde_json::Map::new();
    for metric in &TABLE {
        let whole = serde_json::json!({ "type": "integer" });
        let mut of = match (metric.labels(), metric.bounds()) {
            (Some(labels), _) => {
                let labels: Vec<String> = (0..labels.len()).map(|i| labels.label(i).to_string()).collect();
                serde_json::json!({
                    "type": "object",
                    "additionalProperties": whole,
                    "propertyNames": { "enum": labels },
                    "minProperties": labels.len(),
                })
            }
            (_, Some(bounds)) => serde_json::json!({
                "type": "object",
                "properties": {
                    "bounds": { "const": bounds },
                    "counts": { "type": "array", "items": whole, "minItems": metric.len(), "maxItems": metric.len() },
                    "sum": whole,
                },
                "required": ["bounds", "counts", "sum"],
                "additionalProperties": false,
            }),
            _ => whole,
        };
        of["description"] = metric.help().into();
        properties.insert(metric.name().into(), of);
    }
    properties.insert(
        "crossfoot".into(),
        serde_json::json!({
            "description": "Whether the books balance, or the identities that failed.",
            "oneOf": [
                { "type": "string", "pattern": "^(balanced|not checked|unchecked: .*)$" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
        }),
    );
    properties.insert(
        "process".into(),
        serde_json::json!({
            "description": "The process of the report; missing in the figures of a running process.",
            "type": "object",
            "properties": {
                "pid": { "type": "integer" },
                "command": { "type": "string" },
                "ended": { "description": "How it ended, if another process wrote the report.", "type": "string" },
            },
            "required": ["pid", "command"],
            "additionalProperties": false,
        }),
    );
    let schema = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The metrics of a process on Crossfoot",
        "type": "object",
        "properties": properties,
        "required": ["crossfoot"],
        "additionalProperties": false,
    });
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}

#[track_caller]
fn agrees(file: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os("CROSSFOOT_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, text).expect("the document can be written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let different = there.lines().zip(text.lines()).find(|(there, ours)| there != ours);
    assert!(
        there == text,
        "docs/{file} is not what the table says, first in {different:?}: CROSSFOOT_BLESS=1 writes it"
    );
}

#[test]
fn the_document_is_the_table() {
    agrees("metrics.md", &document());
}

#[test]
fn the_schema_is_the_table() {
    agrees("metrics.schema.json", &schema());
}
