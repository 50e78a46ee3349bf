//! Rows of table tests: `CROSSFOOT_ONLY=ROW cargo test --test BINARY` runs one row alone, and the failure of a row prints
//! that command.

/// Returns the name in `CROSSFOOT_ONLY`, or `None` if it is not set.
pub fn only() -> Option<String> {
    std::env::var("CROSSFOOT_ONLY").ok()
}

/// Returns the rows that `CROSSFOOT_ONLY` names, or all rows if it is not set. A name that no row has fails the test.
pub fn selected<T>(rows: Vec<T>, is_named: impl Fn(&T, &str) -> bool) -> Vec<T> {
    let Some(only) = only() else { return rows };
    let rows: Vec<T> = rows.into_iter().filter(|row| is_named(row, &only)).collect();
    assert!(!rows.is_empty(), "CROSSFOOT_ONLY: no row of this table is called '{only}'");
    rows
}

/// A row that failed.
pub struct Failure {
    /// The row's name.
    pub row: String,
    /// What was found, and what was expected.
    pub found: String,
}

/// Fails the test if rows failed, with the command that runs each of them alone.
#[track_caller]
pub fn assert_none(failures: &[Failure]) {
    let lines: Vec<String> =
        failures.iter().map(|Failure { row, found }| format!("{found}\n  {}", alone(row))).collect();
    assert!(failures.is_empty(), "rows that failed: {}\n{}\n", failures.len(), lines.join("\n"));
}

/// Returns the command that runs one row of this test binary.
pub fn alone(row: &str) -> String {
    let plain = row.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:,/".contains(c));
    let quote = if plain { "" } else { "'" };
    format!("CROSSFOOT_ONLY={quote}{row}{quote} cargo test --test {}", env!("CARGO_CRATE_NAME"))
}
