//! Finds circles of imports between files: of one module of `src`, or of one other crate.
//!
//! A path leads to the file that defines its last module or item. Re-exports (`pub use`) are followed, and are no imports
//! themselves. Paths in comments do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Token, files, tokens};

/// A module's path from the crate's root.
type Module = Vec<String>;

/// A source file.
struct Source {
    /// Its name in messages.
    shown: String,
    tokens: Vec<Token>,
    /// The names that `use` declarations bring into the module, with their paths.
    names: BTreeMap<String, Module>,
}

/// The files of a crate by their modules.
struct Crate {
    sources: BTreeMap<Module, Source>,
}

/// A path in a file, and its place.
struct Found {
    path: Module,
    /// The name by which a `use` declaration binds it.
    name: Option<String>,
    /// It is re-exported.
    public: bool,
}

impl Crate {
    fn read(root: &Path) -> Crate {
        let mut sources = BTreeMap::new();
        for file in files(root) {
            let relative = file.strip_prefix(root).unwrap();
            let names = relative.with_extension("");
            let mut module: Module = names.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
            if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
                module.pop();
            }
            if module.iter().any(|name| name == "tests" || name == "bin") {
                continue;
            }
            let tokens = tokens(&std::fs::read_to_string(&file).unwrap());
            sources.insert(module, Source { shown: relative.display().to_string(), tokens, names: BTreeMap::new() });
        }
        let mut found = Crate { sources };
        let modules: Vec<Module> = found.sources.keys().cloned().collect();
        for module in modules {
            let paths = found.paths(&module);
            let names = paths.into_iter().filter_map(|found| Some((found.name?, found.path))).collect();
            found.sources.get_mut(&module).unwrap().names = names;
        }
        found
    }

    /// Returns the paths in a file that lead into this crate, from the crate's root.
    fn paths(&self, module: &Module) -> Vec<Found> {
        let tokens = &self.sources[module].tokens;
        let is = |i: usize, text: &str| tokens.get(i).is_some_and(|token| token.text == text);
        let (mut found, mut in_use) = (Vec::new(), None);
        // The path of the inline module at the current token, and the depths of braces at which inline modules end.
        let (mut here, mut depth, mut ends) = (module.clone(), 0, Vec::new());
        for i in 0..tokens.len() {
            if is(i, "{") {
                depth += 1;
            } else if is(i, "}") {
                depth -= 1;
                if ends.last() == Some(&depth) {
                    ends.pop();
                    here.pop();
                }
            } else if is(i, "mod") && is(i + 2, "{") {
                ends.push(depth);
                here.push(tokens[i + 1].text.clone());
            }
            if is(i, "use") {
                in_use = Some(i > 0 && (is(i - 1, "pub") || is(i - 1, ")")));
            } else if is(i, ";") {
                in_use = None;
            }
            if i > 0 && (is(i - 1, "::") || is(i - 1, ".")) || !is(i + 1, "::") {
                continue;
            }
            let child = [module.as_slice(), &[tokens[i].text.clone()]].concat();
            let start = match tokens[i].text.as_str() {
                "crate" => Vec::new(),
                "self" => here.clone(),
                "super" => here[..here.len().saturating_sub(1)].to_vec(),
                _ if self.sources.contains_key(&child) => child,
                _ => continue,
            };
            expand(tokens, i + 2, start, in_use, &mut found);
        }
        found
    }

    /// Returns the module whose file defines what a path leads to.
    fn resolve(&self, path: &[String], depth: usize) -> Module {
        let mut module = Module::new();
        for (i, name) in path.iter().enumerate() {
            let below = [module.as_slice(), std::slice::from_ref(name)].concat();
            if self.sources.contains_key(&below) {
                module = below;
            } else if let Some(target) = self.sources.get(&module).and_then(|source| source.names.get(name))
                && depth > 0
                && target.as_slice() != &path[..=i]
            {
                return self.resolve(&[target.as_slice(), &path[i + 1..]].concat(), depth - 1);
            } else {
                break;
            }
        }
        module
    }

    /// Returns the modules that a file imports from.
    fn imports(&self, module: &Module) -> BTreeSet<Module> {
        let tokens = &self.sources[module].tokens;
        let is_path = |i: usize| i > 0 && ["::", "."].contains(&tokens[i - 1].text.as_str());
        let mut in_use = false;
        let mut words = BTreeSet::new();
        for (i, token) in tokens.iter().enumerate() {
            in_use = token.text == "use" || in_use && token.text != ";";
            if !in_use && !is_path(i) {
                words.insert(token.text.as_str());
            }
        }
        let used = |name: &str| words.contains(name);
        let paths = self.paths(module).into_iter();
        let needed = paths.filter(|found| !found.public || found.name.as_deref().is_some_and(used));
        needed.map(|found| self.resolve(&found.path, 8)).filter(|target| target != module).collect()
    }

    /// Returns the groups of files that import each other, directly or through others of the group.
    fn circles(&self, same: impl Fn(&Module, &Module) -> bool) -> Vec<Vec<Module>> {
        let mut reached: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for module in self.sources.keys() {
            let imports = self.imports(module).into_iter().filter(|target| same(module, target)).collect();
            reached.insert(module.clone(), imports);
        }
        // Transitive closure; a crate has some hundred files.
        loop {
            let mut changed = false;
            for module in self.sources.keys() {
                let further: BTreeSet<Module> =
                    reached[module].iter().filter_map(|next| reached.get(next)).flatten().cloned().collect();
                let known = reached.get_mut(module).unwrap();
                let before = known.len();
                known.extend(further);
                changed |= known.len() > before;
            }
            if !changed {
                break;
            }
        }
        let mut groups: Vec<Vec<Module>> = Vec::new();
        for module in self.sources.keys().filter(|module| reached[*module].contains(*module)) {
            if !groups.iter().any(|group| group.contains(module)) {
                let both = |other: &&Module| reached[module].contains(*other) && reached[*other].contains(module);
                groups.push(self.sources.keys().filter(both).cloned().collect());
            }
        }
        groups
    }
}

