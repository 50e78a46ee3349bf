//! The tree of a program, and its meaning: what the code that is made of it must compute as well.

use crate::lexer::Symbol;

/// An operator of two numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    And,
    Or,
    Xor,
    Less,
}

impl Operator {
    /// The operator that is written so, and how tightly it binds.
    pub fn read(mark: &str) -> Option<(Self, u8)> {
        Some(match mark {
            "|" => (Operator::Or, 1),
            "^" => (Operator::Xor, 2),
            "&" => (Operator::And, 3),
            "<" => (Operator::Less, 4),
            "+" => (Operator::Add, 5),
            "-" => (Operator::Subtract, 5),
            "*" => (Operator::Multiply, 6),
            _ => return None,
        })
    }

    /// What it gives.
    pub fn apply(self, left: i64, right: i64) -> i64 {
        match self {
            Operator::Add => left.wrapping_add(right),
            Operator::Subtract => left.wrapping_sub(right),
            Operator::Multiply => left.wrapping_mul(right),
            Operator::And => left & right,
            Operator::Or => left | right,
            Operator::Xor => left ^ right,
            Operator::Less => i64::from(left < right),
        }
    }
}

/// A variable of a function, by the order in which they are declared.
pub type Variable = u32;

/// What has a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    Number(i64),
    Variable(Variable),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Call(Symbol, Vec<Expression>),
}

/// What has an effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    Assign(Variable, Expression),
    If(Expression, Vec<Statement>, Vec<Statement>),
    Repeat(i64, Vec<Statement>),
    Return(Expression),
}

/// A function of two parameters, which are its first variables.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: Symbol,
    pub variables: u32,
    pub body: Vec<Statement>,
}

/// Whoever can call a function with these arguments.
pub type Caller<'a> = &'a dyn Fn(Symbol, &[i64]) -> i64;

impl Function {
    /// The function's value, step by step along the tree.
    pub fn evaluate(&self, arguments: &[i64], caller: Caller<'_>) -> i64 {
        let mut variables = arguments.to_vec();
        variables.resize(self.variables as usize, 0);
        run(&self.body, &mut variables, caller).unwrap_or(0)
    }
}

/// Runs statements; some value if they return.
fn run(body: &[Statement], variables: &mut Vec<i64>, caller: Caller<'_>) -> Option<i64> {
    for statement in body {
        let returned = match statement {
            Statement::Assign(variable, value) => {
                variables[*variable as usize] = value.evaluate(variables, caller);
                None
            }
            Statement::If(condition, yes, no) => {
                let chosen = if condition.evaluate(variables, caller) != 0 { yes } else { no };
                run(chosen, variables, caller)
            }
            Statement::Repeat(times, body) => (0..*times).find_map(|_| run(body, variables, caller)),
            Statement::Return(value) => Some(value.evaluate(variables, caller)),
        };
        if returned.is_some() {
            return returned;
        }
    }
    None
}

impl Expression {
    fn evaluate(&self, variables: &[i64], caller: Caller<'_>) -> i64 {
        match self {
            Expression::Number(number) => *number,
            Expression::Variable(variable) => variables[*variable as usize],
            Expression::Binary(operator, left, right) => {
                operator.apply(left.evaluate(variables, caller), right.evaluate(variables, caller))
            }
            Expression::Call(name, arguments) => {
                let values: Vec<i64> = arguments.iter().map(|argument| argument.evaluate(variables, caller)).collect();
                caller(*name, &values)
            }
        }
    }
}
