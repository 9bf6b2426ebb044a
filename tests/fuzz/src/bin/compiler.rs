//! The compiler of customers' components as a program by itself, for the tests that let the product start one.

use std::io;

fn main() -> io::Result<()> {
    mirror_sandbox::run_compiler()
}
