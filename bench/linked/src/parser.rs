//! Tokens to a tree, with each name resolved to its variable.

use crate::{
    Map,
    lexer::{Symbol, Token},
    tree::{Expression, Function, Operator, Statement, Variable},
};
use std::{iter::Peekable, vec};

/// Reads all functions.
///
/// # Panics
///
/// Where the source does not follow the grammar; it is generated.
pub fn parse(tokens: Vec<Token>) -> Vec<Function> {
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), scopes: Vec::new(), variables: 0 };
    let mut functions = Vec::new();
    while parser.tokens.peek().is_some() {
        functions.push(parser.function());
    }
    functions
}

struct Parser {
    tokens: Peekable<vec::IntoIter<Token>>,
    /// Names in scope, the innermost scope last.
    scopes: Vec<Map<Symbol, Variable>>,
    variables: u32,
}

impl Parser {
    fn function(&mut self) -> Function {
        self.variables = 0;
        self.scopes.push(Map::default());
        self.expect("fn");
        let name = self.name();
        self.expect("(");
        for end in [",", ")"] {
            let parameter = self.name();
            self.declare(parameter);
            self.expect(end);
        }
        let body = self.block();
        self.scopes.pop();
        Function { name, variables: self.variables, body }
    }

    fn block(&mut self) -> Vec<Statement> {
        self.expect("{");
        self.scopes.push(Map::default());
        let mut statements = Vec::new();
        while !self.skip("}") {
            statements.push(self.statement());
        }
        self.scopes.pop();
        statements
    }

    fn statement(&mut self) -> Statement {
        if self.skip("if") {
            let condition = self.expression(0);
            let yes = self.block();
            self.expect("else");
            return Statement::If(condition, yes, self.block());
        }
        if self.skip("repeat") {
            let Some(Token::Number(times)) = self.tokens.next() else { panic!("a number is missing") };
            return Statement::Repeat(times, self.block());
        }
        let statement = if self.skip("return") {
            Statement::Return(self.expression(0))
        } else {
            let is_new = self.skip("let");
            let name = self.name();
            self.expect("=");
            let value = self.expression(0);
            // The value is read before its name is known.
            let variable = if is_new { self.declare(name) } else { self.resolve(name) };
            Statement::Assign(variable, value)
        };
        self.expect(";");
        statement
    }

    /// An expression of operators that bind more tightly than `outer`.
    fn expression(&mut self, outer: u8) -> Expression {
        let mut left = self.primary();
        while let Some(Token::Mark(mark)) = self.tokens.peek() {
            let Some((operator, strength)) = Operator::read(mark).filter(|(_, strength)| *strength > outer) else {
                break;
            };
            self.tokens.next();
            let right = self.expression(strength);
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        left
    }

    fn primary(&mut self) -> Expression {
        match self.tokens.next() {
            Some(Token::Number(number)) => Expression::Number(number),
            Some(Token::Name(name)) if self.skip("(") => {
                let mut arguments = Vec::new();
                while !self.skip(")") {
                    arguments.push(self.expression(0));
                    self.skip(",");
                }
                Expression::Call(name, arguments)
            }
            Some(Token::Name(name)) => Expression::Variable(self.resolve(name)),
            Some(Token::Mark(mark)) if &*mark == "(" => {
                let inner = self.expression(0);
                self.expect(")");
                inner
            }
            other => panic!("{other:?} is no expression"),
        }
    }

    fn declare(&mut self, name: Symbol) -> Variable {
        let variable = self.variables;
        self.variables += 1;
        self.scopes.last_mut().expect("a scope is open").insert(name, variable);
        variable
    }

    fn resolve(&self, name: Symbol) -> Variable {
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(&name));
        *found.expect("every name is declared")
    }

    fn name(&mut self) -> Symbol {
        match self.tokens.next() {
            Some(Token::Name(name)) => name,
            other => panic!("{other:?} is no name"),
        }
    }

    fn skip(&mut self, wanted: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Mark(mark) if **mark == *wanted)).is_some()
    }

    fn expect(&mut self, wanted: &str) {
        assert!(self.skip(wanted), "{wanted} is missing before {:?}", self.tokens.peek());
    }
}
