//! Rewrites code: what was computed already is copied, copies are read through, and what nobody reads goes.

use crate::{
    Map,
    code::{Block, Code, End, Instruction, Register, Value},
};
use std::collections::BTreeSet;

/// Better code of the same meaning.
pub fn improve(code: Code) -> Code {
    let blocks = code.blocks.into_iter().map(number_values).collect();
    let blocks = without_dead(blocks);
    Code { blocks, ..code }
}

/// Within a block, gives every value that was computed already a copy, and reads the copied registers themselves.
fn number_values(block: Block) -> Block {
    let mut known: Map<Value, Register> = Map::default();
    let mut copies: Map<Register, Register> = Map::default();
    let mut instructions = Vec::with_capacity(block.instructions.len());
    for Instruction { target, value } in block.instructions {
        let through = |register: &Register| copies.get(register).copied().unwrap_or(*register);
        let value = match &value {
            Value::Number(number) => Value::Number(*number),
            Value::Copy(source) => Value::Copy(through(source)),
            Value::Binary(operator, left, right) => Value::Binary(*operator, through(left), through(right)),
            Value::Call(name, arguments) => Value::Call(*name, arguments.iter().map(through).collect()),
        };
        let value = match known.get(&value) {
            Some(register) if !matches!(value, Value::Call(..)) => Value::Copy(*register),
            _ => value,
        };
        // What was known by the old value of the target is known no longer.
        known.retain(|value, register| *register != target && !value.sources().contains(&target));
        copies.retain(|copy, source| *copy != target && *source != target);
        if let Value::Copy(source) = value {
            copies.insert(target, source);
        } else if !value.sources().contains(&target) {
            known.insert(value.clone(), target);
        }
        instructions.push(Instruction { target, value });
    }
    let through = |register: Register| copies.get(&register).copied().unwrap_or(register);
    let end = match block.end {
        End::Jump(next) => End::Jump(next),
        End::Branch(condition, yes, no) => End::Branch(through(condition), yes, no),
        End::Return(value) => End::Return(through(value)),
    };
    Block { instructions, end }
}

/// Leaves out instructions whose registers are not read before they are written again.
fn without_dead(blocks: Vec<Block>) -> Vec<Block> {
    let mut live_in: Vec<BTreeSet<Register>> = vec![BTreeSet::new(); blocks.len()];
    let mut is_changing = true;
    while is_changing {
        is_changing = false;
        for (place, block) in blocks.iter().enumerate().rev() {
            let mut live = live_out(block, &live_in);
            for instruction in block.instructions.iter().rev() {
                is_needed(instruction, &mut live);
            }
            if live != live_in[place] {
                live_in[place] = live;
                is_changing = true;
            }
        }
    }
    let shrink = |block: Block| {
        let mut live = live_out(&block, &live_in);
        let mut kept: Vec<_> =
            block.instructions.into_iter().rev().filter(|instruction| is_needed(instruction, &mut live)).collect();
        kept.reverse();
        Block { instructions: kept, end: block.end }
    };
    blocks.into_iter().map(shrink).collect()
}

/// What is read after the instructions of a block.
fn live_out(block: &Block, live_in: &[BTreeSet<Register>]) -> BTreeSet<Register> {
    match block.end {
        End::Jump(next) => live_in[next].clone(),
        End::Return(value) => BTreeSet::from([value]),
        End::Branch(condition, yes, no) => {
            let mut live: BTreeSet<_> = live_in[yes].union(&live_in[no]).copied().collect();
            live.insert(condition);
            live
        }
    }
}

/// Whether the instruction's value is read, or has an effect; `live` is what is read after it, then before it.
fn is_needed(instruction: &Instruction, live: &mut BTreeSet<Register>) -> bool {
    let is_read = live.remove(&instruction.target);
    let is_needed = is_read || matches!(instruction.value, Value::Call(..));
    if is_needed {
        live.extend(instruction.value.sources());
    }
    is_needed
}
