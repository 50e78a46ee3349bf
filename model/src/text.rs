//! Finds the orderings in the text of the shipped files, so that none is overlooked because no scenario executes it.

/// A shipped file that is compiled here.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The end of the compiler's name of the file.
    pub name: &'static str,
    /// Its content.
    pub text: &'static str,
}

/// All shipped files.
pub const SOURCES: [Source; 4] = [
    Source { name: "src/stats/writer.rs", text: include_str!("../../src/stats/writer.rs") },
    Source { name: "src/stats/cut.rs", text: include_str!("../../src/stats/cut.rs") },
    Source { name: "src/stats/published.rs", text: include_str!("../../src/stats/published.rs") },
    Source { name: "src/cache/inbox.rs", text: include_str!("../../src/cache/inbox.rs") },
];

/// The orderings stronger than relaxed.
const STRONG: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];

/// Returns the line and the column, as the compiler counts them, of every call with an ordering stronger than relaxed;
/// twice for a call with two.
pub fn calls(text: &str) -> Vec<(u32, u32)> {
    let code = without_comments(text);
    let found = code.match_indices("Ordering::").filter(|(at, word)| {
        let rest = &code[at + word.len()..];
        STRONG.iter().any(|name| rest.starts_with(name))
    });
    found.filter_map(|(at, _)| call_around(&code, at)).map(|at| place(&code, at)).collect()
}

/// Returns the text with comments blanked. The shipped files have no `//` in strings.
fn without_comments(text: &str) -> String {
    let blank = |line: &str| {
        let (code, comment) = line.split_at(line.find("//").unwrap_or(line.len()));
        format!("{code}{}", " ".repeat(comment.chars().count()))
    };
    text.lines().map(blank).collect::<Vec<_>>().join("\n")
}

/// Returns the start of the name of the call whose arguments contain `at`.
fn call_around(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0;
    let open = code[..at].char_indices().rev().find(|(_, c)| {
        match c {
            ')' => depth += 1,
            '(' if depth == 0 => return true,
            '(' => depth -= 1,
            _ => {}
        }
        false
    });
    let (open, _) = open?;
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let name = code[..open].char_indices().rev().take_while(|(_, c)| is_name(*c)).last();
    name.map(|(start, _)| start)
}

fn place(code: &str, at: usize) -> (u32, u32) {
    let before = &code[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line as u32, column as u32)
}
