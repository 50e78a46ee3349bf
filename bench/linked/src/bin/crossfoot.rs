//! The compiler on Crossfoot.

#[global_allocator]
static GLOBAL: crossfoot::Crossfoot = crossfoot::Crossfoot;

fn main() {
    linked::main();
}
