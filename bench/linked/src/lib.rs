//! A small compiler, as programs in Rust are: names are interned, trees are boxed, passes take one structure apart and
//! build the next, and most objects are small and live as long as the function that is compiled.
//!
//! It is built once for each allocator, with that as its `#[global_allocator]`: see `src/bin`. The language and the
//! compiler are made for this; what they do is what every compiler's front end and middle do. `source` writes a
//! program, `lexer` and `parser` make a `tree` of it, `fold` rewrites that, `code` is made of it, `improve` rewrites the
//! code, and `text` prints it. The tree that was parsed and the code in the end must compute the same.

mod code;
mod fold;
mod improve;
mod lexer;
mod parser;
mod source;
mod text;
mod tree;

use code::Code;
use lexer::{Names, Symbol};
use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    env,
    hash::BuildHasherDefault,
};
use tree::Function;

/// A map whose hashes are the same in every run.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// Functions of a program that is compiled.
const FUNCTIONS: u32 = 400;

/// Compiles as many programs as the first argument says, and prints what came out.
///
/// # Panics
///
/// If there is no such number, or if a function's code does not compute what its tree does.
pub fn main() {
    let programs = env::args().nth(1).and_then(|word| word.parse().ok());
    let programs: u64 = programs.expect("usage: linked PROGRAMS");
    let (mut sum, mut bytes) = (0_i64, 0);
    for program in 0..programs {
        let (value, length) = compile(&source::generate(FUNCTIONS, program * 2 + 1));
        sum = sum.wrapping_mul(31).wrapping_add(value);
        bytes += length;
    }
    println!("{programs} programs, {bytes} bytes of code, {sum}");
}

/// Compiles a program and checks it; gives the sum of its functions' values and the length of the text.
fn compile(source: &str) -> (i64, usize) {
    let mut names = Names::default();
    let tokens = lexer::tokens(source, &mut names);
    let trees = parser::parse(tokens);
    let folded: Vec<Function> = trees.iter().cloned().map(fold::fold).collect();
    let code: Vec<Code> = folded.iter().map(|function| improve::improve(code::lower(function))).collect();
    drop(folded);
    let text = text::print(&code, &names);
    (check(&trees, &code), text.len())
}

/// Calls every function both ways.
fn check(trees: &[Function], code: &[Code]) -> i64 {
    let places: Map<Symbol, usize> = trees.iter().enumerate().map(|(place, tree)| (tree.name, place)).collect();
    let mut sum = 0_i64;
    for (tree, made) in trees.iter().zip(code) {
        let arguments = [sum & 1023, 7];
        let by_tree = tree.evaluate(&arguments, &|name, values| call_tree(trees, &places, name, values));
        let by_code = made.run(&arguments, &|name, values| call_code(code, &places, name, values));
        assert!(by_tree == by_code, "the code computes {by_code}, the tree {by_tree}");
        sum = sum.wrapping_add(by_code);
    }
    sum
}

fn call_tree(trees: &[Function], places: &Map<Symbol, usize>, name: Symbol, values: &[i64]) -> i64 {
    trees[places[&name]].evaluate(values, &|name, values| call_tree(trees, places, name, values))
}

fn call_code(code: &[Code], places: &Map<Symbol, usize>, name: Symbol, values: &[i64]) -> i64 {
    code[places[&name]].run(values, &|name, values| call_code(code, places, name, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_the_same_in_every_run_and_computes_what_its_tree_does() {
        let source = source::generate(60, 5);
        assert_eq!(compile(&source), compile(&source));
    }

    #[test]
    fn constants_fold_and_what_is_dead_goes() {
        let mut names = Names::default();
        let source = "fn f(first, second) { let dead = first * 7; if 1 < 2 { second = (first + 2) + 3; } else { \
                      second = 0; } return second + first * 0 * 5; }";
        let tree = parser::parse(lexer::tokens(source, &mut names)).remove(0);
        let code = improve::improve(code::lower(&fold::fold(tree.clone())));
        let text = text::print(std::slice::from_ref(&code), &names);
        assert_eq!(code.run(&[4, 9], &|_, _| 0), tree.evaluate(&[4, 9], &|_, _| 0));
        assert!(text.contains("= 5") && !text.contains("= 7"), "{text}");
    }

    #[test]
    fn a_variable_that_is_written_again_is_read_anew() {
        let mut names = Names::default();
        let source = "fn f(first, second) { let old = first; let sum = first + second; first = second; \
                      return old * 100 + sum * 10 + (first + second); }";
        let tree = parser::parse(lexer::tokens(source, &mut names)).remove(0);
        let code = improve::improve(code::lower(&tree));
        let nobody = |_, _: &[i64]| 0;
        assert_eq!((tree.evaluate(&[4, 9], &nobody), code.run(&[4, 9], &nobody)), (548, 548));
    }
}
