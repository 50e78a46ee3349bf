//! Code of blocks and registers, made of a tree, and run.

use crate::{
    lexer::Symbol,
    tree::{Caller, Expression, Function, Operator, Statement},
};

/// A register; the first ones are the function's variables.
pub type Register = u32;

/// What an instruction computes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Value {
    Number(i64),
    Copy(Register),
    Binary(Operator, Register, Register),
    Call(Symbol, Vec<Register>),
}

impl Value {
    /// The registers that are read.
    pub fn sources(&self) -> Vec<Register> {
        match self {
            Value::Number(_) => Vec::new(),
            Value::Copy(source) => vec![*source],
            Value::Binary(_, left, right) => vec![*left, *right],
            Value::Call(_, arguments) => arguments.clone(),
        }
    }
}

/// A register and its new value.
#[derive(Clone, Debug)]
pub struct Instruction {
    pub target: Register,
    pub value: Value,
}

/// How a block ends.
#[derive(Clone, Debug)]
pub enum End {
    Jump(usize),
    Branch(Register, usize, usize),
    Return(Register),
}

/// Instructions that run one after the other.
#[derive(Clone, Debug)]
pub struct Block {
    pub instructions: Vec<Instruction>,
    pub end: End,
}

/// The code of a function.
#[derive(Clone, Debug)]
pub struct Code {
    pub name: Symbol,
    pub registers: u32,
    pub blocks: Vec<Block>,
}

/// Makes code of a tree.
pub fn lower(function: &Function) -> Code {
    let mut maker = Maker { registers: function.variables, blocks: Vec::new(), open: Vec::new() };
    maker.statements(&function.body);
    let nothing = maker.fresh(Value::Number(0));
    maker.close(End::Return(nothing));
    Code { name: function.name, registers: maker.registers, blocks: maker.blocks }
}

struct Maker {
    registers: u32,
    blocks: Vec<Block>,
    /// Instructions of the block that is being made, which gets the next number.
    open: Vec<Instruction>,
}

impl Maker {
    fn close(&mut self, end: End) -> usize {
        let instructions = std::mem::take(&mut self.open);
        self.blocks.push(Block { instructions, end });
        self.blocks.len() - 1
    }

    fn put(&mut self, target: Register, value: Value) {
        self.open.push(Instruction { target, value });
    }

    fn fresh(&mut self, value: Value) -> Register {
        let target = self.registers;
        self.registers += 1;
        self.put(target, value);
        target
    }

    fn statements(&mut self, body: &[Statement]) {
        for statement in body {
            match statement {
                Statement::Assign(variable, value) => {
                    let value = self.expression(value);
                    self.put(*variable, Value::Copy(value));
                }
                Statement::Return(value) => {
                    let value = self.expression(value);
                    self.close(End::Return(value));
                }
                Statement::If(condition, yes, no) => self.branch(condition, yes, no),
                Statement::Repeat(times, body) => self.repeat(*times, body),
            }
        }
    }

    fn branch(&mut self, condition: &Expression, yes: &[Statement], no: &[Statement]) {
        let condition = self.expression(condition);
        let before = self.close(End::Return(condition));
        let first = self.blocks.len();
        self.statements(yes);
        let left = self.close(End::Return(condition));
        let second = self.blocks.len();
        self.statements(no);
        let right = self.close(End::Return(condition));
        let after = self.blocks.len();
        self.blocks[before].end = End::Branch(condition, first, second);
        self.blocks[left].end = End::Jump(after);
        self.blocks[right].end = End::Jump(after);
    }

    fn repeat(&mut self, times: i64, body: &[Statement]) {
        let counter = self.fresh(Value::Number(times));
        let first = self.blocks.len() + 1;
        self.close(End::Jump(first));
        self.statements(body);
        let one = self.fresh(Value::Number(1));
        self.put(counter, Value::Binary(Operator::Subtract, counter, one));
        let last = self.blocks.len();
        self.close(End::Branch(counter, first, last + 1));
    }

    fn expression(&mut self, value: &Expression) -> Register {
        match value {
            Expression::Variable(variable) => *variable,
            Expression::Number(number) => self.fresh(Value::Number(*number)),
            Expression::Binary(operator, left, right) => {
                let (left, right) = (self.expression(left), self.expression(right));
                self.fresh(Value::Binary(*operator, left, right))
            }
            Expression::Call(name, arguments) => {
                let arguments = arguments.iter().map(|argument| self.expression(argument)).collect();
                self.fresh(Value::Call(*name, arguments))
            }
        }
    }
}

impl Code {
    /// The function's value, instruction by instruction.
    pub fn run(&self, arguments: &[i64], caller: Caller<'_>) -> i64 {
        let mut registers = arguments.to_vec();
        registers.resize(self.registers as usize, 0);
        let mut place = 0;
        loop {
            let block = &self.blocks[place];
            for Instruction { target, value } in &block.instructions {
                let of = |register: &Register| registers[*register as usize];
                registers[*target as usize] = match value {
                    Value::Number(number) => *number,
                    Value::Copy(source) => of(source),
                    Value::Binary(operator, left, right) => operator.apply(of(left), of(right)),
                    Value::Call(name, arguments) => {
                        let values: Vec<i64> = arguments.iter().map(of).collect();
                        caller(*name, &values)
                    }
                };
            }
            match block.end {
                End::Jump(next) => place = next,
                End::Branch(condition, yes, no) => {
                    place = if registers[condition as usize] != 0 { yes } else { no };
                }
                End::Return(value) => return registers[value as usize],
            }
        }
    }
}
