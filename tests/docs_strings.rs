//! Compares `docs/strings.txt`, the list of every string that a script may match, with the tree: option names, command
//! line, metric names, JSON keys, lines on standard error, exit statuses. `CROSSFOOT_BLESS=1` writes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crossfoot::audit::Cause;
use crossfoot::metrics::{self, Aggregate, Heading, Labels, Reading, TABLE, Verdict};
use crossfoot::options::{self, Format};
use crossfoot::stats::{Account, Failures};

const LIST: &str = "docs/strings.txt";

const HEAD: &str = "\
# The strings that a script may match, one a line: a kind and the string.
#
# A line stays as it is, or CHANGELOG.md says under \"Changed\" what became of it; where it can, the old name stays as an
# alias. `CROSSFOOT_BLESS=1 cargo test --test docs_strings` writes this list from the tree; the same test without the
# variable fails where the two differ.
#
# environment   an environment variable
# option        a name in CROSSFOOT=\"name:value,...\", its default and its range
# command       a subcommand of crossfoot
# argument      an argument of a subcommand
# value         a value that an argument takes
# status        an exit status, with its name in cli/src/failure.rs or src/process/exit.rs
# metric        a metric of the table, of JSON and of crossfoot_metrics_read, with its kind and, of a vector, its label
# openmetrics   a family of OpenMetrics text, with its type
# label         a value of a label: the rank of a lock, the name of a system call
# account       an account, as audits and fatal lines name it
# json          a key of a report or of an audit that is not the name of a metric
# verdict       the value of the key \"crossfoot\" in a report, if it is no list
# line          the start of a line on standard error; {...} stands for a value
# fatal         a line on standard error before SIGABRT, for misuse; {} stands for an address
";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Appends the Rust files below a folder.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree").flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Returns a file's code without comments and without what follows `#[cfg(test)]`.
fn code(path: &Path) -> String {
    let text = read(path);
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}

/// Returns the string literals of Rust code that begin with `start`. A `\` at the end of a line joins the lines.
fn literals(code: &str, start: &str) -> Vec<String> {
    let quoted = format!("\"{start}");
    let begins = code.match_indices(&quoted).map(|(at, _)| &code[at + 1..]);
    let literal = |text: &str| {
        let (mut out, mut characters) = (String::new(), text.chars());
        while let Some(c) = characters.next().filter(|&c| c != '"') {
            match c {
                '\\' => match characters.next() {
                    Some('\n') => {
                        let rest = characters.as_str().trim_start();
                        characters = rest.chars();
                    }
                    Some('n') => break,
                    Some(escaped) => out.push(escaped),
                    None => break,
                },
                c => out.push(c),
            }
        }
        out
    };
    begins.map(literal).collect()
}

fn options(list: &mut BTreeSet<String>) {
    for row in options::TABLE {
        list.insert(format!("option {} {} {}", row.name, row.default, row.range));
    }
}

fn metrics(list: &mut BTreeSet<String>) {
    for metric in &TABLE {
        let label = metric.labels().map_or(String::new(), |labels| format!(" {}", labels.key()));
        list.insert(format!("metric {} {:?}{label}", metric.name(), metric.kind()));
    }
    for labels in [Labels::Rank, Labels::Call] {
        list.extend((0..labels.len()).map(|i| format!("label {} {}", labels.key(), labels.label(i))));
    }
    list.extend(Account::ALL.iter().map(|account| format!("account {}", account.name())));
    let mut reading = Reading::new();
    use Aggregate::{Caches, Calls, Chunks, ConsistentStats, Locks, Peaks, Process, System};
    for aggregate in [Caches, Calls, Chunks, ConsistentStats, Locks, Peaks, Process, System] {
        reading.note(aggregate);
    }
    let heading = Heading { pid: 1, command: b"program", ended: "ended" };
    let written = |format, verdict: Verdict<'_>| {
        let mut text = String::new();
        metrics::write_headed(&mut text, format, &heading, &reading, verdict).expect("a string takes everything");
        text
    };
    let openmetrics = written(Format::OpenMetrics, Verdict::Balanced);
    let families = openmetrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    list.extend(families.map(|family| format!("openmetrics {family}")));
    let failures = Failures::default();
    let verdicts = [Verdict::Balanced, Verdict::Incomplete, Verdict::Interrupted, Verdict::NotChecked];
    for verdict in verdicts.into_iter().chain([Verdict::Unbalanced(&failures)]) {
        let text = written(Format::Json, verdict);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        if let Some(words) = json["crossfoot"].as_str() {
            list.insert(format!("verdict {words}"));
        }
        json_keys("", &json, list);
    }
}

