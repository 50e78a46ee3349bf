//! Generates the inputs of the programs, always the same.

use std::fmt::Write;
use std::process::Command;

use crate::common::{installed, run, text};

/// Returns the Python interpreter itself: `python3` may be a script that chooses one.
pub fn python() -> Option<String> {
    let found = installed("python3")?;
    let output = run(Command::new(found).args(["-c", "import sys; print(sys.executable)"]));
    Some(text(&output.stdout).trim_end().to_owned())
}

/// A million strings in eight threads, all alive at the end. The threads start together and are switched
/// every few milliseconds.
pub const PYTHON: &str = "
import threading
start = threading.Barrier(8)
def work(kept, first):
    start.wait()
    for i in range(first, first + 125_000):
        kept.append(str(i))
lists = [[] for _ in range(8)]
threads = [threading.Thread(target=work, args=(kept, i * 125_000)) for i, kept in enumerate(lists)]
for t in threads: t.start()
for t in threads: t.join()
print(sum(map(len, lists)), sum(len(s) for kept in lists for s in kept))
";

/// A hash of 200,000 keys. All values are read again.
pub const PERL: &str = "
my %h;
$h{\"key $_\"} = \"value \" . $_ for 0 .. 199_999;
my $sum = 0;
while (my ($k, $v) = each %h) { $sum += substr($v, 6); }
print scalar(keys %h), ' ', $sum, \"\\n\";
";

/// 100,000 rows of 400 bytes, an index, a sort that groups, and a check of the tree.
pub const SQL: &str = "
PRAGMA page_size = 4096;
CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER, body TEXT);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
  INSERT INTO t SELECT i, i % 97, printf('%0400d', i) FROM n;
CREATE INDEX by_k ON t (k);
SELECT count(*), sum(id), sum(length(body)) FROM t;
SELECT count(*), max(c) FROM (SELECT k, count(*) AS c FROM t GROUP BY k);
PRAGMA integrity_check;
";

/// Functions in the generated C file.
pub const C_FUNCTIONS: u64 = 1_000;

/// A C program of six lines a function, whose answer is [`c_answer`].
pub fn c_source() -> String {
    let mut source = String::from("#include <stdio.h>\n#include <stdint.h>\n");
    for i in 0..C_FUNCTIONS {
        let _ = write!(
            source,
            "static uint64_t f{i}(uint64_t x)\n{{\n    uint64_t sum = {i};\n    for (int i = 0; i < {}; i++)\n        \
             sum = sum * 31 + (x ^ (uint64_t)i);\n    return sum;\n}}\n",
            i % 7 + 1
        );
    }
    source.push_str("int main(void)\n{\n    uint64_t x = 1;\n");
    for i in 0..C_FUNCTIONS {
        let _ = writeln!(source, "    x = f{i}(x);");
    }
    source.push_str("    printf(\"%llu\\n\", (unsigned long long)x);\n    return 0;\n}\n");
    source
}

/// Returns the output of the generated C program.
pub fn c_answer() -> u64 {
    let step = |x: u64, f: u64| (0..f % 7 + 1).fold(f, |sum, i| sum.wrapping_mul(31).wrapping_add(x ^ i));
    (0..C_FUNCTIONS).fold(1, step)
}

/// Commits of the generated history; each brings a blob, a tree and itself.
const GIT_COMMITS: u64 = 6_700;
/// Objects of the generated history.
pub const GIT_OBJECTS: u64 = 3 * GIT_COMMITS;

/// A history for `git fast-import`: each commit changes one of forty files.
pub fn git_stream() -> String {
    let mut stream = String::new();
    for i in 0..GIT_COMMITS {
        let lines: String = (0..12).map(|line| format!("line {line} of version {}\n", i * (line % 3 + 1))).collect();
        let who = format!("Nobody <nobody@example.com> {} +0000", 1_600_000_000 + i);
        let message = format!("change {i}\n");
        let file = format!("file{:02}", i % 40);
        let _ = write!(
            stream,
            "commit refs/heads/main\ncommitter {who}\ndata {}\n{message}M 100644 inline {file}\ndata {}\n{lines}\n",
            message.len(),
            lines.len()
        );
    }
    stream
}
