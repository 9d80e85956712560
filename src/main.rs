//! The program; everything is in the library.

use std::process::ExitCode;

/// A call costs a dozen allocations, some of them large and short-lived, which the system's allocator serves on its slow path.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sidefuse::cli::main()
}
