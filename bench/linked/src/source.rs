//! Writes the source that is compiled: functions of names, numbers and nested expressions, the same in every run.

use std::fmt::Write;

/// Words that names are made of; programs repeat theirs.
const WORDS: [&str; 16] = [
    "count", "index", "total", "offset", "left", "right", "value", "width", "limit", "start", "state", "score",
    "depth", "scale", "bytes", "order",
];

/// Every function whose number is a multiple of this calls no other, and only such are called.
const LEAF: u32 = 4;

/// Source with this many functions.
pub fn generate(functions: u32, seed: u64) -> String {
    let mut author = Author { state: seed | 1, text: String::new(), names: Vec::new(), function: 0, depth: 0 };
    for function in 0..functions {
        author.function(function);
    }
    author.text
}

struct Author {
    state: u64,
    text: String,
    /// Variables in scope.
    names: Vec<String>,
    function: u32,
    depth: usize,
}

impl Author {
    /// A number below the bound, by a linear congruence.
    fn below(&mut self, bound: u32) -> u32 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 33) % u64::from(bound)) as u32
    }

    fn line(&mut self, text: &str) {
        let indent = self.depth * 4;
        let _infallible = writeln!(self.text, "{:indent$}{text}", "");
    }

    fn fresh_name(&mut self) -> String {
        let (first, second) = (self.below(16) as usize, self.below(16) as usize);
        format!("{}_{}_{}", WORDS[first], WORDS[second], self.names.len())
    }

    fn function(&mut self, function: u32) {
        self.function = function;
        self.names = vec!["first".to_owned(), "second".to_owned()];
        self.line(&format!("// Function number {function} of the program."));
        self.line(&format!("fn function_{function}(first, second) {{"));
        self.block(8, 3);
        self.depth += 1;
        let result = self.expression(3);
        self.line(&format!("return {result};"));
        self.depth -= 1;
        self.line("}\n");
    }

    /// Statements, with blocks nested so deep.
    fn block(&mut self, statements: u32, nesting: u32) {
        self.depth += 1;
        let outer = self.names.len();
        for _ in 0..statements {
            let depth = 1 + self.below(4);
            let value = self.expression(depth);
            match self.below(8) {
                0 | 1 if nesting > 0 => {
                    self.line(&format!("if {value} {{"));
                    self.block(3, nesting - 1);
                    self.line("} else {");
                    self.block(2, nesting - 1);
                    self.line("}");
                }
                2 if nesting > 0 => {
                    let times = 2 + self.below(3);
                    self.line(&format!("repeat {times} {{"));
                    self.block(2, nesting - 1);
                    self.line("}");
                }
                3..6 => {
                    let target = self.below(self.names.len() as u32) as usize;
                    let target = self.names[target].clone();
                    self.line(&format!("{target} = {value};"));
                }
                _ => {
                    let name = self.fresh_name();
                    self.line(&format!("let {name} = {value};"));
                    self.names.push(name);
                }
            }
        }
        self.names.truncate(outer);
        self.depth -= 1;
    }

    /// An expression of this depth at most.
    fn expression(&mut self, depth: u32) -> String {
        if depth == 0 || self.below(6) == 0 {
            if self.below(3) == 0 {
                return self.below(1000).to_string();
            }
            let name = self.below(self.names.len() as u32) as usize;
            return self.names[name].clone();
        }
        let (left, right) = (self.expression(depth - 1), self.expression(depth - 1));
        let leaves = self.function.div_ceil(LEAF);
        if !self.function.is_multiple_of(LEAF) && self.below(12) == 0 {
            let callee = self.below(leaves) * LEAF;
            return format!("function_{callee}({left}, {right})");
        }
        let operator = ["+", "-", "*", "&", "|", "^", "<"][self.below(7) as usize];
        format!("({left} {operator} {right})")
    }
}