/// Inserts the keys of a report, as paths, but for names of metrics and labels.
fn json_keys(path: &str, json: &serde_json::Value, list: &mut BTreeSet<String>) {
    for (key, value) in json.as_object().into_iter().flatten() {
        let metric = TABLE.iter().find(|metric| metric.name() == key);
        let key = if metric.is_some() { "HISTOGRAM" } else { key };
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if metric.is_some_and(|metric| metric.bounds().is_none()) {
            continue;
        }
        if metric.is_none() {
            list.insert(format!("json report {path}"));
        }
        json_keys(&path, value, list);
    }
}

/// Inserts the keys of an audit, from its writer's code.
fn audit_keys(list: &mut BTreeSet<String>) {
    let code = code(Path::new("src/audit/report.rs"));
    let mut keys: BTreeSet<String> = Cause::ALL.iter().map(|cause| cause.name().to_owned()).collect();
    for part in code.split("\\\"").collect::<Vec<_>>().windows(2).filter(|pair| pair[1].starts_with(':')) {
        keys.insert(part[0].to_owned());
    }
    let pairs = code.lines().filter_map(|line| line.trim_start().strip_prefix("(\"")?.split_once("\", "));
    keys.extend(pairs.map(|(name, _)| name.to_owned()));
    keys.retain(|key| !key.contains(['{', '}']));
    list.extend(keys.iter().map(|key| format!("json audit {key}")));
}

/// Inserts subcommands, their arguments, and the values of arguments, from the code that declares them to clap.
fn command_line(list: &mut BTreeSet<String>) {
    let mut files = Vec::new();
    rust_files(&root().join("cli/src"), &mut files);
    for file in files {
        let code = code(&file);
        let (mut item, mut verb, mut long, mut value) = (String::new(), String::new(), false, None);
        let mut derives = "";
        for line in code.lines() {
            let word =
                |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned();
            let (indent, text) = (line.len() - line.trim_start().len(), line.trim_start());
            let kebab = |name: &str| name.to_lowercase().replace('_', "-");
            if text.starts_with("#[derive(") {
                derives = text;
            } else if indent == 0 && (text.contains("struct ") || text.contains("enum ")) {
                item = text
                    .split("struct ")
                    .last()
                    .and_then(|text| text.split("enum ").last())
                    .map(word)
                    .unwrap_or_default();
                if !derives.contains("Args") && !derives.contains("Subcommand") && !derives.contains("ValueEnum") {
                    item.clear();
                }
                verb = if derives.contains("Args") { kebab(&item) } else { String::new() };
                derives = if derives.contains("ValueEnum") { "ValueEnum" } else { "" };
            } else if line == "}" {
                item.clear();
            } else if item.is_empty() {
            } else if text.starts_with("#[arg(") || text.starts_with("#[value(") {
                long = text.starts_with("#[arg(long");
                value = text.split_once("name = \"").and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()));
            } else if text.chars().next().is_some_and(char::is_uppercase) && indent == 4 {
                let name = kebab(&word(text));
                if derives == "ValueEnum" {
                    let name = value.take().unwrap_or(name);
                    list.insert(format!("value {name}"));
                } else {
                    list.insert(format!("command {name}"));
                    verb = name;
                }
            } else if let Some((field, _)) = text.split_once(": ").filter(|_| !text.starts_with('#')) {
                let field = kebab(field.trim_start_matches("pub "));
                let field = if long { format!("--{field}") } else { field.to_uppercase() };
                list.extend((!verb.is_empty()).then(|| format!("argument {verb} {field}")));
                (long, value) = (false, None);
            }
        }
    }
}

