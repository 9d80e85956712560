//! The program; everything is in the library.

use std::process::ExitCode;

// It gives the memory of connections that went idle back to the system, which the system's own allocator keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sidefuse::cli::main()
}
