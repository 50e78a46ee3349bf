//! Asserts that every file and every test that `docs/seeds.md` names exists.

use std::fs;
use std::path::Path;

/// Returns the texts between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns whether this is a path of the repository.
fn is_path(word: &str) -> bool {
    ["src/", "tests/", "docs/", "model/", "cli/", "preload/", "xtask/"].iter().any(|start| word.starts_with(start))
}

/// Returns the errors of a page's names.
fn wrong(text: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for word in quoted(text).filter(|word| is_path(word)) {
        let (path, test) = word.split_once("::").map_or((word, None), |(path, test)| (path, Some(test)));
        if !root.join(path).exists() {
            wrong.push(format!("there is no {path}"));
        } else if let Some(test) = test {
            let source = fs::read_to_string(root.join(path)).unwrap_or_default();
            // Without its parameters: some tests are made by a macro.
            if !source.contains(&format!("fn {test}(")) {
                wrong.push(format!("{path} has no {test}"));
            }
        }
    }
    wrong
}

#[test]
fn what_the_page_names_exists() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/seeds.md")).expect("docs/seeds.md");
    let tests = quoted(&page).filter(|word| word.contains("::") && is_path(word)).count();
    assert!(tests > 20 && (0..5).all(|seed| page.contains(&format!("\n## 00{seed}: "))), "a page about five seeds");
    assert_eq!(wrong(&page), [""; 0]);
}

#[test]
fn what_does_not_exist_is_found() {
    assert_eq!(wrong("`src/none.rs` and `tests/docs_seeds.rs::none`").len(), 2);
    assert!(wrong("`tests/docs_seeds.rs::wrong`, `Kernel::none`").is_empty());
}