fn statuses(list: &mut BTreeSet<String>) {
    let code = [code(Path::new("cli/src/failure.rs")), code(Path::new("src/process/exit.rs"))].concat();
    for line in code.lines().map(str::trim_start) {
        let Some(rest) = line.trim_start_matches("pub ").strip_prefix("const ") else { continue };
        if let Some((name, value)) = rest.split_once(": u8 = ").or_else(|| rest.split_once(": i32 = ")) {
            let value = value.trim_end_matches(';').replace("128 + libc::SIGPIPE as u8", "141");
            list.insert(format!("status {value} {name}"));
        }
    }
}

fn lines(list: &mut BTreeSet<String>) {
    let mut files = Vec::new();
    ["src", "preload/src", "cli/src"].iter().for_each(|folder| rust_files(&root().join(folder), &mut files));
    let in_tests = |file: &&PathBuf| {
        let path = file.strip_prefix(root()).expect("a file of the tree");
        path.components().any(|part| part.as_os_str() == "tests")
    };
    for file in files.iter().filter(|file| !in_tests(file)) {
        let code = code(file);
        list.extend(literals(&code, "crossfoot: ").iter().map(|line| format!("line {}", line.trim_end())));
        let variables = literals(&code, "CROSSFOOT").into_iter().map(|name| name.trim_end_matches('=').to_owned());
        let plain = |name: &String| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        list.extend(variables.filter(plain).map(|name| format!("environment {name}")));
    }
    let table = read("tests/misuse/table.txt");
    let cells = table.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split('|'));
    list.extend(cells.filter_map(|cell| Some(format!("fatal {}", cell.trim().strip_prefix("abort: ")?))));
}

#[test]
fn strings_that_scripts_match_are_those_of_the_list() {
    let mut list = BTreeSet::new();
    options(&mut list);
    metrics(&mut list);
    audit_keys(&mut list);
    command_line(&mut list);
    statuses(&mut list);
    lines(&mut list);
    // A declaration that is written in another way is not found: that is seen here.
    let least = [("command", 9), ("argument", 16), ("value", 9), ("status", 7), ("json audit", 40), ("line", 25)];
    for (kind, least) in least.into_iter().chain([("fatal", 15), ("openmetrics", TABLE.len()), ("environment", 2)]) {
        let found = list.iter().filter(|line| line.starts_with(&format!("{kind} "))).count();
        assert!(found >= least, "{found} of kind '{kind}' were found in the tree, at least {least} are there");
    }
    if std::env::var_os("CROSSFOOT_BLESS").is_some() {
        let text: String = list.iter().flat_map(|line| [line, "\n"]).collect();
        fs::write(root().join(LIST), format!("{HEAD}\n{text}")).expect("the list can be written");
    }
    let written = read(LIST);
    let written: BTreeSet<String> =
        written.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    let lost = written.difference(&list).map(|line| format!("- {line}\n"));
    let new = list.difference(&written).map(|line| format!("+ {line}\n"));
    let different: String = lost.chain(new).collect();
    assert!(
        different.is_empty(),
        "{LIST} (-) and the tree (+) differ:\n{different}A script may match a string of {LIST}: keep it, or keep it as an \
         alias, and say what changed in CHANGELOG.md under Changed. Then CROSSFOOT_BLESS=1 cargo test --test docs_strings\n"
    );
}

#[test]
fn literals_are_read_as_the_compiler_reads_them() {
    let code =
        "f(\"crossfoot: one\"); g(\"crossfoot: two \\\n        parts\\n\"); h(\"other\"); i(\"crossfoot: \\\"q\\\"\")";
    assert_eq!(literals(code, "crossfoot: "), ["crossfoot: one", "crossfoot: two parts", "crossfoot: \"q\""]);
}
