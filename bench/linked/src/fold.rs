//! Rewrites the tree: constants are computed, sums and products are put in order, and branches that are decided go.

use crate::tree::{Expression, Function, Operator, Statement};

/// The function with a simpler tree of the same meaning.
pub fn fold(function: Function) -> Function {
    Function { body: block(function.body), ..function }
}

fn block(statements: Vec<Statement>) -> Vec<Statement> {
    let mut result = Vec::new();
    for statement in statements {
        match statement {
            Statement::Assign(variable, value) => result.push(Statement::Assign(variable, expression(value))),
            Statement::Return(value) => result.push(Statement::Return(expression(value))),
            Statement::Repeat(times, body) => match block(body) {
                body if body.is_empty() || times == 0 => {}
                body => result.push(Statement::Repeat(times, body)),
            },
            Statement::If(condition, yes, no) => match (expression(condition), block(yes), block(no)) {
                (Expression::Number(0), _, no) => result.extend(no),
                (Expression::Number(_), yes, _) => result.extend(yes),
                (condition, yes, no) => result.push(Statement::If(condition, yes, no)),
            },
        }
    }
    result
}

fn expression(value: Expression) -> Expression {
    match value {
        Expression::Binary(operator, left, right) => binary(operator, expression(*left), expression(*right)),
        Expression::Call(name, arguments) => Expression::Call(name, arguments.into_iter().map(expression).collect()),
        simple => simple,
    }
}

fn binary(operator: Operator, left: Expression, right: Expression) -> Expression {
    use Expression::{Binary, Number};
    use Operator::{Add, And, Less, Multiply, Or, Subtract, Xor};
    match (operator, left, right) {
        (_, Number(left), Number(right)) => Number(operator.apply(left, right)),
        // Numbers go to the right of what may be exchanged.
        (Add | Multiply | And | Or | Xor, Number(number), other) => binary(operator, other, Number(number)),
        (Add | Subtract | Or | Xor, same, Number(0)) | (Multiply, same, Number(1)) => same,
        (Subtract, other, Number(number)) => binary(Add, other, Number(number.wrapping_neg())),
        // (x op a) op b is x op (a op b).
        (Add | Multiply | And | Or | Xor, Binary(inner, same, known), Number(number))
            if inner == operator && matches!(*known, Number(_)) =>
        {
            let Number(known) = *known else { unreachable!("it is a number") };
            binary(operator, *same, Number(operator.apply(known, number)))
        }
        (And | Or, left, right) if left == right && is_pure(&left) => left,
        (Less | Subtract | Xor, left, right) if left == right && is_pure(&left) => Number(0),
        (_, left, right) => Binary(operator, Box::new(left), Box::new(right)),
    }
}

/// Whether nothing is called, so that it may be left out.
fn is_pure(value: &Expression) -> bool {
    match value {
        Expression::Number(_) | Expression::Variable(_) => true,
        Expression::Binary(_, left, right) => is_pure(left) && is_pure(right),
        Expression::Call(..) => false,
    }
}