/// Adds the paths of the path, or braced group of paths, at `i`.
fn expand(tokens: &[Token], mut i: usize, mut path: Module, in_use: Option<bool>, found: &mut Vec<Found>) -> usize {
    let is = |i: usize, text: &str| tokens.get(i).is_some_and(|token| token.text == text);
    loop {
        if is(i, "{") {
            i += 1;
            while i < tokens.len() && !is(i, "}") {
                i = expand(tokens, i, path.clone(), in_use, found);
                i += usize::from(is(i, ","));
            }
            return i + 1;
        }
        let Some(token) = tokens.get(i) else { return i };
        match token.text.as_str() {
            "self" => {}
            "super" => drop(path.pop()),
            name => path.push(name.to_owned()),
        }
        i += 1;
        if !is(i, "::") {
            break;
        }
        i += 1;
    }
    let mut name = path.last().cloned();
    if is(i, "as") {
        name = tokens.get(i + 1).map(|token| token.text.clone());
        i += 2;
    }
    found.push(Found { path, name: name.filter(|_| in_use.is_some()), public: in_use == Some(true) });
    i
}

/// Returns lines for each circle between the files of a crate, or of one of its top modules if `by_module`. The crate's root
/// file does not count, nor do circles of files that all begin with one of `allowed`.
pub fn complaints(root: &Path, by_module: bool, allowed: &[&str]) -> Vec<String> {
    let found = Crate::read(root);
    let same = |a: &Module, b: &Module| !a.is_empty() && !b.is_empty() && (!by_module || a.first() == b.first());
    let mut lines = Vec::new();
    for circle in found.circles(same) {
        let shown: Vec<&str> = circle.iter().map(|module| found.sources[module].shown.as_str()).collect();
        if shown.iter().all(|file| allowed.iter().any(|prefix| file.starts_with(prefix))) {
            continue;
        }
        lines.push(format!("in {}, these files import each other:", root.display()));
        for module in &circle {
            let next = found.imports(module);
            let next: Vec<&str> = next
                .iter()
                .filter(|next| circle.contains(next))
                .map(|next| found.sources[next].shown.as_str())
                .collect();
            lines.push(format!("    {} imports from {}", found.sources[module].shown, next.join(", ")));
        }
        lines.push("    Move the type or function that two of them share to a file that imports neither.".into());
    }
    lines
}
