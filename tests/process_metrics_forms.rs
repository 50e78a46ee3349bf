//! The formats of metrics, as other programs read them: OpenMetrics by the parser of prometheus_client, JSON by its
//! schema. Both are Python packages, which .ci/run installs into target/python.

mod allocator;
mod common;
#[path = "metrics/identities.rs"]
mod identities;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{artifacts, builds, installed, root, run, scratch, text};
use crossfoot::malloc;
use crossfoot::metrics::{Aggregates, Kind, Metric, OsFigures, Reading, TABLE, Verdict, write};
use crossfoot::options::Format;
use crossfoot::os::sim::Sim;
use crossfoot::stats::Failures;
use identities::Of;

/// Returns a Python with the modules, or `None`.
fn python() -> Option<PathBuf> {
    let ours = builds().parent()?.join("python/bin/python3");
    let found = if ours.is_file() { ours } else { installed("python3")? };
    let has = run(Command::new(&found).args(["-c", "import prometheus_client, jsonschema"])).status.success();
    if !has {
        common::skipped("prometheus_client or jsonschema for Python (tests/metrics/requirements.txt)");
    }
    has.then_some(found)
}

fn check(python: &Path, arguments: &[&str]) -> String {
    let output = run(Command::new(python).arg(root().join("tests/metrics/check.py")).args(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn written(format: Format, reading: &Reading, verdict: Verdict<'_>) -> String {
    let mut out = String::new();
    write(&mut out, format, reading, verdict).expect("a string takes everything");
    out
}

fn in_file(name: &str, content: &str) -> PathBuf {
    let path = scratch().join(name);
    std::fs::write(&path, content).expect("the scratch folder can be written");
    path
}

/// Returns a reading with every metric, with different figures.
fn full() -> Reading {
    let allocator = allocator::allocator(Sim::new());
    let cache = allocator::adopt(&allocator);
    let objects: Vec<usize> =
        (1..300).map(|i| malloc::allocate(allocator.bind(cache), i * i % 50_000) as usize).collect();
    objects.iter().skip(7).step_by(3).for_each(|&at| allocator::free(&allocator, cache, at));
    allocator.note_os_figures(&OsFigures {
        taken_at: 5,
        rss: 1 << 33,
        cgroup_limit: OsFigures::UNKNOWN,
        ..OsFigures::NONE
    });
    let mut reading = Reading::new();
    let answer = allocator.fill_reading(Aggregates::ALL, || 4711, &mut reading).expect("the kernel has started");
    assert!(answer.is_complete());
    // What the simulated machine does not have.
    for (i, calls) in reading.calls.iter_mut().enumerate() {
        (calls.made, calls.failed) = (100 + i as u64, i as u64);
    }
    reading.note(crossfoot::metrics::Aggregate::Calls);
    for (i, waits) in reading.locks.iter_mut().enumerate() {
        (waits.contended, waits.nanos) = (i as u64, 1_234_567_891 * i as u64);
    }
    reading
}

/// Sample and labels → value.
type Samples = BTreeMap<(String, String), f64>;
/// Family → type and unit.
type Families = BTreeMap<String, (String, String)>;

/// The result of the parser.
fn parsed(python: &Path, path: &Path) -> (Samples, Families) {
    let (mut samples, mut families) = (Samples::new(), Families::new());
    for line in check(python, &["openmetrics", path.to_str().expect("a path of ours")]).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, name, third, fourth] = words[..] else { panic!("{line}") };
        if what == "family" {
            families.insert(name.to_owned(), (third.to_owned(), fourth.to_owned()));
        } else {
            samples.insert((name.to_owned(), third.to_owned()), fourth.parse().expect("a number"));
        }
    }
    (samples, families)
}

/// Returns a family's name, and the factor of its figures.
fn family(metric: &Metric) -> (String, f64) {
    let (path, unit) = metric.name().split_once(':').expect("a name has a unit");
    let (unit, factor) = if unit == "nanoseconds" { ("seconds", 1e-9) } else { (unit, 1.0) };
    (format!("crossfoot{}_{unit}", path.replace(['/', '-'], "_")), factor)
}

#[test]
fn a_strict_parser_reads_openmetrics_and_finds_every_figure() {
    let Some(python) = python() else { return };
    let reading = full();
    let path = in_file("metrics.openmetrics", &written(Format::OpenMetrics, &reading, Verdict::Balanced));
    let (mut samples, mut families) = parsed(&python, &path);
    let mut take = |name: &str, labels: &str, figure: f64| {
        let found = samples.remove(&(name.to_owned(), labels.to_owned()));
        assert!(found.is_some_and(|n| (n - figure).abs() <= 1e-9), "{name}{{{labels}}}: {found:?} against {figure}");
    };
    for metric in &TABLE {
        let (name, factor) = family(metric);
        if !metric.is_known(&reading) {
            assert!(!families.contains_key(&name), "{name} is not known");
            continue;
        }
        let unit = name.rsplit('_').next().expect("it has an underscore").to_owned();
        let (kind, total) = match (metric.kind(), metric.cumulative) {
            (Kind::Histogram, true) => ("histogram", ""),
            (Kind::Histogram, false) => ("gaugehistogram", ""),
            (_, true) => ("counter", "_total"),
            (_, false) => ("gauge", ""),
        };
        assert_eq!(families.remove(&name), Some((kind.to_owned(), unit)), "{name}");
        let mut all = [0; 100];
        metric.elements(&reading, &mut all);
        let figure = |i: usize| all[i] as f64 * factor;
        match (metric.labels(), metric.bounds()) {
            (Some(labels), _) => (0..labels.len()).for_each(|i| {
                take(&format!("{name}{total}"), &format!("{}={}", labels.key(), labels.label(i)), figure(i))
            }),
            (_, Some(bounds)) => {
                let mut count = 0.0;
                for i in 0..metric.len() {
                    count += figure(i);
                    let bound = bounds.get(i).map_or("+Inf".to_owned(), |bound| format!("{bound}.0"));
                    take(&format!("{name}_bucket"), &format!("le={bound}"), count);
                }
                let g = if metric.cumulative { "" } else { "g" };
                take(&format!("{name}_{g}count"), "-", count);
                take(&format!("{name}_{g}sum"), "-", metric.number(&reading).expect("it is known") as f64);
            }
            _ => take(&format!("{name}{total}"), "-", metric.number(&reading).expect("it is known") as f64 * factor),
        }
    }
    take("crossfoot_balanced", "-", 1.0);
    families.remove("crossfoot_balanced");
    assert!(samples.is_empty() && families.is_empty(), "{samples:?} {families:?}");
    // Unbalanced accounts are written too, and the parser accepts them.
    let mut failures = Failures::default();
    failures.equal("an identity", 1, 2);
    let mut wrong = Reading::new();
    wrong.words_mut().fill(u64::MAX);
    for verdict in [Verdict::Unbalanced(&failures), Verdict::NotChecked, Verdict::Incomplete] {
        let path = in_file("metrics.wrong", &written(Format::OpenMetrics, &wrong, verdict));
        let found = parsed(&python, &path).0;
        let balanced = found.get(&("crossfoot_balanced".to_owned(), "-".to_owned())).copied();
        assert_eq!(balanced, matches!(verdict, Verdict::Unbalanced(_)).then_some(0.0));
    }
}

#[test]
fn json_is_as_its_schema_says() {
    let schema = root().join("docs/metrics.schema.json");
    let schema = schema.to_str().expect("a path of ours");
    let mut failures = Failures::default();
    failures.equal("an identity", 1, 2);
    let python = python();
    for (i, verdict) in
        [Verdict::Balanced, Verdict::Unbalanced(&failures), Verdict::Incomplete, Verdict::NotChecked].iter().enumerate()
    {
        for (name, reading) in [("full", &full()), ("empty", &Reading::new())] {
            let json = written(Format::Json, reading, *verdict);
            let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            let known = TABLE.iter().filter(|metric| metric.is_known(reading)).count();
            assert_eq!(value.as_object().map(|object| object.len()), Some(known + 1), "{name}");
            let Some(python) = &python else { continue };
            let path = in_file(&format!("metrics.{name}.{i}.json"), &json);
            assert_eq!(check(python, &["json", path.to_str().expect("a path of ours"), schema]), "valid\n");
        }
    }
    if let Some(python) = &python {
        // A schema that accepts everything would prove nothing.
        let path = in_file("metrics.bad.json", "{\"crossfoot\": \"balanced\", \"/no/such:thing\": 1}");
        let script = root().join("tests/metrics/check.py");
        let refused = run(Command::new(python).arg(script).arg("json").arg(path).arg(schema));
        assert!(!refused.status.success() && text(&refused.stderr).contains("/no/such:thing"));
    }
}

/// Returns the report of a program in a format.
fn report(format: &str) -> Option<PathBuf> {
    let program = installed("python3")?;
    let path = scratch().join(format!("metrics.report.{format}"));
    let mut command = Command::new("timeout");
    command
        .arg("60")
        .arg(&artifacts().cli)
        .args(["run", "--check", "--format", format, "--report"])
        .arg(&path)
        .arg("--");
    command.arg(program).args(["-c", "x = [str(i) * 30 for i in range(20000)]"]).env("PYTHONMALLOC", "malloc");
    let output = run(command.env_remove("CROSSFOOT"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(path)
}

#[test]
fn a_report_of_a_program_has_every_metric_and_its_identities_hold() {
    let Some(path) = report("json") else { return };
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).expect("it was written")).expect("JSON");
    let whole = |value: &serde_json::Value| value.as_i64().map(i128::from);
    let held = identities::hold(|of, name| match of {
        Of::Number => whole(&json[name]),
        Of::Sum => whole(&json[name]["sum"]),
        Of::Elements => match (json[name]["counts"].as_array(), json[name].as_object()) {
            (Some(counts), _) => counts.iter().map(whole).sum(),
            (_, Some(vector)) => vector.values().map(whole).sum(),
            _ => None,
        },
    });
    assert_eq!(held, crossfoot::metrics::IDENTITIES.len());
    for metric in TABLE.iter().filter(|metric| !metric.name().starts_with("/os/")) {
        assert!(!json[metric.name()].is_null(), "{} is missing", metric.name());
    }
    assert!(json["/gc/heap/allocs:objects"].as_i64() > Some(20_000) && json["crossfoot"] == "balanced");
    let mapped = json["/system-calls/made:calls"]["mmap"].as_i64();
    assert!(mapped >= Some(1) && json["/system-calls/made:calls"]["membarrier"].as_i64() >= Some(2), "{json}");
}

#[test]
fn a_report_of_a_program_is_openmetrics() {
    let (Some(python), Some(path)) = (python(), report("openmetrics")) else { return };
    let (samples, families) = parsed(&python, &path);
    let number = |name: &str| samples.get(&(name.to_owned(), "-".to_owned())).copied();
    assert!(number("crossfoot_gc_heap_allocs_objects_total") > Some(20_000.0) && families.len() > 40);
    assert_eq!(number("crossfoot_balanced"), Some(1.0));
}
