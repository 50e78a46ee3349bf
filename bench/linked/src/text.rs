//! Prints code, a line for each instruction.

use crate::{
    code::{Code, End, Instruction, Register, Value},
    lexer::Names,
};

/// The text of all functions.
pub fn print(code: &[Code], names: &Names) -> String {
    let functions: Vec<String> = code.iter().map(|function| one(function, names)).collect();
    functions.join("\n")
}

fn one(function: &Code, names: &Names) -> String {
    let mut lines = vec![format!("{}:", names.text(function.name))];
    for (place, block) in function.blocks.iter().enumerate() {
        lines.push(format!("{place}:"));
        for Instruction { target, value } in &block.instructions {
            let value = match value {
                Value::Number(number) => number.to_string(),
                Value::Copy(source) => register(*source),
                Value::Binary(operator, left, right) => {
                    format!("{operator:?} {} {}", register(*left), register(*right))
                }
                Value::Call(name, arguments) => {
                    let arguments: Vec<String> = arguments.iter().copied().map(register).collect();
                    format!("{}({})", names.text(*name), arguments.join(", "))
                }
            };
            lines.push(format!("    {} = {value}", register(*target)));
        }
        lines.push(match block.end {
            End::Jump(next) => format!("    jump {next}"),
            End::Branch(condition, yes, no) => format!("    branch {} {yes} {no}", register(condition)),
            End::Return(value) => format!("    return {}", register(value)),
        });
    }
    lines.join("\n")
}

fn register(number: Register) -> String {
    format!("%{number}")
}
