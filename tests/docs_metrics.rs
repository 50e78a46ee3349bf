//! `docs/metrics.md` and `docs/metrics.schema.json` are the table of metrics: written by this test, with
//! `CROSSFOOT_BLESS=1`, and compared.

use std::fmt::Write;

use crossfoot::metrics::{IDENTITIES, Kind, Metric, NOTES, TABLE};

const HEAD: &str = "\
# Metrics

Every number that Crossfoot gives, in words. Made from the table in `src/metrics/table.rs` and the notes beside it:
`CROSSFOOT_BLESS=1 cargo test --test docs_metrics` writes this page anew.

Names are those of Go's `runtime/metrics` where one exists there, and ours in the same form: `/path:unit`. Of Go's names
of memory those are missing that speak of a garbage collector (`/gc/heap/live:bytes`, `/gc/heap/goal:bytes`), and
`/gc/heap/tiny/allocs:objects`: there is no tiny allocator. How to read the numbers together is in
[the guide](guide.md#what-the-numbers-mean).

## Where they come from

- **In Rust**: `crossfoot::process::metrics::{all, read}`, with samples by name. **In C**: `crossfoot-metrics.h`.
- **At exit**: `exit_report` and `exit_format`, or `crossfoot run --report PATH --format table|json|openmetrics`.

`read` computes what its samples need, and no more: all figures of the books from one consistent snapshot, for which no
thread that allocates is stopped or waited for. It allocates only when it first sees a sample that is a vector or a
histogram, and calls the system for nothing but the time, its process number where that is asked for, and the snapshot's
`membarrier`. What only the system knows comes from the last audit, with its age. It takes the metrics lock, for which it
waits while another thread reads metrics, so a signal handler may not call it; `process::last` is for those.

A value is a *number*, a *vector* (a number for each label: the size of a class, the rank of a lock, the name of a system
call), or a *histogram* (how many there are in each group, and the sum of all). What is not known is absent: it is left out
of every form, never zero. A name that no metric has is `Bad`. *Cumulative* ones only grow, from the start of the process.

## The forms

- **Table**: for people. Of vectors and histograms only what is not zero.
- **JSON**: one object, described by [metrics.schema.json](metrics.schema.json). A vector is an object, label → number; a
  histogram has `bounds`, `counts` (one more: the last group has no bound) and `sum`. `crossfoot` says whether the books
  balance.
- **OpenMetrics**: a family for each metric: `crossfoot`, the path and the unit joined by underscores, with `_total` where
  it is cumulative; labels `size`, `rank`, `call`. Nanoseconds become seconds. Counts of a histogram are added up from
  bound to bound, as that format wants it; one that is not cumulative is a `gaugehistogram`. `crossfoot_balanced` is 1 or
  0, and missing where it is not known.

For Prometheus, what part of the memory that the process has from the system no object uses, and what waiting for locks
takes of a CPU:

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
    text += "\n## Identities\n\nTrue of every reading with a complete snapshot; tested. `Σ`: all numbers of a vector, or all counts of a\nhistogram. `∫`: the sum that a histogram has.\n\n";
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
            "description": "Whose report this is; the figures of a process that runs have none.",
            "type": "object",
            "properties": {
                "pid": { "type": "integer" },
                "command": { "type": "string" },
                "ended": { "description": "How it ended, where another process wrote the report.", "type": "string" },
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
